//! Services that do not import, raise, end their process, never return, print or answer too much: each fails for its own
//! caller only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Cluster, PATIENCE, assert_problem, wait_for};

const SERVICES: &str = r"
import os
import time
from tenon import Service

class Good(Service):
    name = 'bad.good'
    def handle(self):
        return {'pid': os.getpid()}

class Raises(Service):
    name = 'bad.raises'
    def handle(self):
        secret = 'hunter2'
        raise ValueError('the inside: ' + secret)

class Exits(Service):
    name = 'bad.exits'
    def handle(self):
        os._exit(3)

class Loops(Service):
    name = 'bad.loops'
    def handle(self):
        with open(self.request.input['pid_file'], 'w') as file:
            file.write(str(os.getpid()))
        while True:
            pass

class Prints(Service):
    name = 'bad.prints'
    def handle(self):
        for number in range(60_000):
            print('x' * 100)
        return {'printed': 60_000}

class Answers(Service):
    name = 'bad.answers'
    def handle(self):
        return 'x' * (int(self.request.input['mib']) << 20)
";

const MANIFEST: &str = "
rest-channel:
  - {name: bad.good, path: /bad/good, service: bad.good}
  - {name: bad.raises, path: /bad/raises, service: bad.raises}
  - {name: bad.exits, path: /bad/exits, service: bad.exits}
  - {name: bad.loops, path: /bad/loops, service: bad.loops, timeout: 2s}
  - {name: bad.prints, path: /bad/prints, service: bad.prints}
  - {name: bad.answers, path: /bad/answers, service: bad.answers}
";

#[test]
fn what_a_service_does_wrong_is_the_problem_of_its_caller_only() {
    let cluster = Cluster::start();
    cluster.deploy(&[("bad.py", SERVICES)]);
    cluster.apply(MANIFEST);
    cluster.wait_for_status(&cluster.url("/bad/good"), 200);
    while_others_call(&cluster, "an exception", || raising_tells_the_caller_nothing(&cluster));
    while_others_call(&cluster, "the end of a process", || ending_the_process_is_502(&cluster));
    while_others_call(&cluster, "a loop", || never_returning_is_504(&cluster));
    while_others_call(&cluster, "prints", || printing_megabytes_drops_most(&cluster));
    while_others_call(&cluster, "large answers", || huge_answers(&cluster));
}

#[test]
fn a_file_that_does_not_import_is_listed_and_its_last_good_version_goes_on() {
    let cluster = Cluster::start();
    let url = cluster.url("/lists/version");
    cluster.write_manifest(
        "lists.yaml",
        "rest-channel:\n  - {name: lists, path: /lists/version, service: lists.version}\n",
    );
    cluster.write_service("lists.py", &version(1));
    cluster.wait_for_status(&url, 200);

    cluster.write_service("lists.py", "import a_module_that_nobody_has\n");
    let refused = wait_for_refusal(&cluster, "lists.py");
    assert_eq!(refused["kept_previous"], true, "{refused}");
    assert!(
        refused["error"].as_str().unwrap().contains("a_module_that_nobody_has"),
        "{refused}"
    );
    let traceback = refused["traceback"].as_str().unwrap();
    assert!(traceback.contains("lists.py\", line 1"), "{traceback}");
    assert_eq!(cluster.client.get(&url).unwrap().json()["version"], 1);
    let logged = cluster.log("server1");
    assert!(
        logged.contains("'lists.py' is refused") && logged.contains("line 1"),
        "{logged}"
    );

    cluster.write_service("syntax.py", "def (:\n");
    let refused = wait_for_refusal(&cluster, "syntax.py");
    assert_eq!(refused["kept_previous"], false, "{refused}");
    assert!(refused["error"].as_str().unwrap().contains("SyntaxError"), "{refused}");
    let table = cluster.tenon_ok(&["deployment", "list"]);
    assert!(table.contains("syntax.py: SyntaxError"), "{table}");

    // A restart serves the last good version too, and a file that is mended serves, whatever else is saved with it.
    cluster.tenon_ok(&["restart", "server1"]);
    assert_eq!(cluster.wait_for_status(&url, 200).json()["version"], 1);
    cluster.write_service("no\\path.py", &version(7));
    cluster.write_service("lists.py", &version(2));
    wait_for("the mended file serves", PATIENCE, || {
        let answer = cluster.client.get(&url).ok()?;
        (answer.status == 200 && answer.json()["version"] == 2).then_some(())
    });
}

#[test]
fn a_service_that_keeps_killing_its_worker_is_quarantined_until_it_changes() {
    let cluster = Cluster::start();
    cluster.deploy(&[("bad.py", SERVICES)]);
    cluster.apply(MANIFEST);
    cluster.wait_for_status(&cluster.url("/bad/good"), 200);
    let exits = cluster.url("/bad/exits");
    let quarantined = wait_for("the service is quarantined", PATIENCE, || {
        let answer = cluster.client.post(&exits, b"").unwrap();
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
        (answer.json()["type"] == "tenon:service-quarantined").then_some(answer)
    });
    assert_eq!(quarantined.status, 503);
    let began = Instant::now();
    assert_eq!(cluster.client.post(&exits, b"").unwrap().status, 503);
    assert!(began.elapsed() < Duration::from_secs(10), "the answer is there at once");
    assert_eq!(cluster.wait_for_status(&cluster.url("/bad/good"), 200).status, 200);
    assert!(cluster.log("server1").contains("quarantine"), "the log says so");

    cluster.deploy(&[("bad.py", &SERVICES.replace("os._exit(3)", "return 'mended'"))]);
    let mended = cluster.client.post(&exits, b"").unwrap();
    assert_eq!((mended.status, mended.body.as_str()), (200, "mended"));
}

/// Runs `what` while others call a good service, whose every call must be answered with 200.
fn while_others_call(cluster: &Cluster, what: &str, run: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let url = cluster.url("/bad/good");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::SeqCst) {
                let began = Instant::now();
                let answer = cluster.client.get(&url).unwrap();
                assert_eq!(answer.status, 200, "during {what}: {answer:?}");
                slowest = slowest.max(began.elapsed());
                calls.fetch_add(1, Ordering::SeqCst);
            }
            slowest
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        stop.store(true, Ordering::SeqCst);
        let slowest = other.join().unwrap();
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
        assert!(calls.load(Ordering::SeqCst) > 0, "nobody else called during {what}");
        assert!(
            slowest < Duration::from_secs(4),
            "during {what} another call took {slowest:?}"
        );
    });
}

fn raising_tells_the_caller_nothing(cluster: &Cluster) {
    let answer = cluster.client.get(&cluster.url("/bad/raises")).unwrap();
    let problem = assert_problem(&answer, 500);
    for inside in ["hunter2", "ValueError", "Traceback", "bad.py"] {
        assert!(!answer.body.contains(inside), "{answer:?}");
    }
    let cid = problem["cid"].as_str().unwrap();
    let logged = cluster.log("server1");
    let (before, _) = logged.split_once(cid).expect("the log has the cid");
    let from = before
        .rfind("the service 'bad.raises' failed")
        .expect("the log has the failure");
    let entry = &before[from..];
    assert!(
        entry.contains("Traceback") && entry.contains("ValueError: the inside: hunter2"),
        "{entry}"
    );
}

fn ending_the_process_is_502(cluster: &Cluster) {
    let answer = cluster.client.post(&cluster.url("/bad/exits"), b"").unwrap();
    assert_problem(&answer, 502);
    let answer = cluster.client.get(&cluster.url("/bad/exits")).unwrap();
    assert_problem(&answer, 502);
    let logged = cluster.log("server1");
    assert!(logged.contains("the worker ended: exit code 3"), "{logged}");
}

fn never_returning_is_504(cluster: &Cluster) {
    let pid_file = cluster.scratch("looping.pid");
    let _ = std::fs::remove_file(&pid_file);
    let body = serde_json::json!({ "pid_file": pid_file });
    let began = Instant::now();
    let answer = cluster.client.post_json(&cluster.url("/bad/loops"), &body).unwrap();
    let took = began.elapsed();
    assert_problem(&answer, 504);
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(5),
        "{took:?}"
    );
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", pid.trim()));
    wait_for("the worker that loops is replaced", Duration::from_secs(30), || {
        (!process.exists()).then_some(())
    });
}

fn printing_megabytes_drops_most(cluster: &Cluster) {
    let answer = cluster.client.post(&cluster.url("/bad/prints"), b"").unwrap();
    assert_eq!((answer.status, answer.json()["printed"].as_u64()), (200, Some(60_000)));
    wait_for("the log says what was dropped", PATIENCE, || {
        cluster.log("server1").contains("were dropped").then_some(())
    });
    let size = cluster.log("server1").len();
    assert!(size < 4 << 20, "the log has {size} bytes");
}

fn huge_answers(cluster: &Cluster) {
    let answer = cluster.client.get(&cluster.url("/bad/answers?mib=20")).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 20 << 20));
    let too_large = cluster.client.get(&cluster.url("/bad/answers?mib=80")).unwrap();
    assert_problem(&too_large, 500);
}

fn wait_for_refusal(cluster: &Cluster, path: &str) -> Value {
    wait_for(&format!("{path} is listed as refused"), PATIENCE, || {
        let list = cluster.tenon_json(&["deployment", "list"]);
        let newest = list["items"].as_array()?.first()?.clone();
        let refused = newest["refused"].as_array()?.clone();
        refused.into_iter().find(|file| file["path"] == path)
    })
}

fn version(number: u32) -> String {
    format!(
        "from tenon import Service

class Version(Service):
    name = 'lists.version'
    def handle(self):
        return {{'version': {number}}}
"
    )
}
