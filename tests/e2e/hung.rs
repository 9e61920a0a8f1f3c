//! Processes that hang: whoever it is, it is found out and replaced, and requests do not wait for that.

use rustix::process::Signal;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};
use crate::under_load::answered_by;

fn with_hang_timeout(text: &str) -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    let file = cluster.path().join("environment.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let changed = settings.replace("hang_timeout = \"10s\"", &format!("hang_timeout = \"{text}\""));
    assert_ne!(settings, changed);
    std::fs::write(&file, changed).unwrap();
    cluster.start_all();
    cluster
}

#[test]
fn whoever_hangs_is_replaced() {
    let cluster = with_hang_timeout("5s");
    let names = ["store", "server1", "server2", "scheduler", "dashboard", "load-balancer"];
    let before = names.map(|name| cluster.pid(name));
    for name in names {
        cluster.signal(name, Signal::STOP);
    }
    for (name, pid) in names.into_iter().zip(before) {
        wait_for(&format!("{name} is replaced"), PATIENCE, || {
            let now = cluster.component(name);
            (now["ready"] == true && now["pid"] != pid).then_some(())
        });
    }
    cluster.wait_for_status(&cluster.url("/demo/hello"), 200);
}

#[test]
fn requests_do_not_wait_until_a_server_that_hangs_is_replaced() {
    // Longer than this test takes: what happens is the load balancer's doing.
    let cluster = with_hang_timeout("10m");
    let hello = cluster.url("/demo/hello");
    for _ in 0..10 {
        assert_eq!(cluster.client.get(&hello).unwrap().status, 200);
    }
    let pid = cluster.pid("server1");
    cluster.signal("server1", Signal::STOP);
    wait_for("it does nothing any more", PATIENCE, || is_stopped(pid).then_some(()));
    // Those that it had, and those that it got until it was found out, are answered by the other one.
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, hello) = (cluster.client.clone(), hello.clone());
            std::thread::spawn(move || client.get(&hello).unwrap().status)
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.join().unwrap(), 200);
    }
    let answered = |server: &str| answered_by(&cluster.log("load-balancer"), server);
    let before = answered("server2");
    for _ in 0..20 {
        assert_eq!(cluster.client.get(&hello).unwrap().status, 200);
    }
    wait_for("the load balancer has logged them", PATIENCE, || {
        (answered("server2") >= before + 20).then_some(())
    });
    assert_eq!(cluster.pid("server1"), pid, "nobody has replaced it");
    let before = answered("server1");
    cluster.signal("server1", Signal::CONT);
    wait_for("it gets requests again", PATIENCE, || {
        let _ = cluster.client.get(&hello);
        (answered("server1") > before).then_some(())
    });
}

/// Whether every thread of a process is stopped: the signal takes effect a moment after it was sent.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}
