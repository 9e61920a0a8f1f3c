//! What an operator says of a server: kept in the object `balancer/main`, which load balancers and the servers themselves go by.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tenon_balancer::OperatorState;
use tenon_model::{ObjectName, Revision};
use tenon_protocol::control::{
    GetObject, ListBalancers, NoParams, Nothing, ObjectPath, ObjectWrite, PutObject, WriteParams,
};

use super::super::control::{Cluster, WAIT_MS, problem_failure};

const KIND: &str = "balancer";
const NAME: &str = "main";

/// How often somebody else may write the object in between.
const TRIES: u32 = 20;

/// A load balancer says how it is once a second; one that was silent for longer is gone.
const SILENT_MS: u64 = 3_000;

/// How long load balancers may take to hear of a change.
const HEARD_WAIT: Duration = Duration::from_secs(3);

/// How often to look whether they have.
const LOOK: Duration = Duration::from_millis(50);

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether it was news.
    pub(super) is_news: bool,
    /// Load balancers that have not said that they go by it, by name.
    pub(super) unheard: Vec<String>,
}

/// Says how a server is to be treated, and waits until every server and load balancer knows.
pub(super) fn set(cluster: &Cluster, server: &str, state: OperatorState) -> anyhow::Result<Change> {
    let revision = edit(cluster, |servers| with_state(servers, server, state))?;
    Ok(Change {
        is_news: revision.is_some(),
        unheard: match revision {
            Some(revision) => until_heard(cluster, revision)?,
            None => Vec::new(),
        },
    })
}

/// Forgets everything that was said of a server, its weight too.
pub(super) fn forget(cluster: &Cluster, server: &str) -> anyhow::Result<()> {
    edit(cluster, |servers| {
        servers.retain(|entry| entry["name"] != server);
    })?;
    Ok(())
}

/// Waits until the load balancers go by a revision; the names of those that have not said so in time.
fn until_heard(cluster: &Cluster, revision: Revision) -> anyhow::Result<Vec<String>> {
    let deadline = Instant::now() + HEARD_WAIT;
    loop {
        let balancers = cluster.call::<ListBalancers>(&NoParams {}, &Nothing {})?.items;
        let behind = balancers
            .into_iter()
            .filter(|balancer| balancer.age_ms < SILENT_MS && balancer.report.revision < revision);
        let unheard: Vec<String> = behind.map(|balancer| balancer.report.name).collect();
        if unheard.is_empty() || Instant::now() >= deadline {
            return Ok(unheard);
        }
        std::thread::sleep(LOOK);
    }
}

/// The servers that were taken out, by name.
pub(super) fn set_aside(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let (_, body) = read(cluster)?;
    let entries = body
        .get("servers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let aside = entries
        .iter()
        .filter(|entry| !matches!(entry["state"].as_str(), None | Some("in")));
    Ok(aside
        .filter_map(|entry| Some(entry["name"].as_str()?.to_owned()))
        .collect())
}

fn with_state(servers: &mut Vec<Value>, server: &str, state: OperatorState) {
    let known = servers.iter_mut().find(|entry| entry["name"] == server);
    match (known, state) {
        (Some(entry), state) => entry["state"] = json!(state),
        (None, OperatorState::In) => {}
        (None, state) => servers.push(json!({ "name": server, "state": state })),
    }
    // An entry that says what holds anyway is none.
    let weight_is_usual = |entry: &Value| entry.get("weight").is_none_or(|weight| *weight == 1);
    servers.retain(|entry| !(entry["name"] == server && entry["state"] == "in" && weight_is_usual(entry)));
}

/// Changes the list of servers of the object, again if somebody else wrote it meanwhile. The revision since which the change holds;
/// none if there was nothing to change.
fn edit(cluster: &Cluster, change: impl Fn(&mut Vec<Value>)) -> anyhow::Result<Option<Revision>> {
    let mut refused = None;
    for _ in 0..TRIES {
        let (version, mut body) = read(cluster)?;
        let before = body
            .get("servers")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut servers = before.clone();
        change(&mut servers);
        if servers == before {
            return Ok(None);
        }
        body.insert("servers".to_owned(), Value::Array(servers));
        let params = WriteParams {
            kind: KIND.to_owned(),
            name: name()?,
            if_version: Some(version),
            wait_ms: Some(WAIT_MS),
        };
        let write = ObjectWrite {
            body: Value::Object(body),
        };
        match cluster.try_call::<PutObject>(&params, &write)? {
            Ok(reply) => return Ok(Some(reply.revision)),
            Err(problem) if problem.status == 412 => refused = Some(problem),
            Err(problem) => return Err(problem_failure(&problem).into()),
        }
    }
    Err(match refused {
        Some(problem) => problem_failure(&problem).into(),
        None => anyhow::anyhow!("balancer/main could not be written"),
    })
}

/// The object's version and fields; version 0 and no fields if it is not there.
fn read(cluster: &Cluster) -> anyhow::Result<(u64, Map<String, Value>)> {
    let path = ObjectPath {
        kind: KIND.to_owned(),
        name: name()?,
    };
    match cluster.try_call::<GetObject>(&path, &Nothing {})? {
        Ok(object) => match object.body {
            Value::Object(body) => Ok((object.version, body)),
            _ => Ok((object.version, Map::new())),
        },
        Err(problem) if problem.status == 404 => Ok((0, Map::new())),
        Err(problem) => Err(problem_failure(&problem).into()),
    }
}

fn name() -> anyhow::Result<ObjectName> {
    NAME.parse::<ObjectName>().context("the object's name is well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_change_and_weights_stay() {
        let mut servers = vec![json!({ "name": "server2", "weight": 3 })];
        with_state(&mut servers, "server1", OperatorState::Drain);
        with_state(&mut servers, "server2", OperatorState::Maintenance);
        assert_eq!(
            servers,
            [
                json!({ "name": "server2", "weight": 3, "state": "maintenance" }),
                json!({ "name": "server1", "state": "drain" })
            ]
        );
        with_state(&mut servers, "server1", OperatorState::In);
        with_state(&mut servers, "server2", OperatorState::In);
        with_state(&mut servers, "server3", OperatorState::In);
        assert_eq!(servers, [json!({ "name": "server2", "weight": 3, "state": "in" })]);
    }
}
