//! Programs written with the Rust SDK: deployed, called through the load balancer and by Python services, changed under load, killed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Cluster, ClusterOptions, PATIENCE, send_signal, wait_for};

/// A program that the build of the workspace's tests made: `cargo test --workspace` builds examples and what has tests of its own.
#[track_caller]
pub(crate) fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test knows where it is");
    let target = test.ancestors().nth(2).expect("cargo puts tests two folders deep");
    let program = target.join(name);
    assert!(
        program.is_file(),
        "{} is not built; cargo build --workspace --examples",
        program.display()
    );
    program
}

/// A copy of a program, without what debuggers need if the machine can take that away: it is sent and kept several times.
pub(crate) fn copied(cluster: &Cluster, program: &str, name: &str) -> PathBuf {
    let file = cluster.scratch(name);
    fs::copy(built(program), &file).unwrap();
    let _ = std::process::Command::new("strip").arg(&file).status();
    file
}

/// The test program with a version: what is behind the end of a program's file changes nothing else.
fn versioned(cluster: &Cluster, version: u32) -> PathBuf {
    let file = copied(cluster, "examples/conformance", "rusty");
    let mut program = fs::OpenOptions::new().append(true).open(&file).unwrap();
    write!(program, "version={version}").unwrap();
    file
}

fn make_executable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn deploy(cluster: &Cluster, file: &Path) {
    cluster.tenon_ok(&["deploy", &file.to_string_lossy()]);
}

#[test]
fn a_program_is_deployed_changed_under_load_and_started_anew_when_it_dies() {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    deploy(&cluster, &versioned(&cluster, 1));
    cluster.apply("rest-channel:\n  - {name: rusty, path: /rusty, service: test.version}\n");
    let url = cluster.url("/rusty");
    let first = cluster.wait_for_status(&url, 200).json();
    assert_eq!(first["version"], "1");

    let (stop, seen) = (AtomicBool::new(false), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let answer = cluster.client.post(&url, b"").unwrap();
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let version = answer.json()["version"].as_str().unwrap().to_owned();
                    seen.lock().unwrap().insert(version);
                }
            });
        }
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for version in 2..=3 {
                deploy(&cluster, &versioned(&cluster, version));
                wait_for("answers of the new version", PATIENCE, || {
                    seen.lock().unwrap().contains(&version.to_string()).then_some(())
                });
            }
        }));
        stop.store(true, Ordering::SeqCst);
        if let Err(panic) = changed {
            std::panic::resume_unwind(panic);
        }
    });

    let server = cluster.server_url(1, "/rusty");
    let killed = cluster.client.get(&server).unwrap().json()["pid"].as_u64().unwrap();
    send_signal(u32::try_from(killed).unwrap(), Signal::KILL);
    wait_for("another worker answers in its place", PATIENCE, || {
        let answer = cluster.client.get(&server).ok()?;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.json()["pid"].as_u64() != Some(killed)).then_some(())
    });
}

#[test]
fn a_program_that_does_not_start_is_refused_and_what_ran_goes_on() {
    let cluster = Cluster::start();
    deploy(&cluster, &versioned(&cluster, 1));
    cluster.apply("rest-channel:\n  - {name: rusty, path: /rusty, service: test.version}\n");
    let broken = cluster.scratch("rusty");
    fs::write(&broken, b"\x7fELF and nothing else").unwrap();
    make_executable(&broken);
    let refused = cluster.tenon(&["deploy", &broken.to_string_lossy()]);
    assert_eq!(refused.status.code(), Some(45), "{refused:?}");
    let answer = cluster.wait_for_status(&cluster.url("/rusty"), 200);
    assert_eq!(answer.json()["version"], "1");
}

#[test]
fn services_of_both_languages_invoke_each_other() {
    let cluster = Cluster::start();
    deploy(&cluster, &copied(&cluster, "examples/conformance", "conformance"));
    cluster.deploy(&[(
        "snake.py",
        "from tenon import Conflict, Service

class Outer(Service):
    name = 'snake.outer'
    def handle(self):
        order = {'customer': 'Anna', 'lines': [{'sku': 'A', 'quantity': 3}]}
        try:
            self.invoke('conformance.languages.errors', {'error': 'conflict'})
        except Conflict as error:
            refused = error.msg
        return {'answered': self.invoke('conformance.languages.typed_input', order), 'refused': refused}
",
    )]);
    cluster.apply("rest-channel:\n  - {name: snake, path: /snake, service: snake.outer}\n");
    let answer = cluster.wait_for_status(&cluster.url("/snake"), 200);
    let expected = json!({"answered": {"customer": "Anna", "pieces": 3, "first": "A"}, "refused": "It is taken"});
    assert_eq!(answer.json(), expected);
}

#[test]
fn the_example_project_serves_its_channels() {
    let cluster = Cluster::start();
    deploy(&cluster, &copied(&cluster, "rust-service", "rust-service"));
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rust-service/manifest.yaml"));
    let database = cluster.scratch("shop.db");
    let manifest = manifest
        .unwrap()
        .replace("/tmp/tenon-rust-service.db", &database.to_string_lossy());
    cluster.apply(&manifest);
    let price = cluster.url("/orders/price");
    let order = json!({"customer": "Anna", "lines": [{"sku": "A-1", "quantity": 2, "price": 19.5}]});
    let answer = wait_for("the channel serves", PATIENCE, || {
        let answer = cluster.client.post(&price, order.to_string().as_bytes()).ok()?;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answer.json(), json!({"customer": "Anna", "total": 39.0}));
    let wrong = cluster
        .client
        .post(&price, br#"{"customer": "Anna", "lines": []}"#)
        .unwrap();
    assert_eq!(
        (wrong.status, wrong.json()["errors"][0]["field"].clone()),
        (400, Value::from("/lines"))
    );
    let export = cluster.client.post(&cluster.url("/orders-export"), b"3").unwrap();
    assert_eq!((export.status, export.body.as_str()), (200, "1\r\n2\r\n3\r\n"));
    let not_allowed = cluster.client.post(&cluster.url("/orders/7"), b"{}").unwrap();
    assert_eq!(not_allowed.status, 405, "{not_allowed:?}");
    let checksum = cluster.client.post(&cluster.url("/orders-checksum"), b"ab").unwrap();
    assert_eq!(checksum.body, (31 * 97 + 98).to_string());
}
