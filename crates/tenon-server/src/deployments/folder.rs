//! The services folder: what is saved there is deployed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecursiveMode, Watcher};
use tenon_protocol::control::DeploymentState;
use tenon_store::{DEFAULT_GROUP, DeploymentFile, Lease};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

use super::files::{check_file, is_ignored};
use super::group::{EXECUTABLE_MAGIC, groups_of, is_group_name, split_by_group};
use super::probe::chain;
use super::{DeployError, DeploymentChange, Inner, coordinator};

/// The lease of the server that imports.
const LEASE: &str = "services-folder";

/// How long the sizes and times of files must stay as they are before what was read counts.
const STABLE_FOR: Duration = Duration::from_millis(10);

/// How long to wait before an import that failed for another reason than the files is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How deep folders are followed.
const DEPTH_MAX: usize = 32;

/// What is known of a file without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat {
    size: u64,
    changed_ns: i128,
    inode: u64,
    /// Whether it is a program that can be a worker group by itself.
    is_program: bool,
}

/// The files of a folder, by path.
type Listing = BTreeMap<String, Stat>;

/// What the store knows a group's part of the folder by.
pub(crate) fn key(dir: &Path, group: &str) -> String {
    let dir = dir.to_string_lossy();
    if group == DEFAULT_GROUP {
        dir.into_owned()
    } else {
        format!("{dir}/{group}")
    }
}

/// The worker groups that the folder has files of.
pub(crate) async fn groups(dir: &Path) -> BTreeSet<String> {
    let listing = list(dir.to_owned()).await;
    let paths = listing.iter().map(|(path, stat)| (path.as_str(), stat.is_program));
    groups_of(paths).into_iter().map(|(group, _)| group).collect()
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
    let mut imports = Imports::default();
    let mut seen = None;
    loop {
        let listing = list(dir.to_owned()).await;
        if seen.as_ref() != Some(&listing) {
            match imports.begin(inner, dir).await {
                Ok(true) => seen = Some(listing),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!("{} could not be imported: {}", dir.display(), chain(&error));
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            }
        }
        tokio::select! {
            () = changed.notified() => quiet(inner, &changed).await,
            () = imports.next_ends() => seen = None,
            () = tokio::time::sleep(inner.settings.folder_look_every.0) => {}
        }
    }
}

/// The imports that run: one of a group at a time, those of several groups at once.
#[derive(Debug, Default)]
struct Imports {
    tasks: JoinSet<String>,
    busy: BTreeSet<String>,
}

/// What differs in a group from what was imported last.
#[derive(Debug)]
struct Difference {
    change: DeploymentChange,
    /// Path to SHA-256 of all files of the group.
    hashes: BTreeMap<String, String>,
}

impl Imports {
    /// Begins to import what differs in groups that are not being imported. Where files went, that is first: they may have
    /// moved to another group. Groups that have a canary wait until it is decided; says whether there are none.
    async fn begin(&mut self, inner: &Arc<Inner>, dir: &Path) -> Result<bool, DeployError> {
        let mut found = split_by_group(read_stable(dir).await);
        let serving = inner.store.serving_deployments().await?;
        let with_canary = serving.iter().filter(|one| one.state == DeploymentState::Canary);
        let waiting: BTreeSet<String> = with_canary.map(|one| one.group.clone()).collect();
        let mut groups: BTreeSet<String> = serving.into_iter().map(|one| one.group).collect();
        groups.extend(found.keys().cloned());
        let mut differences = Vec::new();
        for group in groups
            .into_iter()
            .filter(|group| !self.busy.contains(group) && !waiting.contains(group))
        {
            let files = found.remove(&group).unwrap_or_default();
            differences.extend(difference(inner, dir, &group, files).await?);
        }
        let some_went = differences.iter().any(|one| !one.change.remove.is_empty());
        for one in differences {
            if !some_went || !one.change.remove.is_empty() {
                self.busy.insert(one.change.group.clone());
                self.tasks.spawn(import(inner.clone(), dir.to_owned(), one));
            }
        }
        Ok(waiting.is_empty())
    }

    /// Waits until one of those that run has ended.
    async fn next_ends(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(group)) => {
                self.busy.remove(&group);
            }
            // A task that failed has a group that nobody knows: it is looked at anew with all others.
            Some(Err(_)) => self.busy.clear(),
            None => std::future::pending().await,
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

/// What differs in a group from what was imported last; none if nothing does.
async fn difference(
    inner: &Inner,
    dir: &Path,
    group: &str,
    found: Vec<DeploymentFile>,
) -> Result<Option<Difference>, DeployError> {
    let remembered = inner.store.folder_imports(&key(dir, group)).await?;
    let hash = |file: &DeploymentFile| (file.path.clone(), file.sha256.clone());
    let hashes: BTreeMap<String, String> = found.iter().map(hash).collect();
    if hashes == remembered {
        return Ok(None);
    }
    let is_new = |file: &DeploymentFile| remembered.get(&file.path) != Some(&file.sha256);
    // One that can't be part of a deployment does not hold up the others.
    let is_usable = |file: &DeploymentFile| match check_file(file, &inner.settings) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%group, "a file in {} is left out: {error}", dir.display());
            false
        }
    };
    let files = found.into_iter().filter(is_new).filter(is_usable).collect();
    let (_, live) = inner.live_files(group).await?;
    let gone = remembered
        .keys()
        .filter(|path| !hashes.contains_key(*path) && live.get(path).is_some());
    let change = DeploymentChange {
        group: group.to_owned(),
        files,
        remove: gone.cloned().collect(),
        source: format!("services/ of {}", inner.server),
        ..DeploymentChange::default()
    };
    Ok(Some(Difference { change, hashes }))
}

/// Deploys a difference, and remembers that it was imported. Says of which group it was.
async fn import(inner: Arc<Inner>, dir: PathBuf, difference: Difference) -> String {
    let Difference { change, hashes } = difference;
    let group = change.group.clone();
    let imported = async {
        if !change.files.is_empty() || !change.remove.is_empty() {
            match Box::pin(coordinator::deploy(&inner, change)).await {
                // Trying again would change nothing before the files do.
                Err(DeployError::Invalid(why)) => tracing::error!(%group, "{} can't be deployed: {why}", dir.display()),
                other => {
                    other?;
                }
            }
        }
        inner.store.set_folder_imports(&key(&dir, &group), hashes).await?;
        Ok::<(), DeployError>(())
    };
    if let Err(error) = imported.await {
        let error = chain(&error);
        tracing::warn!(%group, "{} could not be imported and will be tried again: {error}", dir.display());
        tokio::time::sleep(RETRY_AFTER).await;
    }
    group
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

async fn read(dir: PathBuf, listing: Listing) -> Vec<DeploymentFile> {
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

async fn list(dir: PathBuf) -> Listing {
    let list = move || {
        let mut found = BTreeMap::new();
        walk(&dir, "", 0, &mut found);
        found
    };
    tokio::task::spawn_blocking(list).await.unwrap_or_default()
}

fn walk(dir: &Path, prefix: &str, depth: usize, found: &mut Listing) {
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
            let stat = Stat {
                size: metadata.len(),
                changed_ns,
                inode: metadata.ino(),
                is_program: depth == 0 && is_group_name(&path) && starts_as_program(&entry.path()),
            };
            found.insert(path, stat);
        }
    }
}

fn starts_as_program(path: &Path) -> bool {
    let mut start = [0; EXECUTABLE_MAGIC.len()];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok()
        && start == EXECUTABLE_MAGIC
}
