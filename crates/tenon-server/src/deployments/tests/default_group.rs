//! What every deployment is like, with files that belong to no group of their own.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tenon_store::NewDeployment;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_file_replaces_its_version_on_all_servers_and_no_call_fails() {
    let cluster = cluster();
    cluster.save("version.py", &version("0"));
    let (first, second) = (cluster.server("server1"), cluster.server("server2"));
    first.serves("0").await;
    second.serves("0").await;
    let (done, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut callers = Vec::new();
    for services in [&first.services, &first.services, &second.services] {
        let (services, done, calls) = (services.clone(), done.clone(), calls.clone());
        callers.push(tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let answer = services.call(service_call("test.version", &json!({}))).await.unwrap();
                assert_eq!(answer.status, 200);
                calls.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for n in 1..=5 {
        let saved = Instant::now();
        cluster.save("version.py", &version(&n.to_string()));
        first.serves(&n.to_string()).await;
        second.serves(&n.to_string()).await;
        println!("version {n} serves on both servers after {:?}", saved.elapsed());
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > 100, "{}", calls.load(Ordering::Relaxed));
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_import_is_refused_and_its_last_good_version_serves() {
    let cluster = cluster();
    cluster.save("version.py", &version("good"));
    let server = cluster.server("server1");
    server.serves("good").await;
    let pid = server.invoke("test.version").await.unwrap()["pid"].clone();
    cluster.save("version.py", "import no_such_module_at_all\n");
    let refused = newest(&cluster.store, |one| one.state == DeploymentState::Refused).await;
    assert_eq!(refused.refused.len(), 1);
    let file = &refused.refused[0];
    assert_eq!((file.path.as_str(), file.kept_previous), ("version.py", true));
    assert!(file.error.contains("no_such_module_at_all"), "{}", file.error);
    assert!(file.traceback.contains("version.py"), "{}", file.traceback);
    // Nothing was replaced: the same processes serve on.
    let pids: Vec<_> = server
        .services
        .workers()
        .iter()
        .map(|worker| json!(worker.pid))
        .collect();
    assert!(pids.contains(&pid), "{pid} {pids:?}");
    // Together with a good file: that one goes live, the refused one keeps its version.
    cluster.save("other.py", &version("x").replace("test.version", "test.other"));
    let live = newest(&cluster.store, |one| {
        one.state == DeploymentState::Live && one.services == 2
    })
    .await;
    assert_eq!(live.files, 2);
    server.serves("good").await;
    server.answers("test.other", "x").await;
    cluster.save("version.py", &version("better"));
    server.serves("better").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_ends_the_process_or_breaks_another_is_refused_alone() {
    let cluster = cluster();
    cluster.save("helper.py", "VALUE = 'one'\n");
    cluster.save(
        "version.py",
        &version("x")
            .replace("'x'", "helper.VALUE")
            .replace("import os", "import os, helper"),
    );
    let server = cluster.server("server1");
    server.serves("one").await;
    let file = |path: &str, content: &str| DeploymentFile::new(path, content.to_owned());
    let deployments = server.services.deployments().clone();
    let files = vec![
        file("bad.py", "import os\nos._exit(7)\n"),
        file("helper.py", "OTHER = 1\nraise SystemExit\n"),
        file("new.py", &version("n").replace("test.version", "test.new")),
    ];
    let summary = deployments.deploy(sent(files)).await.unwrap();
    assert_eq!(summary.state, DeploymentState::Live);
    let refused: Vec<_> = summary.refused.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(refused, ["bad.py", "helper.py"]);
    assert!(
        summary.refused[0].error.contains("exit code 7"),
        "{}",
        summary.refused[0].error
    );
    assert_eq!(server.version().await, "one");
    assert_eq!(server.invoke("test.new").await.unwrap()["version"], "n");
    // A file that another one needs can't be taken away.
    let without = DeploymentChange {
        remove: vec!["helper.py".to_owned()],
        ..sent(Vec::new())
    };
    let summary = deployments.deploy(without).await.unwrap();
    assert_eq!(summary.state, DeploymentState::Refused);
    assert!(
        summary.refused[0].error.contains("version.py"),
        "{}",
        summary.refused[0].error
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_back_survives_restarts_and_old_files_in_the_folder() {
    let cluster = cluster();
    cluster.save("version.py", &version("1"));
    let server = cluster.server("server1");
    server.serves("1").await;
    let first = newest(&cluster.store, |one| one.state == DeploymentState::Live)
        .await
        .number;
    cluster.save("version.py", &version("2"));
    server.serves("2").await;
    let summary = server.services.deployments().roll_back(first, "test").await.unwrap();
    assert_eq!(
        (summary.state, summary.source.as_str()),
        (DeploymentState::Live, "roll-back to 1")
    );
    assert_eq!(server.version().await, "1");
    server.stop().await;
    let server = cluster.server("server1");
    server.serves("1").await;
    cluster.save("other.py", &version("o").replace("test.version", "test.other"));
    newest(&cluster.store, |one| {
        one.state == DeploymentState::Live && one.services == 2
    })
    .await;
    assert_eq!(server.version().await, "1");
    std::fs::remove_file(cluster.services_dir().join("other.py")).unwrap();
    newest(&cluster.store, |one| {
        one.state == DeploymentState::Live && one.services == 1 && one.number > 4
    })
    .await;
    // The store says live as soon as it is committed; the server flips when it hears of it.
    server.has_no("test.other").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_python_is_not_ready_and_the_other_serves() {
    let cluster = cluster();
    let first = cluster.server("server1");
    first.ready().await;
    let second = cluster.server_with("server2", |parts| {
        parts.workers.python = "no-such-python".to_owned();
        parts.services_dir = None;
    });
    second.ready().await;
    cluster.save("version.py", &version("1"));
    first.serves("1").await;
    let started = Instant::now();
    while second.services.status().ready {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let detail = second.services.status().detail;
    assert!(detail.contains("no-such-python"), "{detail}");
    assert!(first.services.status().ready);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_whose_coordinator_died_is_finished_by_another() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    let orphan = NewDeployment {
        group: DEFAULT_GROUP.to_owned(),
        source: "one that died".to_owned(),
        files: vec![DeploymentFile::new("version.py", version("orphan"))],
        refused: Vec::new(),
        services: Vec::new(),
        canary: None,
    };
    cluster
        .store
        .begin_deployment(orphan, DeploymentState::Preparing)
        .await
        .unwrap();
    server.serves("orphan").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_a_deployment_is_refused_at_once() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    let deployments = server.services.deployments();
    let outside = vec![DeploymentFile::new("../x.py", "")];
    let error = deployments.deploy(sent(outside)).await.unwrap_err();
    assert!(matches!(error, DeployError::Invalid(_)), "{error}");
    let without = DeploymentChange {
        remove: vec!["no.py".to_owned()],
        ..sent(Vec::new())
    };
    let error = deployments.deploy(without).await.unwrap_err();
    assert!(matches!(error, DeployError::Invalid(_)), "{error}");
    let error = deployments.roll_back(99, "test").await.unwrap_err();
    assert!(matches!(error, DeployError::NotFound(99)), "{error}");
    let error = server.invoke("test.version").await.unwrap_err();
    assert!(matches!(error, ServiceError::NotFound(_)), "{error:?}");
    server.stop().await;
}

#[test]
fn the_sdk_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let files = SdkFiles::from_dir(Path::new(sdk().parent().unwrap())).unwrap();
    let entry = files.write_below(dir.path()).unwrap();
    assert!(entry.parent().unwrap().join("tenon/worker.py").is_file());
    assert_eq!(files.write_below(dir.path()).unwrap(), entry);
}
