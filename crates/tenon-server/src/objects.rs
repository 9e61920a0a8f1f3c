//! Keeps the snapshot at the store's newest revision.

use std::sync::Arc;
use std::time::Duration;

use tenon_model::Revision;
use tenon_store::{Event, Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::aside::aside;
use crate::secrets::Secrets;
use crate::snapshot::{ObjectChanges, SnapshotBuilder, SnapshotCell};

/// How often is looked for changes that no event told of.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Follows the objects and secrets of the store.
#[derive(Debug)]
pub(crate) struct ObjectFollower {
    /// Where they are.
    pub(crate) store: Store,
    /// How they become a snapshot.
    pub(crate) builder: Arc<SnapshotBuilder>,
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
        let mut next = Load::Everything;
        loop {
            match self.refresh(next).await {
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
                    () = tokio::time::sleep(LOOK_EVERY) => break Load::Changes { secrets: false },
                    event = events.recv() => match event {
                        Some(Event::Objects(_)) => break Load::Changes { secrets: false },
                        Some(Event::Secrets) => break Load::Changes { secrets: true },
                        Some(Event::Reconnected) => break Load::Everything,
                        Some(_) => {}
                        None => return,
                    },
                }
            };
        }
    }

    async fn refresh(&self, load: Load) -> Result<(), StoreError> {
        let known = self.cell.load().revision;
        let is_first = self.revision.borrow().is_none();
        let (revision, changes) = match load {
            Load::Changes { secrets } if !is_first => {
                let delta = self.store.objects_since(known).await?;
                if !delta.complete {
                    self.everything().await?
                } else if !secrets && delta.revision == known {
                    return Ok(());
                } else {
                    let changes = ObjectChanges::Some {
                        changed: delta.changed,
                        removed: delta.removed,
                        secrets,
                    };
                    (delta.revision, changes)
                }
            }
            _ => self.everything().await?,
        };
        let resolver = self.secrets.resolver(&self.store).await?;
        let (builder, previous) = (Arc::clone(&self.builder), self.cell.load_full());
        let snapshot = aside(move || builder.build(revision, changes, &resolver, &previous)).await;
        self.cell.swap(snapshot).await;
        self.revision.send_replace(Some(revision));
        Ok(())
    }

    async fn everything(&self) -> Result<(Revision, ObjectChanges), StoreError> {
        let set = self.store.objects().await?;
        Ok((set.revision, ObjectChanges::All(set.objects)))
    }
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Everything,
    Changes { secrets: bool },
}
