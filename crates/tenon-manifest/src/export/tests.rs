//! What is exported applies as nothing.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use tenon_model::Object;
use tenon_protocol::control::{ApplyRequest, ManifestObject};

use super::{export, to_yaml};
use crate::file::ManifestFile;
use crate::plan::{PlanContext, plan};
use crate::samples::{TestLookup, TestSealer, applied, catalog};
use crate::settings::Settings;

fn objects(list: Vec<(&str, &str, Value)>) -> Vec<ManifestObject> {
    list.into_iter()
        .map(|(kind, name, body)| ManifestObject {
            kind: kind.to_owned(),
            name: name.parse().unwrap(),
            body,
            manifest: Some("a.yaml".to_owned()),
        })
        .collect()
}

fn planned(current: &[Object], objects: Vec<ManifestObject>) -> crate::plan::Planned {
    let context = PlanContext {
        catalog: &catalog(),
        sealer: &TestSealer::default(),
        lookup: &TestLookup,
        services: None,
    };
    let request = ApplyRequest {
        objects,
        prune: true,
        ..ApplyRequest::default()
    };
    let current: HashMap<_, _> = current.iter().map(|object| (object.key(), object)).collect();
    plan(context, &current, &request).unwrap()
}

/// Exports, reads the text, and plans it with pruning: nothing may change.
fn exported_without_change(current: &[Object]) -> Result<String, TestCaseError> {
    let text = to_yaml(&catalog(), &export(&catalog(), current));
    let file = ManifestFile::parse("export.yaml", &text, &Settings::default());
    prop_assert_eq!(&file.problems, &[], "{}", text);
    let again = planned(current, file.manifest_objects().collect());
    prop_assert_eq!(&again.plan.changes, &[], "{}", text);
    prop_assert_eq!(again.plan.unchanged, current.len() as u64);
    Ok(text)
}

#[test]
fn an_export_is_stable_and_readable() {
    let list = objects(vec![
        (
            "job",
            "my.report.job",
            json!({"service": "api.my-service", "every": "10s", "payload": "two\nlines\n"}),
        ),
        (
            "rest-channel",
            "user-details",
            json!({"path": "/users/{id}", "service": "api.my-service", "security": ["partner"]}),
        ),
        (
            "sql-outgoing",
            "Billing",
            json!({"url": "postgresql://b@h:5432/b", "password": "secret:billing-password", "options": {"yes": "no", "0123": 1.5}}),
        ),
        ("api-key", "partner", json!({"key": "${PARTNER_KEY}"})),
        ("api-key", "Größe: 1", json!({"key": "hunter2"})),
    ]);
    let current = applied(&[], &planned(&[], list).changes);
    let text = exported_without_change(&current).unwrap();
    assert!(!text.contains("hunter2"));
    insta::assert_snapshot!(text);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\n]{0,16}".prop_map(|text| Value::from(text.replace("${", "$ {"))),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[ -~]{0,8}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn export_then_apply_is_a_no_op(
        names in prop::collection::btree_set("[a-zA-Z0-9_.:#'\"-]{1,12}", 1..6), payload in any_json(), key in "[a-z0-9 ]{1,12}",
    ) {
        prop_assume!(key.trim() != "" && !payload.to_string().contains("secret:"));
        let list = names
            .iter()
            .flat_map(|name| {
                objects(vec![
                    ("job", name, json!({"service": "s", "payload": payload})),
                    ("api-key", name, json!({"key": key})),
                ])
            })
            .collect();
        exported_without_change(&applied(&[], &planned(&[], list).changes))?;
    }
}
