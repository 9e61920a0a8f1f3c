//! The smallest cluster, made with no option but the ports.

use crate::group::group;
use crate::harness::Cluster;

group! {
    start, steps:
    claim_01_one_directory_holds_all_components,
    claim_04_a_new_cluster_is_usable_at_once,
    claim_06_nothing_has_to_be_configured,
    claim_10_the_least_is_one_of_each,
    claim_11_clients_call_the_load_balancer_and_it_calls_the_server,
    claim_16_the_scheduler_fires_jobs,
    claim_17_a_job_that_changes_fires_without_a_restart,
    claim_19_the_dashboard_has_an_address_of_its_own,
    claim_20_the_scheduler_is_not_public,
    claim_21_the_dashboard_needs_no_scheduler,
    claim_22_every_component_is_a_process,
    claim_23_components_stop_and_start_alone,
    claim_26_programs_can_create_clusters,
    claim_40_no_container_is_needed,
    claim_41_settings_come_from_the_environment_too,
    claim_42_every_link_has_credentials,
    claim_45_readiness_is_not_liveness,
}

/// It logs as JSON, by a setting in an environment variable.
fn start() -> Cluster {
    Cluster::with(crate::harness::ClusterOptions {
        environment: vec![("TENON__ENVIRONMENT__LOG__FORMAT".to_owned(), "json".to_owned())],
        ..crate::harness::ClusterOptions::default()
    })
}

mod steps {
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::Command;

    use serde_json::{Value, json};

    use crate::harness::{Cluster, PATIENCE, Session, is_alive, wait_for};

    const COMPONENTS: [&str; 5] = ["dashboard", "load-balancer", "scheduler", "server1", "store"];

    fn names(cluster: &Cluster) -> Vec<String> {
        let status = cluster.tenon_json(&["status"]);
        let components = status["components"].as_array().expect("status lists components").iter();
        let mut names: Vec<String> = components
            .filter_map(|component| Some(component["name"].as_str()?.to_owned()))
            .collect();
        names.sort_unstable();
        names
    }

    /// How many runs of a job have ended well.
    fn runs(cluster: &Cluster, job: &str) -> usize {
        let history = cluster.tenon_json(&["job", "history", job]);
        let runs = history["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        runs.iter().filter(|run| run["outcome"] == "ok").count()
    }

    /// What an address of a component answers without a certificate, as a probe asks it.
    fn probe(port: u16, path: &str) -> String {
        let url = format!("https://127.0.0.1:{port}{path}");
        let output = Command::new("curl")
            .args(["-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", &url])
            .output()
            .expect("'cargo xtask test' installs curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(super) fn claim_01_one_directory_holds_all_components(cluster: &Cluster) {
        for name in COMPONENTS {
            let folder = cluster.path().join(name);
            assert!(folder.join("component.toml").is_file(), "{name}");
        }
    }

    pub(super) fn claim_04_a_new_cluster_is_usable_at_once(cluster: &Cluster) {
        // `tenon start` has come back.
        assert_eq!(cluster.client.get(&cluster.url("/tenon/ping")).unwrap().status, 200);
        let hello = cluster.client.get(&cluster.url("/demo/hello?name=Ada")).unwrap();
        assert_eq!(hello.status, 200, "{hello:?}");
    }

    pub(super) fn claim_06_nothing_has_to_be_configured(cluster: &Cluster) {
        let session = Session::of_admin(cluster);
        assert_eq!(session.call("GET", "/api/v1/status", &Value::Null, None).status, 200);
        for secret in ["ca", "secrets"] {
            assert!(cluster.path().join(secret).is_dir(), "{secret}");
        }
    }

    pub(super) fn claim_10_the_least_is_one_of_each(cluster: &Cluster) {
        // The store is the fifth: where everything is in files, one process owns them.
        assert_eq!(names(cluster), COMPONENTS);
    }

    pub(super) fn claim_11_clients_call_the_load_balancer_and_it_calls_the_server(cluster: &Cluster) {
        let answer = cluster.client.get(&cluster.url("/demo/hello?name=claim-11")).unwrap();
        assert_eq!(answer.status, 200);
        let cid = answer.header("x-tenon-cid").unwrap().to_owned();
        wait_for("the load balancer says which server answered", PATIENCE, || {
            let log = cluster.log("load-balancer");
            let line = log.lines().find(|line| line.contains(&cid))?.to_owned();
            line.contains("server1").then_some(())
        });
    }

    pub(super) fn claim_16_the_scheduler_fires_jobs(cluster: &Cluster) {
        cluster.apply("job: [{name: claim-16, service: demo.ping, every: 1s}]");
        wait_for("the job has run several times", PATIENCE, || {
            (runs(cluster, "claim-16") >= 3).then_some(())
        });
        let ledgers = cluster.tenon_json(&["job", "verify"]);
        let ledger = ledgers
            .as_array()
            .unwrap()
            .iter()
            .find(|ledger| ledger["job"] == "claim-16");
        let ledger = ledger.unwrap_or_else(|| panic!("{ledgers}"));
        for wrong in ["duplicates", "overlapping_attempts", "lost"] {
            assert_eq!(ledger[wrong], 0, "{ledger}");
        }
    }

    pub(super) fn claim_17_a_job_that_changes_fires_without_a_restart(cluster: &Cluster) {
        let before = cluster.pid("scheduler");
        cluster.apply("job: [{name: claim-17, service: demo.ping, every: 1d}]");
        cluster.apply("job: [{name: claim-17, service: demo.ping, every: 1s}]");
        wait_for("the changed job has run", PATIENCE, || {
            (runs(cluster, "claim-17") >= 1).then_some(())
        });
        assert_eq!(cluster.pid("scheduler"), before);
    }

    pub(super) fn claim_19_the_dashboard_has_an_address_of_its_own(cluster: &Cluster) {
        let page = cluster.client.get(&cluster.dashboard_url("/")).unwrap();
        assert_eq!(page.status, 200);
        assert_eq!(cluster.client.get(&cluster.url("/api/v1/status")).unwrap().status, 404);
        // Another address of this host: the load balancer is public, the dashboard is not.
        assert!(TcpStream::connect(("127.0.0.2", cluster.port())).is_ok());
        assert!(TcpStream::connect(("127.0.0.2", cluster.port() + 2)).is_err());
    }

    pub(super) fn claim_20_the_scheduler_is_not_public(cluster: &Cluster) {
        let control = cluster.port() + 3;
        assert!(TcpStream::connect(("127.0.0.1", control)).is_ok());
        assert!(TcpStream::connect(("127.0.0.2", control)).is_err());
    }

    pub(super) fn claim_21_the_dashboard_needs_no_scheduler(cluster: &Cluster) {
        let settings = std::fs::read_to_string(cluster.path().join("dashboard/component.toml")).unwrap();
        assert!(!settings.contains(&(cluster.port() + 3).to_string()), "{settings}");
        let scheduler = cluster.path().join("scheduler");
        let scheduler = scheduler.to_string_lossy();
        cluster.tenon_ok(&["stop", &scheduler]);
        let session = Session::of_admin(cluster);
        let job = json!({"body": {"service": "demo.ping", "every": "1s"}});
        let made = session.call("PUT", "/api/v1/objects/job/claim-21", &job, None);
        assert!(matches!(made.status, 200 | 201), "{made:?}");
        cluster.tenon_ok(&["start", &scheduler]);
        wait_for("the job runs", PATIENCE, || {
            (runs(cluster, "claim-21") >= 1).then_some(())
        });
    }

    pub(super) fn claim_22_every_component_is_a_process(cluster: &Cluster) {
        let mut pids: Vec<u32> = COMPONENTS.iter().map(|name| cluster.pid(name)).collect();
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), COMPONENTS.len());
    }

    pub(super) fn claim_23_components_stop_and_start_alone(cluster: &Cluster) {
        for name in ["scheduler", "dashboard"] {
            let path = cluster.path().join(name);
            let path = path.to_string_lossy();
            cluster.tenon_ok(&["stop", &path]);
            assert_eq!(cluster.component(name)["state"], "stopped");
            assert_eq!(cluster.client.get(&cluster.url("/demo/hello")).unwrap().status, 200);
            cluster.tenon_ok(&["start", &path]);
            assert!(cluster.component(name)["pid"].is_u64());
        }
    }

    pub(super) fn claim_26_programs_can_create_clusters(cluster: &Cluster) {
        // The tests run every command without a terminal and with nothing on its standard input.
        let path = cluster.path();
        let path = path.to_string_lossy();
        let again = cluster.tenon(&["quickstart", "create", &path]);
        assert_eq!(again.status.code().map(|code| code != 0), Some(true));
        cluster.tenon_ok(&["quickstart", "create", &path, "--skip-if-exists"]);
        assert_eq!(cluster.client.get(&cluster.url("/tenon/ping")).unwrap().status, 200);
    }

    pub(super) fn claim_40_no_container_is_needed(cluster: &Cluster) {
        let pid = cluster.pid("server1");
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(
            program.file_name(),
            Some("tenon".as_ref()),
            "one binary is all there is"
        );
        assert!(!Path::new("/run/systemd/system").join("tenon.service").exists());
    }

    pub(super) fn claim_41_settings_come_from_the_environment_too(cluster: &Cluster) {
        let log = cluster.log("dashboard");
        let first = log.lines().next().expect("the dashboard logs that it starts");
        assert!(serde_json::from_str::<Value>(first).is_ok(), "{first}");
    }

    pub(super) fn claim_42_every_link_has_credentials(cluster: &Cluster) {
        for port in [cluster.port() + 3, cluster.port() + 60] {
            assert_eq!(probe(port, "/livez"), "200", "health needs no certificate");
            let refused = probe(port, "/v1/status");
            assert!(matches!(refused.as_str(), "401" | "403" | "404"), "{port}: {refused}");
        }
        assert_eq!(probe(cluster.port() + 60, "/v1/objects"), "401");
        let wrong = cluster.client.with_header("x-tenon-dashboard", "1");
        let login = json!({"user": "admin", "password": "wrong"});
        let answer = wrong.post_json(&cluster.dashboard_url("/api/login"), &login).unwrap();
        assert_eq!(answer.status, 401, "{answer:?}");
    }

    pub(super) fn claim_45_readiness_is_not_liveness(cluster: &Cluster) {
        let status = |path| cluster.client.get(&cluster.server_url(1, path)).unwrap().status;
        assert_eq!((status("/tenon/live"), status("/tenon/ready")), (200, 200));
        let store = cluster.path().join("store");
        let store = store.to_string_lossy();
        cluster.tenon_ok(&["stop", &store]);
        cluster.wait_for_status(&cluster.server_url(1, "/tenon/ready"), 503);
        assert_eq!(status("/tenon/live"), 200);
        assert_eq!(cluster.client.get(&cluster.url("/tenon/live")).unwrap().status, 200);
        let control = cluster.port() + 60;
        assert_eq!(
            (probe(control, "/livez"), probe(control, "/readyz")),
            ("200".to_owned(), "503".to_owned())
        );
        cluster.tenon_ok(&["start", &store]);
        cluster.wait_for_status(&cluster.server_url(1, "/tenon/ready"), 200);
    }
}
