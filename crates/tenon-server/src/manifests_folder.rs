//! Files in `manifests/`: applied at start and when they change, by the one server that holds the lease for the folder.
//!
//! Each file owns its objects; one that goes takes its own along. A folder with a mistake is not applied at all, and what was
//! applied before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tenon_manifest::{ManifestFile, locate};
use tenon_model::InstanceId;
use tenon_protocol::control::ApplyRequest;
use tenon_store::{Lease, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::aside::aside;
use crate::object_writer::{ObjectWriter, WriteError};

const LEASE_MS: u64 = 5_000;
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
/// Editors write in several steps; the folder is read when it was quiet for so long.
const QUIET_FOR: Duration = Duration::from_millis(80);
/// A folder that is never quiet is read all the same.
const QUIET_WITHIN: Duration = Duration::from_secs(1);
/// How often the folder is read although nothing told that it changed.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Applies a folder of manifests.
#[derive(Debug)]
pub(crate) struct ManifestsFolder {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Writes objects.
    pub(crate) writer: ObjectWriter,
    /// This life of the server's process.
    pub(crate) instance: InstanceId,
    /// The folder's cluster-wide name: servers that share a folder share its lease.
    pub(crate) lease_name: String,
}

impl ManifestsFolder {
    /// Watches the folder until told to stop, applying it whenever this server holds the lease.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (changed, mut changes) = mpsc::channel(1);
        let watcher = watch(&self.folder, changed);
        if let Err(error) = &watcher {
            let folder = self.folder.display();
            tracing::warn!(%error, "cannot watch {folder}; it is read at start only");
        }
        let mut lease = None;
        let mut due = true;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let held_before = lease.is_some();
            lease = self.hold(lease).await;
            due |= lease.is_some() && !held_before;
            if due && lease.is_some() {
                due = false;
                if let Some(files) = self.read().await
                    && let Err(error) = self.apply(files).await
                {
                    tracing::warn!(%error, "manifests/ was not applied; it is tried again");
                    due = true;
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RENEW_EVERY) => {}
                _ = look.tick() => due = true,
                Some(()) = changes.recv() => {
                    settle(&mut changes).await;
                    due = true;
                }
            }
        }
        if let Some(lease) = lease {
            let _ = self.store().release_lease(&lease).await;
        }
    }

    fn store(&self) -> &Store {
        &self.writer.store
    }

    async fn hold(&self, lease: Option<Lease>) -> Option<Lease> {
        let held = match &lease {
            Some(lease) => self.store().renew_lease(lease, LEASE_MS).await,
            None => {
                self.store()
                    .acquire_lease(&self.lease_name, &self.instance, LEASE_MS)
                    .await
            }
        };
        held.unwrap_or_else(|error| {
            tracing::debug!(%error, "the lease for the manifests can't be had");
            None
        })
    }

    /// The files; none if the folder can't be read, which must not look like one from which all files were taken away.
    async fn read(&self) -> Option<Vec<ManifestFile>> {
        let folder = self.folder.clone();
        let read = aside(move || tenon_manifest::read_dir(&folder, &tenon_manifest::Settings::default()));
        read.await
            .inspect_err(|error| {
                tracing::error!(%error, folder = %self.folder.display(), "the folder of manifests can't be read; what was applied stays");
            })
            .ok()
    }

    /// Applies the files. Mistakes in them are logged and done with; what the store could not do comes back.
    async fn apply(&self, files: Vec<ManifestFile>) -> Result<(), WriteError> {
        let catalog = Arc::clone(&self.writer.catalog);
        let (files, problems, objects) = aside(move || {
            let problems = tenon_manifest::validate(&files, &catalog);
            let objects = files.iter().flat_map(ManifestFile::manifest_objects).collect();
            (files, problems, objects)
        })
        .await;
        if !problems.is_empty() {
            for problem in problems {
                tracing::error!("{problem}; nothing of manifests/ was applied");
            }
            return Ok(());
        }
        // A file that is gone is among those that own objects, so its objects go.
        let owned_before = self.writer.owners().await?;
        let owned_now = files.iter().filter_map(|file| file.owner.clone());
        let prune_manifests: Vec<String> = owned_before.into_iter().chain(owned_now).collect();
        if prune_manifests.is_empty() {
            // To the planner no names mean every object, also those that no file ever had.
            return Ok(());
        }
        let request = ApplyRequest {
            objects,
            prune: true,
            prune_manifests,
            wait_ms: None,
        };
        let applied = match self.writer.apply(request, "manifests/").await {
            Ok(reply) if reply.plan.changes.is_empty() => Ok(()),
            Ok(reply) => {
                let count = reply.plan.changes.len();
                tracing::info!(
                    revision = reply.revision.0,
                    count,
                    "manifests/ was applied: {count} objects changed"
                );
                Ok(())
            }
            Err(WriteError::Objects(problems)) => {
                for problem in problems {
                    let problem = locate(&files, &problem.to_field_problem());
                    tracing::error!("{problem}; nothing of manifests/ was applied");
                }
                Ok(())
            }
            Err(error) => Err(error),
        };
        aside(move || drop(files)).await;
        applied
    }
}

/// Waits until the folder has been quiet for a moment.
async fn settle(changes: &mut mpsc::Receiver<()>) {
    let quiet = async { while let Ok(Some(())) = tokio::time::timeout(QUIET_FOR, changes.recv()).await {} };
    let _ = tokio::time::timeout(QUIET_WITHIN, quiet).await;
}

fn watch(folder: &Path, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let is_change = event.as_ref().is_ok_and(|event| !event.kind.is_access());
        if is_change || event.is_err() {
            // A full channel already holds the news that something changed.
            let _ = changed.try_send(());
        }
    })?;
    watcher.watch(folder, RecursiveMode::Recursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use tenon_model::{ObjectKey, SystemRandom};
    use tenon_protocol::control::ManifestObject;

    use super::*;
    use crate::object_writer::tests::writer;
    use crate::snapshot::tests::{World, channel};

    #[tokio::test]
    async fn an_empty_folder_takes_nothing_away() {
        let world = World::new();
        let folder = ManifestsFolder {
            folder: world.dir.path().join("manifests"),
            writer: writer(&world, tenon_connectors::connectors()),
            instance: InstanceId::generate(&SystemRandom),
            lease_name: "a folder".to_owned(),
        };
        let by_hand = ManifestObject {
            kind: "rest-channel".to_owned(),
            name: "by-hand".parse().unwrap(),
            body: channel("/by-hand"),
            manifest: None,
        };
        folder.writer.put(by_hand, None, "somebody").await.unwrap();
        folder.apply(Vec::new()).await.unwrap();
        let key = ObjectKey::new("rest-channel", "by-hand".parse().unwrap());
        assert!(world.store.object(&key).await.unwrap().is_some());
    }
}
