//! Plans: what changes, what does not, and what is refused.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use tenon_model::{Object, ObjectKey};
use tenon_protocol::control::{Action, ApplyRequest, Plan};

use super::{ObjectProblem, PlanContext, Planned, plan, plan_delete};
use crate::file::ManifestFile;
use crate::samples::{TestLookup, TestSealer, applied, catalog};
use crate::settings::Settings;

const BASE: &str = "
api-key:
  - name: partner
    key: ${PARTNER_KEY}
  - name: internal
    key: hunter2
sql-outgoing:
  - name: Billing
    url: postgresql://billing@127.0.0.1/${DB}
    password: secret:billing-password
rest-channel:
  - name: user-details
    path: /users
    service: api.users
    security: [partner]
job:
  - name: nightly
    service: api.report
    payload: {days: 7}
";

fn request(owner: Option<&str>, text: &str) -> ApplyRequest {
    let mut file = ManifestFile::parse("test.yaml", text, &Settings::default());
    assert_eq!(file.problems, []);
    file.owner = owner.map(str::to_owned);
    ApplyRequest {
        objects: file.manifest_objects().collect(),
        ..ApplyRequest::default()
    }
}

fn with<T>(services: &[&str], use_context: impl FnOnce(PlanContext<'_>) -> T) -> T {
    let services: BTreeSet<String> = services.iter().map(|service| (*service).to_owned()).collect();
    use_context(PlanContext {
        catalog: &catalog(),
        sealer: &TestSealer::default(),
        lookup: &TestLookup,
        services: Some(&services),
    })
}

fn by_key(objects: &[Object]) -> HashMap<ObjectKey, &Object> {
    objects.iter().map(|object| (object.key(), object)).collect()
}

fn planned(current: &[Object], request: &ApplyRequest) -> Result<Planned, Vec<ObjectProblem>> {
    with(&["api.users", "api.report"], |context| {
        plan(context, &by_key(current), request)
    })
}

fn base() -> Vec<Object> {
    applied(&[], &planned(&[], &request(Some("base.yaml"), BASE)).unwrap().changes)
}

fn show(plan: &Plan) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        writeln!(text, "{:?} {}", change.action, change.key).unwrap();
        for field in &change.fields {
            let shown = |value: &Option<serde_json::Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
            writeln!(
                text,
                "    {}: {} -> {}",
                field.field,
                shown(&field.old),
                shown(&field.new)
            )
            .unwrap();
        }
    }
    writeln!(text, "unchanged: {}", plan.unchanged).unwrap();
    for warning in &plan.warnings {
        writeln!(text, "warning: {warning}").unwrap();
    }
    text
}

fn refused(current: &[Object], request: &ApplyRequest) -> String {
    let problems = planned(current, request).expect_err("a refusal");
    lines(&problems)
}

fn lines(problems: &[ObjectProblem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        writeln!(text, "{problem}").unwrap();
        text
    })
}

#[test]
fn applying_twice_changes_nothing_the_second_time() {
    let current = base();
    assert_eq!(current.len(), 5);
    assert_eq!(current[1].manifest.as_deref(), Some("base.yaml"));
    for owner in [Some("base.yaml"), None] {
        let again = planned(&current, &request(owner, BASE)).unwrap();
        assert_eq!(
            (again.plan.changes.len(), again.changes.len(), again.plan.unchanged),
            (0, 0, 5)
        );
    }
    // A default that is written out is no change either.
    let explicit = request(
        None,
        &BASE.replace("    path: /users", "    path: /users\n    limits: {body_bytes: 0}"),
    );
    assert_eq!(planned(&current, &explicit).unwrap().plan.unchanged, 5);
}

#[test]
fn a_plan_shows_fields_and_hides_secrets() {
    let changed = BASE
        .replace("key: hunter2", "key: hunter3")
        .replace("${PARTNER_KEY}", "literal")
        .replace("password: secret:billing-password", "pool_size: 9")
        .replace("/users", "/people")
        .replace("[partner]", "[partner, internal]")
        .replace("{days: 7}", "{days: 8, format: pdf}")
        .replace("api.report", "api.reports")
        + "  - name: hourly\n    service: api.hours\n";
    let plan = planned(&base(), &request(Some("base.yaml"), &changed)).unwrap();
    let text = show(&plan.plan);
    assert!(!format!("{text}{plan:?}").contains("hunter"), "{plan:?}");
    insta::assert_snapshot!(text);
}

#[test]
fn owners_change_only_when_a_manifest_says_so() {
    let current = base();
    let moved = planned(&current, &request(Some("other.yaml"), BASE)).unwrap();
    assert!(moved.plan.changes.iter().all(|change| change.action == Action::Change));
    assert_eq!(moved.plan.changes[0].fields[0].field, "manifest");
    let after = applied(&current, &moved.changes);
    assert!(
        after
            .iter()
            .all(|object| object.manifest.as_deref() == Some("other.yaml"))
    );
}

#[test]
fn pruning_deletes_what_is_gone_and_only_where_it_may() {
    let mut current = base();
    let own = request(None, "job:\n  - name: by-hand\n    service: api.report\n");
    current = applied(&current, &planned(&current, &own).unwrap().changes);
    let without_job = BASE.split("job:").next().unwrap();
    let prune = |owners: &[&str]| ApplyRequest {
        prune: true,
        prune_manifests: owners.iter().map(|owner| (*owner).to_owned()).collect(),
        ..request(Some("base.yaml"), without_job)
    };
    let deleted = |request: &ApplyRequest| -> Vec<String> {
        planned(&current, request)
            .unwrap()
            .plan
            .changes
            .iter()
            .filter(|change| change.action == Action::Delete)
            .map(|change| change.key.to_string())
            .collect()
    };
    assert_eq!(deleted(&prune(&["base.yaml"])), ["job/nightly"]);
    assert_eq!(deleted(&prune(&["another.yaml"])), [""; 0]);
    assert_eq!(deleted(&prune(&[])), ["job/by-hand", "job/nightly"]);
}

#[test]
fn references_must_lead_somewhere() {
    let current = base();
    let mut said = String::new();
    // To what never was; also in an object that is changed otherwise.
    let missing = "rest-channel:\n  - name: orders\n    path: /o\n    service: api.users\n    security: [partner, partnr, nobody]\n";
    said += &refused(&current, &request(None, missing));
    // To what goes in the same step.
    let prune_keys = ApplyRequest {
        prune: true,
        ..request(None, &BASE.replace("  - name: partner\n    key: ${PARTNER_KEY}\n", ""))
    };
    said += &refused(&current, &prune_keys);
    let delete = |kind: &str, name: &str| {
        let key = ObjectKey::new(kind, name.parse().unwrap());
        with(&[], |context| plan_delete(context, &by_key(&current), &key))
    };
    for (kind, name) in [("api-key", "partner"), ("api-key", "nobody")] {
        for problem in delete(kind, name).unwrap_err() {
            writeln!(said, "{problem}").unwrap();
        }
    }
    insta::assert_snapshot!(said);
    assert_eq!(delete("api-key", "internal").unwrap().changes.len(), 1);
    // Both ends in one request, in any order, are fine.
    let both = "rest-channel:\n  - name: o\n    path: /o\n    service: api.users\n    security: [new]\napi-key:\n  - name: new\n    key: x\n";
    assert_eq!(planned(&current, &request(None, both)).unwrap().changes.len(), 2);
}

#[test]
fn wrong_objects_are_refused_all_at_once_and_without_secrets() {
    let wrong = "
jbo:
  - name: a
api-key:
  - name: no-key
  - name: masked
    key: '********'
  - name: foreign
    key: sealed:zzz
sql-outgoing:
  - name: no-variable
    url: a://${NONE}
  - name: bad-value
    url: ${BAD_URL}
    pool_sise: 5
  - name: bad-value-only
    url: ${BAD_URL}
  - name: no-secret
    url: a://b
    password: secret:none
job:
  - name: twice
    service: s
  - name: twice
    service: s
";
    let said = refused(&base(), &request(None, wrong));
    assert!(!said.contains("hidden"), "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn missing_services_are_warnings() {
    let plan = with(&[], |context| plan(context, &by_key(&[]), &request(None, BASE)))
        .unwrap()
        .plan;
    let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "rest-channel/user-details/service: the service 'api.users' is not deployed",
            "job/nightly/service: the service 'api.report' is not deployed",
        ]
    );
}
