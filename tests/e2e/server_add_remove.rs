//! Servers are added to a cluster that runs, set aside, taken back and taken out, while requests come without a pause.

use std::process::Output;

use serde_json::Value;

use crate::harness::{Client, Cluster, ClusterOptions, PATIENCE, wait_for};
use crate::under_load::{UnderLoad, answered_by};

const SLOW: &str = r"
import time
from tenon import Service

class Slow(Service):
    name = 'aside.slow'
    def handle(self):
        time.sleep(3)
        self.response.payload = {'ok': True}

class Tick(Service):
    name = 'aside.tick'
    def handle(self):
        pass
";

const MANIFEST: &str = r"
rest-channel:
  - {name: aside.slow, path: /slow, service: aside.slow}
job:
  - {name: aside.tick, service: aside.tick, every: 1d}
";

#[test]
fn servers_are_added_and_removed_and_no_request_fails() {
    let cluster = Cluster::start();
    let load = UnderLoad::start(&cluster);
    let added = cluster.tenon_json(&["server", "add", "--count", "2"]);
    assert_eq!(
        (&added["added"], &added["ready"]),
        (&true.into(), &true.into()),
        "{added}"
    );
    assert_eq!(servers(&cluster), ["server1", "server2", "server3"]);
    for (index, server) in added["servers"].as_array().unwrap().iter().enumerate() {
        let port = usize::from(cluster.port()) + 11 + index;
        assert_eq!(
            server["address"],
            format!("127.0.0.1:{port}"),
            "the next port of the block"
        );
    }
    wait_for_requests_of(&cluster, "server2");
    wait_for_requests_of(&cluster, "server3");

    // The one that the load balancer and the dashboard were told of at first.
    let removed = cluster.tenon_json(&["server", "remove", "server1"]);
    assert_eq!(
        (&removed["removed"], &removed["cut_off"]),
        (&"server1".into(), &0.into())
    );
    assert_eq!(servers(&cluster), ["server2", "server3"]);
    assert!(!cluster.path().join("server1").exists() && !cluster.path().join("ca/server1").exists());
    load.calm();
    let path = cluster.path().join("load-balancer");
    cluster.tenon_ok(&["restart", &path.to_string_lossy()]);
    load.calm();

    cluster.tenon_ok(&["server", "remove", "server3"]);
    let last = cluster.tenon(&["server", "remove", "server2"]);
    assert_eq!(last.status.code(), Some(15), "{}", said(&last));
    let again = cluster.tenon_json(&["server", "add"]);
    assert_eq!(again["servers"][0]["name"], "server1");
    assert_eq!(
        again["servers"][0]["address"],
        format!("127.0.0.1:{}", cluster.port() + 10)
    );
    let pid = cluster.pid("server1");
    let twice = cluster.tenon_json(&["server", "add", "server1"]);
    assert_eq!(twice["added"], false);
    assert_eq!(cluster.pid("server1"), pid);
    load.calm();
    load.finish();
}

#[test]
fn a_drained_server_finishes_what_it_has_and_gets_nothing_new() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("aside/slow.py", SLOW)]);
    cluster.apply(MANIFEST);
    let ready = cluster.server_url(1, "/tenon/ready");
    cluster.wait_for_status(&ready, 200);
    let slow = std::thread::spawn({
        let url = cluster.server_url(1, "/slow");
        move || Client::new().get(&url).unwrap().status
    });
    wait_for("the slow call runs", PATIENCE, || {
        (in_flight(&cluster) > 0).then_some(())
    });
    let drained = cluster.tenon_json(&["server", "drain", "server1"]);
    assert_eq!(
        (&drained["state"], &drained["changed"]),
        (&"drain".into(), &true.into())
    );
    cluster.wait_for_status(&ready, 503);
    // Nothing is refused: an external load balancer needs a moment to see it.
    let hello = cluster.server_url(1, "/demo/hello");
    assert_eq!(cluster.client.get(&hello).unwrap().status, 200);
    assert_eq!(slow.join().unwrap(), 200, "what it had is finished");

    let twice = cluster.tenon_json(&["server", "drain", "server1", "--timeout", "30s"]);
    assert_eq!((&twice["changed"], &twice["in_flight"]), (&false.into(), &0.into()));
    let last = cluster.tenon(&["server", "drain", "server2"]);
    assert_eq!(last.status.code(), Some(15), "{}", said(&last));
    let before = answered_by(&cluster.log("load-balancer"), "server2");
    for _ in 0..20 {
        assert_eq!(cluster.client.get(&cluster.url("/demo/hello")).unwrap().status, 200);
    }
    for _ in 0..5 {
        cluster.tenon_ok(&["job", "run", "aside.tick"]);
    }
    assert_eq!(servers_of_runs(&cluster), ["server2"]);

    // It stays so when it is restarted, which does not wait for what will not come.
    let path = cluster.path().join("server1");
    cluster.tenon_ok(&["restart", &path.to_string_lossy()]);
    assert_eq!(cluster.client.get(&ready).unwrap().status, 503);
    wait_for("the load balancer has logged what it sent", PATIENCE, || {
        (answered_by(&cluster.log("load-balancer"), "server2") >= before + 20).then_some(())
    });
    assert_eq!(answered_by(&cluster.log("load-balancer"), "server1"), 0);

    cluster.tenon_ok(&["server", "drain", "server1", "--back"]);
    cluster.wait_for_status(&ready, 200);
    wait_for_requests_of(&cluster, "server1");
}

#[test]
fn what_can_not_be_is_refused_and_changes_nothing() {
    let cluster = Cluster::with(ClusterOptions {
        start: false,
        ..ClusterOptions::default()
    });
    for (arguments, code) in [
        (&["server", "add", "Server2"] as &[&str], 15),
        (&["server", "add", "services"], 15),
        (&["server", "add", "dashboard"], 15),
        (&["server", "add", "--count", "50"], 2),
        (&["server", "remove", "server9"], 44),
        (&["server", "remove", "store"], 15),
        (&["server", "remove", "server1"], 15),
    ] {
        let output = cluster.tenon(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    }
    assert_eq!(servers(&cluster), ["server1"]);
    // Without the cluster running, a server is made and starts with it.
    let taken = std::net::TcpListener::bind(("127.0.0.1", cluster.port() + 11)).unwrap();
    let added = cluster.tenon_json(&["server", "add", "blue"]);
    drop(taken);
    assert_eq!(added["ready"], false);
    assert_eq!(servers(&cluster), ["blue", "server1"]);
    cluster.tenon_ok(&["server", "remove", "blue"]);
    assert_eq!(servers(&cluster), ["server1"]);
}

fn servers(cluster: &Cluster) -> Vec<String> {
    let status = cluster.tenon_json(&["status"]);
    let components = status["components"].as_array().unwrap();
    let servers = components.iter().filter(|component| component["role"] == "server");
    let mut names: Vec<String> = servers
        .map(|server| server["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Waits until the load balancer has had an answer of this server, by its log of requests.
#[track_caller]
fn wait_for_requests_of(cluster: &Cluster, server: &str) {
    let answered = || answered_by(&cluster.log("load-balancer"), server);
    let before = answered();
    wait_for(&format!("requests go to {server}"), PATIENCE, || {
        let _ = cluster.client.get(&cluster.url("/demo/hello"));
        (answered() > before).then_some(())
    });
}

/// Calls that server1 has, as a command sees it that waits for them.
fn in_flight(cluster: &Cluster) -> u64 {
    let output = cluster.tenon(&["server", "drain", "server1", "--timeout", "0s", "--output", "json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    cluster.tenon_ok(&["server", "drain", "server1", "--back"]);
    said["in_flight"].as_u64().unwrap_or_default()
}

/// The servers that have executed runs of the job, each once.
#[track_caller]
fn servers_of_runs(cluster: &Cluster) -> Vec<String> {
    let runs = wait_for("the runs have ended", PATIENCE, || {
        let history = cluster.tenon_json(&["job", "history", "aside.tick"]);
        let runs = history["items"].as_array()?.clone();
        let ended = runs
            .iter()
            .all(|run| !matches!(run["outcome"].as_str(), Some("waiting" | "running")));
        (runs.len() == 5 && ended).then_some(runs)
    });
    let mut servers: Vec<String> = runs
        .iter()
        .filter_map(|run| Some(run["server"].as_str()?.to_owned()))
        .collect();
    servers.sort();
    servers.dedup();
    servers
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
