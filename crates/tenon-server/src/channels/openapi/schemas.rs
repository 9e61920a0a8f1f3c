//! Schemas of services as parts of an OpenAPI document.

use serde_json::{Map, Value, json};

const COMPONENTS: &str = "#/components/schemas/";

/// The schemas of a document, by name.
#[derive(Debug, Default)]
pub(super) struct Schemas(Map<String, Value>);

impl Schemas {
    /// All of them.
    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// Adds a schema under a name of its own.
    pub(super) fn add(&mut self, name: &str, schema: Value) {
        self.0.insert(name.to_owned(), schema);
    }

    /// Takes a schema of a service: definitions within it become parts of the document, and what refers to them follows.
    /// `owner` tells those of one service from those of another.
    pub(super) fn adopt(&mut self, owner: &str, schema: &Value) -> Value {
        let mut schema = schema.clone();
        let Some(fields) = schema.as_object_mut() else {
            return schema;
        };
        fields.remove("$schema");
        fields.remove("$id");
        let definitions = ["$defs", "definitions"]
            .into_iter()
            .filter_map(|name| fields.remove(name));
        let definitions: Vec<Value> = definitions.collect();
        for (name, mut definition) in definitions.iter().filter_map(Value::as_object).flatten().map(owned) {
            redirect(&mut definition, owner);
            self.0.insert(part_name(owner, &name), definition);
        }
        redirect(&mut schema, owner);
        schema
    }
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// A name that a part of a document may have.
pub(super) fn plain_name(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '-'
        }
    };
    text.chars().map(plain).collect()
}

fn part_name(owner: &str, name: &str) -> String {
    plain_name(&format!("{owner}.{name}"))
}

/// Makes references to definitions within a schema references to parts of the document. One that leads nowhere would break the
/// document: it means any value.
fn redirect(schema: &mut Value, owner: &str) {
    match schema {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str).map(|target| {
                let name = target
                    .strip_prefix("#/$defs/")
                    .or_else(|| target.strip_prefix("#/definitions/"));
                name.map(|name| format!("{COMPONENTS}{}", part_name(owner, name)))
            });
            match target {
                Some(Some(target)) => drop(fields.insert("$ref".to_owned(), Value::String(target))),
                Some(None) => drop(fields.remove("$ref")),
                None => {}
            }
            fields.values_mut().for_each(|value| redirect(value, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, owner)),
        _ => {}
    }
}

/// A reference to a part of the document.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{COMPONENTS}{name}") })
}

/// The schema of an error (RFC 9457).
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "description": "A stable name for this sort of problem." },
            "title": { "type": "string", "description": "The sort of problem in a few words." },
            "status": { "type": "integer", "description": "The HTTP status." },
            "detail": { "type": "string", "description": "What happened, and what to do about it." },
            "cid": { "type": "string", "description": "The correlation id of the call." },
            "errors": {
                "type": "array",
                "description": "Which elements are wrong.",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": { "field": { "type": "string" }, "message": { "type": "string" } },
                },
            },
        },
    })
}

/// The schema of an error in Zato's form.
pub(super) fn zato_error() -> Value {
    json!({
        "type": "object",
        "description": "What went wrong.",
        "properties": { "result": { "type": "string" }, "cid": { "type": "string" }, "details": {} },
    })
}
