//! The one way in which objects are changed: by the control API, the command line, the dashboard, `manifests/`.
//!
//! A request is planned against the objects as the store has them, checked against the kinds and each other, and written all or
//! none. Somebody who wrote in between makes the plan stale; then it is made anew, unless the caller named a version.

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tenon_connectors::{ChannelBinding, Connector, HttpRoute};
use tenon_manifest::{ObjectProblem, Objects, PlanContext, Planned};
use tenon_model::{Catalog, Object, ObjectKey, Problem, Revision};
use tenon_protocol::control::{ApplyReply, ApplyRequest, Plan};
use tenon_store::{ObjectChange, ObjectDelta, Store, StoreError};
use tokio::sync::Semaphore;

use crate::aside::aside;
use crate::membership::wait_for_revision;
use crate::secrets::{Resolver, Secrets};
use crate::services::Services;
use crate::snapshot::{Snapshot, SnapshotCell};

/// How often a plan is made anew because somebody wrote in between.
const ATTEMPTS: u32 = 5;
/// The longest time that a write waits for other servers.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Plans and writes changes of objects.
#[derive(Clone)]
pub(crate) struct ObjectWriter {
    /// Where objects are.
    pub(crate) store: Store,
    /// All kinds.
    pub(crate) catalog: Arc<Catalog>,
    /// All technologies, to find channels that would take each other's path.
    pub(crate) connectors: Arc<Vec<Box<dyn Connector>>>,
    /// What references stand for.
    pub(crate) secrets: Secrets,
    /// What is deployed, for warnings.
    pub(crate) services: Services,
    /// The channels in force.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// Whose turn it is to plan: one at a time, so that many requests take neither all cores nor memory for all plans.
    pub(crate) turn: Arc<Semaphore>,
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectWriter")
    }
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Objects are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Objects(Vec<ObjectProblem>),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl WriteError {
    /// The error as the control API tells it.
    pub(crate) fn to_problem(&self, of_store: impl Fn(&StoreError) -> Problem) -> Problem {
        match self {
            WriteError::Store(error) => of_store(error),
            WriteError::Objects(problems) => {
                Problem::new(422, "invalid-objects", "nothing was changed, because objects are wrong")
                    .with_errors(problems.iter().map(ObjectProblem::to_field_problem).collect())
            }
        }
    }
}

impl ObjectWriter {
    /// What applying would change.
    pub(crate) async fn plan(&self, request: ApplyRequest) -> Result<Plan, WriteError> {
        Ok(self.planned(&Arc::new(request)).await?.plan)
    }

    /// Applies objects, all or none.
    pub(crate) async fn apply(&self, request: ApplyRequest, actor: &str) -> Result<ApplyReply, WriteError> {
        let request = Arc::new(request);
        let mut attempt = 0;
        let (plan, written) = loop {
            let planned = self.planned(&request).await?;
            match self.store.write_objects(planned.changes, actor).await {
                Ok(written) => break (planned.plan, written),
                Err(StoreError::VersionConflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let (revision, wait_ms) = (written.revision, request.wait_ms);
        // Either can be all objects, which take their time to be dropped.
        aside(move || drop((request, written))).await;
        let acknowledged = self.wait(revision, wait_ms).await;
        Ok(ApplyReply {
            plan,
            revision,
            acknowledged,
        })
    }

    /// Removes an object, on condition that it has this version if one is named.
    pub(crate) async fn delete(
        &self,
        key: &ObjectKey,
        if_version: Option<u64>,
        actor: &str,
    ) -> Result<Revision, WriteError> {
        let wanted = key.clone();
        let planned = self
            .with_current(move |writer, current, resolver| {
                if current.get(&wanted).is_none() {
                    return Err(StoreError::NotFound(wanted.to_string()).into());
                }
                let context = writer.context(resolver, None);
                tenon_manifest::plan_delete(context, current, &wanted).map_err(WriteError::Objects)
            })
            .await?;
        let written = self
            .store
            .write_objects(with_version(planned.changes, if_version), actor)
            .await?;
        Ok(written.revision)
    }

    /// Creates or replaces one object, on condition that it has this version if one is named.
    pub(crate) async fn put(
        &self,
        object: tenon_protocol::control::ManifestObject,
        if_version: Option<u64>,
        actor: &str,
    ) -> Result<(Revision, u64), WriteError> {
        let key = ObjectKey::new(object.kind.clone(), object.name.clone());
        let request = ApplyRequest {
            objects: vec![object],
            ..ApplyRequest::default()
        };
        if if_version.is_none() {
            self.apply(request, actor).await?;
        } else {
            let planned = self.planned(&Arc::new(request)).await?;
            self.store
                .write_objects(with_version(planned.changes, if_version), actor)
                .await?;
        }
        let written = self.store.object(&key).await?;
        Ok(written.map_or((Revision(0), 0), |object| (object.revision, object.version)))
    }

    /// Waits until every live server serves a revision, if the caller wants that.
    pub(crate) async fn wait(&self, revision: Revision, wait_ms: Option<u64>) -> bool {
        match wait_ms {
            Some(wait_ms) => {
                wait_for_revision(&self.store, revision, Duration::from_millis(wait_ms).min(WAIT_MAX)).await
            }
            None => false,
        }
    }

    /// The manifests that own objects now.
    pub(crate) async fn owners(&self) -> Result<BTreeSet<String>, WriteError> {
        let owners = |_: &Self, current: &Current, _: &Resolver| {
            let owners: HashSet<&String> = current.all().filter_map(|object| object.manifest.as_ref()).collect();
            Ok(owners.into_iter().cloned().collect())
        };
        self.with_current(owners).await
    }

    /// Has a look at all objects as the store has them now, beside the runtime: there may be tens of thousands.
    async fn with_current<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Self, &Current, &Resolver) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let known = self.snapshot.load_full();
        let delta = self.store.objects_since(known.revision).await?;
        let all = if delta.complete {
            None
        } else {
            Some(self.store.objects().await?.objects)
        };
        let resolver = self.secrets.resolver(&self.store).await?;
        let writer = self.clone();
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        aside(move || {
            let _turn = turn;
            let current = match all {
                Some(all) => Current::of_all(all),
                None => Current::of_delta(known, delta),
            };
            look(&writer, &current, &resolver)
        })
        .await
    }

    async fn planned(&self, request: &Arc<ApplyRequest>) -> Result<Planned, WriteError> {
        let request = Arc::clone(request);
        let services: BTreeSet<String> = self.services.list().into_iter().map(|service| service.name).collect();
        self.with_current(move |writer, current, resolver| {
            let context = writer.context(resolver, Some(&services));
            let planned = tenon_manifest::plan(context, current, &request).map_err(WriteError::Objects)?;
            let mut clashes = writer.path_clashes(current, &planned, resolver);
            clashes.extend(writer.name_clashes(current, &planned));
            if clashes.is_empty() {
                Ok(planned)
            } else {
                Err(WriteError::Objects(clashes))
            }
        })
        .await
    }

    fn context<'a>(&'a self, resolver: &'a Resolver, services: Option<&'a BTreeSet<String>>) -> PlanContext<'a> {
        PlanContext {
            catalog: &self.catalog,
            sealer: resolver,
            lookup: resolver,
            services,
        }
    }

    /// Channels that are written and would have the path and method of another one.
    ///
    /// The places of those that stay are known to the snapshot, but for the few that it is behind with.
    fn path_clashes(&self, current: &Current, planned: &Planned, resolver: &Resolver) -> Vec<ObjectProblem> {
        let written: HashSet<&ObjectKey> = planned.changes.iter().map(ObjectChange::key).collect();
        let mut added: Vec<(&ObjectKey, HttpRoute)> = Vec::new();
        for change in &planned.changes {
            if let ObjectChange::Put { key, body, .. } = change {
                added.extend(self.route_of(key, body, resolver).map(|route| (key, route)));
            }
        }
        if added.is_empty() {
            return Vec::new();
        }
        let mut taken: HashMap<String, ObjectKey> = HashMap::new();
        for (_, route) in &added {
            let twins = current.known.channels_at(route).into_iter();
            let mut staying = twins.filter(|key| !written.contains(key) && !current.since.contains_key(key));
            taken.extend(staying.next().map(|key| (route.place(), key)));
        }
        for (key, object) in &current.since {
            let object = object.as_ref().filter(|_| !written.contains(key));
            let route = object.and_then(|object| self.route_of(key, &object.body, resolver));
            taken.extend(route.map(|route| (route.place(), key.clone())));
        }
        let mut clashes = Vec::new();
        for (key, route) in added {
            let place = route.place();
            match taken.get(&place) {
                Some(other) => clashes.push(ObjectProblem {
                    key: key.clone(),
                    field: "path".to_owned(),
                    message: format!("{other} has the same path, method and 'accept'"),
                }),
                None => drop(taken.insert(place, key.clone())),
            }
        }
        clashes
    }

    /// Whether there are references that may mean objects of either kind, so that a name alone must say which.
    fn share_names(&self, one: &str, other: &str) -> bool {
        self.catalog.iter().any(|kind| {
            let mut fields = kind.reference_fields.iter();
            fields.any(|(_, kinds)| kinds.iter().any(|kind| kind == one) && kinds.iter().any(|kind| kind == other))
        })
    }

    /// Security definitions that are written and have the name of one of another kind: channels name them by name alone.
    fn name_clashes(&self, current: &Current, planned: &Planned) -> Vec<ObjectProblem> {
        let gone: HashSet<&ObjectKey> = planned
            .changes
            .iter()
            .filter(|change| matches!(change, ObjectChange::Delete { .. }))
            .map(ObjectChange::key)
            .collect();
        let written = planned
            .changes
            .iter()
            .filter(|change| matches!(change, ObjectChange::Put { .. }))
            .map(ObjectChange::key);
        let mut sharing: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut before: HashSet<&ObjectKey> = HashSet::new();
        let mut clashes = Vec::new();
        for key in written {
            let kinds = sharing.entry(&key.kind).or_insert_with(|| {
                let others = self.catalog.iter().filter(|kind| kind.name != key.kind);
                let others = others.filter(|kind| self.share_names(kind.name, &key.kind));
                others.map(|kind| kind.name).collect()
            });
            let other = kinds.iter().find(|kind| {
                let other = ObjectKey::new(**kind, key.name.clone());
                before.contains(&other) || (!gone.contains(&other) && current.get(&other).is_some())
            });
            if let Some(kind) = other {
                clashes.push(ObjectProblem {
                    key: key.clone(),
                    field: String::new(),
                    message: format!(
                        "{kind}/{} has the same name, and channels name security definitions by name alone",
                        key.name
                    ),
                });
            }
            before.insert(key);
        }
        clashes
    }

    /// The route that an object makes, if it is a channel.
    fn route_of(&self, key: &ObjectKey, body: &serde_json::Value, resolver: &Resolver) -> Option<HttpRoute> {
        let kind = self.catalog.get(&key.kind)?;
        let resolved = kind.normalize(&resolver.resolve(kind, body).ok()?).ok()?;
        let bound = self
            .connectors
            .iter()
            .find_map(|connector| connector.channel(&key.kind, &key.name, &resolved))?;
        match bound.ok()? {
            ChannelBinding::Off => None,
            ChannelBinding::Http(route) => Some(*route),
        }
    }
}

/// All objects as the store has them: those that a snapshot has, and what changed since.
struct Current {
    known: Arc<Snapshot>,
    /// None for what was removed.
    since: HashMap<ObjectKey, Option<Object>>,
}

impl Current {
    fn of_delta(known: Arc<Snapshot>, delta: ObjectDelta) -> Self {
        let removed = delta.removed.into_iter().map(|key| (key, None));
        let changed = delta.changed.into_iter().map(|object| (object.key(), Some(object)));
        Self {
            known,
            since: removed.chain(changed).collect(),
        }
    }

    fn of_all(objects: Vec<Object>) -> Self {
        Self {
            known: Arc::new(Snapshot::empty()),
            since: objects.into_iter().map(|object| (object.key(), Some(object))).collect(),
        }
    }
}

impl Objects for Current {
    fn get(&self, key: &ObjectKey) -> Option<&Object> {
        match self.since.get(key) {
            Some(object) => object.as_ref(),
            None => self.known.object(key),
        }
    }

    fn all(&self) -> Box<dyn Iterator<Item = &Object> + '_> {
        let stays = |object: &&Object| self.since.is_empty() || !self.since.contains_key(&object.key());
        let known = self.known.objects().map(|object| &**object).filter(stays);
        Box::new(known.chain(self.since.values().flatten()))
    }
}

/// The changes on the caller's condition instead of the planner's.
fn with_version(changes: Vec<ObjectChange>, version: Option<u64>) -> Vec<ObjectChange> {
    let Some(version) = version else { return changes };
    let conditioned = changes.into_iter().map(|change| match change {
        ObjectChange::Put {
            key, body, manifest, ..
        } => ObjectChange::Put {
            key,
            body,
            manifest,
            if_version: Some(version),
        },
        ObjectChange::Delete { key, .. } => ObjectChange::Delete {
            key,
            if_version: Some(version),
        },
    });
    conditioned.collect()
}
