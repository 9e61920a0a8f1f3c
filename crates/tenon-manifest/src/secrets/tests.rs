//! Secrets stay secret, and stay as they are.

use serde_json::json;

use super::{MASK, SecretSealer, mask, seal};
use crate::resolve::resolve_object;
use crate::samples::{TestLookup, TestSealer, catalog};

#[test]
fn literal_secrets_are_sealed_and_references_are_kept() {
    let kind = catalog().get("sql-outgoing").unwrap().clone();
    let sealer = TestSealer::default();
    let written = json!({"url": "a://b", "password": "hunter2"});
    let kept = seal(&kind, &written, None, &sealer).unwrap();
    assert_eq!(kept, json!({"url": "a://b", "password": "sealed:1:2retnuh"}));
    assert_eq!(mask(&kind, &kept)["password"], MASK);
    assert_eq!(resolve_object(&kind, &kept, &TestLookup, &sealer).unwrap(), written);

    let same = |password: &str| seal(&kind, &json!({"password": password}), Some(&kept), &sealer);
    for unchanged in ["hunter2", MASK, "sealed:1:2retnuh", "sealed:99:2retnuh"] {
        assert_eq!(same(unchanged).unwrap()["password"], "sealed:1:2retnuh", "{unchanged}");
    }
    assert_eq!(same("other").unwrap()["password"], "sealed:2:rehto");
    assert_eq!(same("sealed:7:rehto").unwrap()["password"], "sealed:7:rehto");
    assert_eq!(same("sealed:garbage").unwrap_err()[0].field, "password");
    assert!(seal(&kind, &json!({"password": MASK}), None, &sealer).is_err());

    for reference in ["secret:billing-password", "${PARTNER_KEY}"] {
        let body = json!({"password": reference});
        assert_eq!(seal(&kind, &body, Some(&kept), &sealer).unwrap(), body);
        assert_eq!(mask(&kind, &body), body);
    }
    let escaped = seal(&kind, &json!({"password": "a$${b"}), None, &sealer).unwrap();
    assert_eq!(sealer.unseal(escaped["password"].as_str().unwrap()).unwrap(), "a${b");
    assert_eq!(
        resolve_object(&kind, &escaped, &TestLookup, &sealer).unwrap()["password"],
        "a${b"
    );
}

#[test]
fn a_sealed_text_is_opened_only_where_a_secret_belongs() {
    let kind = catalog().get("sql-outgoing").unwrap().clone();
    let body = json!({"url": "sealed:1:2retnuh", "options": {"x": "sealed:1:2retnuh"}});
    assert_eq!(
        resolve_object(&kind, &body, &TestLookup, &TestSealer::default()).unwrap(),
        body
    );
}
