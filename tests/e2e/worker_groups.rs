//! Worker groups: changed and rolled back under load beside each other, quarantined and deployed again, taken to another cluster.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};

/// Invokes the other group's service at the beginning and at the end of its work.
const FRONT: &str = "import time
from tenon import Service

class Front(Service):
    name = 'groups.front'
    def handle(self):
        before = self.invoke('groups.back')['back']
        time.sleep(0.02)
        return {'front': VERSION, 'before': before, 'after': self.invoke('groups.back')['back']}
";

const BACK: &str = "from tenon import Service

class Back(Service):
    name = 'groups.back'
    def handle(self):
        return {'back': VERSION}
";

#[test]
fn groups_change_and_roll_back_under_load_without_a_failed_request_or_mixed_versions() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    // Workers of this group are replaced all the time besides.
    cluster.write_service("back/group.toml", "workers = 2\ncalls_max = 200\n");
    cluster.write_service("back/back.py", &BACK.replace("VERSION", "1"));
    cluster.deploy(&[("front.py", &FRONT.replace("VERSION", "1"))]);
    cluster.apply("rest-channel:\n  - {name: groups, path: /groups, service: groups.front}\n");
    cluster.wait_for_status(&cluster.url("/groups"), 200);
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let answer = cluster.client.post(&cluster.url("/groups"), b"").unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let answer = answer.json();
                    assert_eq!(answer["before"], answer["after"], "{answer}");
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let first = live(&cluster, "back");
            for version in 2..=4 {
                let sent = deploy_back(&cluster, version);
                assert_eq!((&sent["group"], &sent["state"]), (&"back".into(), &"live".into()));
                wait_for_back(&cluster, version);
                cluster.deploy(&[("front.py", &FRONT.replace("VERSION", &version.to_string()))]);
            }
            cluster.tenon_ok(&["deployment", "rollback", &first.to_string()]);
            wait_for_back(&cluster, 1);
            let front = cluster.client.get(&cluster.url("/groups")).unwrap().json();
            assert_eq!(front["front"], 4, "the other group stays as it is");
            let before = calls.load(Ordering::SeqCst);
            wait_for("further requests", PATIENCE, || {
                (calls.load(Ordering::SeqCst) > before + 20).then_some(())
            });
        }));
        stop.store(true, Ordering::SeqCst);
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
    });
    println!(
        "{} requests over 7 deployments of two groups",
        calls.load(Ordering::SeqCst)
    );
}

#[test]
fn a_quarantined_service_is_listed_and_deploying_the_same_again_lifts_it() {
    let cluster = Cluster::start();
    let kills = BACK.replace("return {'back': VERSION}", "import os; os._exit(3)");
    let file = cluster.scratch("kills.py");
    std::fs::write(&file, kills).unwrap();
    let file = file.to_string_lossy().into_owned();
    cluster.tenon_ok(&["deploy", &file, "--group", "back"]);
    cluster.apply("rest-channel:\n  - {name: kills, path: /kills, service: groups.back}\n");
    let listed = wait_for("the service is listed as quarantined", PATIENCE, || {
        let answer = cluster.client.post(&cluster.url("/kills"), b"").unwrap();
        assert!(matches!(answer.status, 404 | 502 | 503), "{answer:?}");
        let listed = cluster.tenon_ok(&["service", "list"]);
        listed.contains("quarantined").then_some(listed)
    });
    let line = listed.lines().find(|line| line.contains("groups.back")).unwrap();
    assert!(line.contains("quarantined"), "{line}");
    let shown = cluster.tenon_json(&["service", "show", "groups.back"]);
    assert!(shown["quarantine"].as_str().unwrap().contains("exit code 3"), "{shown}");
    assert_eq!(cluster.client.post(&cluster.url("/kills"), b"").unwrap().status, 503);

    let before = live(&cluster, "back");
    cluster.tenon_ok(&["deploy", &file, "--group", "back"]);
    assert_eq!(live(&cluster, "back"), before, "nothing changed, so nothing was done");
    cluster.tenon_ok(&["deploy", &file, "--group", "back", "--again"]);
    assert!(live(&cluster, "back") > before);
    wait_for("the service is run again", PATIENCE, || {
        (cluster.client.post(&cluster.url("/kills"), b"").unwrap().status == 502).then_some(())
    });
}

#[test]
fn a_deployment_is_taken_to_another_cluster() {
    let (from, to) = (Cluster::start(), Cluster::start());
    // A folder with a group file is the group of its name.
    let folder = from.scratch("back");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("group.toml"), "workers = 1\n").unwrap();
    std::fs::write(folder.join("back.py"), BACK.replace("VERSION", "5")).unwrap();
    from.tenon_ok(&["deploy", &folder.to_string_lossy()]);
    let number = live(&from, "back").to_string();
    let archive = from.scratch("back.tar").to_string_lossy().into_owned();
    from.tenon_ok(&["deployment", "export", &number, "-o", &archive]);
    for (name, content) in [("packed.tar.gz", &b"\x1f\x8b"[..]), ("other.tar", b"no tar file")] {
        let path = from.path().join(name);
        std::fs::write(&path, content).unwrap();
        let refused = to.tenon(&["deploy", &path.to_string_lossy()]);
        assert_eq!(refused.status.code(), Some(15), "{name}: {refused:?}");
    }
    let sent = to.tenon_json(&["deploy", &archive]);
    assert_eq!(
        (&sent["group"], &sent["services"]),
        (&"back".into(), &1.into()),
        "{sent}"
    );
    let invoked = to.tenon_ok(&["service", "invoke", "groups.back"]);
    assert_eq!(serde_json::from_str::<Value>(&invoked).unwrap()["back"], 5);
    let hashes = |cluster: &Cluster, number: u64| {
        cluster.tenon_json(&["deployment", "show", &number.to_string()])["file_hashes"].clone()
    };
    let of_group = |cluster: &Cluster| hashes(cluster, live(cluster, "back"));
    assert_eq!(of_group(&to), of_group(&from));

    // With its files taken away, the group has nothing left.
    to.tenon_ok(&[
        "deploy",
        "--group",
        "back",
        "--remove",
        "back.py",
        "--remove",
        "group.toml",
    ]);
    wait_for("the service is gone", PATIENCE, || {
        let gone = to.tenon(&["service", "invoke", "groups.back"]);
        (gone.status.code() == Some(44)).then_some(())
    });
}

fn deploy_back(cluster: &Cluster, version: u32) -> Value {
    let folder = cluster.scratch("groups");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("back.py");
    std::fs::write(&file, BACK.replace("VERSION", &version.to_string())).unwrap();
    let file = file.to_string_lossy();
    cluster.tenon_json(&["deploy", file.as_ref(), "--group", "back"])
}

fn wait_for_back(cluster: &Cluster, version: u32) {
    for server in [1, 2] {
        let url = cluster.server_url(server, "/groups");
        wait_for(&format!("version {version} serves in group back"), PATIENCE, || {
            let answer = cluster.client.get(&url).ok()?;
            (answer.status == 200 && answer.json()["after"] == version).then_some(())
        });
    }
}

/// The number of the group's deployment that serves.
#[track_caller]
fn live(cluster: &Cluster, group: &str) -> u64 {
    wait_for(&format!("a live deployment of group {group}"), PATIENCE, || {
        let listed = cluster.tenon_json(&["deployment", "list", "--group", group]);
        let items = listed["items"].as_array()?.clone();
        let live = items.iter().find(|one| one["state"] == "live")?;
        live["number"].as_u64()
    })
}
