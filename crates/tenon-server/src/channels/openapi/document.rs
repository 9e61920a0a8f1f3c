//! The document as a whole: paths, parts, how callers show who they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::operation::{Operation, ROOT_TAG, operation_ids, path_of};
use super::schemas::{self, Schemas};
use super::{Contact, Described, OpenApiSettings};
use crate::channels::Route;
use crate::security::Scheme;
use crate::snapshot::Snapshot;

/// How the shape of a pattern ends whose last parameter takes the rest of the path.
const REST: &str = "{*}";

/// The OpenAPI 3.1 document of the channels of a snapshot.
pub(super) fn document(snapshot: &Snapshot, services: &[Described], settings: &OpenApiSettings) -> Value {
    let routes = snapshot.router.iter().filter(|route| route.http.include_in_openapi);
    let schemes_of = |route: &Route| snapshot.schemes(&route.http.security);
    let routes: Vec<(&Route, Vec<Scheme>)> = routes.map(|route| (&**route, schemes_of(route))).collect();
    assemble(&routes, services, settings)
}

/// The document of these channels, each with the ways in which callers show who they are.
pub(super) fn assemble(routes: &[(&Route, Vec<Scheme>)], services: &[Described], settings: &OpenApiSettings) -> Value {
    let services: HashMap<&str, &Described> = services
        .iter()
        .map(|service| (service.summary.name.as_str(), service))
        .collect();
    let mut parts = Schemas::default();
    parts.add("Problem", schemas::problem());
    parts.add("ZatoError", schemas::zato_error());
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemes: BTreeSet<Scheme> = BTreeSet::new();
    // Patterns that differ only in what their parameters are called, or in whether the last one takes the rest of the path,
    // are one path of the document.
    let mut names: HashMap<String, (String, Vec<String>)> = HashMap::new();
    let mut claimed: HashMap<String, Vec<String>> = HashMap::new();
    let mut sorted: Vec<(bool, &(&Route, Vec<Scheme>))> = routes
        .iter()
        .map(|described| (described.0.http.path.shape().ends_with(REST), described))
        .collect();
    sorted.sort_by_key(|(takes_rest, (route, _))| (*takes_rest, route.http.path.as_str(), route.channel()));
    let mut ids = operation_ids();
    for (takes_rest, (route, ways)) in sorted {
        let shape = route.http.path.shape().replace(REST, "{}");
        let (path, params) = names.entry(shape.clone()).or_insert_with(|| path_of(&route.http.path));
        schemes.extend(ways.iter().cloned());
        let operation = Operation {
            route,
            service: services.get(route.http.service.as_str()).copied(),
            params,
            schemes: ways,
        };
        let methods = paths.entry(path.clone()).or_default();
        // What a whole parameter takes does not come to the channel that takes the rest.
        let claimed = if takes_rest {
            let claimed = claimed.entry(shape);
            claimed.or_insert_with(|| methods.keys().cloned().collect()).as_slice()
        } else {
            &[]
        };
        operation.add_to(methods, claimed, &mut parts, &mut ids);
    }
    let security: Map<String, Value> = schemes.iter().map(|scheme| (scheme.name(), scheme.to_json())).collect();
    let paths = json!(paths);
    let mut components = json!({ "schemas": parts.into_map(), "responses": responses() });
    leave_out_unused(&mut components, &paths);
    components["securitySchemes"] = Value::Object(security);
    json!({
        "openapi": "3.1.0",
        "info": info(settings),
        "servers": [{ "url": "/" }],
        "tags": tags(&paths),
        "paths": paths,
        "components": components,
    })
}

fn info(settings: &OpenApiSettings) -> Value {
    let mut info = json!({ "title": settings.title, "version": settings.version });
    if !settings.description.is_empty() {
        info["description"] = json!(settings.description);
    }
    if settings.contact != Contact::default() {
        info["contact"] = json!(settings.contact);
    }
    if !settings.license.name.is_empty() {
        info["license"] = json!(settings.license);
    }
    info
}

/// What operations are grouped by, each once.
fn tags(paths: &Value) -> Vec<Value> {
    let operations = paths.as_object().into_iter().flat_map(Map::values);
    let operations = operations.filter_map(Value::as_object).flat_map(Map::values);
    let tags = operations
        .filter_map(|operation| operation["tags"].as_array())
        .flatten();
    let names: BTreeSet<&str> = tags.filter_map(Value::as_str).collect();
    let described = |name: &str| match name {
        ROOT_TAG => "Paths that begin with a parameter, and the root".to_owned(),
        name => format!("Paths below /{name}"),
    };
    let tags = names.into_iter();
    tags.map(|name| json!({ "name": name, "description": described(name) }))
        .collect()
}

/// Keeps those parts that the paths refer to, or a part that they refer to.
fn leave_out_unused(components: &mut Value, paths: &Value) {
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    references(paths, &mut found);
    while let Some(target) = found.pop() {
        if let Some(part) = target
            .strip_prefix("#/components")
            .and_then(|pointer| components.pointer(pointer))
            && used.insert(target)
        {
            references(part, &mut found);
        }
    }
    for (group, parts) in components.as_object_mut().into_iter().flatten() {
        if let Some(parts) = parts.as_object_mut() {
            parts.retain(|name, _| used.contains(&format!("#/components/{group}/{name}")));
        }
    }
}

/// The targets of all references within a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Answers that are alike for all channels.
fn responses() -> Value {
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": { "application/problem+json": { "schema": schemas::reference("Problem") } },
        })
    };
    let mut responses = Map::new();
    for (name, description) in [
        ("BadRequest", "The request is wrong; `errors` says where"),
        ("Forbidden", "The credentials are valid, but not enough"),
        ("Failed", "What else can go wrong"),
    ] {
        responses.insert(name.to_owned(), problem(description));
    }
    let mut unauthorized = problem("The credentials are missing or wrong");
    unauthorized["headers"] = json!({
        "WWW-Authenticate": { "description": "What is accepted", "schema": { "type": "string" } },
    });
    let mut too_many = problem("Too many requests");
    too_many["headers"] = json!({
        "Retry-After": { "description": "When to try again, in seconds", "schema": { "type": "integer" } },
        "RateLimit": { "description": "How many requests are left", "schema": { "type": "string" } },
        "RateLimit-Policy": { "description": "How many requests there may be", "schema": { "type": "string" } },
    });
    responses.insert("Unauthorized".to_owned(), unauthorized);
    responses.insert("TooManyRequests".to_owned(), too_many);
    Value::Object(responses)
}
