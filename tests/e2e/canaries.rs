//! Canaries under load on two servers: a good one becomes live, a failing one is rolled back, and callers see its own errors only.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::{Answer, Cluster, ClusterOptions, PATIENCE, wait_for};

/// Fails if `FAILS`, after it has invoked another service of its version.
const FRONT: &str = "from tenon import Service

class Front(Service):
    name = 'canary.front'
    def handle(self):
        back = self.invoke('canary.back')['back']
        if FAILS:
            raise RuntimeError('a bad version')
        return {'front': VERSION, 'back': back}
";

const BACK: &str = "from tenon import Service

class Back(Service):
    name = 'canary.back'
    def handle(self):
        return {'back': VERSION}
";

#[derive(Default)]
struct Load {
    is_over: AtomicBool,
    /// Whether a canary runs that fails.
    may_fail: AtomicBool,
    failed: AtomicU64,
    /// Answers since the last one that failed.
    good: AtomicU64,
    versions: Mutex<BTreeSet<u64>>,
}

impl Load {
    fn run(&self, cluster: &Cluster) {
        while !self.is_over.load(Ordering::SeqCst) {
            let answer = cluster.client.post(&cluster.url("/canary"), b"").unwrap();
            self.check(&answer);
        }
    }

    fn check(&self, answer: &Answer) {
        if answer.status == 500 && self.may_fail.load(Ordering::SeqCst) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            self.good.store(0, Ordering::SeqCst);
            return;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let versions = answer.json();
        assert_eq!(versions["front"], versions["back"], "{versions}");
        let version = versions["front"].as_u64().unwrap();
        assert_ne!(version, 3, "the version that fails has answered");
        self.versions.lock().unwrap().insert(version);
        self.good.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until only these versions answer, and nothing fails.
    fn wait_for_only(&self, version: u64) {
        wait_for("only one version answers", PATIENCE, || {
            self.versions.lock().unwrap().clear();
            self.good.store(0, Ordering::SeqCst);
            wait_for("answers", PATIENCE, || {
                (self.good.load(Ordering::SeqCst) > 60).then_some(())
            });
            (*self.versions.lock().unwrap() == BTreeSet::from([version])).then_some(())
        });
    }
}

#[test]
fn a_good_canary_becomes_live_and_a_failing_one_is_rolled_back_with_its_own_errors_only() {
    let cluster = start_cluster();
    deploy(&cluster, 1, &[]);
    cluster.apply("rest-channel:\n  - {name: canary, path: /canary, service: canary.front}\n");
    cluster.wait_for_status(&cluster.url("/canary"), 200);
    let load = Load::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| load.run(&cluster));
        }
        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| try_canaries(&cluster, &load)));
        load.is_over.store(true, Ordering::SeqCst);
        if let Err(panic) = tried {
            std::panic::resume_unwind(panic);
        }
    });
}

fn try_canaries(cluster: &Cluster, load: &Load) {
    let (code, said) = deploy(cluster, 2, &["--canary", "25%", "--canary-for", "2s"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is a canary: it gets 25 % of the calls for 2s"), "{said}");
    assert!(said.contains("serves: promoted: 0 of "), "{said}");
    let seen = load.versions.lock().unwrap().clone();
    assert_eq!(seen, BTreeSet::from([1, 2]), "both have answered");
    load.wait_for_only(2);

    load.may_fail.store(true, Ordering::SeqCst);
    let (code, said) = deploy(cluster, 3, &["--canary", "25%", "--canary-for", "10m"]);
    assert_eq!(code, Some(45), "{said}");
    assert!(
        said.contains("was rolled back: ") && said.contains("calls failed (100.0 %), before 0 of "),
        "{said}"
    );
    assert!(load.failed.load(Ordering::SeqCst) >= 20, "it had its share");
    load.wait_for_only(2);
    load.may_fail.store(false, Ordering::SeqCst);
    let all = cluster.tenon_json(&["deployment", "list"])["items"]
        .as_array()
        .unwrap()
        .clone();
    let states: Vec<&str> = all.iter().take(3).filter_map(|one| one["state"].as_str()).collect();
    assert_eq!(states, ["rolled-back", "live", "superseded"], "{all:?}");

    // By hand, while a server is down that catches up.
    let (code, said) = deploy(cluster, 4, &["--canary", "50", "--canary-for", "10m", "--no-wait"]);
    assert_eq!(code, Some(0), "{said}");
    let number = number_of(cluster, "canary");
    let (code, said) = deploy(cluster, 5, &[]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("is a canary that is not decided"), "{said}");
    cluster.tenon_ok(&["restart", "server2"]);
    wait_for("server2 has both versions", PATIENCE, || {
        let of_server = || cluster.client.get(&cluster.server_url(2, "/canary")).unwrap().json();
        let versions: BTreeSet<u64> = (0..20).filter_map(|_| of_server()["front"].as_u64()).collect();
        (versions == BTreeSet::from([2, 4])).then_some(())
    });
    cluster.tenon_ok(&["deployment", "promote", &number.to_string()]);
    load.wait_for_only(4);
    assert_eq!(number_of(cluster, "live"), number);
}

fn start_cluster() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    for server in ["server1", "server2"] {
        let path = cluster.path().join(server).join("component.toml");
        // How fast a machine is that does other things as well is no reason to roll back.
        let settings =
            std::fs::read_to_string(&path).unwrap() + "\n[limits.deployments.canary]\nlatency_floor = \"60s\"\n";
        std::fs::write(&path, settings).unwrap();
    }
    cluster.start_all();
    cluster.wait_ready();
    cluster
}

/// Deploys a version; the exit code and what was said.
fn deploy(cluster: &Cluster, version: u32, options: &[&str]) -> (Option<i32>, String) {
    let folder = cluster.scratch("canary");
    std::fs::create_dir_all(&folder).unwrap();
    let fails = if version == 3 { "True" } else { "False" };
    let number = version.to_string();
    let front = FRONT.replace("FAILS", fails).replace("VERSION", &number);
    std::fs::write(folder.join("front.py"), front).unwrap();
    std::fs::write(folder.join("back.py"), BACK.replace("VERSION", &number)).unwrap();
    let folder = folder.to_string_lossy().into_owned();
    let output = cluster.tenon(&[&["deploy", &folder], options].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), said)
}

#[track_caller]
fn number_of(cluster: &Cluster, state: &str) -> u64 {
    let all: Value = cluster.tenon_json(&["deployment", "list"]);
    let items = all["items"].as_array().unwrap();
    let found = items.iter().find(|one| one["state"] == state);
    found.unwrap_or_else(|| panic!("none is {state}: {all}"))["number"]
        .as_u64()
        .unwrap()
}
