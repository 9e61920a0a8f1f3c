//! Which fields of an object differ, as people may see them.

use serde_json::Value;
use tenon_model::Kind;
use tenon_protocol::control::FieldChange;

use crate::field::FieldPath;
use crate::secrets::mask;

/// The fields that differ between two bodies of a kind, with defaults filled in and secrets masked.
pub(super) fn field_changes(kind: &Kind, old: &Value, new: &Value) -> Vec<FieldChange> {
    // Most objects of a manifest are as they were.
    if old == new {
        return Vec::new();
    }
    let (old, new) = filled(kind, old, new);
    if old == new {
        return Vec::new();
    }
    let (shown_old, shown_new) = (mask(kind, &old), mask(kind, &new));
    let mut paths = Vec::new();
    collect(&old, &new, &FieldPath::default(), &mut paths);
    paths
        .into_iter()
        .map(|path| FieldChange {
            field: path.to_string(),
            old: path.get(&shown_old).cloned(),
            new: path.get(&shown_new).cloned(),
        })
        .collect()
}

/// Both bodies with their defaults; or both as written, if a reference stands where its kind wants something else than a text.
fn filled(kind: &Kind, old: &Value, new: &Value) -> (Value, Value) {
    match (kind.normalize(old), kind.normalize(new)) {
        (Ok(old), Ok(new)) => (old, new),
        _ => (old.clone(), new.clone()),
    }
}

fn collect(old: &Value, new: &Value, path: &FieldPath, paths: &mut Vec<FieldPath>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let (one, other) = (old.get(key), new.get(key));
                match (one, other) {
                    (Some(one), Some(other)) => collect(one, other, &path.key(key), paths),
                    // Null and nothing are the same to a kind.
                    (Some(Value::Null), None) | (None, Some(Value::Null)) => {}
                    _ => paths.push(path.key(key)),
                }
            }
        }
        _ if old == new => {}
        _ => paths.push(path.clone()),
    }
}
