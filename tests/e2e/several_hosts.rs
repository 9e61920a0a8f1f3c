//! A cluster on two hosts: store, servers and scheduler on one, load balancer and dashboard on the other, with mutual TLS between
//! them. Two loopback addresses stand for the two hosts, and two environments that share no file.

use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, wait_for};
use crate::under_load::answered_by;

/// The environment of the other host; stopped when the test ends.
struct OtherHost<'a> {
    cluster: &'a Cluster,
    path: PathBuf,
}

impl OtherHost<'_> {
    fn tenon(&self, arguments: &[&str]) -> Output {
        let path = self.path.to_string_lossy().into_owned();
        self.cluster.tenon(&[&["--env", &path], arguments].concat())
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.tenon(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Joins the cluster with the file, as a component of this role.
    fn join(&self, role: &str, file: &Path) -> Output {
        let (path, base) = (self.path.to_string_lossy(), self.cluster.port().to_string());
        let arguments = [
            "create",
            role,
            &path,
            "--bind",
            "127.0.0.2",
            "--port-base",
            &base,
            "--join",
        ];
        self.cluster
            .tenon(&[&arguments as &[&str], &[&file.to_string_lossy()]].concat())
    }

    fn url(&self, port: u16, path: &str) -> String {
        format!("http://127.0.0.2:{}{path}", self.cluster.port() + port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path.join("balancer2/logs/balancer2.log")).unwrap_or_default()
    }
}

impl Drop for OtherHost<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        self.tenon(&["stop"]);
    }
}

#[test]
fn load_balancer_and_dashboard_can_be_on_another_host() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        create: ["--bind", "127.0.0.1", "--no-load-balancer"]
            .map(str::to_owned)
            .to_vec(),
        ..ClusterOptions::default()
    });
    let host = OtherHost {
        cluster: &cluster,
        path: cluster.scratch("other"),
    };
    let file = |name: &str| cluster.scratch(&format!("{name}.toml"));
    for (role, name) in [("load-balancer", "balancer2"), ("dashboard", "dashboard2")] {
        let issued = issue(&cluster, role, name);
        assert!(issued.status.success(), "{}", said(&issued));
        let joined = host.join(role, &file(name));
        assert!(joined.status.success(), "{}", said(&joined));
    }
    host.ok(&["start"]);
    assert!(find(&host.path, "ca-key.pem").is_empty() && find(&host.path, "secret-key").is_empty());

    // Through it, over TLS and not over the servers' sockets, which it could reach in this test.
    let hello = host.url(0, "/demo/hello?name=Ada");
    cluster.wait_for_status(&hello, 200);
    let known: Value =
        serde_json::from_slice(&std::fs::read(host.path.join("balancer2/run/members.json")).unwrap()).unwrap();
    let endpoints: Vec<&Value> = known["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["endpoint"])
        .collect();
    assert!(
        endpoints.len() == 2 && endpoints.iter().all(|one| one["tls"].is_object()),
        "{known}"
    );
    cluster.wait_for_status(&host.url(2, "/"), 200);

    // A server that hosts never heard of at first, and one that dies.
    cluster.tenon_ok(&["server", "add"]);
    wait_for("the load balancer sends requests to the new server", PATIENCE, || {
        assert_eq!(cluster.client.get(&hello).unwrap().status, 200);
        (answered_by(&host.log(), "server3") > 0).then_some(())
    });
    let pid = cluster.pid("server1");
    cluster.signal("server1", Signal::KILL);
    wait_for("the server is replaced", PATIENCE, || {
        assert_eq!(cluster.client.get(&hello).unwrap().status, 200);
        let now = cluster.component("server1");
        (now["ready"] == true && now["pid"] != pid).then_some(())
    });
    cluster.tenon_ok(&["server", "remove", "server1"]);
    host.ok(&["restart"]);
    assert_eq!(cluster.client.get(&hello).unwrap().status, 200);

    refusals(&cluster, &host, &file("balancer2"));
}

/// Writes the file with which a component of another host joins.
fn issue(cluster: &Cluster, role: &str, name: &str) -> Output {
    let path = cluster.scratch(&format!("{name}.toml")).to_string_lossy().into_owned();
    cluster.tenon(&["cert", "issue", role, "--name", name, "--file", &path])
}

/// What can't be is said.
fn refusals(cluster: &Cluster, host: &OtherHost<'_>, file: &Path) {
    let again = host.join("dashboard", file);
    assert_eq!(again.status.code(), Some(15), "{}", said(&again));
    let server = host.join("server", file);
    assert!(server.status.code().is_some_and(|code| code != 0), "{}", said(&server));
    for refused in [
        issue(cluster, "server", "server9"),
        host.tenon(&["create", "server"]),
        host.tenon(&["create", "scheduler"]),
    ] {
        assert_eq!(refused.status.code(), Some(15), "{}", said(&refused));
        assert!(said(&refused).contains("PostgreSQL store"), "{}", said(&refused));
    }
    let asked = host.tenon(&["service", "list"]);
    assert_eq!(asked.status.code(), Some(42), "{}", said(&asked));
    let renewed = host.join("load-balancer", file);
    assert!(
        String::from_utf8_lossy(&renewed.stdout).contains("Renewed"),
        "{}",
        said(&renewed)
    );
}

#[test]
fn components_are_made_one_by_one_and_a_scheduler_is_started_by_hand_later() {
    let cluster = Cluster::with(ClusterOptions {
        create: ["--no-scheduler", "--no-load-balancer"].map(str::to_owned).to_vec(),
        ..ClusterOptions::default()
    });
    let direct = cluster.server_url(1, "/tenon/ping");
    assert_eq!(cluster.client.get(&direct).unwrap().status, 200);
    cluster.apply("job:\n  - {name: by-hand, service: demo.hello, every: 1s}\n");
    let runs = || {
        let history = cluster.tenon_json(&["job", "history", "by-hand"]);
        history["items"].as_array().map_or(0, Vec::len)
    };
    for role in ["scheduler", "load-balancer"] {
        assert!(!cluster.path().join(role).exists());
        if role == "scheduler" {
            assert_eq!(runs(), 0, "nobody plans it");
        }
        cluster.tenon_ok(&["create", role]);
        let twice = cluster.tenon(&["create", role]);
        assert_eq!(twice.status.code(), Some(5), "{}", said(&twice));
        cluster.tenon_ok(&["start", &cluster.path().join(role).to_string_lossy()]);
    }
    wait_for("the job runs", PATIENCE, || (runs() > 0).then_some(()));
    cluster.wait_for_status(&cluster.url("/demo/hello"), 200);
}

#[test]
fn a_cluster_is_put_together_from_its_parts() {
    let scaffold = Cluster::with(ClusterOptions {
        start: false,
        ..ClusterOptions::default()
    });
    let path = scaffold.scratch("parts");
    let at = path.to_string_lossy().into_owned();
    let base = scaffold.port().to_string();
    scaffold.tenon_ok(&["create", "cluster", &at, "--port-base", &base]);
    for role in ["server", "server", "scheduler", "dashboard", "load-balancer"] {
        scaffold.tenon_ok(&["create", role, &at]);
    }
    let host = OtherHost {
        cluster: &scaffold,
        path: path.clone(),
    };
    host.ok(&["start"]);
    let status: Value = serde_json::from_str(&host.ok(&["status", "--output", "json"])).unwrap();
    let components = status["components"].as_array().unwrap();
    let names: Vec<&str> = components.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(components.iter().all(|one| one["ready"] == true), "{status}");
    assert_eq!(scaffold.client.get(&scaffold.url("/tenon/ping")).unwrap().status, 200);
}

/// The files of this name below a directory.
fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let found = entries.flat_map(|entry| {
        let path = entry.path();
        match path.is_dir() && !path.is_symlink() {
            true => find(&path, name),
            false if entry.file_name() == name => vec![path],
            false => Vec::new(),
        }
    });
    found.collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
