//! `tenon get`, `describe` and `delete`, and `tenon outgoing`.

use clap::{Args, Subcommand};
use serde_json::Value;
use tenon_model::{Kind, KindGroup, Object, ObjectName};
use tenon_protocol::control::{
    DeleteObject, GetObject, ListObjects, ManifestObject, Nothing, ObjectPath, ObjectsQuery, Page, PingOutgoing,
    WriteParams,
};

use super::Global;
use super::control::{Cluster, WAIT_MS};
use super::output::or_dash;
use crate::catalog::catalog;
use crate::failure::fail;

/// Lists kinds, objects of a kind, or one object.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The kind; without it, all kinds
    kind: Option<String>,
    /// The object's name; without it, all of the kind
    name: Option<ObjectName>,
}

/// Shows an object with everything that is known of it, or what the fields of a kind mean.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// The kind
    kind: String,
    /// The object's name; without it, the kind itself
    name: Option<ObjectName>,
}

/// Deletes an object.
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The kind
    kind: String,
    /// The object's name
    name: ObjectName,
}

/// Lists and tries outgoing connections.
#[derive(Debug, Subcommand)]
pub(super) enum Outgoing {
    /// List outgoing connections
    List,
    /// Try an outgoing connection
    Ping {
        /// Its name, or KIND/NAME if several kinds have one of that name
        name: String,
    },
}

impl Get {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let Some(kind) = &self.kind else {
            return show_kinds(global);
        };
        let kind = known_kind(kind)?;
        let cluster = Cluster::of(global)?;
        let Some(name) = &self.name else {
            let page = all_objects(&cluster, Some(kind.name))?;
            return global
                .output()
                .show(&page, &["name", "version", "updated", "manifest"], |page| {
                    page.items.iter().map(row).collect()
                });
        };
        let object = get(&cluster, kind.name, name)?;
        let output = global.output();
        if output.is_json() {
            output.json(&object)
        } else {
            output.text(&yaml(object))
        }
    }
}

/// The kind of this name; an error that lists all of them if there is none.
fn known_kind(name: &str) -> anyhow::Result<Kind> {
    let catalog = catalog();
    match catalog.get(name) {
        Some(kind) => Ok(kind.clone()),
        None => fail!(
            NotFound,
            format!("'{name}' is not a kind"),
            format!("there are {}", catalog.names().join(", "))
        ),
    }
}

fn show_kinds(global: &Global) -> anyhow::Result<()> {
    let catalog = catalog();
    let kinds: Vec<Value> = catalog
        .iter()
        .map(|kind| serde_json::json!({ "name": kind.name, "title": kind.title, "group": kind.group }))
        .collect();
    global.output().show(&kinds, &["kind", "title"], |_| {
        catalog
            .iter()
            .map(|kind| vec![kind.name.to_owned(), kind.title.to_owned()])
            .collect()
    })
}

fn all_objects(cluster: &Cluster, kind: Option<&str>) -> anyhow::Result<Page<Object>> {
    let mut all = Page {
        items: Vec::new(),
        next: None,
    };
    loop {
        let query = ObjectsQuery {
            kind: kind.map(str::to_owned),
            after: all.next.take(),
            limit: Some(1000),
        };
        let page = cluster.call::<ListObjects>(&query, &Nothing {})?;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() {
            return Ok(all);
        }
    }
}

fn get(cluster: &Cluster, kind: &str, name: &ObjectName) -> anyhow::Result<Object> {
    let path = ObjectPath {
        kind: kind.to_owned(),
        name: name.clone(),
    };
    cluster.call::<GetObject>(&path, &Nothing {})
}

fn row(object: &Object) -> Vec<String> {
    vec![
        object.name.to_string(),
        object.version.to_string(),
        object.updated_at.to_string(),
        or_dash(object.manifest.as_ref()),
    ]
}

/// The object as a manifest would hold it.
fn yaml(object: Object) -> String {
    let object = ManifestObject {
        kind: object.kind,
        name: object.name,
        body: object.body,
        manifest: object.manifest,
    };
    tenon_manifest::to_yaml(&catalog(), &[object])
}

impl Describe {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let kind = known_kind(&self.kind)?;
        let Some(name) = &self.name else {
            return global
                .output()
                .show(&kind.schema, &["field", "type", "default", "meaning"], |schema| {
                    fields(schema)
                });
        };
        let object = get(&Cluster::of(global)?, kind.name, name)?;
        let output = global.output();
        if output.is_json() {
            return output.json(&object);
        }
        let facts = format!(
            "# {}, version {}, revision {}, written {}, from {}\n",
            kind.title,
            object.version,
            object.revision,
            object.updated_at,
            object
                .manifest
                .as_ref()
                .map_or_else(|| "the API".to_owned(), |manifest| format!("manifests/{manifest}")),
        );
        output.text(&(facts + &yaml(object)))
    }
}

/// What the fields of a kind mean, a row each.
fn fields(schema: &Value) -> Vec<Vec<String>> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, field)| {
            let default = match field.get("default") {
                Some(default) => default.to_string(),
                None if required.contains(&name.as_str()) => "(required)".to_owned(),
                None => "-".to_owned(),
            };
            let meaning = field["description"].as_str().unwrap_or_default().replace('\n', " ");
            vec![name.clone(), type_of(field), default, meaning]
        })
        .collect()
}

fn type_of(field: &Value) -> String {
    match &field["type"] {
        Value::String(one) => one.clone(),
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .filter(|one| *one != "null")
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".to_owned(),
    }
}

impl Delete {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let kind = known_kind(&self.kind)?;
        let params = WriteParams {
            kind: kind.name.to_owned(),
            name: self.name.clone(),
            if_version: None,
            wait_ms: Some(WAIT_MS),
        };
        let reply = Cluster::of(global)?.call::<DeleteObject>(&params, &Nothing {})?;
        let output = global.output();
        if output.is_json() {
            output.json(&reply)
        } else {
            output.text(&format!("Deleted {}/{}", kind.name, self.name))
        }
    }
}

impl Outgoing {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        let mut connections = all_objects(&cluster, None)?;
        let catalog = catalog();
        let is_outgoing = |object: &Object| {
            catalog
                .get(&object.kind)
                .is_some_and(|kind| kind.group == KindGroup::Outgoing)
        };
        connections.items.retain(is_outgoing);
        match self {
            Outgoing::List => global
                .output()
                .show(&connections, &["kind", "name", "updated"], |page| {
                    page.items
                        .iter()
                        .map(|object| {
                            vec![
                                object.kind.clone(),
                                object.name.to_string(),
                                object.updated_at.to_string(),
                            ]
                        })
                        .collect()
                }),
            Outgoing::Ping { name } => ping(global, &cluster, &connections.items, name),
        }
    }
}

fn ping(global: &Global, cluster: &Cluster, connections: &[Object], name: &str) -> anyhow::Result<()> {
    let meant: Vec<&Object> = connections
        .iter()
        .filter(|object| object.name.as_str() == name || object.key().to_string() == name)
        .collect();
    let object = match meant[..] {
        [object] => object,
        [] => fail!(
            NotFound,
            format!("there is no outgoing connection '{name}'"),
            "list them with `tenon outgoing list`"
        ),
        _ => fail!(
            InvalidInput,
            format!("several outgoing connections are called '{name}'"),
            format!(
                "say which: {}",
                meant
                    .iter()
                    .map(|object| object.key().to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        ),
    };
    let path = ObjectPath {
        kind: object.kind.clone(),
        name: object.name.clone(),
    };
    let reply = cluster.call::<PingOutgoing>(&path, &Nothing {})?;
    let output = global.output();
    if output.is_json() {
        output.json(&reply)?;
    } else if reply.ok {
        output.text(&format!(
            "{} answers after {} ms: {}",
            object.key(),
            reply.duration_ms,
            reply.detail
        ))?;
    }
    if !reply.ok {
        fail!(
            Failed,
            format!("{} does not answer: {}", object.key(), reply.detail),
            ""
        );
    }
    Ok(())
}
