//! From objects to a snapshot.
//!
//! When only channels, connections and jobs changed, each changed object takes the place of what it was, and nothing else is
//! looked at. Security definitions, and secrets that objects refer to, are parts of many others: then all is built anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tenon_connectors::{ChannelBinding, Connector, OutgoingContext};
use tenon_model::{Catalog, Clock, FieldProblem, KindConfig, KindGroup, Object, ObjectKey, Random, Revision};

use super::objects::{ObjectMap, Part};
use super::{Connection, Snapshot};
use crate::channels::{Route, Router};
use crate::rate_limits::{Limits, Meters, RateLimitConfig};
use crate::secrets::Resolver;
use crate::security::{Definition, Gates};

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
    /// What tokens are judged by.
    pub(crate) clock: Arc<dyn Clock>,
    /// The counters of rate limits.
    pub(crate) meters: Arc<Meters>,
    /// How many routes were made, so that each has a number of its own.
    pub(crate) routes: AtomicU64,
}

impl fmt::Debug for SnapshotBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotBuilder")
    }
}

/// What is different from the snapshot before.
#[derive(Debug)]
pub(crate) enum ObjectChanges {
    /// These are all objects.
    All(Vec<Object>),
    /// These changed; all others are as they were.
    Some {
        /// As they are now.
        changed: Vec<Object>,
        /// What is there no more.
        removed: Vec<ObjectKey>,
        /// Whether secrets changed, so that an object may mean something else without having changed.
        secrets: bool,
    },
}

impl SnapshotBuilder {
    /// Builds the next snapshot. What can't be used is left out and listed among the problems.
    pub(crate) fn build(
        &self,
        revision: Revision,
        changes: ObjectChanges,
        resolver: &Resolver,
        previous: &Snapshot,
    ) -> Snapshot {
        let mut build = Build {
            builder: self,
            resolver,
            problems: Vec::new(),
            gates: previous.gates.clone(),
            outgoing: Arc::clone(&previous.outgoing),
        };
        let (objects, router) = match changes {
            ObjectChanges::Some {
                changed,
                removed,
                secrets: false,
            } if previous.gates.is_some() && !self.touches_security(&changed, &removed) => {
                build.change(previous, changed, &removed)
            }
            ObjectChanges::Some { changed, removed, .. } => {
                let mut objects: BTreeMap<ObjectKey, Arc<Object>> = previous
                    .objects()
                    .map(|object| (object.key(), Arc::clone(object)))
                    .collect();
                objects.extend(changed.into_iter().map(|object| (object.key(), Arc::new(object))));
                for key in &removed {
                    objects.remove(key);
                }
                build.build(&objects)
            }
            ObjectChanges::All(all) => {
                let objects = all.into_iter().map(|object| (object.key(), Arc::new(object)));
                build.build(&objects.collect())
            }
        };
        let known: HashSet<&ObjectKey> = previous.problems.iter().map(|(key, _)| key).collect();
        for (key, problem) in build.problems.iter().filter(|(key, _)| !known.contains(key)) {
            tracing::warn!(kind = %key.kind, name = %key.name, "the object '{key}' is not used: {problem}");
        }
        Snapshot {
            revision,
            objects,
            router,
            problems: build.problems,
            gates: build.gates,
            outgoing: build.outgoing,
        }
    }

    fn touches_security(&self, changed: &[Object], removed: &[ObjectKey]) -> bool {
        let kinds = changed.iter().map(|object| object.kind.as_str());
        let mut kinds = kinds.chain(removed.iter().map(|key| key.kind.as_str()));
        kinds.any(|kind| {
            self.catalog
                .get(kind)
                .is_some_and(|kind| kind.group == KindGroup::Security)
        })
    }
}

struct Build<'a> {
    builder: &'a SnapshotBuilder,
    resolver: &'a Resolver,
    problems: Vec<(ObjectKey, FieldProblem)>,
    /// What stands before channels; none before the first build.
    gates: Option<Arc<Gates>>,
    /// What the previous snapshot has; what is not of this one goes.
    outgoing: Arc<BTreeMap<(String, String), Connection>>,
}

impl Build<'_> {
    /// Everything anew. Outgoing connections whose definition is the same stay.
    fn build(&mut self, all: &BTreeMap<ObjectKey, Arc<Object>>) -> (ObjectMap, Router) {
        let mut resolved = BTreeMap::new();
        for (key, object) in all {
            if let Some(body) = self.resolve(key, object) {
                resolved.insert(key, body);
            }
        }
        self.gates = Some(Arc::new(self.make_gates(&resolved)));
        let (mut objects, mut router) = (ObjectMap::default(), Router::default());
        let mut outgoing = BTreeMap::new();
        for (key, object) in all {
            let body = resolved.get(key);
            if let Some(connection) = body.and_then(|body| self.connect(key, body)) {
                outgoing.insert(id_of(key), connection);
            }
            let route = body.and_then(|body| self.bind(key, body));
            if let Some(route) = &route {
                router.insert(Arc::clone(route));
            }
            let object = Arc::clone(object);
            objects.insert(key.clone(), Part { object, route });
        }
        self.outgoing = Arc::new(outgoing);
        self.problems
            .extend(router.shadowed().iter().map(|route| shadow(route)));
        (objects, router)
    }

    /// Whom channels let in, and how often.
    fn make_gates(&mut self, resolved: &BTreeMap<&ObjectKey, Value>) -> Gates {
        let (mut definitions, mut limits, mut keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (key, body) in resolved {
            let name = key.name.as_str().to_owned();
            if let Some(definition) = Definition::of(&key.kind, body) {
                keys.insert(name.clone(), *key);
                definitions.insert(name, definition);
            } else if key.kind == RateLimitConfig::NAME
                && let Ok(config) = serde_json::from_value(body.clone())
            {
                limits.insert(name, config);
            }
        }
        let limits = Limits::new(limits, Arc::clone(&self.builder.meters));
        let ca_file = &self.builder.connector_settings.ca_file;
        let (gates, unusable) = Gates::new(definitions, limits, self.gates.as_deref(), ca_file, &self.builder.clock);
        for (name, reason) in unusable {
            if let Some(key) = keys.get(&name) {
                self.problems.push(((*key).clone(), FieldProblem::new("", reason)));
            }
        }
        gates
    }

    /// What changed takes the place of what it was.
    fn change(&mut self, previous: &Snapshot, changed: Vec<Object>, removed: &[ObjectKey]) -> (ObjectMap, Router) {
        let (mut objects, mut router) = (previous.objects.clone(), previous.router.clone());
        let mut problems = previous.problems.clone();
        let mut touched: Vec<Arc<Route>> = Vec::new();
        let mut gone: BTreeSet<ObjectKey> = changed.iter().map(Object::key).collect();
        gone.extend(removed.iter().cloned());
        for key in &gone {
            if let Some(route) = objects.remove(key).and_then(|part| part.route) {
                router.remove(&route);
                touched.push(route);
            }
        }
        problems.retain(|(known, _)| !gone.contains(known));
        // A connection that changed is looked at below, and stays if its definition is the same.
        for id in removed.iter().map(id_of) {
            if self.outgoing.contains_key(&id) {
                Arc::make_mut(&mut self.outgoing).remove(&id);
            }
        }
        for object in changed {
            let key = object.key();
            let body = self.resolve(&key, &object);
            let connection = body.as_ref().and_then(|body| self.connect(&key, body));
            self.replace_connection(&key, connection);
            let route = body.and_then(|body| self.bind(&key, &body));
            if let Some(route) = &route {
                router.insert(Arc::clone(route));
                touched.push(Arc::clone(route));
            }
            let object = Arc::new(object);
            objects.insert(key, Part { object, route });
        }
        let (mut reached, mut shadows) = (HashSet::new(), Vec::new());
        for route in touched {
            for (index, twin) in router.twins(&route.http).into_iter().enumerate() {
                if reached.insert(twin.key.clone()) && index > 0 {
                    shadows.push(shadow(&twin));
                }
            }
        }
        problems.retain(|(key, problem)| problem.field != "path" || !reached.contains(key));
        problems.append(&mut shadows);
        problems.append(&mut self.problems);
        self.problems = problems;
        (objects, router)
    }

    fn replace_connection(&mut self, key: &ObjectKey, connection: Option<Connection>) {
        let id = id_of(key);
        let known = self.outgoing.get(&id);
        match (known, connection) {
            (Some(known), Some(new)) if Arc::ptr_eq(&known.definition, &new.definition) => {}
            (_, Some(new)) => drop(Arc::make_mut(&mut self.outgoing).insert(id, new)),
            (Some(_), None) => drop(Arc::make_mut(&mut self.outgoing).remove(&id)),
            (None, None) => {}
        }
    }

    /// The object's body with secrets plain and defaults filled in.
    fn resolve(&mut self, key: &ObjectKey, object: &Object) -> Option<Value> {
        let resolved = match self.builder.catalog.get(&object.kind) {
            Some(kind) => self
                .resolver
                .resolve(kind, &object.body)
                .and_then(|body| kind.normalize(&body)),
            None => Err(vec![FieldProblem::new(
                "",
                format!("this version knows no kind '{}'", object.kind),
            )]),
        };
        let problems = match resolved {
            Ok(body) => return Some(body),
            Err(problems) => problems,
        };
        self.problems
            .extend(problems.into_iter().map(|problem| (key.clone(), problem)));
        None
    }

    /// The outgoing connection of an object: the one that there is, if its definition is the same.
    fn connect(&mut self, key: &ObjectKey, body: &Value) -> Option<Connection> {
        let definition = (body.clone(), self.credentials_of(key, body));
        if let Some(known) = self.outgoing.get(&id_of(key))
            && *known.definition == definition
            && known.live.is_ok()
        {
            return Some(known.clone());
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
            .find_map(|connector| connector.outgoing(&key.kind, &key.name, body, &context))?;
        let live = made.map_err(|error| error.to_string());
        if let Err(message) = &live {
            self.problems
                .push((key.clone(), FieldProblem::new("", message.clone())));
        }
        Some(Connection {
            definition: Arc::new(definition),
            live,
        })
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
            .filter_map(|name| Some((name.to_owned(), self.gates.as_ref()?.credentials(name)?)));
        known.collect()
    }

    /// The route of an object, if it is a channel.
    fn bind(&mut self, key: &ObjectKey, body: &Value) -> Option<Arc<Route>> {
        let bound = self
            .builder
            .connectors
            .iter()
            .find_map(|connector| connector.channel(&key.kind, &key.name, body))?;
        match bound {
            Ok(ChannelBinding::Off) => None,
            Ok(ChannelBinding::Http(http)) => {
                let gates = self.gates.as_ref()?;
                let gate = gates.gate(key.name.as_str(), &http.security, http.rate_limit.as_deref());
                let key = key.clone();
                let serial = self.builder.routes.fetch_add(1, Ordering::Relaxed);
                Some(Arc::new(Route {
                    key,
                    http: *http,
                    gate,
                    serial,
                }))
            }
            Err(error) => {
                let problem = FieldProblem::new("", error.to_string());
                self.problems.push((key.clone(), problem));
                None
            }
        }
    }
}

fn id_of(key: &ObjectKey) -> (String, String) {
    (key.kind.clone(), key.name.as_str().to_owned())
}

/// The problem of a channel whose place another one has.
fn shadow(route: &Route) -> (ObjectKey, FieldProblem) {
    let message = format!("another channel has the path {} for the same method", route.http.path);
    (route.key.clone(), FieldProblem::new("path", message))
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
