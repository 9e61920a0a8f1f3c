//! Canaries on two servers with one store.

use tenon_model::DurationText;
use tenon_protocol::control::{CanaryTerms, DeploymentState};

use super::*;

/// A service that fails as a canary with `fails`, and one that it invokes, in files of one version.
fn pair(version: &str, fails: bool) -> Vec<DeploymentFile> {
    let failure = if fails {
        "raise RuntimeError('a bad version')"
    } else {
        "pass"
    };
    let front = format!(
        "from tenon import Service\n\nclass Front(Service):\n    name = 'test.version'\n    def handle(self):\n        {failure}\n        \
         back = self.invoke('test.back')['version']\n        assert back == '{version}', back\n        return {{'version': '{version}'}}\n"
    );
    let back = format!(
        "from tenon import Service\n\nclass Back(Service):\n    name = 'test.back'\n    def handle(self):\n        return {{'version': '{version}'}}\n"
    );
    vec![
        DeploymentFile::new("front.py", front),
        DeploymentFile::new("back.py", back),
    ]
}

fn only(version: &str) -> Vec<DeploymentFile> {
    let service = format!(
        "from tenon import Service\n\nclass Only(Service):\n    name = 'test.only'\n    def handle(self):\n        \
         return {{'version': '{version}', 'front': self.invoke('test.version')['version']}}\n"
    );
    vec![DeploymentFile::new("only.py", service)]
}

fn canary(files: Vec<DeploymentFile>, share_percent: u8, period: DurationText) -> DeploymentChange {
    DeploymentChange {
        canary: Some(CanaryTerms { share_percent, period }),
        ..sent(files)
    }
}

fn quick(parts: &mut ServicesParts) {
    parts.services_dir = None;
    parts.deployments.canary.report_every = DurationText::from_millis(50);
    // A machine under load is no reason for a test to roll back.
    parts.deployments.canary.latency_floor = DurationText::from_secs(60);
}

const NEVER: DurationText = DurationText::from_secs(3600);

/// Calls `test.version` until the deployment has another state; which versions answered, and how many calls failed.
async fn call_while_canary(store: &Store, server: &Server, number: u64) -> (BTreeMap<String, u64>, u64) {
    let (mut versions, mut failed) = (BTreeMap::new(), 0);
    let started = Instant::now();
    while store.deployment(number).await.unwrap().unwrap().state == DeploymentState::Canary {
        assert!(started.elapsed() < Duration::from_mins(1), "{versions:?} {failed}");
        match server.invoke("test.version").await {
            Ok(answer) => {
                *versions
                    .entry(answer["version"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            Err(ServiceError::Raised { message, .. }) if message.contains("a bad version") => failed += 1,
            Err(other) => panic!("{other}"),
        }
    }
    (versions, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_canary_is_promoted_on_all_servers() {
    let cluster = cluster();
    let (one, two) = (cluster.server_with("one", quick), cluster.server_with("two", quick));
    let first = one
        .services
        .deployments()
        .deploy(canary(pair("1", false), 50, NEVER))
        .await
        .unwrap();
    assert_eq!(
        first.state,
        DeploymentState::Live,
        "there is nothing to compare it with"
    );
    let period = DurationText::from_secs(1);
    let begun = one
        .services
        .deployments()
        .deploy(canary(pair("2", false), 50, period))
        .await
        .unwrap();
    assert_eq!(begun.state, DeploymentState::Canary);
    let (versions, failed) = call_while_canary(&cluster.store, &two, begun.number).await;
    assert!(
        versions.contains_key("1") && versions.contains_key("2") && failed == 0,
        "{versions:?} {failed}"
    );
    let ended = newest(&cluster.store, |ended| ended.number == begun.number).await;
    assert_eq!(ended.state, DeploymentState::Live);
    assert!(ended.reason.starts_with("promoted: 0 of "), "{}", ended.reason);
    one.serves("2").await;
    two.serves("2").await;
    for server in [one, two] {
        assert_eq!(server.services.deployment_of("test.version"), Some(begun.number));
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_canary_is_rolled_back_before_its_period_ends() {
    let cluster = cluster();
    let (one, two) = (cluster.server_with("one", quick), cluster.server_with("two", quick));
    let deployments = one.services.deployments();
    deployments.deploy(sent(pair("1", false))).await.unwrap();
    let begun = deployments.deploy(canary(pair("2", true), 20, NEVER)).await.unwrap();
    assert_eq!(
        two.services.deployment_of("test.version"),
        None,
        "no one has all of its calls"
    );
    let refused = deployments.deploy(sent(pair("3", false))).await.unwrap_err();
    assert!(
        matches!(refused, DeployError::CanaryRuns(number) if number == begun.number),
        "{refused}"
    );
    let (versions, failed) = call_while_canary(&cluster.store, &two, begun.number).await;
    assert!(failed >= 20 && versions.keys().eq(["1"]), "{versions:?} {failed}");
    let ended = newest(&cluster.store, |ended| ended.number == begun.number).await;
    assert_eq!(ended.state, DeploymentState::RolledBack);
    assert!(
        ended.reason.contains("calls failed (100.0 %), before 0 of"),
        "{}",
        ended.reason
    );
    let never_live = deployments.roll_back(begun.number, "test").await.unwrap_err();
    assert!(matches!(never_live, DeployError::Invalid(_)), "{never_live}");
    deployments.deploy(sent(pair("3", false))).await.unwrap();
    one.serves("3").await;
    two.serves("3").await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_one_side_only_is_served_there_with_all_that_it_invokes() {
    let cluster = cluster();
    let one = cluster.server_with("one", quick);
    let deployments = one.services.deployments();
    deployments.deploy(sent(pair("1", false))).await.unwrap();
    let mut files = pair("2", false);
    files.extend(only("2"));
    let begun = deployments.deploy(canary(files, 1, NEVER)).await.unwrap();
    for _ in 0..20 {
        let answer = one.invoke("test.only").await.unwrap();
        assert_eq!(answer, json!({"version": "2", "front": "2"}));
    }
    let ended = deployments.promote(begun.number, "somebody").await.unwrap();
    assert_eq!(
        (ended.state, ended.reason.as_str()),
        (DeploymentState::Live, "promoted by somebody")
    );
    one.serves("2").await;
    let without = DeploymentChange {
        remove: vec!["only.py".to_owned()],
        ..canary(pair("3", false), 99, NEVER)
    };
    let begun = deployments.deploy(without).await.unwrap();
    for _ in 0..20 {
        let answer = one.invoke("test.only").await.unwrap();
        assert_eq!(answer, json!({"version": "2", "front": "2"}));
    }
    let ended = deployments.roll_back(begun.number, "somebody").await.unwrap();
    let expected = (DeploymentState::RolledBack, "rolled back by somebody");
    assert_eq!((ended.state, ended.reason.as_str()), expected);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_later_serves_the_canary_and_decides_it_if_it_is_alone() {
    let cluster = cluster();
    let one = cluster.server_with("one", quick);
    one.services.deployments().deploy(sent(pair("1", false))).await.unwrap();
    let period = DurationText::from_secs(2);
    let change = canary(pair("2", false), 50, period);
    let begun = one.services.deployments().deploy(change).await.unwrap();
    one.stop().await;
    let two = cluster.server_with("two", quick);
    two.ready().await;
    two.serves("2").await;
    let (_, failed) = call_while_canary(&cluster.store, &two, begun.number).await;
    assert_eq!(failed, 0);
    let ended = newest(&cluster.store, |ended| ended.number == begun.number).await;
    assert_eq!(ended.state, DeploymentState::Live, "{}", ended.reason);
    two.stop().await;
}
