//! One channel as operations of the document: parameters, bodies, answers.

use std::collections::HashSet;

use http::Method;
use serde_json::{Map, Value, json};
use tenon_connectors::{DataFormat, Deprecation, ErrorFormat, PathPattern};
use tenon_model::Timestamp;

use super::Described;
use super::schemas::{Schemas, plain_name, reference};
use crate::channels::Route;
use crate::security::Scheme;

/// Names of operations that are taken.
pub(super) type OperationIds = HashSet<String>;

/// What operations are listed under whose path has no first segment of its own.
pub(super) const ROOT_TAG: &str = "root";

/// No names yet.
pub(super) fn operation_ids() -> OperationIds {
    HashSet::new()
}

/// A path as the document has it, and the names of its parameters.
pub(super) fn path_of(pattern: &PathPattern) -> (String, Vec<String>) {
    let path = pattern.as_str().replace("*}", "}");
    (path, pattern.params().map(str::to_owned).collect())
}

/// A channel with all that is to be said of it.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    pub(super) route: &'a Route,
    /// What the service says of itself; none if it is not deployed.
    pub(super) service: Option<&'a Described>,
    /// The names of the path's parameters in the document.
    pub(super) params: &'a [String],
    pub(super) schemes: &'a [Scheme],
}

impl Operation<'_> {
    /// Adds an operation for each method that the channel takes, but for those `claimed`. One that is there already has the same path and method and
    /// differs in what it answers with: its answers are told together.
    pub(super) fn add_to(
        &self,
        methods: &mut Map<String, Value>,
        claimed: &[String],
        parts: &mut Schemas,
        ids: &mut OperationIds,
    ) {
        for method in self.methods() {
            let name = method.as_str().to_ascii_lowercase();
            if claimed.contains(&name) {
                continue;
            }
            let made = self.describe(&method, parts, ids);
            match methods.get_mut(&name) {
                None => drop(methods.insert(name, made)),
                Some(known) => {
                    let content = &made["responses"]["200"]["content"];
                    for (media_type, content) in content.as_object().into_iter().flatten() {
                        known["responses"]["200"]["content"][media_type] = content.clone();
                    }
                }
            }
        }
    }

    /// The channel's method; of one that takes any, those that its service has handlers for, or else those that people use:
    /// with and without a body.
    fn methods(&self) -> Vec<Method> {
        match &self.route.http.method {
            // OpenAPI 3.1 has no place for others.
            Some(method) if *method == Method::CONNECT => Vec::new(),
            Some(method) => vec![method.clone()],
            None => {
                let own = self.service.and_then(|service| service.methods.as_ref());
                let own = own.into_iter().flatten().filter_map(|method| method.parse().ok());
                let own: Vec<Method> = own.collect();
                if own.is_empty() {
                    vec![Method::GET, Method::POST]
                } else {
                    own
                }
            }
        }
    }

    fn describe(&self, method: &Method, parts: &mut Schemas, ids: &mut OperationIds) -> Value {
        let http = &self.route.http;
        let (summary, description) = self.texts();
        let mut operation = json!({
            "operationId": self.id(method, ids), "tags": [self.tag()], "summary": summary, "description": description,
        });
        let fields = operation.as_object_mut().into_iter();
        for fields in fields {
            if http.deprecated.is_some() {
                fields.insert("deprecated".to_owned(), json!(true));
            }
            let input = self.service.and_then(|service| service.summary.input.as_ref());
            let input = input.map(|schema| parts.adopt(&format!("{}.input", http.service), schema));
            let parameters = self.parameters(method, input.as_ref());
            if !parameters.is_empty() {
                fields.insert("parameters".to_owned(), json!(parameters));
            }
            if has_body(method) {
                fields.insert("requestBody".to_owned(), self.body(input));
            }
            fields.insert("responses".to_owned(), self.responses(parts));
            let security: Vec<Value> = self.schemes.iter().map(|scheme| json!({ scheme.name(): [] })).collect();
            fields.insert("security".to_owned(), json!(security));
        }
        operation
    }

    /// A name that no other operation has.
    fn id(&self, method: &Method, ids: &mut OperationIds) -> String {
        let channel = plain_name(self.route.channel());
        let name = match self.route.http.method {
            Some(_) => channel,
            None => format!("{channel}.{}", method.as_str().to_ascii_lowercase()),
        };
        let mut id = name.clone();
        let mut number = 2;
        while !ids.insert(id.clone()) {
            id = format!("{name}-{number}");
            number += 1;
        }
        id
    }

    /// What the operation is listed under: the path's first segment, which is what people group paths by.
    fn tag(&self) -> String {
        let first = self.route.http.path.as_str().split('/').nth(1).unwrap_or_default();
        if first.is_empty() || first.contains('{') {
            ROOT_TAG.to_owned()
        } else {
            first.to_owned()
        }
    }

    /// The first line of the service's documentation, and the rest; of one that says no more, what it takes and gives.
    fn texts(&self) -> (String, String) {
        let doc = self
            .service
            .map(|service| service.summary.doc.trim())
            .unwrap_or_default();
        let (first, rest) = doc.split_once('\n').unwrap_or((doc, ""));
        let summary = if first.trim().is_empty() {
            self.route.channel()
        } else {
            first.trim()
        };
        let mut description = rest.trim().to_owned();
        if description.is_empty() {
            description.push_str(match self.route.http.data_format {
                DataFormat::Json => "Input and output are JSON.",
                DataFormat::Form => "Input is a form, output is JSON.",
                DataFormat::Csv => "Input and output are CSV.",
                DataFormat::Xml => "Input and output are XML.",
                DataFormat::Raw => "Input and output are bytes of any kind.",
            });
        }
        let told = self.route.http.deprecated.as_ref().map(deprecation).unwrap_or_default();
        if !told.is_empty() {
            description = format!("{description}\n\n{told}");
        }
        (summary.to_owned(), description)
    }

    fn parameters(&self, method: &Method, input: Option<&Value>) -> Vec<Value> {
        let http = &self.route.http;
        let property = |name: &str| {
            let known = input.and_then(|input| input["properties"].get(name));
            known.filter(|_| http.merge_params).cloned()
        };
        let own: Vec<&str> = http.path.params().collect();
        let mut parameters: Vec<Value> = Vec::new();
        for (shown, name) in self.params.iter().zip(&own) {
            let mut parameter = json!({
                "name": shown, "in": "path", "required": true,
                "schema": property(name).unwrap_or_else(|| json!({ "type": "string" })),
            });
            if http.path.as_str().contains(&format!("{{{name}*}}")) {
                parameter["description"] = json!("Takes the rest of the path, with its slashes.");
            }
            parameters.push(parameter);
        }
        if !has_body(method) && http.merge_params {
            let properties = input.and_then(|input| input["properties"].as_object());
            for (name, schema) in properties.into_iter().flatten() {
                if !own.contains(&name.as_str()) {
                    let required = input.is_some_and(|input| is_required(input, name));
                    parameters.push(json!({ "name": name, "in": "query", "required": required, "schema": schema }));
                }
            }
        }
        if http.idempotency_ttl.is_some() && has_body(method) {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string" },
                "description": "A request that is repeated with the same key gets the first answer again.",
            }));
        }
        parameters
    }

    fn body(&self, input: Option<Value>) -> Value {
        let http = &self.route.http;
        let mut schema = input.unwrap_or_else(|| json!({}));
        if http.merge_params {
            let own: Vec<&str> = http.path.params().collect();
            leave_out(&mut schema, &own);
        }
        let required = schema["required"].as_array().is_some_and(|names| !names.is_empty());
        let media_type = if http.stream {
            "application/octet-stream"
        } else {
            media_type(http.data_format)
        };
        json!({ "required": required, "content": { media_type: { "schema": schema } } })
    }

    fn responses(&self, parts: &mut Schemas) -> Value {
        let http = &self.route.http;
        let output = self.service.and_then(|service| service.summary.output.as_ref());
        let schema = output.map_or_else(
            || json!({}),
            |schema| parts.adopt(&format!("{}.output", http.service), schema),
        );
        let format = media_type(http.data_format);
        let default = if http.data_format == DataFormat::Form {
            "application/json"
        } else {
            format
        };
        let content_type = http.content_type.as_deref().unwrap_or(default);
        let media_type = content_type.split(';').next().unwrap_or(content_type).trim();
        let mut responses = json!({
            "200": { "description": "What the service answers", "content": { media_type: { "schema": schema } } },
        });
        let mut shared = vec![("400", "BadRequest"), ("default", "Failed")];
        if !self.schemes.is_empty() {
            shared.extend([("401", "Unauthorized"), ("403", "Forbidden")]);
        }
        if http.rate_limit.is_some() {
            shared.push(("429", "TooManyRequests"));
        }
        for (status, name) in shared {
            responses[status] = match http.errors {
                ErrorFormat::Problem => json!({ "$ref": format!("#/components/responses/{name}") }),
                ErrorFormat::Zato => json!({
                    "description": "What went wrong",
                    "content": { "application/json": { "schema": reference("ZatoError") } },
                }),
            };
        }
        responses
    }
}

/// Methods whose requests have a body.
fn has_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

const fn media_type(format: DataFormat) -> &'static str {
    match format {
        DataFormat::Json => "application/json",
        DataFormat::Form => "application/x-www-form-urlencoded",
        DataFormat::Csv => "text/csv",
        DataFormat::Xml => "application/xml",
        DataFormat::Raw => "application/octet-stream",
    }
}

fn is_required(schema: &Value, name: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|names| names.iter().any(|known| known == name))
}

/// Takes properties out of a schema that come another way.
fn leave_out(schema: &mut Value, names: &[&str]) {
    if names.is_empty() {
        return;
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !names.contains(&name.as_str()));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !names.contains(&name)));
    }
    let is_empty = |field: &Value| field.as_array().is_some_and(Vec::is_empty);
    if schema.get("required").is_some_and(is_empty)
        && let Some(fields) = schema.as_object_mut()
    {
        fields.remove("required");
    }
}

fn deprecation(deprecated: &Deprecation) -> String {
    let mut told = Vec::new();
    if let Some(sunset) = deprecated.sunset {
        let instant = Timestamp::from_millis(sunset.saturating_mul(1000)).to_string();
        let day = instant.split('T').next().unwrap_or_default();
        told.push(format!("Stops working on {day}."));
    }
    if let Some(successor) = &deprecated.successor {
        told.push(format!("Use {successor} instead."));
    }
    told.join(" ")
}
