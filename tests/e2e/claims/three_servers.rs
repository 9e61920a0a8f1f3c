//! A cluster with three servers.

use crate::group::group;
use crate::harness::{Cluster, ClusterOptions};

group! {
    start, steps:
    claim_08_servers_of_one_host_are_all_behind_the_load_balancer,
    claim_12_certificates_for_clients_are_the_load_balancer_s,
    claim_13_the_load_balancer_shapes_traffic_before_a_server_is_touched,
    claim_32_all_servers_run_the_same_services,
    claim_44_the_load_balancer_is_managed_while_it_runs,
    claim_27_a_server_that_is_killed_fails_no_request,
}

const SERVICES: &str = r"
from tenon import Service

class Place(Service):
    name = 'three.place'
    def handle(self):
        id = self.request.http.GET.get('id', '')
        self.response.payload = f'{self.server.name} {id}'.strip()
";

fn start() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 3,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("three.py", SERVICES)]);
    cluster.apply("rest-channel: [{name: three.place, path: /three/place, service: three.place}]");
    cluster
}

mod steps {
    use std::collections::BTreeSet;
    use std::process::Command;
    use std::time::Instant;

    use rustix::process::Signal;

    use crate::external_balancers::traffic::Traffic;
    use crate::harness::{Cluster, PATIENCE, wait_for};

    const SERVERS: [&str; 3] = ["server1", "server2", "server3"];

    fn place(cluster: &Cluster) -> String {
        let answer = cluster.client.get(&cluster.url("/three/place")).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }

    pub(super) fn claim_08_servers_of_one_host_are_all_behind_the_load_balancer(cluster: &Cluster) {
        for server in 1..=3 {
            let answer = cluster.client.get(&cluster.server_url(server, "/tenon/ping")).unwrap();
            assert_eq!(answer.status, 200, "server{server}");
            let answer = cluster.client.get(&cluster.server_url(server, "/three/place")).unwrap();
            assert_eq!(answer.body, format!("server{server}"));
        }
        let mut seen = BTreeSet::new();
        wait_for("every server answers", PATIENCE, || {
            seen.insert(place(cluster));
            seen.iter().eq(SERVERS.iter()).then_some(())
        });
    }

    pub(super) fn claim_12_certificates_for_clients_are_the_load_balancer_s(cluster: &Cluster) {
        let certificate = cluster.path().join("load-balancer/tls/cert.pem");
        let url = format!("https://localhost:{}/three/place", cluster.port() + 1);
        let mut curl = Command::new("curl");
        curl.args(["-s", "--max-time", "30", "--cacert"])
            .arg(&certificate)
            .arg(&url);
        let output = curl.output().expect("'cargo xtask test' installs curl");
        let body = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(SERVERS.contains(&body.as_str()), "{output:?}");
        // Without the certificate, nobody is believed.
        let output = Command::new("curl")
            .args(["-s", "--max-time", "30", &url])
            .output()
            .unwrap();
        assert!(!output.status.success());
        // A server speaks plain HTTP.
        assert_eq!(
            cluster
                .client
                .get(&cluster.server_url(1, "/tenon/ping"))
                .unwrap()
                .status,
            200
        );
        assert!(!cluster.path().join("server1/tls").exists());
    }

    pub(super) fn claim_13_the_load_balancer_shapes_traffic_before_a_server_is_touched(cluster: &Cluster) {
        cluster.apply(
            "balancer-rule:
  - {name: slow-down, order: 1, match: {paths: [/three/place]}, action: {rate_limit: {requests: 5, per: second, burst: 1, by: all}}}
  - {name: closed, order: 2, match: {paths: [/three/closed]}, action: {deny: {status: 403}}}
",
        );
        cluster.wait_for_status(&cluster.url("/three/closed"), 403);
        let (started, mut answered, mut refused) = (Instant::now(), 0, 0);
        for _ in 0..100 {
            let answer = cluster.client.get(&cluster.url("/three/place")).unwrap();
            match answer.status {
                200 => answered += 1,
                429 => {
                    assert!(answer.header("retry-after").is_some(), "{answer:?}");
                    assert!(answer.body.contains("tenon:too-many-requests"), "{answer:?}");
                    refused += 1;
                }
                status => unreachable!("{status}: {answer:?}"),
            }
        }
        // Servers see what is answered, and that is one at first and five in each second.
        let at_most = 1 + started.elapsed().as_millis() / 200;
        assert!(answered <= at_most, "{answered} of at most {at_most}");
        assert!(answered >= 1 && answered + refused == 100, "{answered} and {refused}");
        // A server itself has no such limit: it was not asked.
        for _ in 0..20 {
            let answer = cluster.client.get(&cluster.server_url(1, "/three/place")).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        for rule in ["slow-down", "closed"] {
            cluster.tenon_ok(&["delete", "balancer-rule", rule]);
        }
        wait_for("the limit is gone", PATIENCE, || {
            let answers = (0..5).map(|_| cluster.client.get(&cluster.url("/three/place")).unwrap());
            let mut statuses = answers.map(|answer| answer.status);
            statuses.all(|status| status == 200).then_some(())
        });
    }

    pub(super) fn claim_32_all_servers_run_the_same_services(cluster: &Cluster) {
        cluster.write_service(
            "dropped.py",
            "from tenon import Service\n\nclass Dropped(Service):\n    name = 'three.dropped'\n    def handle(self):\n        self.response.payload = 'here'\n",
        );
        cluster.write_manifest(
            "dropped.yaml",
            "rest-channel: [{name: three.dropped, path: /three/dropped, service: three.dropped}]",
        );
        for server in 1..=3 {
            let answer = cluster.wait_for_status(&cluster.server_url(server, "/three/dropped"), 200);
            assert_eq!(answer.body, "here");
        }
    }

    pub(super) fn claim_44_the_load_balancer_is_managed_while_it_runs(cluster: &Cluster) {
        let traffic = Traffic::start(&[("balancer".to_owned(), cluster.port())], "/three/place");
        let before = cluster.pid("load-balancer");
        cluster.tenon_ok(&["server", "drain", "server2"]);
        wait_for("server2 gets no requests any more", PATIENCE, || {
            let seen: BTreeSet<String> = (0..12).map(|_| place(cluster)).collect();
            (!seen.contains("server2")).then_some(())
        });
        cluster.tenon_ok(&["server", "drain", "server2", "--back"]);
        wait_for("server2 gets requests again", PATIENCE, || {
            (place(cluster) == "server2").then_some(())
        });
        let status = cluster.tenon_ok(&["balancer", "status"]);
        assert!(SERVERS.iter().all(|server| status.contains(server)), "{status}");
        assert_eq!(cluster.pid("load-balancer"), before);
        for (name, tally) in traffic.stop() {
            assert!(tally.failed.is_empty() && tally.unknown == 0, "{name}: {tally:?}");
        }
    }

    pub(super) fn claim_27_a_server_that_is_killed_fails_no_request(cluster: &Cluster) {
        let traffic = Traffic::start(&[("balancer".to_owned(), cluster.port())], "/three/place");
        let answered = |server: &str| {
            let tallies = traffic.tallies();
            tallies["balancer"].answered_by(server)
        };
        wait_for("every server answers", PATIENCE, || {
            SERVERS.iter().all(|server| answered(server) > 10).then_some(())
        });
        let before = cluster.pid("server1");
        cluster.signal("server1", Signal::KILL);
        let others = answered("server2") + answered("server3");
        wait_for("the others answer", PATIENCE, || {
            (answered("server2") + answered("server3") > others + 50).then_some(())
        });
        wait_for("server1 is started again", PATIENCE, || {
            let now = cluster.component("server1");
            (now["ready"] == true && now["pid"] != before).then_some(())
        });
        let back = answered("server1");
        wait_for("server1 answers again", PATIENCE, || {
            (answered("server1") > back + 10).then_some(())
        });
        let tally = traffic.stop().remove("balancer").expect("there is one target");
        assert!(tally.failed.is_empty(), "{:?}", tally.failed);
        // What the one client that sends POSTs had sent to the server while that died, which takes a moment.
        assert!(tally.unknown <= 3, "{} POSTs are unknown", tally.unknown);
    }
}
