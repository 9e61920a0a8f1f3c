//! A binary is upgraded by replacing its file and restarting: the supervisor goes on as the new one, then each component.

use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, binary, is_alive, send_signal, wait_for};
use crate::under_load::UnderLoad;

/// Puts another file with the same program where the binary is, as installers do.
fn replace(program: &Path) {
    let next = program.with_extension("next");
    std::fs::copy(binary(), &next).unwrap();
    std::fs::rename(&next, program).unwrap();
}

/// What `tenon status` says of the files that the supervisor and the components run.
fn binaries(status: &Value) -> Vec<Value> {
    let components = status["components"].as_array().unwrap();
    let components = components.iter().map(|component| component["binary"].clone());
    std::iter::once(status["supervisor"]["binary"].clone())
        .chain(components)
        .collect()
}

/// Removes the binary, kills a component, and puts another file in its place.
fn kill_dashboard_without_binary(cluster: &Cluster, program: &Path) {
    let pid = cluster.pid("dashboard");
    std::fs::remove_file(program).unwrap();
    send_signal(pid, Signal::KILL);
    // No command can be given now, so that its file has to say it.
    wait_for("another process", PATIENCE, || {
        let text = std::fs::read_to_string(cluster.path().join("dashboard/run/pid")).ok()?;
        let now: u32 = text.trim().parse().ok()?;
        (now != pid && is_alive(now)).then_some(())
    });
    replace(program);
    wait_for("the dashboard is back", PATIENCE, || {
        let dashboard = cluster.component("dashboard");
        (dashboard["ready"] == true && dashboard["pid"] != pid).then_some(())
    });
}

#[test]
fn a_cluster_with_one_server_goes_on_as_a_new_binary_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tenon");
    replace(&program);
    let cluster = Cluster::with(ClusterOptions {
        binary: Some(program.clone()),
        ..ClusterOptions::default()
    });
    let load = UnderLoad::start(&cluster);
    let before = cluster.tenon_json(&["status"]);
    assert!(
        binaries(&before).iter().all(|binary| binary["is_current"] == true),
        "{before}"
    );

    // What dies while the file is missing comes back, of the old binary.
    kill_dashboard_without_binary(&cluster, &program);
    let replaced = cluster.tenon_json(&["status"]);
    assert_eq!(replaced["supervisor"]["binary"]["is_current"], false, "{replaced}");
    assert_eq!(replaced["supervisor"]["pid"], before["supervisor"]["pid"]);

    let restarted = cluster.tenon_json(&["restart"]);
    let mut names: Vec<&str> = restarted["restarted"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(names[0], "supervisor", "it starts the others");
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "dashboard",
            "load-balancer",
            "scheduler",
            "server1",
            "store",
            "supervisor"
        ]
    );
    let after = cluster.tenon_json(&["status"]);
    assert!(
        binaries(&after).iter().all(|binary| binary["is_current"] == true),
        "{after}"
    );
    let inode = &after["supervisor"]["binary"]["inode"];
    assert_ne!(inode, &before["supervisor"]["binary"]["inode"]);
    assert!(
        binaries(&after).iter().all(|binary| binary["inode"] == *inode),
        "{after}"
    );
    assert_eq!(
        after["supervisor"]["pid"], before["supervisor"]["pid"],
        "it is the same process"
    );
    assert_ne!(after["supervisor"]["life"], before["supervisor"]["life"]);
    load.calm();

    // The new supervisor looks after what the old one started.
    let server = cluster.pid("server1");
    load.finish();
    cluster.signal("server1", Signal::KILL);
    wait_for("the server is replaced", PATIENCE, || {
        let now = cluster.component("server1");
        (now["ready"] == true && now["pid"] != server).then_some(())
    });
}

#[test]
fn a_component_that_does_not_come_back_ends_the_roll() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    let file = cluster.path().join("server1/component.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{settings}\n[limits.nonsense]\n")).unwrap();
    let pid = cluster.pid("server2");
    let output = cluster.tenon(&["restart", "--timeout", "3s"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(28), "{said}");
    assert!(
        said.contains("server1") && said.contains("the others were left"),
        "{said}"
    );
    assert_eq!(cluster.pid("server2"), pid);
    assert_eq!(cluster.client.get(&cluster.url("/demo/hello")).unwrap().status, 200);
    std::fs::write(&file, settings).unwrap();
    cluster.wait_ready();
}
