//! Two clusters, side by side as they would be on two hosts, and what happens when one of them dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;
use tenon_tests::harness::{Cluster, ClusterOptions, PATIENCE, is_alive, send_signal, wait_for};
use tenon_tests::proxies::{Kind, Proxy};

use crate::group::caught;

use super::traffic::{Tally, Traffic};

const SERVICES: &str = r"
from tenon import Service

class Place(Service):
    name = 'ext.place'
    def handle(self):
        id = self.request.http.GET['id']
        if self.request.http.method == 'POST':
            with open('RECORD', 'a') as record:
                record.write(id + '\n')
        self.response.payload = f'CLUSTER/{self.server.name} {id}'

class Who(Service):
    name = 'ext.who'
    def handle(self):
        environ = self.wsgi_environ
        seen = {name: str(value) for name, value in environ.items() if name.startswith('HTTP_')}
        self.response.payload = {'remote': environ['REMOTE_ADDR'], 'seen': seen}

class Tick(Service):
    name = 'ext.tick'
    def handle(self):
        self.response.payload = {'ok': True}
";

const MANIFEST: &str = "
rest-channel:
  - {name: ext.place, path: /ext/place, service: ext.place}
  - {name: ext.who, path: /ext/who, service: ext.who}
job:
  - {name: ext.tick, service: ext.tick, every: 1s}
";

/// Requests of a target that are enough to say that it works.
const ENOUGH: u64 = 30;

/// Two clusters of the same services.
pub(crate) struct Pair {
    /// With two servers.
    pub(crate) a: Cluster,
    /// With one server.
    pub(crate) b: Cluster,
    killed: OnceLock<Result<BTreeMap<String, Tally>, String>>,
}

impl Pair {
    /// Starts both; load balancers and servers believe 127.0.0.1, and no other loopback address, about who the client is.
    pub(crate) fn start() -> Self {
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(|| cluster("a", 2));
            let b = scope.spawn(|| cluster("b", 1));
            (a.join().expect("a starts"), b.join().expect("b starts"))
        });
        Self {
            a,
            b,
            killed: OnceLock::new(),
        }
    }

    /// The addresses of the documentation, and those of the first cluster's servers.
    pub(crate) fn servers(&self) -> Vec<(&'static str, String)> {
        let port = |server: u16| format!("127.0.0.1:{}", self.a.port() + 9 + server);
        vec![("192.0.2.11:17010", port(1)), ("192.0.2.11:17011", port(2))]
    }

    /// The same for the first cluster's load balancer.
    pub(crate) fn load_balancer(&self) -> Vec<(&'static str, String)> {
        vec![("192.0.2.11:11223", format!("127.0.0.1:{}", self.a.port()))]
    }

    /// The same for both clusters' load balancers.
    pub(crate) fn load_balancers(&self) -> Vec<(&'static str, String)> {
        let b = ("192.0.2.21:11223", format!("127.0.0.1:{}", self.b.port()));
        self.load_balancer().into_iter().chain([b]).collect()
    }

    /// How requests ended through each proxy in front of both clusters while the first one was killed and started again.
    pub(crate) fn killed(&self) -> &BTreeMap<String, Tally> {
        let killed = self.killed.get_or_init(|| caught(|| self.kill_and_start_again()));
        killed.as_ref().unwrap_or_else(|why| panic!("{why}"))
    }

    fn kill_and_start_again(&self) -> BTreeMap<String, Tally> {
        let proxies: Vec<(String, Proxy)> = ["clusters", "active-passive"]
            .into_iter()
            .flat_map(|setup| Kind::ALL.map(|kind| (setup, kind)))
            .map(|(setup, kind)| {
                let name = format!("{setup}-{kind:?}");
                (name, Proxy::start(kind, setup, &self.load_balancers()))
            })
            .collect();
        let targets: Vec<(String, u16)> = proxies.iter().map(|(name, proxy)| (name.clone(), proxy.port)).collect();
        let traffic = Traffic::start(&targets, "/ext/place");
        let both =
            |tally: &Tally| of_cluster(tally, "a") > ENOUGH && (of_cluster(tally, "b") > ENOUGH || passive(tally));
        fn passive(tally: &Tally) -> bool {
            of_cluster(tally, "b") == 0
        }
        until_all(&traffic, "requests are answered", both);
        kill_all(&self.a);
        let before = traffic.tallies();
        until_all_of(&traffic, "the other cluster answers", |name, tally| {
            of_cluster(tally, "b") > of_cluster(&before[name], "b") + ENOUGH
        });
        self.a.start_all();
        let before = traffic.tallies();
        until_all_of(&traffic, "the first cluster answers again", |name, tally| {
            of_cluster(tally, "a") > of_cluster(&before[name], "a") + ENOUGH
        });
        wait_for("only the active cluster answers", PATIENCE, || {
            let before = traffic.tallies();
            std::thread::sleep(Duration::from_millis(500));
            let now = traffic.tallies();
            let mut passive = now.iter().filter(|(name, _)| name.starts_with("active-passive"));
            let is_back = |(name, tally): (&String, &Tally)| {
                let grown = |cluster| of_cluster(tally, cluster) - of_cluster(&before[name], cluster);
                grown("a") > 0 && grown("b") == 0
            };
            passive.all(is_back).then_some(())
        });
        traffic.stop()
    }

    /// Ids of POSTs that a service got more than once, in either cluster.
    pub(crate) fn done_twice(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let records = [&self.a, &self.b].map(|cluster| cluster.scratch("record"));
        let texts = records.map(|record| std::fs::read_to_string(record).unwrap_or_default());
        let ids = texts.iter().flat_map(|text| text.lines());
        ids.filter(|id| !seen.insert(*id)).map(str::to_owned).collect()
    }
}

/// How many requests any server of a cluster answered.
pub(crate) fn of_cluster(tally: &Tally, cluster: &str) -> u64 {
    let answered = tally
        .answered
        .iter()
        .filter(|(place, _)| place.split('/').next() == Some(cluster));
    answered.map(|(_, count)| count).sum()
}

/// Waits until this holds for the requests to every target.
#[track_caller]
pub(crate) fn until_all(traffic: &Traffic, what: &str, holds: impl Fn(&Tally) -> bool) {
    until_all_of(traffic, what, |_, tally| holds(tally));
}

#[track_caller]
pub(crate) fn until_all_of(traffic: &Traffic, what: &str, holds: impl Fn(&str, &Tally) -> bool) {
    let waited = std::time::Instant::now();
    loop {
        let tallies = traffic.tallies();
        let missing: Vec<_> = tallies.iter().filter(|(name, tally)| !holds(name, tally)).collect();
        if missing.is_empty() {
            return;
        }
        assert!(waited.elapsed() < PATIENCE, "waited in vain: {what}: {missing:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn cluster(name: &str, servers: u32) -> Cluster {
    let trusted = r#"["127.0.0.1"]"#.to_owned();
    let mut environment = vec![(
        "TENON__LOAD_BALANCER__LIMITS__BALANCER__TRUSTED".to_owned(),
        trusted.clone(),
    )];
    for server in 1..=servers {
        let setting = |name: &str| format!("TENON__SERVER{server}__LIMITS__DATA__{name}");
        environment.push((setting("TRUSTED"), trusted.clone()));
        environment.push((setting("DRAIN_DELAY"), "2s".to_owned()));
    }
    let cluster = Cluster::with(ClusterOptions {
        servers,
        create: vec!["--cluster-name".to_owned(), name.to_owned()],
        environment,
        ..ClusterOptions::default()
    });
    let record = cluster.scratch("record").to_string_lossy().into_owned();
    let services = SERVICES.replace("RECORD", &record).replace("CLUSTER", name);
    cluster.deploy(&[("ext.py", &services)]);
    cluster.apply(MANIFEST);
    cluster
}

/// Ends every process of a cluster as the end of its host would.
fn kill_all(cluster: &Cluster) {
    let supervisor = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).expect("it is supervised");
    let supervisor = supervisor.trim().parse().expect("the file holds a process id");
    let status = cluster.tenon_json(&["status"]);
    let components = status["components"].as_array().expect("status lists components").iter();
    let mut pids: Vec<u32> = components
        .filter_map(|component| u32::try_from(component["pid"].as_u64()?).ok())
        .collect();
    // Stopped first, so that it replaces nobody.
    send_signal(supervisor, Signal::STOP);
    pids.push(supervisor);
    for pid in &pids {
        send_signal(*pid, Signal::KILL);
    }
    for pid in pids {
        wait_for("the process is gone", PATIENCE, || (!is_alive(pid)).then_some(()));
    }
}
