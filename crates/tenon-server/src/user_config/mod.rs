//! User configuration: the `*.ini` files of `user-config/`, which services read as `self.config.<file>.<section>.<key>`.
//!
//! Every server reads its folder and sends the whole to its workers, whenever a file or a secret that one names changes. A file
//! that can't be read keeps its last good version.

mod parse;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde_json::{Map, Value, json};
use tenon_manifest::Lookup;
use tenon_store::{Event, Events, Store};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::parse::{Entry, References};
use crate::secrets::{Resolver, Secrets};
use crate::settings::HostSettings;

/// Editors write in several steps; the folder is read when it was quiet for so long.
const QUIET_FOR: Duration = Duration::from_millis(50);
/// How the files' names end.
const ENDING: &str = "ini";

/// The user configuration of a server.
pub(crate) struct UserConfig {
    folder: PathBuf,
    store: Store,
    secrets: Secrets,
    settings: HostSettings,
    state: Mutex<State>,
    /// As workers get it.
    current: ArcSwapOption<Bytes>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    /// The last good version of each file.
    files: BTreeMap<String, Map<String, Value>>,
    /// What was last told of files that can't be read.
    told: BTreeMap<String, String>,
}

/// A file as it was read, or why it was not.
type ReadFile = Result<Vec<Entry>, String>;

impl std::fmt::Debug for UserConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserConfig")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl UserConfig {
    /// The files of this folder; none are read yet.
    pub(crate) fn new(folder: PathBuf, store: Store, secrets: Secrets, settings: HostSettings) -> Arc<Self> {
        Arc::new(Self {
            folder,
            store,
            secrets,
            settings,
            state: Mutex::default(),
            current: ArcSwapOption::empty(),
        })
    }

    /// All files as workers get them: `{"version": n, "files": {…}}`. None before they were read.
    pub(crate) fn current(&self) -> Option<Bytes> {
        self.current.load().as_deref().cloned()
    }

    /// Reads the folder, and tells `changed` whenever something in it is another than before, until told to stop.
    pub(crate) async fn run(self: Arc<Self>, changed: impl Fn() + Send, stop: CancellationToken) {
        let touched = Arc::new(Notify::new());
        let watcher = watch(&self.folder, Arc::clone(&touched));
        if let Err(error) = &watcher {
            let folder = self.folder.display();
            tracing::info!(%error, "{folder} can't be watched; it is looked at now and then");
        }
        let mut events = self.store.events();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.settings.config_look_every.0) => {}
                () = secrets_changed(&mut events) => {}
                () = touched.notified() => tokio::time::sleep(QUIET_FOR).await,
            }
            if self.read().await {
                changed();
            }
        }
    }

    /// Reads the folder; whether something in it is another than before.
    pub(crate) async fn read(&self) -> bool {
        let (folder, settings) = (self.folder.clone(), self.settings.clone());
        let read = tokio::task::spawn_blocking(move || read_folder(&folder, &settings)).await;
        let files = match read {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                tracing::debug!(%error, folder = %self.folder.display(), "the folder of user configuration can't be read");
                return false;
            }
            Err(_) => return false,
        };
        let needs_secrets = files
            .values()
            .flatten()
            .flatten()
            .any(|entry| entry.value.as_ref().is_some_and(parse::needs_secrets));
        let resolver = if needs_secrets {
            self.secrets
                .resolver(&self.store)
                .await
                .map_err(|error| error.to_string())
        } else {
            Err("the cluster's secrets were not asked for".to_owned())
        };
        self.take(
            files,
            &Values {
                secrets: &self.secrets,
                resolver: resolver.as_ref().ok(),
            },
        )
    }

    fn take(&self, files: BTreeMap<String, ReadFile>, values: &Values<'_>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = BTreeMap::new();
        let mut told = BTreeMap::new();
        for (name, file) in files {
            let resolved = file.and_then(|entries| {
                let resolved = parse::resolve(&entries, values);
                resolved.map_err(|mistake| format!("line {}: {}", mistake.line, mistake.what))
            });
            match resolved {
                Ok(sections) => drop(now.insert(name, sections)),
                Err(why) => {
                    let before = state.files.get(&name).cloned();
                    if state.told.get(&name) != Some(&why) {
                        let kept = if before.is_some() {
                            "what it said before stays"
                        } else {
                            "it is left out"
                        };
                        tracing::error!(file = %format!("{name}.{ENDING}"), "user configuration: {name}.{ENDING}, {why}; {kept}");
                    }
                    told.insert(name.clone(), why);
                    if let Some(before) = before {
                        now.insert(name, before);
                    }
                }
            }
        }
        state.told = told;
        if state.version > 0 && state.files == now {
            return false;
        }
        state.version += 1;
        state.files = now;
        let text = json!({ "version": state.version, "files": state.files }).to_string();
        self.current.store(Some(Arc::new(Bytes::from(text))));
        true
    }
}

/// What references in files stand for.
struct Values<'a> {
    secrets: &'a Secrets,
    resolver: Option<&'a Resolver>,
}

impl References for Values<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.secrets.environment.get(name).cloned()
    }

    fn secret(&self, name: &str) -> Option<String> {
        self.resolver.and_then(|resolver| resolver.secret(name))
    }
}

async fn secrets_changed(events: &mut Events) {
    loop {
        match events.recv().await {
            Some(Event::Secrets | Event::Reconnected) => return,
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

/// The files by their names without the ending.
fn read_folder(folder: &Path, settings: &HostSettings) -> std::io::Result<BTreeMap<String, ReadFile>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_config = path.extension().is_some_and(|ending| ending == ENDING);
        let Some(name) = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_config) else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if files.len() >= settings.config_files_max {
            tracing::error!(folder = %folder.display(), "there are more files than the settings allow; the others are left out");
            break;
        }
        if let Some(file) = read_file(&path, settings.config_file_max_bytes) {
            files.insert(name.to_owned(), file);
        }
    }
    Ok(files)
}

/// A file; none if it has gone meanwhile.
fn read_file(path: &Path, max_bytes: u64) -> Option<ReadFile> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > max_bytes {
        return Some(Err(format!("it has {size} bytes, more than {max_bytes}")));
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error.to_string())),
    };
    let Ok(text) = String::from_utf8(bytes) else {
        return Some(Err("it is no text in UTF-8".to_owned()));
    };
    Some(parse::parse(&text).map_err(|mistake| format!("line {}: {}", mistake.line, mistake.what)))
}

fn watch(folder: &Path, touched: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.as_ref().map_or(true, |event| !event.kind.is_access()) {
            touched.notify_one();
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
