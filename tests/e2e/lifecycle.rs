//! Creating, starting and stopping: the whole environment and each component alone, wrong starts, what is left by a crash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Cluster, ClusterOptions, is_alive, send_signal, wait_for};

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
    let hello = cluster.url("/demo/hello?name=Ada");
    let stop = Arc::new(AtomicBool::new(false));
    let caller = std::thread::spawn({
        let (client, hello, stop) = (cluster.client.clone(), hello.clone(), Arc::clone(&stop));
        move || {
            let mut answers = 0;
            while !stop.load(Ordering::SeqCst) {
                let answer = client.get(&hello).unwrap();
                assert_eq!(answer.status, 200, "{answer:?}");
                answers += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
            answers
        }
    });
    for name in ["server1", "scheduler", "dashboard", "server2", "store"] {
        let path = cluster.path().join(name);
        cluster.tenon_ok(&["stop", &path.to_string_lossy()]);
        assert_eq!(cluster.component(name)["state"], "stopped");
        assert_eq!(cluster.client.get(&hello).unwrap().status, 200, "with {name} stopped");
        cluster.tenon_ok(&["start", &path.to_string_lossy()]);
        cluster.wait_ready();
    }
    stop.store(true, Ordering::SeqCst);
    let answers = caller.join().expect("every request is answered with 200");
    assert!(answers > 10, "{answers}");
}

#[test]
fn components_start_in_any_order() {
    let cluster = Cluster::with(ClusterOptions {
        start: false,
        ..ClusterOptions::default()
    });
    for name in ["load-balancer", "dashboard", "server1", "scheduler", "store"] {
        let path = cluster.path().join(name);
        // Without what it needs a component runs and is not ready; the command says so and does not fail for ever.
        cluster.tenon(&["start", &path.to_string_lossy(), "--timeout", "1s"]);
        assert!(cluster.component(name)["pid"].is_u64(), "{name} does not run");
    }
    cluster.wait_ready();
    assert_eq!(cluster.client.get(&cluster.url("/demo/hello")).unwrap().status, 200);
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
    send_signal(supervisor, Signal::KILL);
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
    assert!(said.contains("runs already"), "{said}");
    assert_eq!(again.status.code(), Some(9), "{said}");
    cluster.wait_ready();
}

#[test]
fn an_environment_starts_after_everything_was_killed() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 1,
        ..ClusterOptions::default()
    });
    let supervisor = std::fs::read_to_string(cluster.path().join("run/supervisor.pid")).unwrap();
    let supervisor = supervisor.trim().parse().unwrap();
    let components = ["load-balancer", "dashboard", "scheduler", "server1", "store"].map(|name| cluster.pid(name));
    // Stopped first, so that it replaces nobody.
    send_signal(supervisor, Signal::STOP);
    for pid in components.into_iter().chain([supervisor]) {
        send_signal(pid, Signal::KILL);
        wait_for("the process is gone", Duration::from_secs(30), || {
            (!is_alive(pid)).then_some(())
        });
    }
    cluster.start_all();
    assert_eq!(cluster.client.get(&cluster.url("/tenon/ping")).unwrap().status, 200);
}
