//! The conformance folder: small service files with requests and the answers that they must give, in `tests/conformance/`.
//!
//! All cases are deployed at once to one cluster of two servers, and every request goes through the load balancer. How a case is
//! written, `tests/conformance/README.md` says.

mod case;
mod expect;
mod steps;
mod yaml;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::harness::{Cluster, ClusterOptions};
use case::Case;

/// How many cases run at a time: most of a case is waiting.
const CASES_AT_ONCE: usize = 4;

#[test]
fn python_services_behave_as_the_conformance_folder_says() {
    let cases = case::read_all("python");
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    copy_user_configuration(&cases, &cluster.path().join("user-config"));
    cluster.start_all();
    let sources: Vec<(String, String)> = cases.iter().map(Case::python_source).collect();
    let files: Vec<(&str, &str)> = sources
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let deployed = cluster.deploy(&files);
    assert_eq!(deployed["refused"].as_array().map_or(0, Vec::len), 0, "{deployed}");
    run(&cluster, &cases);
}

#[test]
fn rust_services_behave_as_the_conformance_folder_says() {
    let cases = case::read_all("rust");
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        start: false,
        ..ClusterOptions::default()
    });
    copy_user_configuration(&cases, &cluster.path().join("user-config"));
    cluster.start_all();
    let program = crate::rust_services::copied(&cluster, "examples/conformance", "rust-cases");
    cluster.tenon_ok(&["deploy", &program.to_string_lossy()]);
    run(&cluster, &cases);
}

/// Applies the objects of the cases and runs their steps; panics with everything that is not as it should be.
pub(crate) fn run(cluster: &Cluster, cases: &[Case]) {
    let folder = cluster.scratch("conformance");
    fs::create_dir_all(&folder).expect("the folder can be made");
    cluster.apply(&case::manifest(cases, &cluster.url(""), &folder).to_string());
    let started = Instant::now();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(failure) = steps::run(cluster, case) {
                        failures.lock().unwrap().push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    println!("{} cases in {:?}", cases.len(), started.elapsed());
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n\n{}\n",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

fn copy_user_configuration(cases: &[Case], folder: &Path) {
    for (name, content) in cases.iter().flat_map(Case::user_configuration) {
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(folder.join(name), content).expect("the file can be written");
    }
}
