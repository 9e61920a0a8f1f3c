//! The OpenAPI 3.1 document of the control API, made from the endpoints.

use serde_json::{Map, Value, json};

use super::ENDPOINTS;
use super::endpoint::EndpointDescription;

/// The OpenAPI 3.1 document of the control API.
pub fn openapi_document() -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for describe in ENDPOINTS {
        let endpoint = describe();
        let operation = operation(&endpoint, &mut schemas);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation;
    }
    let problem = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
        .into_root_schema_for::<tenon_model::Problem>()
        .to_value();
    hoist(problem, "Problem", &mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tenon control API",
            "version": "1",
            "description": "What the dashboard and the command line do, and everything that they can do.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/api", "description": "Through the dashboard" }],
        "security": [{ "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "session": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(endpoint: &EndpointDescription, schemas: &mut Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": endpoint.id,
        "summary": endpoint.summary,
        "parameters": parameters(endpoint, schemas),
        "responses": {
            "200": { "description": "Done", "content": { "application/json": { "schema": place(&endpoint.reply, schemas) } } },
            "default": {
                "description": "What is wrong",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    match endpoint.access {
        Some(access) => operation["x-tenon-access"] = json!(access),
        None => operation["security"] = json!([]),
    }
    if !is_nothing(&endpoint.body) {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": place(&endpoint.body, schemas) } },
        });
    }
    operation
}

fn parameters(endpoint: &EndpointDescription, schemas: &mut Map<String, Value>) -> Vec<Value> {
    let mut params = endpoint.params.clone();
    hoist_definitions(&mut params, schemas);
    let required: Vec<&str> = params["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = params["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, schema)| {
            let in_path = endpoint.path.contains(&format!("{{{name}}}"));
            let mut schema = schema.clone();
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({
                "name": name,
                "in": if in_path { "path" } else { "query" },
                "required": in_path || required.contains(&name.as_str()),
                "description": description,
                "schema": schema,
            })
        })
        .collect()
}

fn is_nothing(schema: &Value) -> bool {
    schema["title"] == "Nothing"
}

/// Moves a root schema into the components and returns a reference to it.
fn place(schema: &Value, schemas: &mut Map<String, Value>) -> Value {
    match schema["title"].as_str() {
        Some(title) => {
            let title = title.to_owned();
            hoist(schema.clone(), &title, schemas);
            json!({ "$ref": format!("#/components/schemas/{title}") })
        }
        None => schema.clone(),
    }
}

fn hoist(mut schema: Value, name: &str, schemas: &mut Map<String, Value>) {
    hoist_definitions(&mut schema, schemas);
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
        schema.remove("title");
    }
    schemas.entry(name.to_owned()).or_insert(schema);
}

fn hoist_definitions(schema: &mut Value, schemas: &mut Map<String, Value>) {
    let found = ["components", "$defs"]
        .iter()
        .find_map(|key| schema.as_object_mut()?.remove(*key));
    let definitions = match found {
        Some(Value::Object(mut map)) => match map.remove("schemas") {
            Some(Value::Object(inner)) => inner,
            _ => map,
        },
        _ => return,
    };
    for (name, definition) in definitions {
        schemas.entry(name).or_insert(definition);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists_of_different_things_are_different_schemas() {
        let document = openapi_document();
        for (path, item) in [("/v1/services", "ServiceSummary"), ("/v1/jobs", "JobSummary")] {
            let reply = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
            let pointer = reply["$ref"].as_str().unwrap().trim_start_matches('#');
            let items = &document.pointer(pointer).unwrap()["properties"]["items"]["items"];
            assert_eq!(items["$ref"], format!("#/components/schemas/{item}"), "{path}");
        }
    }

    #[test]
    fn every_operation_is_named_once_and_every_reference_resolves() {
        let document = openapi_document();
        let ids: Vec<&str> = ENDPOINTS.iter().map(|describe| describe().id).collect();
        assert_eq!(
            ids.iter().collect::<BTreeSet<_>>().len(),
            ids.len(),
            "operation ids repeat"
        );
        let text = document.to_string();
        for part in text.split("\"$ref\":\"").skip(1) {
            let reference = part.split('"').next().unwrap();
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
        }
    }
}
