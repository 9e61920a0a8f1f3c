//! Deployments.

use std::collections::BTreeMap;

use tenon_protocol::control::{DeploymentState, RefusedFile};

use super::{Subject, wait_for};
use crate::deployments::{DEFAULT_GROUP, DeploymentFile, NewDeployment, ServiceRecord};
use crate::engine::{Event, Store};
use crate::error::StoreError;

fn new(files: &[(&str, &str)]) -> NewDeployment {
    NewDeployment {
        group: DEFAULT_GROUP.to_owned(),
        source: "a test".to_owned(),
        files: files
            .iter()
            .map(|(path, content)| DeploymentFile::new(*path, content.as_bytes().to_vec()))
            .collect(),
        refused: Vec::new(),
        services: vec![ServiceRecord {
            name: "a.service".to_owned(),
            file: "a.py".to_owned(),
            class: "A".to_owned(),
            doc: String::new(),
            is_async: false,
            input: Some(serde_json::json!({"type": "object"})),
            output: None,
        }],
        canary: None,
    }
}

async fn prepare(store: &Store, content: &str) -> Result<u64, StoreError> {
    store
        .begin_deployment(new(&[("a.py", content)]), DeploymentState::Preparing)
        .await
}

fn refused_file() -> RefusedFile {
    RefusedFile {
        path: "b.py".to_owned(),
        error: "NameError".to_owned(),
        traceback: "line 1".to_owned(),
        kept_previous: false,
    }
}

pub(super) async fn numbers_grow_and_one_is_live(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let mut events = store.events();
    assert_eq!(store.live_deployment(DEFAULT_GROUP).await?, None);
    assert_eq!(prepare(store, "one").await?, 1);
    wait_for(&mut events, |event| event == Event::Deployments).await?;
    assert_eq!(store.live_deployment(DEFAULT_GROUP).await?, None);
    store.commit_deployment(1).await?;
    store.commit_deployment(1).await?;
    assert_eq!(prepare(store, "two").await?, 2);
    store.commit_deployment(2).await?;
    let live = store.live_deployment(DEFAULT_GROUP).await?.expect("one is live");
    assert_eq!((live.number, live.state), (2, DeploymentState::Live));
    assert_eq!(live.services, new(&[]).services);
    let first = store.deployment(1).await?.expect("the first");
    assert_eq!(first.state, DeploymentState::Superseded);
    assert_eq!(store.deployment(9).await?, None);
    assert_eq!(store.live_deployment("other").await?, None);
    Ok(())
}

pub(super) async fn each_group_has_its_own(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let of_default = prepare(store, "one").await?;
    let mut other = new(&[("a.py", "other")]);
    "other".clone_into(&mut other.group);
    let of_other = store.begin_deployment(other, DeploymentState::Preparing).await?;
    assert_eq!(store.serving_deployments().await?, []);
    store.commit_deployment(of_other).await?;
    store.commit_deployment(of_default).await?;
    let newer = prepare(store, "two").await?;
    store.commit_deployment(newer).await?;
    let live = store.serving_deployments().await?;
    let live: Vec<_> = live.iter().map(|one| (one.number, one.group.as_str())).collect();
    assert_eq!(live, [(of_other, "other"), (newer, DEFAULT_GROUP)]);
    let numbers = async |group: Option<&str>| -> Result<Vec<u64>, StoreError> {
        let listed = store.deployments(group, None, 9).await?;
        Ok(listed.iter().map(|one| one.number).collect())
    };
    assert_eq!(numbers(Some("other")).await?, [of_other]);
    assert_eq!(numbers(Some(DEFAULT_GROUP)).await?, [newer, of_default]);
    assert_eq!(numbers(None).await?, [newer, of_other, of_default]);
    Ok(())
}

pub(super) async fn an_older_one_does_not_overtake(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let older = prepare(store, "one").await?;
    let newer = prepare(store, "two").await?;
    store.commit_deployment(newer).await?;
    let refused = store.commit_deployment(older).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let live = store.live_deployment(DEFAULT_GROUP).await?.expect("one is live");
    assert_eq!(live.number, newer);
    Ok(())
}

pub(super) async fn a_refused_one_keeps_its_reasons(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let number = prepare(store, "one").await?;
    store.refuse_deployment(number, vec![refused_file()]).await?;
    let record = store.deployment(number).await?.expect("the deployment");
    assert_eq!(
        (record.state, record.refused),
        (DeploymentState::Refused, vec![refused_file()])
    );
    let committed = store.commit_deployment(number).await;
    assert!(matches!(committed, Err(StoreError::Conflict(_))), "{committed:?}");
    let mut seen_only = new(&[]);
    seen_only.refused.push(refused_file());
    let seen_only = store.begin_deployment(seen_only, DeploymentState::Refused).await?;
    assert_eq!(store.deployments(None, None, 1).await?[0].number, seen_only);
    let refused = store.refuse_deployment(99, Vec::new()).await;
    assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    Ok(())
}

pub(super) async fn files_come_back_as_they_were(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    let deployment = new(&[("a.py", "same"), ("lib/b.py", "same"), ("c.py", "")]);
    let number = store
        .begin_deployment(deployment.clone(), DeploymentState::Preparing)
        .await?;
    let mut expected = deployment.files.clone();
    expected.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(store.deployment_files(number).await?, expected);
    let record = store.deployment(number).await?.expect("the deployment");
    let hashes: Vec<(String, u64)> = record
        .files
        .iter()
        .map(|file| (file.path.clone(), file.size_bytes))
        .collect();
    let expected = [
        ("a.py".to_owned(), 4),
        ("c.py".to_owned(), 0),
        ("lib/b.py".to_owned(), 4),
    ];
    assert_eq!(hashes, expected);
    assert_eq!(store.deployments(None, None, 9).await?, [record.summary()]);
    let mut wrong = deployment.clone();
    wrong.files[0].sha256 = DeploymentFile::hash(b"other");
    let wrong = store.begin_deployment(wrong, DeploymentState::Preparing).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))), "{wrong:?}");
    let mut twice = deployment;
    twice.files.push(twice.files[0].clone());
    let twice = store.begin_deployment(twice, DeploymentState::Preparing).await;
    assert!(matches!(twice, Err(StoreError::Invalid(_))), "{twice:?}");
    let none = store.deployment_files(77).await;
    assert!(matches!(none, Err(StoreError::NotFound(_))), "{none:?}");
    Ok(())
}

pub(super) async fn old_ones_are_pruned(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for content in ["live", "2", "3", "4", "5", "6"] {
        prepare(store, content).await?;
    }
    store.commit_deployment(1).await?;
    for number in 2..=6 {
        store.refuse_deployment(number, Vec::new()).await?;
    }
    assert_eq!(store.prune_deployments().await?, 2, "three that are not live are kept");
    let left: Vec<u64> = store
        .deployments(None, None, 10)
        .await?
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!(left, [6, 5, 4, 1]);
    assert_eq!(store.deployment_files(1).await?[0].content, "live".as_bytes());
    assert_eq!(store.prune_deployments().await?, 0);
    assert_eq!(prepare(store, "7").await?, 7, "numbers are not given again");
    Ok(())
}

pub(super) async fn imports_are_remembered(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    assert_eq!(store.folder_imports("host:/a").await?, BTreeMap::new());
    let files = BTreeMap::from([("a.py".to_owned(), "1".to_owned()), ("b.py".to_owned(), "2".to_owned())]);
    store.set_folder_imports("host:/a", files.clone()).await?;
    store.set_folder_imports("host:/b", BTreeMap::new()).await?;
    assert_eq!(store.folder_imports("host:/a").await?, files);
    let fewer = BTreeMap::from([("b.py".to_owned(), "3".to_owned())]);
    store.set_folder_imports("host:/a", fewer.clone()).await?;
    assert_eq!(store.folder_imports("host:/a").await?, fewer);
    Ok(())
}

pub(super) async fn paging_goes_backwards(subject: Subject) -> Result<(), StoreError> {
    let store = &subject.store;
    for content in ["1", "2", "3"] {
        prepare(store, content).await?;
    }
    let first: Vec<u64> = store
        .deployments(None, None, 2)
        .await?
        .iter()
        .map(|one| one.number)
        .collect();
    let second: Vec<u64> = store
        .deployments(None, Some(2), 2)
        .await?
        .iter()
        .map(|one| one.number)
        .collect();
    assert_eq!((first, second), (vec![3, 2], vec![1]));
    Ok(())
}
