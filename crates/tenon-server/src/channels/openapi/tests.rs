//! Documents of channels: structure, and that every reference leads somewhere.

use std::collections::HashSet;

use serde_json::{Value, json};
use tenon_connectors::{DataFormat, Deprecation, HttpRoute};
use tenon_model::{ObjectKey, ObjectName};
use tenon_protocol::control::ServiceSummary;

use super::document::assemble;
use super::{Described, OpenApiSettings, page};
use crate::channels::Route;
use crate::security::{Gate, Scheme};

fn route(channel: &str, method: Option<http::Method>, path: &str, service: &str) -> Route {
    Route {
        key: ObjectKey::new("rest-channel", channel.parse::<ObjectName>().unwrap()),
        http: HttpRoute {
            method,
            ..HttpRoute::new(path.parse().unwrap(), service)
        },
        gate: Gate::open(),
        serial: 0,
    }
}

fn service(name: &str, doc: &str, input: Option<&Value>, output: Option<&Value>) -> Described {
    let summary: ServiceSummary = serde_json::from_value(json!({
        "name": name, "file": "a.py", "doc": doc, "group": "default", "deployment": 1, "input": input, "output": output,
    }))
    .unwrap();
    Described { summary, methods: None }
}

fn made(routes: &[(Route, Vec<Scheme>)], services: &[Described]) -> Value {
    let routes: Vec<(&Route, Vec<Scheme>)> = routes.iter().map(|(route, ways)| (route, ways.clone())).collect();
    let document = assemble(&routes, services, &OpenApiSettings::default());
    check(&document);
    document
}

/// What the standard asks of every document, as far as ours could break it.
fn check(document: &Value) {
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let mut ids = HashSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        assert!(path.starts_with('/') && !path.contains('*'), "{path}");
        let names: HashSet<&str> = path
            .split('{')
            .skip(1)
            .map(|part| part.split('}').next().unwrap())
            .collect();
        for operation in operations.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{operation}");
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            assert!(!operation["description"].as_str().unwrap().is_empty());
            let is_its = |tag: &&Value| tag["name"] == operation["tags"][0];
            let tag = document["tags"].as_array().unwrap().iter().find(is_its);
            assert!(!tag.unwrap()["description"].as_str().unwrap().is_empty());
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            assert!(in_path.clone().all(|parameter| parameter["required"] == true));
            let declared: HashSet<&str> = in_path.map(|parameter| parameter["name"].as_str().unwrap()).collect();
            assert_eq!(declared, names, "{path}");
            let all: HashSet<(String, String)> = parameters
                .iter()
                .map(|parameter| (parameter["in"].to_string(), parameter["name"].to_string()))
                .collect();
            assert_eq!(all.len(), parameters.len(), "parameters of {path} repeat");
            for way in operation["security"].as_array().unwrap() {
                for name in way.as_object().unwrap().keys() {
                    assert!(document["components"]["securitySchemes"][name].is_object(), "{name}");
                }
            }
            assert!(
                operation["responses"]
                    .as_object()
                    .unwrap()
                    .values()
                    .all(Value::is_object)
            );
        }
    }
    check_references(document, document);
    let text = document.to_string();
    for group in ["schemas", "responses"] {
        for name in document["components"][group].as_object().unwrap().keys() {
            assert!(
                text.contains(&format!("\"#/components/{group}/{name}\"")),
                "{name} is not used"
            );
        }
    }
}

fn check_references(part: &Value, document: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref") {
                let pointer = target.as_str().unwrap().strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
            }
            fields.values().for_each(|value| check_references(value, document));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(item, document)),
        _ => {}
    }
}

#[test]
fn channels_become_operations_with_the_models_of_their_services() {
    let input = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "id": { "type": "integer" }, "name": { "$ref": "#/$defs/Name" }, "lost": { "$ref": "other.json" } },
        "required": ["id", "name"],
        "$defs": { "Name": { "type": "object", "properties": { "first": { "$ref": "#/$defs/Part" } } }, "Part": { "type": "string" } },
    });
    let output = json!({ "type": "object", "properties": { "ok": { "type": "boolean" } } });
    let services = [service(
        "users.set",
        "Sets a user.\n\nAll of it.",
        Some(&input),
        Some(&output),
    )];
    let set = route("set-user", Some(http::Method::PUT), "/users/{id}", "users.set");
    let mut find = route("find-user", Some(http::Method::GET), "/users/{key}", "users.set");
    find.http.rate_limit = Some("limit".to_owned());
    find.http.deprecated = Some(Deprecation {
        since: None,
        sunset: Some(1_800_000_000),
        successor: Some("/v2/users".to_owned()),
    });
    let document = made(
        &[(set, vec![Scheme::Basic, Scheme::Bearer]), (find, Vec::new())],
        &services,
    );
    // Both patterns take the same paths, so they are one.
    let path = &document["paths"]["/users/{id}"];
    let put = &path["put"];
    assert_eq!(
        (&put["operationId"], &put["summary"]),
        (&json!("set-user"), &json!("Sets a user."))
    );
    assert_eq!(put["description"], "All of it.");
    let body = &put["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(
        body["required"],
        json!(["name"]),
        "what is in the path is not in the body"
    );
    assert_eq!(
        body["properties"]["name"]["$ref"],
        "#/components/schemas/users.set.input.Name"
    );
    assert_eq!(body["properties"]["lost"], json!({}));
    assert_eq!(put["parameters"][0]["schema"]["type"], "integer");
    assert_eq!(put["security"], json!([{ "basic": [] }, { "bearer": [] }]));
    assert_eq!(put["responses"]["401"]["$ref"], "#/components/responses/Unauthorized");
    let ok = &put["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(ok["properties"]["ok"]["type"], "boolean");
    let get = &path["get"];
    assert_eq!(get["deprecated"], true);
    let told = "All of it.\n\nStops working on 2027-01-15. Use /v2/users instead.";
    assert_eq!(get["description"], told);
    assert!(get["responses"]["429"].is_object() && get["responses"]["401"].is_null());
    let query: Vec<&str> = get["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        query,
        ["id", "id", "name", "lost"],
        "one in the path, three in the query string"
    );
}

#[test]
fn channels_of_services_that_say_nothing_take_anything() {
    let any = route("any thing", None, "/any/{rest*}", "not.deployed");
    let mut raw = route("raw", Some(http::Method::POST), "/raw", "raw");
    raw.http.data_format = DataFormat::Raw;
    let twin = route("any-thing", Some(http::Method::POST), "/twin", "raw");
    let key = Scheme::Header("X-API-Key".to_owned());
    let document = made(&[(any, vec![key.clone()]), (raw, vec![key]), (twin, Vec::new())], &[]);
    let operations = document["paths"]["/any/{rest}"].as_object().unwrap();
    assert_eq!(operations.keys().collect::<Vec<_>>(), ["get", "post"]);
    assert_eq!(operations["post"]["operationId"], "any-thing.post");
    assert_eq!(
        operations["post"]["requestBody"]["content"]["application/json"]["schema"],
        json!({})
    );
    let raw = &document["paths"]["/raw"]["post"];
    assert!(raw["requestBody"]["content"]["application/octet-stream"].is_object());
    assert_eq!(raw["description"], "Input and output are bytes of any kind.");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(
        schemes["header-X-API-Key"],
        json!({ "type": "apiKey", "in": "header", "name": "X-API-Key" })
    );
    assert_eq!(schemes.len(), 1);
    made(&[], &[]);
    let mut verbs = service("verbs", "", None, None);
    verbs.methods = Some(vec!["PUT".to_owned(), "DELETE".to_owned()]);
    let document = made(&[(route("verbs", None, "/verbs", "verbs"), Vec::new())], &[verbs]);
    let operations = document["paths"]["/verbs"].as_object().unwrap();
    assert_eq!(operations.keys().collect::<Vec<_>>(), ["put", "delete"]);
}

/// OpenAPI has no two paths that differ in the name of a parameter only, and no parameter that takes slashes.
#[test]
fn a_channel_for_the_rest_of_a_path_is_told_with_the_one_for_a_segment() {
    let document = made(
        &[
            (route("all", None, "/users/{all*}", "none"), Vec::new()),
            (route("one", Some(http::Method::GET), "/users/{id}", "none"), Vec::new()),
        ],
        &[],
    );
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.keys().collect::<Vec<_>>(), ["/users/{id}"]);
    let path = &paths["/users/{id}"];
    assert_eq!(path["get"]["operationId"], "one");
    assert_eq!(path["post"]["operationId"], "all.post");
    assert_eq!(path["post"]["parameters"][0]["name"], "id");
}

#[test]
fn operations_are_grouped_by_the_first_segment_of_their_path() {
    let paths = ["/users/{id}", "/users", "/{any}"];
    let routes = paths.map(|path| (route(&format!("c{}", path.len()), None, path, "none"), Vec::new()));
    let document = made(&routes, &[]);
    assert_eq!(document["paths"]["/users/{id}"]["get"]["tags"], json!(["users"]));
    let root = json!({ "name": "root", "description": "Paths that begin with a parameter, and the root" });
    let users = json!({ "name": "users", "description": "Paths below /users" });
    assert_eq!(document["tags"], json!([root, users]));
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let html = String::from_utf8(page::html().to_vec()).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("innerHTML"));
    let policy = page::content_security_policy();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
    assert!(!policy.contains("unsafe"));
}
