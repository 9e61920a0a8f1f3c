//! Creating, starting and stopping: the whole environment and each component alone, wrong starts, what is left by a crash.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Cluster, ClusterOptions, wait_for};

#[test]
fn a_cluster_answers_and_every_component_is_a_process_of_its_own() {
    let cluster = Cluster::start();
    let ping = cluster.client.get(&cluster.url("/tenon/ping")).unwrap();
    assert_eq!(ping.status, 200);
    assert_eq!(ping.json()["is_ok"], true);
    let status = cluster.tenon_json(&["status"]);
    let components = status["components"].as_array().unwrap();
    let mut names: Vec<&str> = components
        .iter()
        .filter_map(|component| component["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["dashboard", "load-balancer", "scheduler", "server1", "store"]);
    let mut pids: Vec<u64> = components
        .iter()
        .filter_map(|component| component["pid"].as_u64())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 5, "{status}");
    assert!(
        components.iter().all(|component| component["ready"] == true),
        "{status}"
    );
}

#[test]
fn each_component_stops_and_starts_alone_while_the_rest_serves() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    for name in ["server1", "scheduler", "dashboard", "server2", "store"] {
        let path = cluster.path().join(name);
        cluster.tenon_ok(&["stop", &path.to_string_lossy()]);
        assert_eq!(cluster.component(name)["state"], "stopped");
        let ping = cluster.client.get(&cluster.url("/tenon/ping")).unwrap();
        assert_eq!(ping.status, 200, "with {name} stopped");
        cluster.tenon_ok(&["start", &path.to_string_lossy()]);
        cluster.wait_ready();
    }
}

#[test]
fn what_was_stopped_by_hand_stays_stopped_when_the_supervisor_is_replaced() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    let path = cluster.path().join("server2");
    cluster.tenon_ok(&["stop", &path.to_string_lossy()]);
    let pid_before = cluster.pid("server1");
    let supervisor = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).unwrap();
    let supervisor: u32 = supervisor.trim().parse().unwrap();
    crate::harness::send_signal(supervisor, Signal::KILL);
    wait_for("a new supervisor", Duration::from_secs(30), || {
        let pid = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).ok()?;
        (pid.trim() != supervisor.to_string() && !pid.trim().is_empty()).then_some(())
    });
    assert_eq!(
        cluster.pid("server1"),
        pid_before,
        "what runs is adopted, not restarted"
    );
    assert_eq!(cluster.component("server2")["state"], "stopped");
    assert_eq!(cluster.client.get(&cluster.url("/tenon/ping")).unwrap().status, 200);
}

#[test]
fn a_second_start_says_that_it_runs() {
    let cluster = Cluster::start();
    let again = cluster.tenon(&["start"]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned() + &String::from_utf8_lossy(&again.stdout);
    assert!(said.contains("already running"), "{said}");
    cluster.wait_ready();
}

#[test]
fn an_environment_starts_after_everything_was_killed() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 1,
        ..ClusterOptions::default()
    });
    let supervisor = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).unwrap();
    crate::harness::send_signal(supervisor.trim().parse().unwrap(), Signal::STOP);
    for name in ["load-balancer", "dashboard", "scheduler", "server1", "store"] {
        cluster.signal(name, Signal::KILL);
    }
    crate::harness::send_signal(supervisor.trim().parse().unwrap(), Signal::KILL);
    cluster.start_all();
    assert_eq!(cluster.client.get(&cluster.url("/tenon/ping")).unwrap().status, 200);
}
