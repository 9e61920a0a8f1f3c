//! Objects as files: the folder `manifests/`, plan, apply and export, what wrong manifests get, references to variables and
//! secrets, and writes that meet.

use serde_json::{Value, json};

use crate::harness::{Cluster, ClusterOptions, PATIENCE, Session, wait_for};

#[test]
fn files_in_the_folder_are_applied_and_take_their_own_along() {
    let cluster = Cluster::start();
    // Applied at start: the demo.
    cluster.wait_for_status(&cluster.url("/demo/hello"), 200);
    cluster.write_manifest("a.yaml", &channels(&["a1", "a2"]));
    cluster.write_manifest("deeper/b.yaml", &channels(&["b1"]));
    cluster.apply(&channels(&["by-hand"]));
    for path in ["/a1", "/a2", "/b1", "/by-hand"] {
        cluster.wait_for_status(&cluster.url(path), 200);
    }
    assert_eq!(object(&cluster, "b1")["manifest"], "deeper/b.yaml");
    assert_eq!(object(&cluster, "by-hand")["manifest"], Value::Null);

    // A file that loses an object, and one that goes, take their own along and no others.
    cluster.write_manifest("a.yaml", &channels(&["a2"]));
    cluster.wait_for_status(&cluster.url("/a1"), 404);
    std::fs::remove_file(cluster.path().join("manifests/deeper/b.yaml")).unwrap();
    cluster.wait_for_status(&cluster.url("/b1"), 404);
    for path in ["/a2", "/by-hand", "/demo/hello"] {
        assert_eq!(cluster.client.get(&cluster.url(path)).unwrap().status, 200, "{path}");
    }

    a_broken_file_changes_nothing(&cluster);

    // What was removed while nothing ran is gone after a start.
    cluster.tenon_ok(&["stop"]);
    std::fs::remove_file(cluster.path().join("manifests/a.yaml")).unwrap();
    cluster.start_all();
    cluster.wait_for_status(&cluster.url("/a2"), 404);
    assert_eq!(cluster.wait_for_status(&cluster.url("/by-hand"), 200).status, 200);
}

fn a_broken_file_changes_nothing(cluster: &Cluster) {
    let before = cluster.tenon_ok(&["export"]);
    let broken = format!("{}    method: GET\n     path: /x\n", channels(&["a2", "a3"]));
    let line = broken.lines().count();
    cluster.write_manifest("a.yaml", &broken);
    let place = format!("a.yaml:{line}:");
    wait_for("the log names file and line", PATIENCE, || {
        cluster.log("server1").contains(&place).then_some(())
    });
    cluster.write_manifest(
        "c.yaml",
        "rest-channel:\n  - {name: c, path: /c, service: demo.ping, security: [nobody]}\n",
    );
    // While the other file can't be read, references are not looked at.
    cluster.write_manifest("a.yaml", &channels(&["a2", "a3"]));
    wait_for("the log names the reference", PATIENCE, || {
        let log = cluster.log("server1");
        (log.contains("c.yaml:2:") && log.contains("'nobody'")).then_some(())
    });
    assert_eq!(
        cluster.tenon_ok(&["export"]),
        before,
        "nothing of the folder was applied"
    );
    std::fs::remove_file(cluster.path().join("manifests/c.yaml")).unwrap();
    cluster.wait_for_status(&cluster.url("/a3"), 200);
}

#[test]
fn plan_apply_and_export_agree_and_mistakes_are_named() {
    let cluster = Cluster::with(ClusterOptions {
        environment: vec![("E2E_PARTNER_KEY".to_owned(), "key-of-the-environment".to_owned())],
        ..ClusterOptions::default()
    });
    plan_shows_what_apply_does(&cluster);
    export_then_apply_changes_nothing(&cluster);
    mistakes_have_a_place(&cluster);
    variables_and_secrets_are_resolved_where_used(&cluster);
    an_object_in_use_is_not_deleted(&cluster);
}

#[test]
fn a_write_on_an_old_version_is_refused() {
    let cluster = Cluster::start();
    cluster.apply(&channels(&["shared"]));
    let session = Session::of_admin(&cluster);
    let read = session.call("GET", "/api/v1/objects/rest-channel/shared", &Value::Null, None);
    assert_eq!(read.status, 200, "{read:?}");
    let version = read.json()["version"].as_u64().unwrap();

    let write = |timeout: &str, version: u64| {
        let body = json!({"body": {"path": "/shared", "service": "demo.ping", "timeout": timeout}});
        session.call("PUT", "/api/v1/objects/rest-channel/shared", &body, Some(version))
    };
    let first = write("5s", version);
    assert_eq!(first.status, 200, "{first:?}");
    let second = write("7s", version);
    assert_eq!(second.status, 412, "{second:?}");
    assert_eq!(second.json()["type"], "tenon:version-conflict", "{second:?}");
    assert_eq!(
        object(&cluster, "shared")["body"]["timeout"],
        "5s",
        "nothing was overwritten"
    );
    let again = write("7s", first.json()["version"].as_u64().unwrap());
    assert_eq!(again.status, 200, "{again:?}");
    let gone = session.call(
        "DELETE",
        "/api/v1/objects/rest-channel/shared",
        &Value::Null,
        Some(version),
    );
    assert_eq!(gone.status, 412, "{gone:?}");
    let without = cluster.client.get(&cluster.dashboard_url("/api/v1/objects")).unwrap();
    assert_eq!(without.status, 401);
}

fn plan_shows_what_apply_does(cluster: &Cluster) {
    let file = cluster.scratch("plan.yaml");
    let path = file.to_string_lossy().into_owned();
    std::fs::write(&file, channels(&["p1", "p2"])).unwrap();
    let plan = cluster.tenon_json(&["plan", "-f", &path]);
    assert_eq!(actions(&plan), ["create p1", "create p2"]);
    assert_eq!(
        cluster.client.get(&cluster.url("/p1")).unwrap().status,
        404,
        "a plan changes nothing"
    );
    let applied = cluster.tenon_json(&["apply", "-f", &path]);
    assert_eq!(applied["acknowledged"], true, "{applied}");
    // `apply` waits until every server serves it.
    assert_eq!(cluster.client.get(&cluster.url("/p1")).unwrap().status, 200);

    std::fs::write(
        &file,
        channels(&["p1"]).replace("service: demo.ping", "service: demo.ping\n    timeout: 9s"),
    )
    .unwrap();
    let plan = cluster.tenon_json(&["plan", "-f", &path]);
    assert_eq!(actions(&plan), ["change p1"]);
    assert!(plan["changes"][0]["fields"].to_string().contains("timeout"), "{plan}");
    let table = cluster.tenon_ok(&["plan", "-f", &path]);
    assert!(
        table.contains("rest-channel/p1") && table.contains("timeout"),
        "{table}"
    );
    cluster.tenon_ok(&["apply", "-f", &path]);
    let plan = cluster.tenon_json(&["plan", "-f", &path]);
    assert_eq!(actions(&plan), Vec::<String>::new());
}

fn export_then_apply_changes_nothing(cluster: &Cluster) {
    cluster.set_secret("e2e-password", "first-secret");
    cluster.apply(
        "basic-auth:
  - {name: people, username: alice, password: secret:e2e-password}
api-key:
  - {name: partner, key: '${E2E_PARTNER_KEY}'}
  - {name: written-out, key: hunter2}
rest-channel:
  - {name: people, path: /people, service: demo.ping, security: [people]}
  - {name: partner, path: /partner, service: demo.ping, security: [partner]}
  - {name: written-out, path: /written-out, service: demo.ping, security: [written-out]}
",
    );
    let exported = cluster.tenon_ok(&["export"]);
    assert!(
        exported.contains("secret:e2e-password") && exported.contains("${E2E_PARTNER_KEY}"),
        "{exported}"
    );
    for plain in ["hunter2", "first-secret", "key-of-the-environment"] {
        assert!(!exported.contains(plain), "the export shows {plain}: {exported}");
    }
    let file = cluster.scratch("exported.yaml");
    std::fs::write(&file, &exported).unwrap();
    let path = file.to_string_lossy();
    let revision = revision(cluster);
    assert_eq!(
        actions(&cluster.tenon_json(&["plan", "-f", &path, "--prune"])),
        Vec::<String>::new()
    );
    cluster.tenon_ok(&["apply", "-f", &path, "--prune"]);
    assert_eq!(self::revision(cluster), revision, "applying the export is no change");
    assert_eq!(cluster.tenon_ok(&["export"]), exported);
}

fn mistakes_have_a_place(cluster: &Cluster) {
    let before = cluster.tenon_ok(&["export"]);
    for (name, manifest, expected) in MISTAKES {
        let file = cluster.scratch("mistake.yaml");
        std::fs::write(&file, manifest).unwrap();
        let path = file.to_string_lossy();
        for command in ["plan", "apply"] {
            let output = cluster.tenon(&[command, "-f", &path]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(21), "{command} of {name}: {output:?}");
            for part in expected {
                assert!(said.contains(part), "{command} of {name} does not say {part}: {said}");
            }
        }
    }
    assert_eq!(
        cluster.tenon_ok(&["export"]),
        before,
        "nothing was applied, not even in part"
    );
    // `validate` needs no cluster for what is wrong in itself.
    let file = cluster.scratch("mistake.yaml");
    std::fs::write(&file, MISTAKES[0].1).unwrap();
    let output = cluster.tenon(&["validate", "-f", &file.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(21), "{output:?}");
}

/// A name, a manifest, and what the message has to say.
const MISTAKES: [(&str, &str, &[&str]); 10] = [
    (
        "broken YAML",
        "rest-channel:\n  - name: m\n    path: /m\n     service: demo.ping\n",
        &["mistake.yaml:4:"],
    ),
    (
        "an unknown kind",
        "rest-chanel:\n  - {name: m}\n",
        &["mistake.yaml:1:1", "'rest-chanel'", "did you mean 'rest-channel'?"],
    ),
    (
        "an unknown field",
        "rest-channel:\n  - name: m\n    path: /m\n    service: demo.ping\n    metod: GET\n",
        &["mistake.yaml:5:5", "metod", "did you mean 'method'?"],
    ),
    (
        "a wrong value",
        "rest-channel:\n  - name: m\n    path: /m\n    service: demo.ping\n    timeout: soon\n",
        &["mistake.yaml:5:", "timeout"],
    ),
    (
        "a missing field",
        "rest-channel:\n  - name: m\n    path: /m\n",
        &["mistake.yaml:2:5", "service"],
    ),
    (
        "a reference to what does not exist",
        "rest-channel:\n  - {name: ok, path: /ok, service: demo.ping}\n  - name: m\n    path: /m\n    service: demo.ping\n    security: [nobody]\n",
        &["mistake.yaml:6:", "security", "'nobody'"],
    ),
    (
        "an unresolved variable",
        "api-key:\n  - name: m\n    key: ${E2E_NOT_SET}\n",
        &["mistake.yaml:3:5", "'E2E_NOT_SET'"],
    ),
    (
        "an unknown secret",
        "api-key:\n  - name: m\n    key: secret:e2e-nobody\n",
        &["mistake.yaml:3:5", "'e2e-nobody'", "tenon secret set e2e-nobody"],
    ),
    (
        "the same name twice",
        "rest-channel:\n  - {name: m, path: /m, service: demo.ping}\n  - {name: m, path: /n, service: demo.ping}\n",
        &["mistake.yaml:3:", "m"],
    ),
    (
        "the same path twice",
        "rest-channel:\n  - {name: m, path: /m, service: demo.ping}\n  - {name: n, path: /m, service: demo.ping}\n",
        &["mistake.yaml:", "/m"],
    ),
];

fn variables_and_secrets_are_resolved_where_used(cluster: &Cluster) {
    let partner = cluster.client.with_header("x-api-key", "key-of-the-environment");
    assert_eq!(partner.get(&cluster.url("/partner")).unwrap().status, 200);
    let written_out = cluster.client.with_header("x-api-key", "hunter2");
    assert_eq!(written_out.get(&cluster.url("/written-out")).unwrap().status, 200);
    // alice:first-secret, alice:second-secret
    let first = cluster
        .client
        .with_header("authorization", "Basic YWxpY2U6Zmlyc3Qtc2VjcmV0");
    let second = cluster
        .client
        .with_header("authorization", "Basic YWxpY2U6c2Vjb25kLXNlY3JldA==");
    assert_eq!(first.get(&cluster.url("/people")).unwrap().status, 200);
    cluster.set_secret("e2e-password", "second-secret");
    wait_for("the new secret counts", PATIENCE, || {
        (second.get(&cluster.url("/people")).ok()?.status == 200).then_some(())
    });
    assert_eq!(first.get(&cluster.url("/people")).unwrap().status, 401);
    let shown = cluster.tenon_ok(&["get", "api-key", "written-out", "--output", "json"]);
    assert!(shown.contains("********") && !shown.contains("hunter2"), "{shown}");
}

fn an_object_in_use_is_not_deleted(cluster: &Cluster) {
    let refused = cluster.tenon(&["delete", "basic-auth", "people"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("rest-channel/people"),
        "{refused:?}"
    );
    cluster.tenon_ok(&["delete", "rest-channel", "people"]);
    cluster.tenon_ok(&["delete", "basic-auth", "people"]);
    assert_eq!(cluster.client.get(&cluster.url("/people")).unwrap().status, 404);
    assert_eq!(
        cluster.tenon(&["delete", "basic-auth", "people"]).status.code(),
        Some(44)
    );
}

fn channels(names: &[&str]) -> String {
    let channel = |name: &&str| format!("  - name: {name}\n    path: /{name}\n    service: demo.ping\n");
    "rest-channel:\n".to_owned() + &names.iter().map(channel).collect::<String>()
}

#[track_caller]
fn object(cluster: &Cluster, channel: &str) -> Value {
    cluster.tenon_json(&["get", "rest-channel", channel])
}

fn actions(plan: &Value) -> Vec<String> {
    let changes = plan["changes"].as_array().unwrap();
    let action = |change: &Value| {
        format!(
            "{} {}",
            change["action"].as_str().unwrap(),
            change["name"].as_str().unwrap()
        )
    };
    changes.iter().map(action).collect()
}

/// The newest revision of an object.
fn revision(cluster: &Cluster) -> Option<u64> {
    let kinds = ["rest-channel", "api-key", "basic-auth", "job"];
    let newest = kinds.iter().filter_map(|kind| {
        let objects = cluster.tenon_json(&["get", kind]);
        objects["items"]
            .as_array()?
            .iter()
            .filter_map(|object| object["revision"].as_u64())
            .max()
    });
    newest.max()
}
