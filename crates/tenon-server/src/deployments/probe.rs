//! Trying a set of files with one worker, before anybody else hears of it.

use std::path::PathBuf;
use std::sync::Arc;

use tenon_protocol::control::RefusedFile;
use tenon_protocol::worker::{Hello, RefusedImport};
use tenon_store::ServiceRecord;

use super::environments::Environment;
use super::files::{FileSet, RESERVED, forget_previous};
use super::group::{has_code, is_configuration};
use super::{DeployError, Inner};
use crate::workers::{ReadyWorker, StartError};

/// How often changes that fail alone are tried again, because another one that they need was accepted meanwhile.
const PASSES_MAX: usize = 3;

/// A worker that has loaded a set of files, and where those are.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) fingerprint: String,
    pub(crate) root: PathBuf,
    pub(crate) worker: ReadyWorker,
    pub(crate) environment: Option<Arc<Environment>>,
}

/// What is left of a wanted set.
#[derive(Debug)]
pub(crate) struct Probed {
    /// The files that can be deployed.
    pub(crate) files: FileSet,
    pub(crate) refused: Vec<RefusedFile>,
    pub(crate) services: Vec<ServiceRecord>,
    /// The worker that has loaded exactly `files`, if there is one.
    pub(crate) candidate: Option<Candidate>,
}

/// Finds out how much of `wanted` works. `base` is the live set, which does.
pub(crate) async fn probe(inner: &Inner, group: &str, base: &FileSet, wanted: FileSet) -> Result<Probed, DeployError> {
    if !has_code(&wanted) {
        return Ok(Probed {
            files: wanted,
            refused: Vec::new(),
            services: Vec::new(),
            candidate: None,
        });
    }
    let changed = wanted.changed_since(base);
    let started = start(inner, group, &wanted, base).await?;
    let is_alone = changed.len() + wanted.removed_since(base).len() == 1;
    let candidate = match started {
        Ok(candidate) => candidate,
        Err(error) if is_alone && !changed.is_empty() => {
            let refused = changed.iter().map(|path| refused_start(path, &error, base)).collect();
            return without(inner, group, base, refused).await;
        }
        Err(_) => return one_by_one(inner, group, base, &wanted).await,
    };
    let refused = candidate.worker.hello.refused.clone();
    if refused.is_empty() {
        return Ok(accepted(wanted, Vec::new(), candidate));
    }
    // A file that worked must not stop working because of another one, and a last good version must be good.
    let as_expected =
        |file: &RefusedImport| changed.contains(&file.path) && (file.kept_previous || base.get(&file.path).is_none());
    if !refused.iter().all(as_expected) {
        return one_by_one(inner, group, base, &wanted).await;
    }
    let mut files = wanted;
    for file in &refused {
        match base.get(&file.path) {
            Some(previous) => files.insert(previous.clone()),
            None => files.remove(&file.path),
        }
    }
    let hello = candidate.worker.hello.clone();
    remove_root(&candidate.root);
    Ok(Probed {
        files,
        refused: refused.into_iter().map(refused_import).collect(),
        services: services(&hello),
        candidate: None,
    })
}

/// Tries each change by itself on top of those that were good.
async fn one_by_one(inner: &Inner, group: &str, base: &FileSet, wanted: &FileSet) -> Result<Probed, DeployError> {
    let mut changes = wanted.changed_since(base);
    changes.extend(wanted.removed_since(base));
    changes.retain(|path| !is_configuration(path));
    if changes.len() > inner.settings.tried_alone_max {
        let error = "it was deployed with files that do not import, too many to try them one by one".to_owned();
        let refuse = |path: &String| refused_because(path, error.clone(), String::new(), base);
        return without(inner, group, base, changes.iter().map(refuse).collect()).await;
    }
    let mut last: Option<Candidate> = None;
    let (mut good, configuration_refused) = configured(inner, group, base, wanted, &mut last).await?;
    let mut refused = Vec::new();
    for _ in 0..PASSES_MAX {
        let before = changes.len();
        let mut failed = Vec::new();
        refused.clear();
        for path in changes {
            let mut next = good.clone();
            match wanted.get(&path) {
                Some(file) => next.insert(file.clone()),
                None => next.remove(&path),
            }
            match start(inner, group, &next, &good).await? {
                Ok(candidate) if candidate.worker.hello.refused.is_empty() => {
                    drop_candidate(last.replace(candidate));
                    good = next;
                    continue;
                }
                Ok(candidate) => {
                    refused.push(refused_alone(&path, &candidate.worker.hello, base, wanted));
                    drop_candidate(Some(candidate));
                }
                Err(error) => refused.push(refused_start(&path, &error, base)),
            }
            failed.push(path);
        }
        let progress = failed.len() < before;
        changes = failed;
        if changes.is_empty() || !progress {
            break;
        }
    }
    refused.extend(configuration_refused);
    match last {
        Some(candidate) => Ok(accepted(good, refused, candidate)),
        None => without(inner, group, base, refused).await,
    }
}

/// The live set with the wanted limits and packages, or as it is with the reason why it does not run with them.
async fn configured(
    inner: &Inner,
    group: &str,
    base: &FileSet,
    wanted: &FileSet,
    last: &mut Option<Candidate>,
) -> Result<(FileSet, Vec<RefusedFile>), DeployError> {
    let mut changed = wanted.changed_since(base);
    changed.extend(wanted.removed_since(base));
    changed.retain(|path| is_configuration(path));
    if changed.is_empty() {
        return Ok((base.clone(), Vec::new()));
    }
    let mut next = base.clone();
    for path in &changed {
        next.restore(path, wanted);
    }
    changed.retain(|path| !path.starts_with(RESERVED));
    match start(inner, group, &next, base).await? {
        Ok(candidate) if candidate.worker.hello.refused.is_empty() => {
            *last = Some(candidate);
            Ok((next, Vec::new()))
        }
        Ok(candidate) => {
            let hello = &candidate.worker.hello;
            let refuse = |path: &String| refused_alone(path, hello, base, wanted);
            let refused = changed.iter().map(refuse).collect();
            drop_candidate(Some(candidate));
            Ok((base.clone(), refused))
        }
        Err(error) => {
            let refuse = |path: &String| refused_start(path, &error, base);
            Ok((base.clone(), changed.iter().map(refuse).collect()))
        }
    }
}

/// Nothing of what was wanted works.
async fn without(inner: &Inner, group: &str, base: &FileSet, refused: Vec<RefusedFile>) -> Result<Probed, DeployError> {
    let live = inner.store.live_deployment(group).await?;
    Ok(Probed {
        files: base.clone(),
        refused,
        services: live.map(|live| live.services).unwrap_or_default(),
        candidate: None,
    })
}

fn accepted(files: FileSet, refused: Vec<RefusedFile>, candidate: Candidate) -> Probed {
    forget_previous(&candidate.root);
    Probed {
        files,
        refused,
        services: services(&candidate.worker.hello),
        candidate: Some(candidate),
    }
}

/// Starts a worker on a set of files. The inner error is the files' fault; a worker that can't be run at all is an outer one.
async fn start(
    inner: &Inner,
    group: &str,
    files: &FileSet,
    previous: &FileSet,
) -> Result<Result<Candidate, StartError>, DeployError> {
    let fingerprint = files.fingerprint();
    let root = inner.new_root(&fingerprint);
    let setup = inner.setup(group, files, root.clone(), 0).await?;
    inner.write(files, &root, previous).await?;
    let name = format!("{group}-{}-0", &fingerprint[..8]);
    let started = ReadyWorker::start(&setup.spec, name, &setup.settings, &inner.tasks).await;
    match started {
        Ok(worker) => Ok(Ok(Candidate {
            fingerprint,
            root,
            worker,
            environment: setup.environment,
        })),
        Err(error @ (StartError::Spawn { .. } | StartError::Protocol(_))) => {
            remove_root(&root);
            Err(DeployError::Failed(chain(&error)))
        }
        Err(error) => {
            remove_root(&root);
            Ok(Err(error))
        }
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

pub(crate) fn remove_root(root: &std::path::Path) {
    let _ = std::fs::remove_dir_all(root);
}

pub(crate) fn drop_candidate(candidate: Option<Candidate>) {
    if let Some(candidate) = candidate {
        remove_root(&candidate.root);
    }
}

fn services(hello: &Hello) -> Vec<ServiceRecord> {
    let record = |service: &tenon_protocol::worker::WorkerService| ServiceRecord {
        name: service.name.clone(),
        file: service.file.clone(),
        class: service.class.clone(),
        doc: service.doc.clone().unwrap_or_default(),
        is_async: service.is_async,
        input: service.input.clone(),
        output: service.output.clone(),
    };
    hello.services.iter().map(record).collect()
}

fn refused_import(file: RefusedImport) -> RefusedFile {
    RefusedFile {
        path: file.path,
        error: file.error,
        traceback: file.traceback,
        kept_previous: file.kept_previous,
    }
}

pub(crate) fn refused_because(path: &str, error: String, traceback: String, base: &FileSet) -> RefusedFile {
    RefusedFile {
        path: path.to_owned(),
        error,
        traceback,
        kept_previous: base.get(path).is_some(),
    }
}

fn refused_start(path: &str, error: &StartError, base: &FileSet) -> RefusedFile {
    refused_because(path, error.to_string(), error.output().to_owned(), base)
}

/// A change that was tried alone: its own error, or whom it breaks.
fn refused_alone(path: &str, hello: &Hello, base: &FileSet, wanted: &FileSet) -> RefusedFile {
    if let Some(own) = hello.refused.iter().find(|file| file.path == path) {
        return refused_because(path, own.error.clone(), own.traceback.clone(), base);
    }
    let (whom, error, traceback) = hello.refused.first().map_or(("another file", "", ""), |file| {
        (file.path.as_str(), file.error.as_str(), file.traceback.as_str())
    });
    let what = if wanted.get(path).is_some() {
        "it breaks"
    } else {
        "without it there is an error in"
    };
    refused_because(path, format!("{what} {whom}: {error}"), traceback.to_owned(), base)
}
