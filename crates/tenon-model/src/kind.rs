//! What kinds of objects there are, each described once by a Rust struct.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What a kind is for; the dashboard and the reference group kinds by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KindGroup {
    /// Something outside that calls a service.
    Channel,
    /// A connection a service calls.
    Outgoing,
    /// Who may call.
    Security,
    /// When something runs.
    Schedule,
    /// How requests reach servers.
    LoadBalancer,
}

/// The struct that describes a kind: its fields are the object's fields, their docs the documentation, their serde defaults
/// the defaults. Use `#[serde(deny_unknown_fields)]`; use [`Secret`](crate::Secret) for secret fields; mark a field that
/// names another object with `#[schemars(extend("x-tenon-reference" = ["api-key", "basic-auth"]))]` (the kinds that it may
/// name; the field is a string or a list of strings), and one that names a service with
/// `#[schemars(extend("x-tenon-service" = true))]`.
pub trait KindConfig: Serialize + DeserializeOwned + JsonSchema + 'static {
    /// The kind's name, such as `rest-channel`.
    const NAME: &'static str;
    /// What the kind is called in headings, such as `REST channel`.
    const TITLE: &'static str;
    /// What it is for.
    const GROUP: KindGroup;
    /// The only name that an object of this kind can have; none if any name will do.
    const ONLY_NAME: Option<&'static str> = None;

    /// Rules beyond types: ranges, combinations, syntax. Called after the body was read successfully.
    fn check(&self) -> Vec<FieldProblem> {
        Vec::new()
    }
}

/// What is wrong with one field of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
pub struct FieldProblem {
    /// Where: field names and indexes such as `retry.attempts` or `security[0]`; empty for the object as a whole.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FieldProblem {
    /// A problem of one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

/// A kind as data: what the generic parts of Tenon (storage, API, manifests, CLI, dashboard) know of it.
#[derive(Clone)]
pub struct Kind {
    /// The kind's name, such as `rest-channel`.
    pub name: &'static str,
    /// What the kind is called in headings.
    pub title: &'static str,
    /// What it is for.
    pub group: KindGroup,
    /// The only name that an object of this kind can have; none if any name will do.
    pub only_name: Option<&'static str>,
    /// JSON Schema (2020-12) of the body, without the name.
    pub schema: Value,
    /// Fields that hold secrets, as dotted paths; `list[]` stands for each item of a list, `map.*` for each value of a map.
    pub secret_fields: Vec<String>,
    /// Fields that name other objects: dotted path, and the kinds that it may name.
    pub reference_fields: Vec<(String, Vec<String>)>,
    /// Fields that name a service, as dotted paths.
    pub service_fields: Vec<String>,
    normalize: fn(&Value) -> Result<Value, Vec<FieldProblem>>,
}

impl Kind {
    /// The description of the kind whose struct is `T`.
    pub fn of<T: KindConfig>() -> Self {
        let schema = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator()
            .into_root_schema_for::<T>()
            .to_value();
        let mut kind = Self {
            name: T::NAME,
            title: T::TITLE,
            group: T::GROUP,
            only_name: T::ONLY_NAME,
            secret_fields: Vec::new(),
            reference_fields: Vec::new(),
            service_fields: Vec::new(),
            normalize: normalize::<T>,
            schema: Value::Null,
        };
        kind.collect_marks(&schema, "");
        kind.schema = schema;
        kind
    }

    /// Checks a body and fills in the defaults; what comes back has every field.
    pub fn normalize(&self, body: &Value) -> Result<Value, Vec<FieldProblem>> {
        (self.normalize)(body)
    }

    /// Checks a body.
    pub fn check(&self, body: &Value) -> Vec<FieldProblem> {
        self.normalize(body).err().unwrap_or_default()
    }

    /// What is wrong with the name of an object of this kind.
    pub fn check_name(&self, name: &str) -> Option<FieldProblem> {
        let only = self.only_name.filter(|only| *only != name)?;
        let message = format!(
            "there is one object of the kind {}, and its name is '{only}'",
            self.name
        );
        Some(FieldProblem::new("name", message))
    }

    fn collect_marks(&mut self, schema: &Value, path: &str) {
        if schema.get("x-tenon-secret").is_some() {
            self.secret_fields.push(path.to_owned());
        }
        if schema.get("x-tenon-service").is_some() {
            self.service_fields.push(path.to_owned());
        }
        if let Some(kinds) = schema.get("x-tenon-reference").and_then(Value::as_array) {
            let kinds = kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            self.reference_fields.push((path.to_owned(), kinds));
        }
        for alternative in ["anyOf", "oneOf", "allOf"] {
            for part in schema.get(alternative).and_then(Value::as_array).into_iter().flatten() {
                self.collect_marks(part, path);
            }
        }
        for (name, part) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            self.collect_marks(part, &path);
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

fn normalize<T: KindConfig>(body: &Value) -> Result<Value, Vec<FieldProblem>> {
    let config: T = serde_path_to_error::deserialize(body).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        vec![FieldProblem::new(field, error.into_inner().to_string())]
    })?;
    let problems = config.check();
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::to_value(&config).map_err(|error| vec![FieldProblem::new("", error.to_string())])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::Secret;

    /// A kind for this test.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        /// Where it is.
        url: String,
        password: Option<Secret>,
        #[serde(default)]
        #[schemars(extend("x-tenon-reference" = ["api-key"]))]
        security: Vec<String>,
        #[serde(default = "ten")]
        limit: u32,
    }

    fn ten() -> u32 {
        10
    }

    impl KindConfig for Sample {
        const NAME: &'static str = "sample-outgoing";
        const TITLE: &'static str = "Sample";
        const GROUP: KindGroup = KindGroup::Outgoing;

        fn check(&self) -> Vec<FieldProblem> {
            if self.limit > 100 {
                vec![FieldProblem::new("limit", "at most 100")]
            } else {
                Vec::new()
            }
        }
    }

    #[test]
    fn the_struct_tells_secrets_references_defaults_and_problems() {
        let kind = Kind::of::<Sample>();
        assert_eq!(kind.secret_fields, ["password"]);
        assert_eq!(
            kind.reference_fields,
            [("security".to_owned(), vec!["api-key".to_owned()])]
        );
        assert_eq!(kind.normalize(&json!({"url": "x"})).unwrap()["limit"], 10);
        assert_eq!(
            kind.check(&json!({"url": "x", "limit": 101})),
            [FieldProblem::new("limit", "at most 100")]
        );
        assert_eq!(kind.check(&json!({"url": "x", "limit": "x"}))[0].field, "limit");
        assert!(
            kind.check(&json!({"url": "x", "urll": 1}))[0]
                .message
                .contains("unknown field `urll`")
        );
    }
}
