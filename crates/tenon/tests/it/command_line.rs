//! What the command line prints: help, errors, and what programs read.

use std::path::Path;

use crate::harness::{TestEnvironment, tenon};

#[test]
fn help_says_what_there_is() {
    insta::assert_snapshot!("help", tenon(&["--help"]).ok().out);
    insta::assert_snapshot!(
        "help_quickstart_create",
        tenon(&["quickstart", "create", "--help"]).ok().out
    );
    insta::assert_snapshot!("help_start", tenon(&["start", "--help"]).ok().out);
    insta::assert_snapshot!("help_apply", tenon(&["apply", "--help"]).ok().out);
}

#[test]
fn a_wrong_command_line_is_refused() {
    let message = tenon(&["strat"]).refused(2, Path::new("/nowhere"));
    insta::assert_snapshot!(message, @r"
    error: unrecognized subcommand 'strat'

      tip: some similar subcommands exist: 'create', 'secret', 'status', 'restart', 'start'

    Usage: tenon [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn programs_read_json() {
    let version = tenon(&["version", "--output", "json"]).ok().json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(tenon(&["openapi", "--control"]).ok().json()["openapi"], "3.1.0");
    assert!(tenon(&["completions", "bash"]).ok().out.contains("quickstart"));
    let environment = TestEnvironment::create();
    let root = environment.root.to_str().unwrap();
    let status = tenon(&["status", root, "--output", "json"]).ok().json();
    let server = status["components"][1].as_object().unwrap();
    let fields: Vec<&str> = server.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "name",
            "role",
            "pid",
            "state",
            "ready",
            "version",
            "address",
            "control_address",
            "uptime_seconds",
            "memory_bytes",
            "binary"
        ]
    );
    assert_eq!(server["ready"], false);
    assert_eq!(server["role"], "server");
}

#[test]
fn without_a_server_commands_say_so() {
    let environment = TestEnvironment::create();
    let root = environment.root.to_str().unwrap();
    let message = tenon(&["--env", root, "service", "list"]).refused(42, &environment.root);
    let control = format!("127.0.0.1:{}", environment.port_base + 60);
    insta::assert_snapshot!(
        message.replace(&control, "ADDRESS"),
        @"error: no server answers at ADDRESS; look with `tenon status`, start with `tenon start`"
    );
    let message = tenon(&["--env", root, "get", "rest-chanel"]).refused(44, &environment.root);
    assert!(
        message.starts_with("error: 'rest-chanel' is not a kind; there are "),
        "{message}"
    );
    let message = tenon(&["wait", root, "--timeout", "1"]).refused(28, &environment.root);
    insta::assert_snapshot!(message, @"error: not ready after 1 s: DIR does not run; see `tenon logs`");
}
