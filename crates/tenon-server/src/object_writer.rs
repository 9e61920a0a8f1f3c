//! The one way in which objects are changed: by the control API, the command line, the dashboard, `manifests/`.
//!
//! A request is planned against the objects as the store has them, checked against the kinds and each other, and written all or
//! none. Somebody who wrote in between makes the plan stale; then it is made anew, unless the caller named a version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tenon_connectors::{ChannelBinding, Connector};
use tenon_manifest::{ObjectProblem, PlanContext, Planned};
use tenon_model::{Catalog, ObjectKey, Problem, Revision};
use tenon_protocol::control::{ApplyReply, ApplyRequest, Plan};
use tenon_store::{ObjectChange, Store, StoreError};

use crate::membership::wait_for_revision;
use crate::secrets::{Resolver, Secrets};
use crate::services::Services;

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
    pub(crate) async fn plan(&self, request: &ApplyRequest) -> Result<Plan, WriteError> {
        Ok(self.planned(request).await?.plan)
    }

    /// Applies objects, all or none.
    pub(crate) async fn apply(&self, request: &ApplyRequest, actor: &str) -> Result<ApplyReply, WriteError> {
        let mut attempt = 0;
        let (plan, revision) = loop {
            let planned = self.planned(request).await?;
            match self.store.write_objects(planned.changes, actor).await {
                Ok(written) => break (planned.plan, written.revision),
                Err(StoreError::VersionConflict { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error.into()),
            }
        };
        let acknowledged = self.wait(revision, request.wait_ms).await;
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
        let current = self.store.objects().await?.objects;
        if !current.iter().any(|object| object.key() == *key) {
            return Err(StoreError::NotFound(key.to_string()).into());
        }
        let resolver = self.secrets.resolver(&self.store).await?;
        let planned =
            tenon_manifest::plan_delete(self.context(&resolver, None), &current, key).map_err(WriteError::Objects)?;
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
            self.apply(&request, actor).await?;
        } else {
            let planned = self.planned(&request).await?;
            self.store
                .write_objects(with_version(planned.changes, if_version), actor)
                .await?;
        }
        let set = self.store.objects().await?;
        let version = set
            .objects
            .iter()
            .find(|object| object.key() == key)
            .map_or(0, |object| object.version);
        Ok((set.revision, version))
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

    async fn planned(&self, request: &ApplyRequest) -> Result<Planned, WriteError> {
        let current = self.store.objects().await?.objects;
        let resolver = self.secrets.resolver(&self.store).await?;
        let services: BTreeSet<String> = self.services.list().into_iter().map(|service| service.name).collect();
        let context = self.context(&resolver, Some(&services));
        let planned = tenon_manifest::plan(context, &current, request).map_err(WriteError::Objects)?;
        let mut clashes = self.path_clashes(&current, &planned, &resolver);
        clashes.extend(self.name_clashes(&current, &planned));
        if clashes.is_empty() {
            Ok(planned)
        } else {
            Err(WriteError::Objects(clashes))
        }
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
    fn path_clashes(
        &self,
        current: &[tenon_model::Object],
        planned: &Planned,
        resolver: &Resolver,
    ) -> Vec<ObjectProblem> {
        let mut bodies: BTreeMap<ObjectKey, (&serde_json::Value, bool)> = current
            .iter()
            .map(|object| (object.key(), (&object.body, false)))
            .collect();
        for change in &planned.changes {
            match change {
                ObjectChange::Put { key, body, .. } => bodies.insert(key.clone(), (body, true)),
                ObjectChange::Delete { key, .. } => bodies.remove(key),
            };
        }
        let mut taken: BTreeMap<String, ObjectKey> = BTreeMap::new();
        let mut clashes = Vec::new();
        // Unchanged channels take their paths first, so that it is the new one that is told.
        for is_written in [false, true] {
            for (key, (body, _)) in bodies.iter().filter(|(_, (_, written))| *written == is_written) {
                let Some(place) = self.place_of(key, body, resolver) else {
                    continue;
                };
                match taken.get(&place) {
                    None => drop(taken.insert(place, key.clone())),
                    Some(other) if is_written => clashes.push(ObjectProblem {
                        key: key.clone(),
                        field: "path".to_owned(),
                        message: format!("{other} has the same path, method and 'accept'"),
                    }),
                    Some(_) => {}
                }
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
    fn name_clashes(&self, current: &[tenon_model::Object], planned: &Planned) -> Vec<ObjectProblem> {
        let goes = |key: &ObjectKey| {
            planned
                .changes
                .iter()
                .any(|change| matches!(change, ObjectChange::Delete { key: gone, .. } if gone == key))
        };
        let written = planned
            .changes
            .iter()
            .filter(|change| matches!(change, ObjectChange::Put { .. }));
        let mut known: Vec<ObjectKey> = current
            .iter()
            .map(tenon_model::Object::key)
            .filter(|key| !goes(key))
            .collect();
        let mut clashes = Vec::new();
        for key in written.map(ObjectChange::key) {
            let other = known.iter().find(|other| {
                other.name == key.name && other.kind != key.kind && self.share_names(&other.kind, &key.kind)
            });
            if let Some(other) = other {
                clashes.push(ObjectProblem {
                    key: key.clone(),
                    field: String::new(),
                    message: format!("{other} has the same name, and channels name security definitions by name alone"),
                });
            }
            known.push(key.clone());
        }
        clashes
    }

    /// What no other channel may have as well: path, method and media types.
    fn place_of(&self, key: &ObjectKey, body: &serde_json::Value, resolver: &Resolver) -> Option<String> {
        let kind = self.catalog.get(&key.kind)?;
        let resolved = kind.normalize(&resolver.resolve(kind, body).ok()?).ok()?;
        let bound = self
            .connectors
            .iter()
            .find_map(|connector| connector.channel(&key.kind, &key.name, &resolved))?;
        match bound.ok()? {
            ChannelBinding::Off => None,
            ChannelBinding::Http(route) => Some(route.place()),
        }
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
