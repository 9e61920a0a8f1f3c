//! `tenon quickstart create`: what it makes, and what it refuses before it has changed anything.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::harness::{TestEnvironment, port_base, short_directory, tenon, tenon_in};

fn tree(root: &Path) -> Vec<String> {
    fn walk(root: &Path, directory: &Path, lines: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            if path.is_dir() {
                lines.push(format!("{shown}/ {mode:o}"));
                walk(root, &path, lines);
            } else {
                // Of files only secrecy matters; the rest follows the user's umask.
                let private = if mode.trailing_zeros() >= 6 { " private" } else { "" };
                lines.push(format!("{shown}{private}"));
            }
        }
    }
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort();
    lines
}

#[test]
fn an_environment_has_everything_and_secrets_are_private() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("q");
    let base = port_base().to_string();
    let created = tenon(&[
        "quickstart",
        "create",
        root.to_str().unwrap(),
        "--port-base",
        &base,
        "--servers",
        "2",
        "--output",
        "json",
    ])
    .ok()
    .json();
    insta::assert_snapshot!(tree(&root).join("\n"));
    assert_eq!(created["cluster"], "q");
    let password = std::fs::read_to_string(root.join("secrets/admin-password")).unwrap();
    assert_eq!(created["admin_password"], password.trim());
    let settings = std::fs::read_to_string(root.join("load-balancer/component.toml")).unwrap();
    insta::assert_snapshot!(settings.replace(&base[..3], "100"));
}

#[test]
fn options_leave_components_out_and_name_the_cluster() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("q");
    let password = parent.path().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let created = tenon(&[
        "quickstart",
        "create",
        root.to_str().unwrap(),
        "--port-base",
        &port_base().to_string(),
        "--no-scheduler",
        "--no-load-balancer",
        "--cluster-name",
        "Invoices",
        "--bind",
        "127.0.0.1",
        "--admin-password-file",
        password.to_str().unwrap(),
        "--output",
        "json",
    ])
    .ok()
    .json();
    assert_eq!(
        created["components"],
        serde_json::json!(["store", "server1", "dashboard"])
    );
    assert_eq!(created["cluster"], "Invoices");
    assert!(created["admin_password"].is_null(), "{created}");
    let kept = std::fs::read_to_string(root.join("secrets/admin-password")).unwrap();
    assert_eq!(kept, "correct horse\n");
}

#[test]
fn what_can_not_be_is_refused_before_anything_is_changed() {
    let parent = tempfile::tempdir().unwrap();
    let parent = parent.path().canonicalize().unwrap();
    let root = parent.join("q");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ephemeral = taken.local_addr().unwrap().port().to_string();
    let base = port_base();
    let busy = TcpListener::bind(("127.0.0.1", base + 10)).unwrap();
    let short = parent.join("short");
    std::fs::write(&short, "1234567\n").unwrap();
    let (busy_base, free_base) = (base.to_string(), (base + 100).to_string());
    let cases: Vec<(&str, i32, Vec<&str>)> = vec![
        ("port in use", 40, vec!["--port-base", &busy_base]),
        (
            "ephemeral port",
            40,
            vec!["--port-base", &free_base, "--http-port", &ephemeral],
        ),
        ("port twice", 40, vec!["--http-port", "8183"]),
        ("ports too high", 40, vec!["--port-base", "65530"]),
        (
            "no python",
            41,
            vec!["--port-base", &free_base, "--python", "/bin/true"],
        ),
        ("no server", 15, vec!["--servers", "0"]),
        ("too many servers", 15, vec!["--servers", "50"]),
        ("another store", 15, vec!["--store", "postgresql://db/tenon"]),
        ("cluster name", 15, vec!["--cluster-name", "a/b"]),
        (
            "short password",
            15,
            vec![
                "--port-base",
                &free_base,
                "--admin-password-file",
                short.to_str().unwrap(),
            ],
        ),
    ];
    let mut messages = Vec::new();
    for (name, code, options) in cases {
        let mut arguments = vec!["quickstart", "create", root.to_str().unwrap()];
        arguments.extend(options);
        let message = tenon(&arguments).refused(code, &parent);
        assert!(!root.exists(), "{name} left something behind");
        messages.push(format!("{name}: {message}"));
    }
    drop(busy);
    let text = messages
        .join("\n")
        .replace(&(base + 10).to_string(), "PORT")
        .replace(&ephemeral, "PORT");
    insta::assert_snapshot!(text);
}

#[test]
fn only_an_environment_is_replaced_and_user_files_stay() {
    let environment = TestEnvironment::create();
    let root = environment.root.to_str().unwrap();
    let id = || {
        let text = std::fs::read_to_string(environment.root.join("environment.toml")).unwrap();
        text.lines().find(|line| line.starts_with("id")).unwrap().to_owned()
    };
    let before = id();
    std::fs::write(environment.root.join("services/mine.py"), "# mine\n").unwrap();
    let base = environment.port_base.to_string();
    let create = |options: &[&str]| {
        let mut arguments = vec!["quickstart", "create", root, "--port-base", &base];
        arguments.extend(options);
        tenon(&arguments)
    };
    let message = create(&[]).refused(5, &environment.root);
    insta::assert_snapshot!(message, @"error: DIR already holds an environment; start it with `tenon start`, make it anew with --force, or let it be with --skip-if-exists");
    create(&["--skip-if-exists"]).ok();
    assert_eq!(id(), before);
    create(&["--force"]).ok();
    assert_ne!(id(), before);
    assert!(environment.root.join("services/mine.py").is_file());

    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("file"), "mine").unwrap();
    let path = other.path().to_str().unwrap();
    let refused = tenon(&["quickstart", "create", path, "--force"]).refused(5, other.path());
    insta::assert_snapshot!(refused, @"error: DIR is not empty; give a directory that does not exist yet, or is empty; --force replaces nothing but an environment");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
}

#[test]
fn a_failure_half_way_leaves_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let long = parent.path().canonicalize().unwrap().join("x".repeat(120));
    // Sockets of so long a path go to a directory that is named after it; here it is taken by a file.
    let sockets = short_directory(&long);
    std::fs::write(&sockets, "").unwrap();
    let base = port_base().to_string();
    let answer = tenon(&["quickstart", "create", long.to_str().unwrap(), "--port-base", &base]);
    std::fs::remove_file(&sockets).unwrap();
    assert!(answer.err.contains("private directory"), "{answer:?}");
    assert!(!long.exists());
}

#[test]
fn commands_find_the_environment_from_below_it() {
    let environment = TestEnvironment::create();
    let answer = tenon_in(&environment.root.join("services"), &["status", "--output", "json"]).ok();
    assert_eq!(answer.json()["cluster"], "q");
    let answer = tenon_in(&environment.root, &["status", "store", "--output", "json"]).ok();
    assert_eq!(answer.json()["components"].as_array().unwrap().len(), 1);
    let nothing = tempfile::tempdir().unwrap();
    let message = tenon_in(nothing.path(), &["status"]).refused(3, nothing.path());
    insta::assert_snapshot!(message, @"error: no environment was found in DIR or above it; give one with --env DIR or TENON_ENV, or go to its directory");
    let message = tenon_in(&environment.root, &["stop", "server7"]).refused(31, &environment.root);
    insta::assert_snapshot!(message, @"error: DIR has no component 'server7'; it has store, server1, scheduler, dashboard, load-balancer");
}

#[test]
fn manifests_are_checked_without_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("wrong.yaml");
    std::fs::write(
        &file,
        "job:\n  - name: a\n    service: b\n    every: 10x\n  - name: c\n    servic: d\nrest-chanel:\n  - name: e\n",
    )
    .unwrap();
    let answer = tenon(&["validate", "-f", file.to_str().unwrap()]);
    let message = answer.refused(21, directory.path());
    assert!(message.contains("DIR/wrong.yaml:4:"), "{message}");
    assert!(message.contains("servic"), "{message}");
    assert!(message.contains("rest-chanel"), "{message}");
}
