//! Code that is saved, sent, changed, removed and rolled back: on both servers, numbered, and without a failed request.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};

const CHANNEL: &str = "rest-channel:\n  - {name: v, path: /v, service: v.front}\n";

#[test]
fn files_of_the_services_folder_are_on_both_servers() {
    let cluster = two_servers();
    cluster.write_manifest(
        "folder.yaml",
        "rest-channel:\n  - {name: one, path: /one, service: folder.one}\n  - {name: two, path: /two, service: folder.two}\n",
    );
    cluster.write_service("one.py", &service("folder.one", 1));
    cluster.write_service("deeper/two.py", &service("folder.two", 1));
    for server in [1, 2] {
        wait_for_version(&cluster, &cluster.server_url(server, "/one"), 1);
        wait_for_version(&cluster, &cluster.server_url(server, "/two"), 1);
    }
    let before = live(&cluster);

    let saved = Instant::now();
    cluster.write_service("one.py", &service("folder.one", 2));
    for server in [1, 2] {
        wait_for_version(&cluster, &cluster.server_url(server, "/one"), 2);
        assert_eq!(version_at(&cluster, &cluster.server_url(server, "/two")), Some(1));
    }
    println!("a saved file served on both servers after {:?}", saved.elapsed());
    let after = live(&cluster);
    assert_eq!(number(&after), number(&before) + 1, "{after}");
    let all = deployments(&cluster);
    let lives = all.iter().filter(|one| one["state"] == "live").count();
    assert_eq!(lives, 1, "{all:?}");

    cluster.remove_service("one.py");
    for server in [1, 2] {
        let gone = cluster.wait_for_status(&cluster.server_url(server, "/one"), 503);
        assert_eq!(gone.json()["type"], "tenon:service-not-deployed");
        assert_eq!(version_at(&cluster, &cluster.server_url(server, "/two")), Some(1));
    }
    let listed = cluster.tenon_json(&["service", "list"]);
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    assert_eq!(names, ["demo.hello", "demo.ping", "folder.two"]);
    // Nothing was saved since: no further deployment comes by itself.
    assert_eq!(number(&live(&cluster)), number(&after) + 1);
}

#[test]
fn a_change_fails_no_request_and_no_answer_mixes_versions() {
    let cluster = two_servers();
    deploy_pair(&cluster, 1);
    cluster.apply(CHANNEL);
    let stop = AtomicBool::new(false);
    let (calls, seen) = (AtomicU64::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (cluster, stop, calls, seen) = (&cluster, &stop, &calls, &seen);
            scope.spawn(move || {
                let url = cluster.url("/v");
                while !stop.load(Ordering::SeqCst) {
                    // Neither method is repeated when it fails: a POST can't be, a GET is, which the balancer's log would show.
                    let answer = if client % 2 == 0 {
                        cluster.client.post(&url, b"")
                    } else {
                        cluster.client.get(&url)
                    };
                    let answer = answer.unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let versions = answer.json();
                    assert_eq!(versions["front"], versions["back"], "{versions}");
                    assert_eq!(versions["front"], versions["shared"], "{versions}");
                    seen.lock().unwrap().insert(versions["front"].as_u64().unwrap());
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for version in 2..=6 {
                deploy_pair(&cluster, version);
                let before = calls.load(Ordering::SeqCst);
                wait_for("requests of the new version", PATIENCE, || {
                    (calls.load(Ordering::SeqCst) > before + 8).then_some(())
                });
            }
        }));
        stop.store(true, Ordering::SeqCst);
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(*seen.lock().unwrap(), (1..=6).collect::<BTreeSet<u64>>());
    println!("{} requests over 5 deployments", calls.load(Ordering::SeqCst));
}

#[test]
fn a_roll_back_is_not_undone_by_a_restart_but_by_the_next_change() {
    let cluster = two_servers();
    cluster.write_manifest(
        "back.yaml",
        "rest-channel:\n  - {name: b, path: /b, service: back.one}\n",
    );
    let url = cluster.url("/b");
    cluster.write_service("back.py", &service("back.one", 1));
    wait_for_version(&cluster, &url, 1);
    let first = number(&live(&cluster)).to_string();
    cluster.write_service("back.py", &service("back.one", 2));
    wait_for_version(&cluster, &url, 2);

    cluster.tenon_ok(&["deployment", "rollback", &first]);
    for server in [1, 2] {
        assert_eq!(version_at(&cluster, &cluster.server_url(server, "/b")), Some(1));
    }
    let rolled_back = number(&live(&cluster));
    cluster.tenon_ok(&["restart"]);
    cluster.wait_ready();
    assert_eq!(number(&live(&cluster)), rolled_back);
    for server in [1, 2] {
        assert_eq!(version_at(&cluster, &cluster.server_url(server, "/b")), Some(1));
    }
    // The same content again is no change; another one is.
    cluster.write_service("back.py", &service("back.one", 3));
    wait_for_version(&cluster, &url, 3);

    let missing = cluster.tenon(&["deployment", "rollback", "999"]);
    assert_eq!(missing.status.code(), Some(44), "{missing:?}");
}

#[test]
fn a_server_that_was_down_catches_up_before_it_is_ready() {
    let cluster = two_servers();
    deploy_pair(&cluster, 1);
    cluster.apply(CHANNEL);
    cluster.tenon_ok(&["stop", "server2"]);
    let sent = deploy_pair(&cluster, 2);
    assert_eq!(sent["state"], "live", "{sent}");
    cluster.apply("rest-channel:\n  - {name: later, path: /later, service: v.front}\n");
    cluster.tenon_ok(&["start", "server2"]);
    // `start` returns when the server is ready, so the very first answers are of the new version.
    for path in ["/v", "/later"] {
        let answer = cluster.client.get(&cluster.server_url(2, path)).unwrap();
        assert_eq!(
            (answer.status, answer.json()["front"].as_u64()),
            (200, Some(2)),
            "{answer:?}"
        );
    }
}

#[test]
fn what_is_sent_is_refused_whole_or_in_part_with_its_reason() {
    let cluster = Cluster::start();
    let sent = cluster.deploy(&[("good.py", &service("sent.good", 1))]);
    assert_eq!(
        (sent["state"].as_str(), sent["services"].as_u64()),
        (Some("live"), Some(3)),
        "{sent}"
    );
    let file = cluster.scratch("broken.py");
    std::fs::write(&file, "x = (\n").unwrap();
    let refused = cluster.tenon(&["deploy", &file.to_string_lossy()]);
    assert_eq!(refused.status.code(), Some(45), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
    assert!(said.contains("broken.py") && said.contains("SyntaxError"), "{said}");
    let missing = cluster.tenon(&["deploy", "/no/such/file.py"]);
    assert_eq!(missing.status.code(), Some(31), "{missing:?}");
    // Two files with a service of the same name: the one that was there stays.
    let file = cluster.scratch("twice.py");
    std::fs::write(&file, service("sent.good", 7)).unwrap();
    let twice = cluster.tenon(&["deploy", &file.to_string_lossy()]);
    assert_eq!(twice.status.code(), Some(45), "{twice:?}");
    let invoked = cluster.tenon_ok(&["service", "invoke", "sent.good"]);
    assert_eq!(serde_json::from_str::<Value>(&invoked).unwrap()["version"], 1);
    let unknown = cluster.tenon(&["service", "invoke", "sent.nobody"]);
    assert_eq!(unknown.status.code(), Some(44), "{unknown:?}");
    let payload = cluster.tenon(&["service", "invoke", "sent.good", "--payload", "{bad"]);
    assert_eq!(payload.status.code(), Some(15), "{payload:?}");
}

fn two_servers() -> Cluster {
    Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    })
}

fn service(name: &str, version: u32) -> String {
    format!(
        "from tenon import Service

class TheService(Service):
    name = '{name}'
    def handle(self):
        return {{'version': {version}}}
"
    )
}

/// Three files of one version: a service, one that it invokes, and a module of both.
fn deploy_pair(cluster: &Cluster, version: u32) -> Value {
    let front = "import time
import shared
from tenon import Service
FRONT = VERSION

class Front(Service):
    name = 'v.front'
    def handle(self):
        time.sleep(0.02)
        return {'front': FRONT, 'shared': shared.VERSION, 'back': self.invoke('v.back')['back']}
";
    let back = "from tenon import Service

class Back(Service):
    name = 'v.back'
    def handle(self):
        return {'back': VERSION}
";
    let number = version.to_string();
    cluster.deploy(&[
        ("front.py", &front.replace("VERSION\n\n", &format!("{number}\n\n"))),
        ("back.py", &back.replace("VERSION", &number)),
        ("shared.py", &format!("VERSION = {number}\n")),
    ])
}

fn deployments(cluster: &Cluster) -> Vec<Value> {
    cluster.tenon_json(&["deployment", "list"])["items"]
        .as_array()
        .unwrap()
        .clone()
}

#[track_caller]
fn live(cluster: &Cluster) -> Value {
    let all = deployments(cluster);
    let live = all.iter().find(|one| one["state"] == "live");
    live.unwrap_or_else(|| panic!("nothing is live: {all:?}")).clone()
}

fn number(deployment: &Value) -> u64 {
    deployment["number"].as_u64().unwrap()
}

fn version_at(cluster: &Cluster, url: &str) -> Option<u64> {
    let answer = cluster.client.get(url).ok()?;
    (answer.status == 200).then(|| answer.json()["version"].as_u64())?
}

#[track_caller]
fn wait_for_version(cluster: &Cluster, url: &str, version: u64) {
    wait_for(
        &format!("{url} serves version {version}"),
        Duration::from_secs(30),
        || (version_at(cluster, url) == Some(version)).then_some(()),
    );
}
