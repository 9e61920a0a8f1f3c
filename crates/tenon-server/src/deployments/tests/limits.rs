//! Files and limits that can't be had, and the user that workers run as.

use super::*;
use crate::workers::WorkerSettings;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_never_ends_to_import_is_refused_and_holds_up_no_other() {
    let cluster = cluster();
    let server = cluster.server_with("server1", |parts| {
        parts.workers.import_timeout = tenon_model::DurationText::from_secs(1);
    });
    server.ready().await;
    let file = |path: &str, content: &str| DeploymentFile::new(path, content.to_owned());
    let files = vec![
        file("a_needs_it.py", "import hangs\n"),
        file("hangs.py", "import time\ntime.sleep(3600)\n"),
        file("loops.py", "while True:\n    pass\n"),
        file("version.py", &version("1")),
    ];
    let summary = server.services.deployments().deploy(sent(files)).await.unwrap();
    assert_eq!(summary.state, DeploymentState::Live);
    assert_eq!(server.version().await, "1");
    let refused: Vec<_> = summary.refused.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(refused, ["a_needs_it.py", "hangs.py", "loops.py"]);
    let hangs = &summary.refused[1];
    assert_eq!(hangs.error, "hangs.py does not end to import within 1 seconds");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_limits_are_refused_and_the_rest_serves() {
    let cluster = cluster();
    cluster.save("crm/group.toml", "workers = 'many'\n");
    cluster.save("crm/version.py", &version("1"));
    let server = cluster.server("server1");
    server.serves("1").await;
    let deployments = server.services.deployments().clone();
    let listed = deployments.list(Some("crm"), None, 1).await.unwrap();
    assert_eq!(listed[0].refused[0].path, "group.toml");
    assert!(listed[0].refused[0].error.contains("workers"), "{listed:?}");
    let python = DeploymentFile::new("group.toml", "python = 'no-such-python'\n");
    let refused = deployments.deploy(sent_to("crm", vec![python])).await.unwrap();
    assert_eq!(refused.state, DeploymentState::Refused);
    assert!(refused.refused[0].error.contains("no-such-python"), "{refused:?}");
    let one = DeploymentFile::new("group.toml", "workers = 1\n");
    let summary = deployments.deploy(sent_to("crm", vec![one])).await.unwrap();
    assert_eq!((summary.state, summary.files), (DeploymentState::Live, 2));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_is_no_worker_is_refused() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    let program = std::fs::read("/bin/true").unwrap();
    let change = sent_to("truth", vec![DeploymentFile::new("truth", program)]);
    let summary = server.services.deployments().deploy(change).await.unwrap();
    assert_eq!(summary.state, DeploymentState::Refused);
    assert!(summary.refused[0].error.contains("exit code 0"), "{summary:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_run_as_the_user_of_the_settings_or_the_server_does_not_start() {
    let cluster = cluster();
    let as_user = |name: &str| WorkerSettings {
        worker_user: name.to_owned(),
        ..WorkerSettings::default()
    };
    let unknown = cluster.parts("server1", |parts| parts.workers = as_user("no such user"));
    let error = Services::new(unknown).unwrap_err();
    assert!(error.to_string().contains("no user 'no such user'"), "{error}");
    if !rustix::process::geteuid().is_root() {
        let other = cluster.parts("server1", |parts| parts.workers = as_user("nobody"));
        let error = Services::new(other).unwrap_err();
        assert!(error.to_string().contains("only a server that runs as root"), "{error}");
        return;
    }
    let set_mode = |mode| {
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
        std::fs::set_permissions(cluster.dir.path(), mode).unwrap();
    };
    set_mode(0o700);
    let closed = cluster.parts("server1", |parts| parts.workers = as_user("nobody"));
    let error = Services::new(closed).unwrap_err();
    assert!(error.to_string().contains("'nobody' can't enter some"), "{error}");
    set_mode(0o711);
    cluster.save(
        "version.py",
        &version("x").replace("'x'", "str(os.getuid()) + str(os.getgroups())"),
    );
    // The one that tests run with may belong to root alone.
    let workers = WorkerSettings {
        python: "/usr/bin/python3".to_owned(),
        ..as_user("nobody")
    };
    let server = cluster.server_with("server1", |parts| parts.workers = workers);
    let started = Instant::now();
    while !server.version().await.starts_with("65534[") {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{}",
            server.version().await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!server.version().await.contains("[0"), "{}", server.version().await);
    server.stop().await;
}
