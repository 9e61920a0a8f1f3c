//! The supervisor with real processes: what dies or hangs comes back, what was stopped stays, nobody is refused.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{TestEnvironment, is_alive, signal};

#[test]
fn a_killed_component_is_started_again_and_a_second_start_is_refused() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    let first = environment.pid("store").unwrap();
    signal(first, Signal::KILL);
    let second = environment.until_replaced("store", first);
    let message = environment.run("start", "store").refused(9, &environment.root);
    insta::assert_snapshot!(message, @"error: DIR/store runs already; look at it with `tenon status`");
    assert_eq!(environment.pid("store"), Some(second));
    let status = environment.status("store");
    assert_eq!(status["state"], "running");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["memory_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_component_that_hangs_is_replaced() {
    let environment = TestEnvironment::create().with_hang_timeout("3s");
    environment.run("start", "store").ok();
    let first = environment.pid("store").unwrap();
    signal(first, Signal::STOP);
    environment.until_replaced("store", first);
    assert!(!is_alive(first));
}

#[test]
fn a_killed_supervisor_is_replaced_and_adopts_what_runs() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    let (store, first) = (environment.pid("store"), environment.supervisor().unwrap());
    signal(first, Signal::KILL);
    environment.until("a new supervisor", || {
        environment
            .supervisor()
            .is_some_and(|pid| pid != first && is_alive(pid))
            && environment.status("store")["ready"] == true
    });
    assert_eq!(environment.pid("store"), store, "the store was not to be touched");
    // The new one looks after it as the old one did.
    signal(store.unwrap(), Signal::KILL);
    environment.until_replaced("store", store.unwrap());
}

#[test]
fn a_supervisor_that_hangs_is_replaced() {
    let environment = TestEnvironment::create().with_hang_timeout("3s");
    environment.run("start", "store").ok();
    let (store, first) = (environment.pid("store"), environment.supervisor().unwrap());
    signal(first, Signal::STOP);
    environment.until("a new supervisor", || {
        environment
            .supervisor()
            .is_some_and(|pid| pid != first && is_alive(pid))
            && environment.status("store")["ready"] == true
    });
    assert!(!is_alive(first));
    assert_eq!(environment.pid("store"), store, "the store was not to be touched");
}

#[test]
fn an_environment_that_was_stopped_stays_so() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    environment.run("start", "scheduler").ok();
    let pids = [environment.pid("store").unwrap(), environment.pid("scheduler").unwrap()];
    environment.run("stop", "").ok();
    assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(environment.supervisor(), None);
    assert_eq!(environment.status("store")["state"], "stopped");
    let message = environment.run("stop", "").refused(10, &environment.root);
    insta::assert_snapshot!(message, @"error: DIR does not run");
}

#[test]
fn an_environment_with_a_supervisor_that_hangs_can_be_stopped() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    let (store, supervisor) = (environment.pid("store").unwrap(), environment.supervisor().unwrap());
    signal(supervisor, Signal::STOP);
    environment.run("stop", "").ok();
    assert!(!is_alive(store) && !is_alive(supervisor));
}

#[test]
fn what_was_stopped_by_name_stays_so_under_a_new_supervisor() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    environment.run("start", "scheduler").ok();
    environment.run("stop", "scheduler").ok();
    assert!(environment.pid("scheduler").is_none() && environment.pid("store").is_some());
    let first = environment.supervisor().unwrap();
    signal(first, Signal::KILL);
    environment.until("a new supervisor", || {
        environment.supervisor().is_some_and(|pid| pid != first) && environment.status("store")["ready"] == true
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(environment.status("scheduler")["state"], "stopped");
    environment.run("start", "scheduler").ok();
    assert_eq!(environment.status("scheduler")["ready"], true);
}

#[test]
fn after_everything_was_killed_it_starts_again() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    let (store, supervisor) = (environment.pid("store").unwrap(), environment.supervisor().unwrap());
    // Stopped first, so that neither sees the other go.
    signal(store, Signal::STOP);
    signal(supervisor, Signal::KILL);
    signal(store, Signal::KILL);
    environment.until("their end", || !is_alive(store) && !is_alive(supervisor));
    assert!(
        environment.root.join("store/run/pid").exists(),
        "the stale files are the point"
    );
    assert!(environment.root.join("run/supervisor.pid").exists());
    environment.run("start", "store").ok();
    assert_ne!(environment.pid("store"), Some(store));
}

#[test]
fn a_restart_gives_another_process() {
    let environment = TestEnvironment::create();
    environment.run("start", "store").ok();
    environment.run("start", "scheduler").ok();
    let before = [environment.pid("store"), environment.pid("scheduler")];
    environment.run("restart", "scheduler").ok();
    assert_eq!(environment.pid("store"), before[0]);
    assert_ne!(environment.pid("scheduler"), before[1]);
    environment.run("restart", "").ok();
    assert_ne!(environment.pid("store"), before[0]);
    assert_eq!(environment.status("scheduler")["ready"], true);
}

#[test]
fn no_connection_is_refused_while_processes_are_killed() {
    let environment = TestEnvironment::create();
    environment.run("start", "dashboard").ok();
    let address = ("127.0.0.1", environment.port_base + 2);
    let (stop, connections) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                TcpStream::connect(address).expect("a connection was refused");
                connections.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut kill_everything = || {
            let first = environment.pid("dashboard").unwrap();
            signal(first, Signal::KILL);
            let second = environment.until_replaced("dashboard", first);
            let supervisor = environment.supervisor().unwrap();
            signal(supervisor, Signal::KILL);
            environment.until("a new supervisor", || {
                environment.supervisor().is_some_and(|pid| pid != supervisor)
                    && environment.status("dashboard")["ready"] == true
            });
            // The new supervisor holds the socket too: the dashboard gave it back.
            signal(second, Signal::KILL);
            environment.until_replaced("dashboard", second);
        };
        // The client must end whatever happens here.
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut kill_everything));
        stop.store(true, Ordering::SeqCst);
        client.join().unwrap();
        killed.unwrap();
    });
    assert!(connections.load(Ordering::SeqCst) > 10);
    environment.run("stop", "dashboard").ok();
    assert!(
        TcpStream::connect(address).is_err(),
        "one that was stopped gives its port back"
    );
}

#[test]
fn a_path_that_is_too_long_for_sockets_is_no_obstacle() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().canonicalize().unwrap().join("y".repeat(150));
    let environment = TestEnvironment::create_at(&root);
    environment.run("start", "store").ok();
    environment.run("start", "scheduler").ok();
    assert_eq!(environment.status("scheduler")["ready"], true);
    environment.run("stop", "").ok();
    std::fs::remove_dir_all(crate::harness::short_directory(&root)).unwrap();
}

#[test]
fn a_component_with_wrong_settings_says_so() {
    let environment = TestEnvironment::create();
    let file = environment.root.join("store/component.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{settings}\n[limits.sqlite]\nreader = 1\n")).unwrap();
    let path = environment.path("store");
    let answer = crate::harness::tenon(&["start", path.to_str().unwrap(), "--timeout", "2s"]);
    assert_eq!(answer.code, 28, "{answer:?}");
    let log = crate::harness::tenon(&["logs", path.to_str().unwrap()]).ok();
    assert!(log.out.contains("unknown field `reader`"), "{log:?}");
}
