//! Objects as one manifest, in an order that does not change.

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};
use tenon_model::{Catalog, Object};
use tenon_protocol::control::ManifestObject;

use crate::plan::rank;
use crate::yaml;

/// The objects as a server exports them: as written, literal secrets sealed, ordered as in [`to_yaml`].
pub fn export(catalog: &Catalog, objects: &[Object]) -> Vec<ManifestObject> {
    let mut exported: Vec<ManifestObject> = objects
        .iter()
        .map(|object| ManifestObject {
            kind: object.kind.clone(),
            name: object.name.clone(),
            body: object.body.clone(),
            manifest: object.manifest.clone(),
        })
        .collect();
    exported.sort_by(|one, other| order(catalog, one).cmp(&order(catalog, other)));
    exported
}

/// The objects as YAML: kinds by what they are for (security, outgoing, channels, schedules) and then by name, objects by name.
/// Which manifest owned them is left out. Applying the text where it was exported changes nothing.
pub fn to_yaml(catalog: &Catalog, objects: &[ManifestObject]) -> String {
    let mut sorted: Vec<&ManifestObject> = objects.iter().collect();
    sorted.sort_by(|one, other| order(catalog, one).cmp(&order(catalog, other)));
    let mut kinds: Map<String, Value> = Map::new();
    for object in sorted {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), Value::from(object.name.as_str()));
        if let Value::Object(body) = &object.body {
            fields.extend(body.iter().map(|(field, value)| (field.clone(), value.clone())));
        }
        let list = kinds
            .entry(object.kind.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(items) = list {
            items.push(Value::Object(fields));
        }
    }
    yaml::write(&Value::Object(kinds))
}

fn order<'a>(catalog: &Catalog, object: &'a ManifestObject) -> (u8, &'a str, &'a str) {
    (rank(catalog, &object.kind), &object.kind, object.name.as_str())
}
