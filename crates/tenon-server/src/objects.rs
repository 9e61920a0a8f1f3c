//! Keeps the snapshot at the store's newest revision.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tenon_model::{Object, ObjectKey, Revision};
use tenon_store::{Event, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::secrets::Secrets;
use crate::snapshot::{SnapshotBuilder, SnapshotCell};

/// How often is looked for changes that no event told of.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Follows the objects and secrets of the store.
#[derive(Debug)]
pub(crate) struct ObjectFollower {
    /// Where they are.
    pub(crate) store: Store,
    /// How they become a snapshot.
    pub(crate) builder: SnapshotBuilder,
    /// Where the snapshot goes.
    pub(crate) cell: Arc<SnapshotCell>,
    /// What their references stand for.
    pub(crate) secrets: Secrets,
    /// The revision in force, for those who wait for it; none before the first.
    pub(crate) revision: watch::Sender<Option<Revision>>,
}

impl ObjectFollower {
    /// Loads everything, then follows until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut events = self.store.events();
        let mut objects = BTreeMap::new();
        let mut next = Load::Everything;
        loop {
            match self.refresh(&mut objects, next).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot read the objects; trying again");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(RETRY_AFTER) => continue,
                    }
                }
            }
            next = loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => break Load::Changes { rebuild: false },
                    event = events.recv() => match event {
                        Some(Event::Objects(_)) => break Load::Changes { rebuild: false },
                        Some(Event::Secrets) => break Load::Changes { rebuild: true },
                        Some(Event::Reconnected) => break Load::Everything,
                        Some(_) => {}
                        None => return,
                    },
                }
            };
        }
    }

    async fn refresh(&self, objects: &mut BTreeMap<ObjectKey, Arc<Object>>, load: Load) -> Result<(), StoreError> {
        let known = self.cell.load().revision;
        let mut rebuild = self.revision.borrow().is_none();
        let revision = match load {
            Load::Changes { rebuild: forced } => {
                let delta = self.store.objects_since(known).await?;
                if delta.complete {
                    rebuild |= forced || delta.revision != known;
                    for object in delta.changed {
                        objects.insert(object.key(), Arc::new(object));
                    }
                    for key in delta.removed {
                        objects.remove(&key);
                    }
                    delta.revision
                } else {
                    rebuild = true;
                    self.load_everything(objects).await?
                }
            }
            Load::Everything => {
                rebuild = true;
                self.load_everything(objects).await?
            }
        };
        if rebuild {
            let resolver = self.secrets.resolver(&self.store).await?;
            let previous = self.cell.load_full();
            let snapshot = self.builder.build(revision, objects.clone(), &resolver, &previous);
            self.cell.swap(snapshot).await;
        }
        self.revision.send_replace(Some(revision));
        Ok(())
    }

    async fn load_everything(&self, objects: &mut BTreeMap<ObjectKey, Arc<Object>>) -> Result<Revision, StoreError> {
        let set = self.store.objects().await?;
        *objects = set
            .objects
            .into_iter()
            .map(|object| (object.key(), Arc::new(object)))
            .collect();
        Ok(set.revision)
    }
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Everything,
    Changes { rebuild: bool },
}
