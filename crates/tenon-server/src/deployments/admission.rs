//! How much of a wanted set can be deployed: with its limits, its packages, its imports, and beside other groups.

use std::collections::BTreeMap;

use tenon_protocol::control::{CanaryTerms, RefusedFile};
use tenon_store::{ServiceRecord, StoreError};

use super::files::{FileSet, RESERVED};
use super::group::{GROUP_FILE, path_in_folder, worker_settings};
use super::probe::{Probed, drop_candidate, probe, refused_because, remove_root};
use super::requirements::{self, REQUIREMENTS};
use super::{DeployError, Inner};

/// How often files are taken out of a deployment because other groups have their services, before it is given up.
const CLASHES_TRIED_MAX: usize = 5;

/// A change of what a group runs.
pub(crate) struct Task<'a> {
    pub(crate) group: &'a str,
    /// The number of the deployment that serves; 0 for none.
    pub(crate) live: u64,
    /// Its files.
    pub(crate) base: &'a FileSet,
    /// Where it comes from, for people.
    pub(crate) source: &'a str,
    /// Whether it is deployed even if nothing changes.
    pub(crate) again: bool,
    /// How it is tried as a canary.
    pub(crate) canary: Option<CanaryTerms>,
}

/// Checks the limits that the group sets itself, and finds its packages. Where one of them can't be had, it stays as it is.
pub(crate) async fn configure(
    inner: &Inner,
    task: &Task<'_>,
    mut wanted: FileSet,
) -> Result<(FileSet, Vec<RefusedFile>), DeployError> {
    let mut refused = Vec::new();
    let mut refuse = |path: &str, error: String| refused.push(refused_because(path, error, String::new(), task.base));
    let settings = match worker_settings(&wanted, &inner.workers, &inner.settings) {
        Ok(settings) => settings,
        Err(why) => {
            refuse(GROUP_FILE, why);
            wanted.restore(GROUP_FILE, task.base);
            let previous = worker_settings(&wanted, &inner.workers, &inner.settings);
            previous.map_err(|why| DeployError::Failed(format!("{GROUP_FILE}: {why}")))?
        }
    };
    let interpreter = inner.interpreter(&settings.python).await;
    if interpreter.tag.is_empty() && settings.python != inner.workers.python {
        let (python, server) = (&settings.python, &inner.server);
        let why = format!("python '{python}' can't be run on {server}, or is older than 3.9");
        refuse(GROUP_FILE, why);
        wanted.restore(GROUP_FILE, task.base);
        return Ok((wanted, refused));
    }
    requirements::forget_unneeded(&mut wanted);
    if requirements::must_resolve(&wanted, &interpreter) {
        let directory = inner.new_root(&wanted.fingerprint());
        inner.write(&wanted, &directory, &FileSet::default()).await?;
        let resolved = requirements::resolve(&mut wanted, &interpreter, &directory, &inner.settings).await;
        remove_root(&directory);
        if let Err(failure) = resolved {
            let kept_previous = task.base.get(REQUIREMENTS).is_some();
            refused.push(requirements::refused(failure, kept_previous));
            wanted.remove_below(RESERVED);
            wanted.restore(REQUIREMENTS, task.base);
            task.base.below(RESERVED).for_each(|file| wanted.insert(file.clone()));
        }
    }
    Ok((wanted, refused))
}

/// Finds out how much of `wanted` works beside the services of the other groups, whose names are taken.
pub(crate) async fn probe_without_clashes(
    inner: &Inner,
    task: &Task<'_>,
    wanted: FileSet,
    refused: &mut Vec<RefusedFile>,
) -> Result<Probed, DeployError> {
    let mut wanted = wanted;
    for _ in 0..CLASHES_TRIED_MAX {
        let mut probed = probe(inner, task.group, task.base, wanted).await?;
        refused.append(&mut probed.refused);
        let clashes = clashes(inner, task.group, &probed.services).await?;
        if clashes.is_empty() {
            return Ok(probed);
        }
        drop_candidate(probed.candidate.take());
        wanted = probed.files;
        for (path, error) in clashes {
            wanted.restore(&path, task.base);
            refused.push(refused_because(&path, error, String::new(), task.base));
        }
        if wanted == *task.base {
            return probe(inner, task.group, task.base, wanted).await;
        }
    }
    Err(DeployError::Failed(
        "names of services are taken by other groups".to_owned(),
    ))
}

/// Files whose services other groups have, with why that can't be.
pub(crate) async fn clashes(
    inner: &Inner,
    group: &str,
    services: &[ServiceRecord],
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut found = BTreeMap::new();
    for other in inner.store.serving_deployments().await? {
        if other.group == group {
            continue;
        }
        let Some(record) = inner.store.deployment(other.number).await? else {
            continue;
        };
        let taken: BTreeMap<_, _> = record.services.iter().map(|one| (&one.name, &one.file)).collect();
        for service in services {
            if let Some(file) = taken.get(&service.name) {
                let (name, file) = (&service.name, path_in_folder(&other.group, file));
                let group = &other.group;
                let error = format!("service '{name}' exists already, in {file} of worker group {group}");
                found.entry(service.file.clone()).or_insert(error);
            }
        }
    }
    Ok(found)
}
