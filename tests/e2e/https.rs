//! HTTPS of a new cluster: with the certificate that it came with, over HTTP/1.1 and HTTP/2, and while the load balancer is away.

use std::process::Command;

use rustix::process::Signal;

use crate::harness::Cluster;

/// What curl says of a request over HTTPS: the version of HTTP and the status.
fn curl(cluster: &Cluster, version: &str, path: &str) -> (bool, String) {
    let certificate = cluster.path().join("load-balancer/tls/cert.pem");
    let url = format!("https://localhost:{}{path}", cluster.port() + 1);
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/null", "--max-time", "30"])
        .args(["--write-out", "%{http_version} %{http_code}", version, "--cacert"])
        .arg(certificate)
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[test]
fn a_new_cluster_answers_over_https() {
    let cluster = Cluster::start();
    for (version, expected) in [("--http1.1", "1.1 200"), ("--http2", "2 200")] {
        assert_eq!(curl(&cluster, version, "/tenon/ping"), (true, expected.to_owned()));
    }
    let settings = std::fs::metadata(cluster.path().join("load-balancer/tls/key.pem")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&settings.permissions());
    assert_eq!(mode & 0o777, 0o600, "the key is its owner's only");
    // The supervisor holds the socket: whoever connects meanwhile waits instead of being refused.
    cluster.signal("load-balancer", Signal::KILL);
    assert_eq!(
        curl(&cluster, "--http2", "/demo/hello?name=Ada"),
        (true, "2 200".to_owned())
    );
}
