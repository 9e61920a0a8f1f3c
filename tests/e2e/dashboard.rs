//! The dashboard in a real browser, against a cluster that runs. The steps themselves are in `ui/e2e/run.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Cluster, ClusterOptions, PATIENCE, Session, send_signal, wait_for};

const SERVICES: &str = r"
from tenon import Int, Service

class Echo(Service):
    '''Answers with what it was given.'''
    name = 'browser.echo'
    input = '-text', Int('-times')
    output = 'text'
    def handle(self):
        return {'text': self.request.input.text or 'nothing'}

class Failing(Service):
    name = 'browser.failing'
    def handle(self):
        raise ValueError('this job never works')
";

const MANIFEST: &str = "
api-key:
  - {name: browser, key: the-key}
rest-channel:
  - {name: browser.echo, path: /browser/echo, service: browser.echo, security: [browser]}
rest-outgoing:
  - {name: Browser, url: 'http://127.0.0.1:9/nobody'}
job:
  - {name: browser.good, service: browser.echo, every: 2s}
  - {name: browser.failing, service: browser.failing, every: 1d}
";

#[test]
fn every_screen_works_in_a_browser() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("browser.py", SERVICES)]);
    cluster.apply(MANIFEST);
    cluster.write_service("refused.py", "import a_module_that_nobody_has\n");
    for job in ["browser.good", "browser.failing", "demo.ping"] {
        cluster.tenon_ok(&["job", "run", job]);
    }
    wait_for("the jobs have runs", PATIENCE, || {
        let jobs = cluster.tenon_json(&["job", "list"]);
        let all_ran = jobs["items"]
            .as_array()?
            .iter()
            .all(|job| job["last_run"]["ended_at"].is_string());
        all_ran.then_some(())
    });
    let mut arguments = vec!["--service", "browser.echo", "--payload", r#"{"text": "hello"}"#];
    for name in ["server1", "server2", "store", "scheduler", "dashboard", "load-balancer"] {
        arguments.extend(["--component", name]);
    }
    // TENON_SCREENSHOTS=DIR keeps what the browser has shown.
    let screenshots = std::env::var("TENON_SCREENSHOTS").unwrap_or_default();
    if !screenshots.is_empty() {
        arguments.extend(["--screenshots", &screenshots]);
    }
    browse(&cluster, &arguments);
}

#[test]
fn a_server_that_is_killed_shows_within_two_seconds() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    // The supervisor would have it back before anybody could see that it was gone.
    let settings = cluster.path().join("environment.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let after = before.replace("restart_delay_min = \"100ms\"", "restart_delay_min = \"10s\"");
    assert_ne!(before, after, "environment.toml has another form");
    std::fs::write(&settings, after).unwrap();
    cluster.start_all();
    let pid = cluster.pid("server1").to_string();
    browse(
        &cluster,
        &["--expect-dead", "server1", "--within", "2000", "--kill-pid", &pid],
    );
    let ping = cluster.client.get(&cluster.url("/tenon/ping")).unwrap();
    assert_eq!(ping.status, 200, "the other server goes on");
}

#[test]
fn a_server_that_hangs_makes_no_other_component_look_dead() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    let session = Session::of_admin(&cluster);
    let status = || session.call("GET", "/api/v1/status", &Value::Null, None);
    wait_for("all components are shown as running", PATIENCE, || {
        let status = status().json();
        let mut components = status["components"].as_array()?.iter();
        components
            .all(|component| component["state"] == "running")
            .then_some(())
    });
    let hung = cluster.pid("server1");
    send_signal(hung, Signal::STOP);
    let began = Instant::now();
    let mut seen = Vec::new();
    wait_for("server1 was replaced", PATIENCE, || {
        let answer = status();
        assert_eq!(answer.status, 200, "after {:?}: {answer:?}", began.elapsed());
        let status = answer.json();
        let components = status["components"].as_array().unwrap();
        for component in components.iter().filter(|component| component["name"] != "server1") {
            let state = &component["state"];
            assert_eq!(state, "running", "after {:?}: {component}", began.elapsed());
        }
        let server = components.iter().find(|component| component["name"] == "server1")?;
        seen.push(server["state"].clone());
        std::thread::sleep(Duration::from_millis(200));
        (server["state"] == "running" && server["pid"] != hung).then_some(())
    });
    assert!(
        seen.iter().any(|state| state == "dead"),
        "the server that hung was shown: {seen:?}"
    );
}

#[track_caller]
fn browse(cluster: &Cluster, arguments: &[&str]) {
    let page = cluster.client.get(&cluster.dashboard_url("/")).unwrap();
    assert!(
        page.body.contains("id=\"root\""),
        "the binary was built without the interface; run the tests with 'cargo xtask test'"
    );
    let output = Command::new("node")
        .arg(ui().join("e2e/run.mjs"))
        .args(["--url", &cluster.dashboard_url(""), "--password-file"])
        .arg(cluster.path().join("secrets/admin-password"))
        .args(arguments)
        .output()
        .expect("node can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "the browser test failed: {said}");
}

fn ui() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    repository.expect("tests/ lies in the repository").join("ui")
}
