//! The tests, one after the other on one cluster of two servers.

use std::collections::BTreeSet;

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use tenon_tests::harness::{Cluster, ClusterOptions, PATIENCE, Session, wait_for};
use tenon_tests::load::served_certificate;

use super::keep_alive::Clients;

const SERVICES: &str = "
from tenon import Service

class Where(Service):
    name = 'balanced.where'
    def handle(self):
        self.response.payload = {'server': self.server.name}
";

const CHANNELS: &str = "
rest-channel:
  - {name: balanced.where, path: /balanced/where, service: balanced.where}
  - {name: balanced.closed, path: /balanced/closed/now, service: balanced.where}
";

pub(super) fn cluster() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("balanced.py", SERVICES)]);
    cluster.apply(CHANNELS);
    cluster.wait_for_status(&cluster.url("/balanced/where"), 200);
    cluster
}

/// What the load balancer says of itself.
fn report(cluster: &Cluster) -> Option<Value> {
    let page = cluster.tenon_json(&["balancer", "status"]);
    Some(page["items"].as_array()?.first()?["report"].clone())
}

fn named<'a>(list: &'a Value, name: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item["name"] == name)
}

/// Waits until the load balancer says this of a server.
fn wait_for_server(cluster: &Cluster, name: &str, field: &str, value: &Value) {
    wait_for(&format!("{name} has {field} {value}"), PATIENCE, || {
        let report = report(cluster)?;
        (named(&report["servers"], name)?[field] == *value).then_some(())
    });
}

/// The servers that answered so many requests.
fn servers_of(cluster: &Cluster, requests: usize) -> BTreeSet<String> {
    let ask = |_| {
        let answer = cluster.client.get(&cluster.url("/balanced/where")).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["server"].as_str().unwrap_or_default().to_owned()
    };
    (0..requests).map(ask).collect()
}

pub(super) fn what_can_not_be_used_is_refused_with_the_path_of_the_element(cluster: &Cluster) {
    let before = cluster.tenon_ok(&["export"]);
    for (manifest, path) in [
        (
            "balancer-rule: [{name: r, match: {paths: [/a, b]}, action: {allow: true}}]",
            "match.paths[1]",
        ),
        (
            "balancer-rule: [{name: r, action: {allow: true, deny: {status: 403}}}]",
            "action",
        ),
        (
            "balancer-rule: [{name: r, action: {rate_limit: {requests: 1, by: colour}}}]",
            "action.rate_limit.by",
        ),
        (
            "balancer-certificate: [{name: c, certificate: no PEM, private_key: no PEM}]",
            "certificate",
        ),
        ("balancer: [{name: main, allow: [10.0.0.0/8, nobody]}]", "allow[1]"),
        ("balancer: [{name: second}]", "name"),
    ] {
        let file = cluster.scratch("wrong.yaml");
        std::fs::write(&file, manifest).unwrap();
        let file = file.to_string_lossy();
        for command in ["validate", "apply"] {
            let output = cluster.tenon(&[command, "-f", &file]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
            assert!(!output.status.success(), "{command} takes {manifest}: {said}");
            assert!(
                said.contains(path),
                "{command} of {manifest} does not say {path}: {said}"
            );
        }
    }
    assert_eq!(cluster.tenon_ok(&["export"]), before, "nothing was changed");
}

pub(super) fn changes_take_effect_at_once_and_drop_no_connection(cluster: &Cluster) {
    let closed = cluster.url("/balanced/closed/now");
    assert_eq!(cluster.client.get(&closed).unwrap().status, 200);
    let clients = Clients::start(4, cluster.port(), "/balanced/where");
    cluster
        .apply("balancer-rule: [{name: closed, match: {paths: [/balanced/closed/*]}, action: {deny: {status: 410}}}]");
    cluster.wait_for_status(&closed, 410);
    cluster.apply("balancer: [{name: main, algorithm: least-in-flight, servers: [{name: server1, weight: 9}]}]");
    wait_for_server(cluster, "server1", "weight", &json!(9));
    cluster
        .apply("balancer-rule: [{name: closed, match: {paths: [/balanced/closed/*]}, action: {deny: {status: 403}}}]");
    cluster.wait_for_status(&closed, 403);
    let seen = wait_for("the report counts what was refused", PATIENCE, || {
        let report = report(cluster)?;
        let rule = named(&report["rules"], "closed")?;
        (rule["refused"].as_u64()? >= 2).then_some(report.clone())
    });
    assert_eq!(seen["algorithm"], "least-in-flight");
    let rule = named(&seen["rules"], "closed").unwrap();
    assert!(rule["hits"].as_u64() >= rule["refused"].as_u64(), "{rule}");
    wait_for("the report counts what the clients ask for", PATIENCE, || {
        let report = report(cluster)?;
        let servers = report["servers"].as_array()?.iter();
        let requests: u64 = servers.filter_map(|server| server["requests"].as_u64()).sum();
        let is_measured = named(&report["servers"], "server1")?["latency_p99_ms"].is_number();
        (requests > 50 && is_measured && report["traffic"]["connections"].as_u64()? >= 4).then_some(())
    });
    assert!(clients.end() > 50);
    let table = cluster.tenon_ok(&["balancer", "status"]);
    for word in ["SERVER", "server1", "RULE", "closed", "CERTIFICATE"] {
        assert!(table.contains(word), "{word} is missing in\n{table}");
    }
}

pub(super) fn a_drained_server_gets_nothing_new(cluster: &Cluster) {
    cluster.apply("balancer: [{name: main, algorithm: round-robin}]");
    wait_for("both servers get requests", PATIENCE, || {
        (servers_of(cluster, 10).len() == 2).then_some(())
    });
    let clients = Clients::start(4, cluster.port(), "/balanced/where");
    cluster.apply("balancer: [{name: main, servers: [{name: server2, state: drain}]}]");
    wait_for_server(cluster, "server2", "state", &json!("drain"));
    assert_eq!(servers_of(cluster, 50), BTreeSet::from(["server1".to_owned()]));
    cluster.apply("balancer: [{name: main, servers: [{name: server2, state: maintenance}]}]");
    wait_for_server(cluster, "server2", "state", &json!("maintenance"));
    assert_eq!(servers_of(cluster, 20), BTreeSet::from(["server1".to_owned()]));
    cluster.apply("balancer: [{name: main}]");
    wait_for("server2 gets requests again", PATIENCE, || {
        servers_of(cluster, 10).contains("server2").then_some(())
    });
    clients.end();
}

pub(super) fn a_certificate_is_shown_at_once_and_outlives_its_secret(cluster: &Cluster) {
    let port = cluster.port() + 1;
    let made = |_| generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [one, other] = [1, 2].map(made);
    let manifest = |name: &str| {
        let pem = one.cert.pem().trim_end().replace('\n', "\n      ");
        format!(
            "balancer-certificate:\n  - name: shown\n    is_default: true\n    private_key: secret:{name}\n    certificate: |\n      {pem}\n"
        )
    };
    cluster.set_secret("its-key", &one.signing_key.serialize_pem());
    cluster.set_secret("another-key", &other.signing_key.serialize_pem());
    let file = cluster.scratch("mismatch.yaml");
    std::fs::write(&file, manifest("another-key")).unwrap();
    let output = cluster.tenon(&["apply", "-f", &file.to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("private_key"), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");

    cluster.apply(&manifest("its-key"));
    let is_shown = || served_certificate(port).is_ok_and(|shown| shown == one.cert.der().as_ref());
    wait_for("the new certificate is shown", PATIENCE, || is_shown().then_some(()));
    wait_for("the report has the certificate", PATIENCE, || {
        let report = report(cluster)?;
        named(&report["certificates"], "shown")?["not_after"]
            .is_string()
            .then_some(())
    });
    cluster.tenon_ok(&["secret", "delete", "its-key"]);
    wait_for("the report says that the secret is missing", PATIENCE, || {
        let report = report(cluster)?;
        let problem = named(&report["problems"], "shown")?;
        problem["message"].as_str()?.contains("its-key").then_some(())
    });
    assert!(is_shown(), "what could be used last stays in force");
}

pub(super) fn private_keys_are_for_load_balancers_only(cluster: &Cluster) {
    let session = Session::of_admin(cluster);
    let answer = session.call("GET", "/api/v1/balancer-configuration", &Value::Null, None);
    assert_eq!(answer.status, 403, "{answer:?}");
    let counts = [
        "connections",
        "tls_connections",
        "h2_connections",
        "tls_failures",
        "requests",
        "errors",
        "refused",
        "queued",
        "retries",
        "unknown",
        "not_sent",
    ];
    let traffic: serde_json::Map<String, Value> = counts.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    let forged = json!({
        "name": "load-balancer", "instance": "0011223344556677", "revision": 0, "algorithm": "", "traffic": traffic,
        "servers": [], "certificates": [], "rules": [], "problems": [],
    });
    let answer = session.call("PUT", "/api/v1/balancers/load-balancer", &forged, None);
    assert_eq!(answer.status, 403, "{answer:?}");
    let listed = session.call("GET", "/api/v1/balancers", &Value::Null, None);
    assert_eq!(listed.status, 200, "{listed:?}");
    assert!(!listed.body.contains("PRIVATE KEY"), "{listed:?}");
}

pub(super) fn a_restart_without_any_server_keeps_the_configuration(cluster: &Cluster) {
    let closed = cluster.url("/balanced/closed/now");
    cluster.wait_for_status(&closed, 403);
    let env = cluster.path();
    let part = |name: &str| env.join(name).to_string_lossy().into_owned();
    for server in ["server1", "server2"] {
        cluster.tenon_ok(&["stop", &part(server)]);
    }
    cluster.tenon_ok(&["restart", &part("load-balancer")]);
    cluster.wait_for_status(&closed, 403);
    let without = wait_for("requests are answered without a server", PATIENCE, || {
        cluster.client.get(&cluster.url("/balanced/where")).ok()
    });
    assert_eq!(without.status, 503, "{without:?}");
    for server in ["server1", "server2"] {
        cluster.tenon_ok(&["start", &part(server)]);
    }
    cluster.wait_for_status(&cluster.url("/balanced/where"), 200);
    assert_eq!(cluster.client.get(&closed).unwrap().status, 403);
}
