//! What users are told about wrong manifests.

use std::fmt::Write;

use serde_json::json;

use super::{check_fields, validate};
use crate::file::ManifestFile;
use crate::samples::catalog;
use crate::settings::Settings;

fn problems(texts: &[(&str, &str)]) -> String {
    let files: Vec<ManifestFile> = texts
        .iter()
        .map(|(path, text)| ManifestFile::parse(*path, text, &Settings::default()))
        .collect();
    let problems = validate(&files, &catalog());
    problems.iter().fold(String::new(), |mut text, problem| {
        writeln!(text, "{problem}").unwrap();
        text
    })
}

#[test]
fn a_good_manifest_has_no_problems() {
    let text = "
api-key:
  - name: partner
    key: ${PARTNER_KEY}
sql-outgoing:
  - name: Billing
    url: ${BILLING_URL}
    password: secret:billing-password
    options: {anything: [1, {goes: here}]}
rest-channel:
  - name: user-details
    path: /tutorial/api/get-user-details
    service: api.my-service
    security: [partner]
    limits: {rates: [{per_second: 5}]}
job:
  - name: my.report.job
    service: api.my-service
    every: 10s
    payload: {url: not a url, unknown: [1]}
";
    assert_eq!(problems(&[("good.yaml", text)]), "");
}

#[test]
fn problems_name_file_line_and_field() {
    let wrong = "
rest-chanel:
  - name: users
    path: /users
rest-channel:
  - name: orders
    path: /orders
    servce: api.orders
    securty: [partner]
    limits:
      body_byte: 1
      rates:
        - per_second: often
        - per_seconds: 5
  - name: short
    path: /short
sql-outgoing:
  - name: Billing
    url: billing.example
    pool_size: 70000
  - name: Crm
    url: nowhere
topik:
  - name: one
  - name: two
";
    let second = "job:\n  - name: nightly\n    service: s\n  - name: nightly\n    service: t\nsql-outgoing:\n  - {name: Crm, url: 'a://b'}\n";
    insta::assert_snapshot!(problems(&[
        ("wrong.yaml", wrong),
        ("second.yaml", second),
        ("broken.yaml", "job:\n  - name: a\n  b: 1\n")
    ]));
}

#[test]
fn what_depends_on_references_is_judged_later() {
    let kind = catalog().get("sql-outgoing").unwrap().clone();
    assert_eq!(check_fields(&kind, &json!({"url": "${URL}"})), []);
    assert_eq!(
        check_fields(&kind, &json!({"url": "a://b", "pool_size": "${SIZE}"})),
        []
    );
    assert_eq!(check_fields(&kind, &json!({"url": "$${URL}"})).len(), 1);
    assert_eq!(
        check_fields(&kind, &json!({"url": 5, "password": "${P}"}))[0].field,
        "url"
    );
    assert_eq!(check_fields(&kind, &json!([])).len(), 1);
}
