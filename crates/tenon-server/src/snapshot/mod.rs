//! What a server knows of all objects: immutable, versioned, swapped whole.
//!
//! A new snapshot is built from what changed and from the one before. It shares with that one all that did not change: objects,
//! routes with what they remember, outgoing connections with their pools.

mod build;
mod objects;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard as Loaded};
use serde_json::Value;
use tenon_connectors::{HttpRoute, Outgoing};
use tenon_model::{FieldProblem, Object, ObjectKey, Revision};

pub(crate) use self::build::{ObjectChanges, SnapshotBuilder};
use self::objects::ObjectMap;
use crate::aside::aside;
use crate::channels::Router;
use crate::security::{Gate, Gates, Scheme};

/// All objects at one revision, and what follows from them.
pub(crate) struct Snapshot {
    /// The revision.
    pub(crate) revision: Revision,
    /// Every object as it was written, and the route that it makes.
    objects: ObjectMap,
    /// The routes of all channels.
    pub(crate) router: Router,
    /// Objects that can't be used, and why: a secret that is missing, a path that another channel has.
    pub(crate) problems: Vec<(ObjectKey, FieldProblem)>,
    /// Whom channels let in, and how often; none before there are objects.
    gates: Option<Arc<Gates>>,
    outgoing: Arc<BTreeMap<(String, String), Connection>>,
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
            objects: ObjectMap::default(),
            router: Router::default(),
            problems: Vec::new(),
            gates: None,
            outgoing: Arc::default(),
        }
    }

    /// The outgoing connection of this kind and name, or why there is none.
    pub(crate) fn outgoing(&self, kind: &str, name: &str) -> Result<Arc<dyn Outgoing>, String> {
        match self.outgoing.get(&(kind.to_owned(), name.to_owned())) {
            Some(connection) => connection.live.clone(),
            None => Err(format!("no {kind} is called '{name}'")),
        }
    }

    /// Every object as it was written, by kind and name.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.parts().map(|part| &part.object)
    }

    /// Objects of a kind, by name.
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Arc<Object>> {
        self.objects().filter(move |object| object.kind == kind)
    }

    /// An object as it was written, if it is there.
    pub(crate) fn object(&self, key: &ObjectKey) -> Option<&Object> {
        Some(&self.objects.get(key)?.object)
    }

    /// The channels that take the same requests as this route.
    pub(crate) fn channels_at(&self, route: &HttpRoute) -> Vec<ObjectKey> {
        let twins = self.router.twins(route);
        twins.iter().map(|route| route.key.clone()).collect()
    }

    /// What stands before a path of the platform's own; none before there are objects.
    pub(crate) fn gate(&self, name: &str, security: &[String]) -> Option<Gate> {
        Some(self.gates.as_ref()?.gate(name, security, None))
    }

    /// How callers show who they are whom these definitions let in.
    pub(crate) fn schemes(&self, security: &[String]) -> Vec<Scheme> {
        self.gates
            .as_ref()
            .map(|gates| gates.schemes(security))
            .unwrap_or_default()
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
        for live in given_up(&previous, &next) {
            live.close().await;
        }
        // What it does not share with the next one can be all objects.
        aside(move || drop(previous)).await;
    }
}

/// The outgoing connections that the next snapshot does not take over.
fn given_up(previous: &Snapshot, next: &Snapshot) -> Vec<Arc<dyn Outgoing>> {
    if Arc::ptr_eq(&previous.outgoing, &next.outgoing) {
        return Vec::new();
    }
    let is_kept = |key: &(String, String), connection: &Connection| {
        let other = next.outgoing.get(key);
        other.is_some_and(|other| Arc::ptr_eq(&other.definition, &connection.definition))
    };
    let gone = previous.outgoing.iter().filter(|(key, one)| !is_kept(key, one));
    gone.filter_map(|(_, connection)| connection.live.clone().ok())
        .collect()
}
