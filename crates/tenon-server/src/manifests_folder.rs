//! Files in `manifests/`: applied at start and when they change, by the one server that holds the lease for the folder.
//!
//! Each file owns its objects; one that goes takes its own along. A folder with a mistake is not applied at all, and what was
//! applied before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tenon_manifest::{FolderMark, ManifestFile, locate};
use tenon_model::{InstanceId, Revision};
use tenon_protocol::control::ApplyRequest;
use tenon_store::{Lease, Store};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::aside::aside;
use crate::object_writer::{ObjectWriter, WriteError};

const LEASE_MS: u64 = 5_000;
const RENEW_EVERY: Duration = Duration::from_millis(1_500);
/// Editors write in several steps; the folder is read when it was quiet for so long.
const QUIET_FOR: Duration = Duration::from_millis(80);
/// A folder that is never quiet is read all the same.
const QUIET_WITHIN: Duration = Duration::from_secs(1);
/// How often to look whether the folder has changed although nothing told so.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long a server without any object waits for another one that applies the folder. That one may fail at it.
const ELSEWHERE_WITHIN: Duration = Duration::from_secs(10);

/// How far the first look at the folder is. A server waits for it before it is ready: a cluster that has just been made must
/// not say that its channels are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstLook {
    /// Nobody is known to have looked.
    Due,
    /// Another server has held the lease since then, so the look is its business.
    Elsewhere(Instant),
    /// What this server found is in the store, from this revision on.
    Done(Revision),
}

impl FirstLook {
    /// Whether a server at this revision serves what was in the folder when it started.
    pub(crate) fn is_in_force(self, revision: Revision) -> bool {
        match self {
            Self::Due => false,
            Self::Elsewhere(since) => revision > Revision(0) || since.elapsed() >= ELSEWHERE_WITHIN,
            Self::Done(from) => revision >= from,
        }
    }
}

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
    /// Told how far the first look is.
    pub(crate) first_look: watch::Sender<FirstLook>,
}

/// What was applied last.
#[derive(Debug)]
struct Applied {
    mark: FolderMark,
    revision: Revision,
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
        let mut applied = None;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let held_before = lease.is_some();
            lease = self.hold(lease).await;
            due |= lease.is_some() && !held_before;
            if due && lease.is_some() {
                let looked = self.look().await;
                due = looked.is_err();
                applied = looked.unwrap_or_else(|error| {
                    tracing::warn!(%error, "manifests/ was not applied; it is tried again");
                    None
                });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(RENEW_EVERY) => {}
                _ = look.tick() => due |= self.differs(applied.as_ref()).await,
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

    /// Reads and applies the folder. Says what was applied, unless there was something wrong with it.
    async fn look(&self) -> Result<Option<Applied>, WriteError> {
        let mark = self.mark().await;
        let revision = match self.read().await {
            Some(files) => self.apply(files).await?,
            None => None,
        };
        self.first_look.send_if_modified(|look| {
            let is_first = !matches!(look, FirstLook::Done(_));
            if is_first {
                *look = FirstLook::Done(revision.unwrap_or(Revision(0)));
            }
            is_first
        });
        Ok(mark.zip(revision).map(|(mark, revision)| Applied { mark, revision }))
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
        match held {
            Ok(Some(lease)) => Some(lease),
            Ok(None) => {
                self.first_look.send_if_modified(|look| {
                    let is_due = *look == FirstLook::Due;
                    if is_due {
                        *look = FirstLook::Elsewhere(Instant::now());
                    }
                    is_due
                });
                None
            }
            Err(error) => {
                tracing::debug!(%error, "the lease for the manifests can't be had");
                None
            }
        }
    }

    /// Whether the folder, or any object, is another than when the folder was applied: planning all of it takes long, and
    /// nearly always finds nothing.
    async fn differs(&self, applied: Option<&Applied>) -> bool {
        let Some(applied) = applied else {
            return true;
        };
        let since = self.store().objects_since(applied.revision).await;
        since.map(|delta| delta.revision).ok() != Some(applied.revision)
            || self.mark().await.as_ref() != Some(&applied.mark)
    }

    async fn mark(&self) -> Option<FolderMark> {
        let folder = self.folder.clone();
        aside(move || tenon_manifest::mark_of_dir(&folder, &tenon_manifest::Settings::default()))
            .await
            .ok()
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

    /// Applies the files, and says with which revision they were in force. Mistakes in them are logged and done with; what the
    /// store could not do comes back.
    async fn apply(&self, files: Vec<ManifestFile>) -> Result<Option<Revision>, WriteError> {
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
            return Ok(None);
        }
        // A file that is gone is among those that own objects, so its objects go.
        let owned_before = self.writer.owners().await?;
        let owned_now = files.iter().filter_map(|file| file.owner.clone());
        let prune_manifests: Vec<String> = owned_before.into_iter().chain(owned_now).collect();
        if prune_manifests.is_empty() {
            // To the planner no names mean every object, also those that no file ever had.
            return Ok(None);
        }
        let request = ApplyRequest {
            objects,
            prune: true,
            prune_manifests,
            wait_ms: None,
        };
        let applied = match self.writer.apply(request, "manifests/").await {
            Ok(reply) if reply.plan.changes.is_empty() => Ok(Some(reply.revision)),
            Ok(reply) => {
                let count = reply.plan.changes.len();
                tracing::info!(
                    revision = reply.revision.0,
                    count,
                    "manifests/ was applied: {count} objects changed"
                );
                Ok(Some(reply.revision))
            }
            Err(WriteError::Objects(problems)) => {
                for problem in problems {
                    let problem = locate(&files, &problem.to_field_problem());
                    tracing::error!("{problem}; nothing of manifests/ was applied");
                }
                Ok(None)
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

    fn folder(world: &World) -> ManifestsFolder {
        ManifestsFolder {
            folder: world.dir.path().join("manifests"),
            writer: writer(world, tenon_connectors::connectors()),
            instance: InstanceId::generate(&SystemRandom),
            lease_name: "a folder".to_owned(),
            first_look: watch::Sender::new(FirstLook::Due),
        }
    }

    #[tokio::test]
    async fn an_empty_folder_takes_nothing_away() {
        let world = World::new();
        let folder = folder(&world);
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

    #[tokio::test]
    async fn the_first_look_is_done_when_the_folder_is_in_the_store_and_is_the_business_of_one_server() {
        let world = World::new();
        let (holder, other) = (folder(&world), folder(&world));
        std::fs::create_dir_all(&holder.folder).unwrap();
        std::fs::write(
            holder.folder.join("a.yaml"),
            "rest-channel:\n  - name: one\n    path: /one\n    service: a.b\n",
        )
        .unwrap();
        let lease = holder.hold(None).await;
        assert!(lease.is_some());
        assert_eq!(*holder.first_look.borrow(), FirstLook::Due);
        assert!(other.hold(None).await.is_none());
        let elsewhere = *other.first_look.borrow();
        assert!(!elsewhere.is_in_force(Revision(0)), "{elsewhere:?}");

        assert!(holder.look().await.unwrap().is_some());
        let revision = world.store.objects().await.unwrap().revision;
        assert!(revision > Revision(0));
        let done = *holder.first_look.borrow();
        assert_eq!(done, FirstLook::Done(revision));
        assert!(!done.is_in_force(Revision(0)) && done.is_in_force(revision));
        assert!(elsewhere.is_in_force(revision));
    }

    #[tokio::test]
    async fn a_folder_differs_when_its_files_or_any_object_did_change() {
        let world = World::new();
        let dir = world.dir.path().join("manifests");
        std::fs::create_dir(&dir).unwrap();
        let folder = folder(&world);
        let manifest = |path: &str| format!("rest-channel:\n  - {{name: one, path: {path}, service: demo.hello}}\n");
        std::fs::write(dir.join("one.yaml"), manifest("/one")).unwrap();
        assert!(folder.differs(None).await);
        let applied = folder.look().await.unwrap().unwrap();
        assert!(!folder.differs(Some(&applied)).await);

        std::fs::write(dir.join("one.yaml"), manifest("/longer")).unwrap();
        assert!(folder.differs(Some(&applied)).await);
        let applied = folder.look().await.unwrap().unwrap();
        assert!(!folder.differs(Some(&applied)).await);

        let by_hand = ManifestObject {
            kind: "rest-channel".to_owned(),
            name: "one".parse().unwrap(),
            body: channel("/by-hand"),
            manifest: Some("one.yaml".to_owned()),
        };
        folder.writer.put(by_hand, None, "somebody").await.unwrap();
        assert!(folder.differs(Some(&applied)).await);
    }
}
