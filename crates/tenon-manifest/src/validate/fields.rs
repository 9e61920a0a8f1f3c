//! The fields of one object against the schema and the rules of its kind.

use serde_json::{Map, Value};
use tenon_model::{FieldProblem, Kind};

use crate::field::{FieldPath, text_at};
use crate::resolve::has_reference;
use crate::suggest::did_you_mean;

/// Everything that is wrong with the fields of an object. What depends on a `${VAR}` or a `secret:NAME` is left out: it can be
/// judged only where they are resolved.
pub fn check_fields(kind: &Kind, body: &Value) -> Vec<FieldProblem> {
    if !body.is_object() {
        return vec![FieldProblem::new(
            "",
            "an object has fields, and this is something else",
        )];
    }
    let mut problems = Vec::new();
    let mut known = body.clone();
    remove_unknown(&mut known, &[&kind.schema], &FieldPath::default(), &mut problems);
    let rest = kind.check(&known);
    problems.extend(
        rest.into_iter()
            .filter(|problem| !text_at(body, &problem.field).is_some_and(has_reference)),
    );
    problems
}

/// Takes fields away that the schemas don't know and tells them.
fn remove_unknown(value: &mut Value, schemas: &[&Value], path: &FieldPath, problems: &mut Vec<FieldProblem>) {
    let schemas = alternatives(schemas);
    match value {
        Value::Object(fields) => remove_unknown_fields(fields, &schemas, path, problems),
        Value::Array(items) => {
            let inner: Vec<&Value> = schemas.iter().filter_map(|schema| schema.get("items")).collect();
            for (index, item) in items.iter_mut().enumerate() {
                remove_unknown(item, &inner, &path.index(index), problems);
            }
        }
        _ => {}
    }
}

fn remove_unknown_fields(
    fields: &mut Map<String, Value>,
    schemas: &[&Value],
    path: &FieldPath,
    problems: &mut Vec<FieldProblem>,
) {
    let closed = !schemas.is_empty()
        && schemas
            .iter()
            .filter(|schema| schema.get("properties").is_some() || schema.get("additionalProperties").is_some())
            .all(|schema| schema.get("additionalProperties") == Some(&Value::Bool(false)))
        && schemas.iter().any(|schema| schema.get("properties").is_some());
    let properties = |name: &str| -> Vec<&Value> {
        schemas
            .iter()
            .filter_map(|schema| schema.get("properties")?.get(name))
            .collect()
    };
    let names: Vec<String> = fields.keys().cloned().collect();
    for name in names {
        let mut inner = properties(&name);
        if inner.is_empty() && closed {
            let known: Vec<&str> = schemas
                .iter()
                .filter_map(|schema| schema.get("properties")?.as_object())
                .flat_map(|properties| properties.keys().map(String::as_str))
                .collect();
            let meant = did_you_mean(&name, known.iter().copied());
            let meant = if meant.is_empty() {
                format!("; there are {}", known.join(", "))
            } else {
                meant
            };
            problems.push(FieldProblem::new(
                path.key(&name).to_string(),
                format!("there is no field '{name}'{meant}"),
            ));
            fields.shift_remove(&name);
            continue;
        }
        if inner.is_empty() {
            inner = schemas
                .iter()
                .filter_map(|schema| schema.get("additionalProperties"))
                .collect();
        }
        if let Some(field) = fields.get_mut(&name) {
            remove_unknown(field, &inner, &path.key(&name), problems);
        }
    }
}

/// The schemas, and those that they offer as alternatives.
fn alternatives<'a>(schemas: &[&'a Value]) -> Vec<&'a Value> {
    let mut all = Vec::new();
    for schema in schemas {
        all.push(*schema);
        for offer in ["anyOf", "oneOf", "allOf"] {
            let parts: Vec<&Value> = schema
                .get(offer)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .collect();
            all.extend(alternatives(&parts));
        }
    }
    all
}
