//! Kinds for this crate's tests, shaped like the real ones, and stand-ins for what a server gives.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{
    Catalog, FieldProblem, Kind, KindConfig, KindGroup, Object, Revision, SEALED_PREFIX, Secret, Timestamp,
};
use tenon_store::ObjectChange;

use crate::resolve::Lookup;
use crate::secrets::SecretSealer;

/// A key that callers send.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApiKey {
    key: Secret,
    #[serde(default)]
    header: Option<String>,
}

/// Where another system is.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SqlOutgoing {
    url: String,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default = "five")]
    pool_size: u16,
    #[serde(default)]
    options: BTreeMap<String, Value>,
}

/// A path that calls a service.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RestChannel {
    path: String,
    #[schemars(extend("x-tenon-service" = true))]
    service: String,
    #[serde(default)]
    #[schemars(extend("x-tenon-reference" = ["api-key"]))]
    security: Vec<String>,
    #[serde(default)]
    limits: Limits,
}

/// Limits of a channel.
#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    body_bytes: u32,
    rates: Vec<Rate>,
}

/// How often.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: u32,
}

/// When a service runs.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Job {
    #[schemars(extend("x-tenon-service" = true))]
    service: String,
    #[serde(default)]
    every: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    payload: Value,
}

fn five() -> u16 {
    5
}

macro_rules! kind {
    ($type:ty, $name:literal, $group:ident, $check:expr) => {
        impl KindConfig for $type {
            const NAME: &'static str = $name;
            const TITLE: &'static str = $name;
            const GROUP: KindGroup = KindGroup::$group;

            fn check(&self) -> Vec<FieldProblem> {
                let check: fn(&Self) -> Vec<FieldProblem> = $check;
                check(self)
            }
        }
    };
}

kind!(ApiKey, "api-key", Security, |_| Vec::new());
kind!(SqlOutgoing, "sql-outgoing", Outgoing, |config| {
    if config.url.contains("://") {
        Vec::new()
    } else {
        let message = format!(
            "'{}' is no URL; write it as postgresql://user@host/database",
            config.url
        );
        vec![FieldProblem::new("url", message)]
    }
});
kind!(RestChannel, "rest-channel", Channel, |_| Vec::new());
kind!(Job, "job", Schedule, |_| Vec::new());

pub(crate) fn catalog() -> Catalog {
    Catalog::new([
        Kind::of::<ApiKey>(),
        Kind::of::<SqlOutgoing>(),
        Kind::of::<RestChannel>(),
        Kind::of::<Job>(),
    ])
}

/// Seals by turning a text around, with a different result each time, as real sealing has.
#[derive(Debug, Default)]
pub(crate) struct TestSealer(std::cell::Cell<u32>);

impl SecretSealer for TestSealer {
    fn seal(&self, plain: &str) -> String {
        self.0.set(self.0.get() + 1);
        format!(
            "{SEALED_PREFIX}{}:{}",
            self.0.get(),
            plain.chars().rev().collect::<String>()
        )
    }

    fn unseal(&self, sealed: &str) -> Option<String> {
        let (_, text) = sealed.strip_prefix(SEALED_PREFIX)?.split_once(':')?;
        Some(text.chars().rev().collect())
    }
}

/// An environment with two variables and a secret.
#[derive(Debug)]
pub(crate) struct TestLookup;

impl Lookup for TestLookup {
    fn variable(&self, name: &str) -> Option<String> {
        HashMap::from([
            ("PARTNER_KEY", "pk-123"),
            ("DB", "billing"),
            ("BAD_URL", "user:hidden@nowhere"),
        ])
        .get(name)
        .map(|value| (*value).to_owned())
    }

    fn secret(&self, name: &str) -> Option<String> {
        (name == "billing-password").then(|| "s3cret".to_owned())
    }
}

/// What a store does with changes.
pub(crate) fn applied(current: &[Object], changes: &[ObjectChange]) -> Vec<Object> {
    let mut objects: BTreeMap<_, _> = current.iter().map(|object| (object.key(), object.clone())).collect();
    for change in changes {
        match change {
            ObjectChange::Put {
                key,
                body,
                manifest,
                if_version,
            } => {
                let version = objects.get(key).map_or(0, |object| object.version);
                assert_eq!(*if_version, Some(version), "{key}");
                let object = Object {
                    kind: key.kind.clone(),
                    name: key.name.clone(),
                    body: body.clone(),
                    version: version + 1,
                    revision: Revision(1),
                    manifest: manifest.clone(),
                    updated_at: Timestamp::default(),
                };
                objects.insert(key.clone(), object);
            }
            ObjectChange::Delete { key, if_version } => {
                let old = objects.remove(key).expect("only what exists is deleted");
                assert_eq!(*if_version, Some(old.version), "{key}");
            }
        }
    }
    objects.into_values().collect()
}
