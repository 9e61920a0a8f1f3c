//! What becomes of configurations on their way.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::follower::with_last_good;
use super::*;
use crate::follower::SourceError;
use crate::settings::Settings;

fn part(name: &str, version: u64, body: Value) -> ConfigurationPart {
    ConfigurationPart {
        name: name.to_owned(),
        version,
        body,
        problem: String::new(),
    }
}

fn denies(status: u16) -> Value {
    json!({"action": {"deny": {"status": status}}})
}

#[test]
fn a_part_that_can_not_be_used_keeps_its_last_good_form() {
    let known = BalancerConfiguration {
        rules: vec![part("a", 1, denies(403)), part("b", 1, denies(404))],
        ..BalancerConfiguration::default()
    };
    let mut unresolved = part("b", 2, Value::Null);
    "the cluster has no secret 'x'".clone_into(&mut unresolved.problem);
    let next = BalancerConfiguration {
        revision: Revision(7),
        balancer: Some(part("main", 1, json!({"algorithm": "random"}))),
        rules: vec![
            part("a", 2, denies(200)),
            unresolved,
            part("c", 1, denies(405)),
            part("d", 1, json!({"action": {}})),
        ],
        ..BalancerConfiguration::default()
    };
    let settled = with_last_good(next, &known);
    let read = Configuration::read(&settled);
    let statuses: Vec<_> = read
        .rules
        .iter()
        .map(|(name, rule)| (name.as_str(), rule.action.deny.as_ref().unwrap().status))
        .collect();
    assert_eq!(
        statuses,
        [("a", 403), ("b", 404), ("c", 405)],
        "d has no form that could be used"
    );
    assert_eq!(read.balancer, BalancerConfig::default());
    let problems: Vec<_> = read.problems.iter().map(|problem| problem.name.as_str()).collect();
    assert_eq!(problems, ["main", "a", "b", "d"]);
    assert!(read.problems[1].message.contains("400 to 599"), "{:?}", read.problems);
    let again = with_last_good(settled.clone(), &settled);
    assert_eq!(again, settled, "the same answer again changes nothing");
}

/// A cluster that gives one configuration and then nothing more.
struct Once(Mutex<Option<BalancerConfiguration>>);

#[async_trait]
impl ConfigurationSource for Once {
    async fn configuration(&self, _: Option<u64>) -> Result<BalancerConfiguration, SourceError> {
        let next = self.0.lock().unwrap().take();
        match next {
            Some(next) => Ok(next),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test]
async fn the_configuration_known_last_is_kept_for_a_start_without_any_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("configuration.json");
    let settings = Settings::default();
    let given = BalancerConfiguration {
        cursor: 3,
        revision: Revision(9),
        rules: vec![part("a", 1, denies(403))],
        ..BalancerConfiguration::default()
    };
    let source = Arc::new(Once(Mutex::new(Some(given.clone()))));
    let (follower, mut configurations) = ConfigurationFollower::new(&settings, source.clone(), path.clone());
    assert_eq!(**configurations.borrow(), BalancerConfiguration::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(follower.run(stop.clone()));
    configurations.changed().await.unwrap();
    stop.cancel();
    running.await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "there may be private keys in it");

    let (_follower, configurations) = ConfigurationFollower::new(&settings, source.clone(), path.clone());
    assert_eq!(**configurations.borrow(), given);
    std::fs::write(&path, "{ broken").unwrap();
    let (_follower, configurations) = ConfigurationFollower::new(&settings, source, path);
    assert_eq!(**configurations.borrow(), BalancerConfiguration::default());
}
