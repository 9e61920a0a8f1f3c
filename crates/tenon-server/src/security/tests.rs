//! Gates as channels have them: who is let in, who is not and what they are told.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tenon_model::{Clock, ManualClock, Timestamp};
use tenon_store::{QuotaGrant, QuotaSpec, Quotas, StoreError};

use super::definitions::Definition;
use super::gate::{Admission, Refusal, Visitor};
use super::gates::Gates;
use crate::rate_limits::{Limits, Meters, QuotaSource};

/// The store's quotas, in the test.
struct Source(Quotas, Arc<dyn Clock>);

#[async_trait]
impl QuotaSource for Source {
    async fn take(&self, key: &str, spec: QuotaSpec, wanted: u64) -> Result<QuotaGrant, StoreError> {
        self.0.take(key.to_owned(), spec, wanted, self.1.now())
    }
}

fn gates(definitions: &[(&str, &str, Value)], limits: &[(&str, Value)]) -> Gates {
    let definitions = definitions
        .iter()
        .map(|(name, kind, body)| ((*name).to_owned(), Definition::of(kind, body).unwrap()));
    let limits = limits
        .iter()
        .map(|(name, body)| ((*name).to_owned(), serde_json::from_value(body.clone()).unwrap()));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let source = Source(Quotas::new(1000), Arc::clone(&clock));
    let meters = Arc::new(Meters::with_source(Box::new(source), Arc::clone(&clock)));
    let limits = Limits::new(limits.collect::<BTreeMap<_, _>>(), meters);
    let (gates, unusable) = Gates::new(definitions.collect(), limits, None, Path::new("/none"), &clock);
    assert_eq!(unusable, []);
    gates
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    pairs.collect()
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

async fn admit(gates: &Gates, security: &[&str], pairs: &[(&str, &str)]) -> Result<Admission, Box<Refusal>> {
    knock(gates, security, None, pairs, None, true).await
}

async fn knock(
    gates: &Gates,
    security: &[&str],
    limit: Option<&str>,
    pairs: &[(&str, &str)],
    query: Option<&str>,
    is_trusted: bool,
) -> Result<Admission, Box<Refusal>> {
    let security: Vec<String> = security.iter().map(|name| (*name).to_owned()).collect();
    let visitor = Visitor {
        headers: &headers(pairs),
        query,
        remote: "192.0.2.7",
        is_trusted,
    };
    gates.gate("channel", &security, limit).admit(&visitor).await
}

fn name(result: Result<Admission, Box<Refusal>>) -> String {
    match result {
        Ok(admission) => admission
            .caller
            .map_or_else(|| "anybody".to_owned(), |caller| caller.name.clone()),
        Err(refusal) => refusal.problem.status.to_string(),
    }
}

fn people() -> Gates {
    let definitions = [
        (
            "ann",
            "basic-auth",
            json!({ "username": "ann", "password": "p:w", "realm": "R" }),
        ),
        (
            "bob",
            "basic-auth",
            json!({ "username": "bob", "password": "x", "realm": "R" }),
        ),
        (
            "partner",
            "api-key",
            json!({ "key": "k1", "header": "X-Key", "query_parameter": "key" }),
        ),
        ("other", "api-key", json!({ "key": "k2", "header": "X-API-Key" })),
        ("cert", "mutual-tls", json!({ "subjects": ["CN=a,O=b"] })),
        (
            "group",
            "security-group",
            json!({ "members": ["bob", "partner", "gone"] }),
        ),
        ("empty", "security-group", json!({ "members": [] })),
    ];
    gates(&definitions, &[])
}

#[tokio::test]
async fn any_of_the_definitions_lets_in() {
    let gates = people();
    let (ann, bob) = (basic("ann:p:w"), basic("bob:x"));
    let (ann, bob) = (("authorization", ann.as_str()), ("authorization", bob.as_str()));
    let key = ("x-key", "k1");
    for (security, sent, expected) in [
        (&["ann", "partner"][..], &[ann][..], "ann"),
        (&["ann", "partner"], &[key], "partner"),
        (&["ann", "partner"], &[("x-key", "wrong"), ann], "ann"),
        (&["group"], &[bob], "bob"),
        (&["group"], &[key], "partner"),
        (&["ann", "group"], &[ann], "ann"),
        (&[], &[key], "anybody"),
        // Known, but not here.
        (&["group"], &[ann], "403"),
        (&["ann"], &[bob], "403"),
        // Not known here, as nothing here takes keys in that header.
        (&["ann"], &[("x-api-key", "k2")], "401"),
        (&["ann", "partner"], &[("x-key", "k")], "401"),
        (&["ann", "partner"], &[("x-key", "k2")], "401"),
        (&["ann"], &[], "401"),
        (&["empty"], &[ann], "401"),
        (&["gone"], &[ann], "401"),
    ] {
        assert_eq!(
            name(admit(&gates, security, sent).await),
            expected,
            "{security:?} {sent:?}"
        );
    }
    for wrong in [
        basic("ann:pw"),
        basic("ann:p:w:"),
        basic("ANN:p:w"),
        basic("annp:w"),
        basic(""),
        "Basic".to_owned(),
        "Basic ?".to_owned(),
        format!("Bearer {}", STANDARD.encode("ann:p:w")),
    ] {
        let sent = [("authorization", wrong.as_str())];
        assert_eq!(name(admit(&gates, &["ann"], &sent).await), "401", "{wrong}");
    }
    let by_query = |query| knock(&gates, &["partner"], None, &[], Some(query), true);
    assert_eq!(name(by_query("a=b&key=k1").await), "partner");
    assert_eq!(name(by_query("key=k2").await), "401");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_all_ways_in() {
    let gates = people();
    let refusal = admit(&gates, &["ann", "bob", "partner"], &[]).await.unwrap_err();
    let told: Vec<&str> = refusal
        .headers
        .iter()
        .map(|(_, value)| value.to_str().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "Basic realm=\"R\", charset=\"UTF-8\"",
            "ApiKey realm=\"Tenon\", header=\"x-key\""
        ]
    );
    assert!(refusal.headers.iter().all(|(name, _)| name == "www-authenticate"));
}

#[tokio::test]
async fn certificates_count_only_if_whoever_tells_of_them_is_trusted() {
    let gates = people();
    let told = [
        ("x-tenon-client-cert-verified", "1"),
        ("x-tenon-client-cert-subject", "CN=a, O=b"),
    ];
    let admission = admit(&gates, &["cert"], &told).await.unwrap();
    let caller = admission.caller.unwrap();
    assert_eq!(
        (caller.kind.as_str(), caller.username.as_str()),
        ("mutual-tls", "CN=a, O=b")
    );
    assert_eq!(caller.claims["subject"], "CN=a, O=b");
    assert_eq!(name(knock(&gates, &["cert"], None, &told, None, false).await), "401");
    let another = [
        ("x-tenon-client-cert-verified", "1"),
        ("x-tenon-client-cert-subject", "CN=x"),
    ];
    assert_eq!(name(admit(&gates, &["cert"], &another).await), "403");
    assert_eq!(name(admit(&gates, &["cert"], &told[1..]).await), "401");
}

#[tokio::test]
async fn many_keys_in_a_group_are_told_apart() {
    let keys: Vec<(String, Value)> = (0..2000)
        .map(|n| (format!("key{n}"), json!({ "key": format!("secret-{n}") })))
        .collect();
    let mut definitions: Vec<(&str, &str, Value)> = keys
        .iter()
        .map(|(name, body)| (name.as_str(), "api-key", body.clone()))
        .collect();
    let members: Vec<&str> = keys.iter().map(|(name, _)| name.as_str()).collect();
    definitions.push(("all", "security-group", json!({ "members": members })));
    let gates = gates(&definitions, &[]);
    for number in [0, 999, 1999] {
        let key = format!("secret-{number}");
        assert_eq!(
            name(admit(&gates, &["all"], &[("x-api-key", &key)]).await),
            format!("key{number}")
        );
    }
    assert_eq!(
        name(admit(&gates, &["all"], &[("x-api-key", "secret-2000")]).await),
        "401"
    );
}

#[tokio::test]
async fn limits_hold_for_channels_definitions_and_groups() {
    let three = json!({ "rules": [{ "limit": 3, "unit": "day" }] });
    let five = json!({ "rules": [{ "limit": 5, "unit": "day" }] });
    let closed = json!({ "rules": [{ "addresses": ["192.0.2.0/24"], "deny": true }] });
    let definitions = [
        ("a", "api-key", json!({ "key": "a", "rate_limit": "three" })),
        ("b", "api-key", json!({ "key": "b" })),
        (
            "group",
            "security-group",
            json!({ "members": ["a", "b"], "rate_limit": "five" }),
        ),
    ];
    let gates = gates(&definitions, &[("three", three), ("five", five), ("closed", closed)]);
    for expected in ["a", "a", "a", "429"] {
        assert_eq!(name(admit(&gates, &["a"], &[("x-api-key", "a")]).await), expected);
    }
    // The group has five for both; the definition's own three are used up whatever lets it in.
    assert_eq!(name(admit(&gates, &["group"], &[("x-api-key", "a")]).await), "429");
    for expected in ["b", "b", "b", "b", "429"] {
        assert_eq!(name(admit(&gates, &["group"], &[("x-api-key", "b")]).await), expected);
    }
    assert_eq!(name(knock(&gates, &[], Some("closed"), &[], None, true).await), "403");
    assert_eq!(
        name(knock(&gates, &[], Some("no such limit"), &[], None, true).await),
        "403"
    );
    let first = knock(&gates, &[], Some("three"), &[], None, true).await.unwrap();
    let header = |name: &str| {
        first
            .headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.to_str().unwrap())
    };
    assert_eq!(header("ratelimit-policy"), Some("\"three\";q=3;w=86400"));
    assert!(
        header("ratelimit").unwrap().starts_with("\"three\";r=2;t="),
        "{:?}",
        header("ratelimit")
    );
    for _ in 0..2 {
        assert_eq!(
            name(knock(&gates, &[], Some("three"), &[], None, true).await),
            "anybody"
        );
    }
    let over = knock(&gates, &[], Some("three"), &[], None, true).await.unwrap_err();
    assert_eq!(over.problem.status, 429);
    let retry = over.headers.iter().find(|(name, _)| name == "retry-after").unwrap();
    assert!((1..=86_400).contains(&retry.1.to_str().unwrap().parse::<u64>().unwrap()));
}
