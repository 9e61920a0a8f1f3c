//! Worker groups: each with its own deployments, and calls that go through several.

use super::*;

/// A service that answers with its version and that of a service of another group, which it invokes twice.
fn front(version: u32) -> String {
    format!(
        "import time\nfrom tenon import Service\n\nclass Front(Service):\n    name = 'test.front'\n\n    def handle(self):\n        \
         before = self.invoke('test.back')\n        time.sleep(0.005)\n        after = self.invoke('test.back')\n        \
         return {{'front': {version}, 'before': before['back'], 'after': after['back']}}\n"
    )
}

fn back(version: u32) -> String {
    format!(
        "from tenon import Service\n\nclass Back(Service):\n    name = 'test.back'\n\n    def handle(self):\n        \
         return {{'back': {version}}}\n"
    )
}

fn file(path: &str, content: impl Into<String>) -> DeploymentFile {
    DeploymentFile::new(path, content.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_with_a_group_file_has_its_own_deployments() {
    let cluster = cluster();
    cluster.save("version.py", &version("1"));
    cluster.save("crm/group.toml", "workers = 1\nthreads = 4\n");
    cluster.save("crm/helper.py", "VALUE = 'crm'\n");
    let of_group = version("x")
        .replace("test.version", "crm.version")
        .replace("'x'", "helper.VALUE");
    cluster.save("crm/version.py", &of_group.replace("import os", "import os, helper"));
    let server = cluster.server("server1");
    server.serves("1").await;
    server.answers("crm.version", "crm").await;
    let of_crm = |worker: &crate::workers::WorkerStatus| worker.name.starts_with("crm-");
    assert_eq!(
        server.services.workers().iter().filter(|worker| of_crm(worker)).count(),
        1
    );
    let listed = server.services.list();
    let listed: Vec<_> = listed
        .iter()
        .map(|one| (one.name.as_str(), one.group.as_str(), one.file.as_str()))
        .collect();
    let expected = [
        ("crm.version", "crm", "version.py"),
        ("test.version", "default", "version.py"),
    ];
    assert_eq!(listed, expected);

    // A change in one group leaves the other's workers alone.
    let pid = server.invoke("test.version").await.unwrap()["pid"].clone();
    cluster.save("crm/helper.py", "VALUE = 'changed'\n");
    server.answers("crm.version", "changed").await;
    let pids: Vec<_> = server
        .services
        .workers()
        .iter()
        .map(|worker| json!(worker.pid))
        .collect();
    assert!(pids.contains(&pid), "{pid} {pids:?}");

    // Without its folder a group has nothing left.
    std::fs::remove_dir_all(cluster.services_dir().join("crm")).unwrap();
    server.has_no("crm.version").await;
    server.ready().await;
    assert_eq!(server.version().await, "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_keep_the_deployments_of_all_groups_that_they_began_with() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    server.deploy(DEFAULT_GROUP, vec![file("front.py", front(1))]).await;
    server.deploy("back", vec![file("back.py", back(1))]).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for _ in 0..6 {
        let (services, done) = (server.services.clone(), done.clone());
        callers.push(tokio::spawn(async move {
            let mut seen = std::collections::BTreeSet::new();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = services.call(service_call("test.front", &json!({}))).await.unwrap();
                let answer: Value = serde_json::from_slice(&answer.body).unwrap();
                assert_eq!(answer["before"], answer["after"], "{answer}");
                seen.insert(answer["after"].as_u64().unwrap());
            }
            seen
        }));
    }
    for version in 2..=5 {
        server.deploy("back", vec![file("back.py", back(version))]).await;
        server
            .deploy(DEFAULT_GROUP, vec![file("front.py", front(version))])
            .await;
        server.answers_with("test.front", "after", json!(version)).await;
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap().contains(&5));
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_another_group_has_is_refused_with_the_file_that_has_it() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    let deployments = server.services.deployments().clone();
    server.deploy(DEFAULT_GROUP, vec![file("deep/back.py", back(1))]).await;
    let other = vec![file("taken.py", back(2)), file("front.py", front(2))];
    let summary = deployments.deploy(sent_to("other", other)).await.unwrap();
    assert_eq!((summary.state, summary.services), (DeploymentState::Live, 1));
    let [refused] = summary.refused.as_slice() else {
        panic!("{:?}", summary.refused);
    };
    assert_eq!(refused.path, "taken.py");
    let says = "service 'test.back' exists already, in deep/back.py of worker group default";
    assert_eq!(refused.error, says);
    let answer = server.invoke("test.front").await.unwrap();
    assert_eq!((&answer["front"], &answer["after"]), (&json!(2), &json!(1)));
    let alone = deployments
        .deploy(sent_to("third", vec![file("back.py", back(3))]))
        .await
        .unwrap();
    assert_eq!(alone.state, DeploymentState::Refused);
    let error = deployments.deploy(sent_to("no name", Vec::new())).await.unwrap_err();
    assert!(matches!(error, DeployError::Invalid(_)), "{error}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_rolls_back_by_itself_and_what_is_the_same_is_deployed_again_only_if_asked() {
    let cluster = cluster();
    let server = cluster.server("server1");
    server.ready().await;
    let deployments = server.services.deployments().clone();
    server.deploy(DEFAULT_GROUP, vec![file("front.py", front(1))]).await;
    let first = server.deploy("back", vec![file("back.py", back(1))]).await;
    server.deploy("back", vec![file("back.py", back(2))]).await;
    server.deploy(DEFAULT_GROUP, vec![file("front.py", front(2))]).await;
    let summary = deployments.roll_back(first.number, "test").await.unwrap();
    assert_eq!((summary.group.as_str(), summary.state), ("back", DeploymentState::Live));
    server.answers_with("test.front", "after", json!(1)).await;
    assert_eq!(server.invoke("test.front").await.unwrap()["front"], 2);
    let listed = deployments.list(Some("back"), None, 10).await.unwrap();
    assert_eq!(listed.len(), 3);

    let same = sent_to("back", vec![file("back.py", back(1))]);
    let unchanged = deployments.deploy(same.clone()).await.unwrap();
    assert_eq!(unchanged.number, summary.number);
    let again = deployments
        .deploy(DeploymentChange { again: true, ..same })
        .await
        .unwrap();
    assert!(
        again.number > summary.number && again.state == DeploymentState::Live,
        "{again:?}"
    );
    // A whole set takes the place of all files, as when it comes from another cluster.
    let whole = DeploymentChange {
        replace: true,
        ..sent_to("back", vec![file("moved.py", back(7))])
    };
    let whole = deployments.deploy(whole).await.unwrap();
    assert_eq!((whole.files, whole.services), (1, 1));
    server.answers_with("test.front", "after", json!(7)).await;
    let files = deployments.files(whole.number).await.unwrap();
    assert_eq!(files, [file("moved.py", back(7))]);
    server.stop().await;
}
