//! What a server knows of all objects: immutable, versioned, swapped whole.
//!
//! A new snapshot is built from the objects and from the one before: outgoing connections whose definition did not change are
//! taken over as they are, with their pools.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard as Loaded};
use serde_json::Value;
use tenon_connectors::{ChannelBinding, Connector, Outgoing, OutgoingContext};
use tenon_model::{Catalog, FieldProblem, Object, ObjectKey, Random, Revision};

use crate::channels::{Route, Router};
use crate::secrets::Resolver;
use crate::security::{Definition, Gate, Guard};

/// All objects at one revision, and what follows from them.
pub(crate) struct Snapshot {
    /// The revision.
    pub(crate) revision: Revision,
    /// Every object as it was written.
    pub(crate) objects: BTreeMap<ObjectKey, Arc<Object>>,
    /// The routes of all channels.
    pub(crate) router: Router,
    /// Objects that can't be used, and why: a secret that is missing, a path that another channel has.
    pub(crate) problems: Vec<(ObjectKey, FieldProblem)>,
    outgoing: BTreeMap<(String, String), Connection>,
}

/// A live outgoing connection, and what it was made of.
#[derive(Clone)]
struct Connection {
    /// The resolved body and credentials; a change of either makes a new connection. Never printed.
    definition: Arc<(Value, BTreeMap<String, tenon_connectors::Credentials>)>,
    live: Result<Arc<dyn Outgoing>, String>,
}

impl Snapshot {
    /// No objects.
    pub(crate) fn empty() -> Self {
        Self {
            revision: Revision(0),
            objects: BTreeMap::new(),
            router: Router::default(),
            problems: Vec::new(),
            outgoing: BTreeMap::new(),
        }
    }

    /// The outgoing connection of this kind and name, or why there is none.
    pub(crate) fn outgoing(&self, kind: &str, name: &str) -> Result<Arc<dyn Outgoing>, String> {
        match self.outgoing.get(&(kind.to_owned(), name.to_owned())) {
            Some(connection) => connection.live.clone(),
            None => Err(format!("no {kind} is called '{name}'")),
        }
    }

    /// Objects of a kind, by name.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .iter()
            .filter(move |(key, _)| key.kind == kind)
            .map(|(_, object)| object)
    }

    /// Channels that call a service, as `METHOD path`, by service.
    pub(crate) fn channels_by_service(&self) -> BTreeMap<String, Vec<String>> {
        let mut channels: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for route in self.router.iter() {
            let method = route.http.method.as_ref().map_or("ANY", http::Method::as_str);
            channels
                .entry(route.http.service.clone())
                .or_default()
                .push(format!("{method} {}", route.http.path));
        }
        channels
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .field("objects", &self.objects.len())
            .finish_non_exhaustive()
    }
}

/// The snapshot in force.
#[derive(Debug)]
pub(crate) struct SnapshotCell(ArcSwap<Snapshot>);

impl Default for SnapshotCell {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Snapshot::empty()))
    }
}

impl SnapshotCell {
    /// The snapshot in force, for a short look.
    pub(crate) fn load(&self) -> Loaded<Arc<Snapshot>> {
        self.0.load()
    }

    /// The snapshot in force, to be kept.
    pub(crate) fn load_full(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts a snapshot into force, and closes the outgoing connections that it does not take over.
    pub(crate) async fn swap(&self, next: Snapshot) {
        let next = Arc::new(next);
        let previous = self.0.swap(Arc::clone(&next));
        for (key, connection) in &previous.outgoing {
            let kept = next
                .outgoing
                .get(key)
                .is_some_and(|other| Arc::ptr_eq(&other.definition, &connection.definition));
            if !kept && let Ok(live) = &connection.live {
                live.close().await;
            }
        }
    }
}

/// What a snapshot is built with.
pub(crate) struct SnapshotBuilder {
    /// All kinds.
    pub(crate) catalog: Arc<Catalog>,
    /// All technologies.
    pub(crate) connectors: Vec<Box<dyn Connector>>,
    /// What connectors share.
    pub(crate) connector_settings: Arc<tenon_connectors::Settings>,
    /// Jitter of retries.
    pub(crate) random: Arc<dyn Random>,
}

impl fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotBuilder")
    }
}

impl SnapshotBuilder {
    /// Builds the snapshot of these objects. What can't be used is left out and listed among the problems.
    pub(crate) fn build(
        &self,
        revision: Revision,
        objects: BTreeMap<ObjectKey, Arc<Object>>,
        resolver: &Resolver,
        previous: &Snapshot,
    ) -> Snapshot {
        let mut build = Build {
            builder: self,
            resolver,
            previous,
            problems: Vec::new(),
            definitions: BTreeMap::new(),
        };
        let resolved = build.resolve_all(&objects);
        build.collect_definitions(&resolved);
        let outgoing = build.make_outgoing(&resolved);
        let router = build.make_router(&resolved);
        let problems = build.problems;
        for (key, problem) in &problems {
            tracing::warn!(kind = %key.kind, name = %key.name, "the object '{key}' is not used: {problem}");
        }
        Snapshot {
            revision,
            objects,
            router,
            problems,
            outgoing,
        }
    }
}

struct Build<'a> {
    builder: &'a SnapshotBuilder,
    resolver: &'a Resolver,
    previous: &'a Snapshot,
    problems: Vec<(ObjectKey, FieldProblem)>,
    definitions: BTreeMap<String, Definition>,
}

impl Build<'_> {
    fn resolve_all(&mut self, objects: &BTreeMap<ObjectKey, Arc<Object>>) -> BTreeMap<ObjectKey, Value> {
        let mut resolved = BTreeMap::new();
        for (key, object) in objects {
            match self.resolve(object) {
                Ok(body) => {
                    resolved.insert(key.clone(), body);
                }
                Err(problems) => self
                    .problems
                    .extend(problems.into_iter().map(|problem| (key.clone(), problem))),
            }
        }
        resolved
    }

    /// The object's body with secrets plain and defaults filled in.
    fn resolve(&self, object: &Object) -> Result<Value, Vec<FieldProblem>> {
        match self.builder.catalog.get(&object.kind) {
            Some(kind) => kind.normalize(&self.resolver.resolve(kind, &object.body)?),
            None => Err(vec![FieldProblem::new(
                "",
                format!("this version knows no kind '{}'", object.kind),
            )]),
        }
    }

    fn collect_definitions(&mut self, resolved: &BTreeMap<ObjectKey, Value>) {
        for (key, body) in resolved {
            if let Some(definition) = Definition::of(&key.kind, body) {
                self.definitions.insert(key.name.as_str().to_owned(), definition);
            }
        }
    }

    fn make_outgoing(&mut self, resolved: &BTreeMap<ObjectKey, Value>) -> BTreeMap<(String, String), Connection> {
        let mut connections = BTreeMap::new();
        for (key, body) in resolved {
            let credentials = self.credentials_of(key, body);
            let id = (key.kind.clone(), key.name.as_str().to_owned());
            let definition = (body.clone(), credentials);
            if let Some(known) = self.previous.outgoing.get(&id)
                && *known.definition == definition
                && known.live.is_ok()
            {
                connections.insert(id, known.clone());
                continue;
            }
            let context = OutgoingContext {
                credentials: definition.1.clone(),
                settings: Arc::clone(&self.builder.connector_settings),
                random: Arc::clone(&self.builder.random),
            };
            let made = self
                .builder
                .connectors
                .iter()
                .find_map(|connector| connector.outgoing(&key.kind, &key.name, body, &context));
            let Some(made) = made else { continue };
            let live = made.map_err(|error| error.to_string());
            if let Err(message) = &live {
                self.problems
                    .push((key.clone(), FieldProblem::new("", message.clone())));
            }
            connections.insert(
                id,
                Connection {
                    definition: Arc::new(definition),
                    live,
                },
            );
        }
        connections
    }

    /// The credentials of the security objects that a body refers to.
    fn credentials_of(&self, key: &ObjectKey, body: &Value) -> BTreeMap<String, tenon_connectors::Credentials> {
        let Some(kind) = self.builder.catalog.get(&key.kind) else {
            return BTreeMap::new();
        };
        let fields = kind.reference_fields.iter().map(|(field, _)| field.as_str());
        let names: BTreeSet<&str> = fields.flat_map(|field| names_in(body, field)).collect();
        let known = names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.definitions.get(name)?.credentials())));
        known.collect()
    }

    fn make_router(&mut self, resolved: &BTreeMap<ObjectKey, Value>) -> Router {
        let mut routes = Vec::new();
        for (key, body) in resolved {
            let bound = self
                .builder
                .connectors
                .iter()
                .find_map(|connector| connector.channel(&key.kind, &key.name, body));
            match bound {
                None | Some(Ok(ChannelBinding::Off)) => {}
                Some(Ok(ChannelBinding::Http(http))) => {
                    let gate = Gate::new(self.guard_of(&http.security));
                    routes.push((
                        key.clone(),
                        Arc::new(Route {
                            channel: key.name.as_str().to_owned(),
                            http,
                            gate,
                        }),
                    ));
                }
                Some(Err(error)) => self
                    .problems
                    .push((key.clone(), FieldProblem::new("", error.to_string()))),
            }
        }
        let (router, shadowed) = Router::build(routes.iter().map(|(_, route)| Arc::clone(route)));
        for route in shadowed {
            if let Some((key, _)) = routes.iter().find(|(_, known)| Arc::ptr_eq(known, &route)) {
                let message = format!("another channel has the path {} for the same method", route.http.path);
                self.problems.push((key.clone(), FieldProblem::new("path", message)));
            }
        }
        router
    }

    /// A channel that refers to definitions none of which can be used lets in nobody.
    fn guard_of(&self, names: &[String]) -> Guard {
        if names.is_empty() {
            return Guard::open();
        }
        let known = names
            .iter()
            .filter_map(|name| Some((name.clone(), self.definitions.get(name)?.clone())));
        Guard::new(known.collect())
    }
}

/// The names in a field that is a text or a list of texts.
fn names_in<'a>(body: &'a Value, field: &str) -> Vec<&'a str> {
    let value = field.split('.').try_fold(body, |value, part| value.get(part));
    match value {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
