//! The services folder: what is saved there is deployed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};
use tenon_store::{DeploymentFile, Lease};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::files::is_ignored;
use super::probe::chain;
use super::{DeployError, Inner, coordinator};

/// The lease of the server that imports.
const LEASE: &str = "services-folder";

/// How long the sizes and times of files must stay as they are before what was read counts.
const STABLE_FOR: Duration = Duration::from_millis(10);

/// How long to wait before an import that failed for another reason than the files is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How deep folders are followed.
const DEPTH_MAX: usize = 32;

/// What is known of a file without reading it: size, time of change in ns, inode.
type Stat = (u64, i128, u64);

/// What the store knows the folder by.
pub(crate) fn key(dir: &Path) -> String {
    dir.to_string_lossy().into_owned()
}

/// Whether there is nothing to import.
pub(crate) async fn is_empty(dir: &Path) -> bool {
    list(dir.to_owned()).await.is_empty()
}

/// Watches the folder while this server holds the lease, until `stop`.
pub(crate) async fn import_changes(inner: &Arc<Inner>, stop: &CancellationToken) {
    let Some(dir) = &inner.services_dir else {
        return;
    };
    let ttl_ms = u64::try_from(inner.settings.lease_ttl.0.as_millis()).unwrap_or(u64::MAX);
    while !stop.is_cancelled() {
        match inner.store.acquire_lease(LEASE, &inner.instance, ttl_ms).await {
            Ok(Some(lease)) => {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = keep_lease(inner, &lease, ttl_ms) => {}
                    () = watch(inner, dir) => {}
                }
                if stop.is_cancelled() {
                    let _ = inner.store.release_lease(&lease).await;
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the lease of the services folder can't be had"),
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(inner.settings.lease_ttl.0 / 2) => {}
        }
    }
}

/// Ends when the lease is lost.
async fn keep_lease(inner: &Inner, lease: &Lease, ttl_ms: u64) {
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(inner.settings.lease_ttl.0 / 4).await;
        match inner.store.renew_lease(lease, ttl_ms).await {
            Ok(Some(_)) => heard = Instant::now(),
            Ok(None) => return,
            Err(_) if heard.elapsed() >= inner.settings.lease_ttl.0 => return,
            Err(_) => {}
        }
    }
}

/// Imports what is there, then what changes.
async fn watch(inner: &Arc<Inner>, dir: &Path) {
    let changed = Arc::new(Notify::new());
    let watcher = watcher(dir, changed.clone());
    if let Err(error) = &watcher {
        tracing::warn!(%error, "{} can't be watched; it is looked at now and then", dir.display());
    }
    let mut seen = BTreeMap::new();
    let mut done = false;
    loop {
        let listing = list(dir.to_owned()).await;
        if !done || listing != seen {
            match Box::pin(import(inner, dir)).await {
                Ok(()) => {
                    seen = listing;
                    done = true;
                }
                Err(DeployError::Invalid(why)) => {
                    tracing::error!("{} can't be deployed: {why}", dir.display());
                    seen = listing;
                    done = true;
                }
                Err(error) => {
                    tracing::warn!(
                        "{} could not be imported and will be tried again: {}",
                        dir.display(),
                        chain(&error)
                    );
                    done = false;
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            }
        }
        tokio::select! {
            () = changed.notified() => quiet(inner, &changed).await,
            () = tokio::time::sleep(inner.settings.folder_look_every.0) => {}
        }
    }
}

/// Waits until nothing happens for a moment: editors and copies write in several steps.
async fn quiet(inner: &Inner, changed: &Notify) {
    let deadline = Instant::now() + inner.settings.folder_quiet_max.0;
    while Instant::now() < deadline {
        if tokio::time::timeout(inner.settings.folder_quiet.0, changed.notified())
            .await
            .is_err()
        {
            return;
        }
    }
}

fn watcher(dir: &Path, changed: Arc<Notify>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let tells = event.is_ok_and(|event| match event.kind {
            // Our own reading makes events too.
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            EventKind::Modify(ModifyKind::Metadata(_)) => false,
            _ => true,
        });
        if tells {
            changed.notify_one();
        }
    })?;
    watcher.watch(dir, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Deploys what differs from what was imported last.
async fn import(inner: &Arc<Inner>, dir: &Path) -> Result<(), DeployError> {
    let key = key(dir);
    let found = read_stable(dir).await;
    let remembered = inner.store.folder_imports(&key).await?;
    let hashes: BTreeMap<String, String> = found
        .iter()
        .map(|file| (file.path.clone(), file.sha256.clone()))
        .collect();
    if hashes == remembered {
        return Ok(());
    }
    let changed: Vec<_> = found
        .into_iter()
        .filter(|file| remembered.get(&file.path) != Some(&file.sha256))
        .collect();
    let (_, live) = inner.live_files().await?;
    let gone = remembered
        .keys()
        .filter(|path| !hashes.contains_key(*path) && live.get(path).is_some());
    let removed: Vec<String> = gone.cloned().collect();
    if !changed.is_empty() || !removed.is_empty() {
        let source = format!("services/ of {}", inner.server);
        let deployed = Box::pin(coordinator::deploy(inner, changed, removed, &source)).await;
        if let Err(error) = deployed
            && !matches!(error, DeployError::Invalid(_))
        {
            return Err(error);
        }
    }
    inner.store.set_folder_imports(&key, hashes).await?;
    Ok(())
}

/// The files with their contents, read again until nothing changed while they were read.
async fn read_stable(dir: &Path) -> Vec<DeploymentFile> {
    let mut before = list(dir.to_owned()).await;
    loop {
        let files = read(dir.to_owned(), before.clone()).await;
        tokio::time::sleep(STABLE_FOR).await;
        let after = list(dir.to_owned()).await;
        if before == after {
            return files;
        }
        before = after;
    }
}

async fn read(dir: PathBuf, listing: BTreeMap<String, Stat>) -> Vec<DeploymentFile> {
    let read = move || {
        let file = |path: String| {
            std::fs::read(dir.join(&path))
                .ok()
                .map(|content| DeploymentFile::new(path, content))
        };
        listing.into_keys().filter_map(file).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

async fn list(dir: PathBuf) -> BTreeMap<String, Stat> {
    let list = move || {
        let mut found = BTreeMap::new();
        walk(&dir, "", 0, &mut found);
        found
    };
    tokio::task::spawn_blocking(list).await.unwrap_or_default()
}

fn walk(dir: &Path, prefix: &str, depth: usize, found: &mut BTreeMap<String, Stat>) {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Links are followed to files, but not to folders, which may lead in circles.
        let Ok(metadata) = std::fs::metadata(entry.path()) else {
            continue;
        };
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if is_ignored(&name) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if metadata.is_dir() && !is_link && depth < DEPTH_MAX {
            walk(&entry.path(), &format!("{path}/"), depth + 1, found);
        } else if metadata.is_file() {
            let changed_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            found.insert(path, (metadata.len(), changed_ns, metadata.ino()));
        }
    }
}
