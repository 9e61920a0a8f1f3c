//! `tenon deploy`: files, directories, programs and archives become deployments of their worker groups.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use tenon_model::DurationText;
use tenon_protocol::control::{
    CanaryRequest, CreateDeployment, DeployFile, DeployRequest, DeploymentPath, DeploymentState, DeploymentSummary,
    GetDeployment, NoParams, Nothing, RefusedFile,
};
use tenon_server::deployments::{GROUP_FILE, is_executable, split_by_group};
use tenon_store::{DEFAULT_GROUP, DeploymentFile};

use super::Global;
use super::control::Cluster;
use super::deployment_archive::{self, ARCHIVE_SUFFIX};
use crate::failure::fail;

/// How long a deployment may take until it serves on all servers, with looking for its packages and installing them.
pub(super) const DEPLOY: Duration = Duration::from_mins(10);

/// The folder of an environment, whose `group.toml` is that of the default group.
const SERVICES_DIRECTORY: &str = "services";

/// Deploys files: answers when every live server serves them.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// Python files, directories of them, a program made with the Rust SDK, or an archive of `tenon deployment export`
    #[arg(required_unless_present = "remove")]
    paths: Vec<PathBuf>,
    /// The worker group; without it the files are grouped as in services/
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Take a file away, by its path in the worker group
    #[arg(long, value_name = "PATH")]
    remove: Vec<String>,
    /// Deploy even if nothing has changed: start new workers, and lift quarantines
    #[arg(long)]
    again: bool,
    /// Let the deployment have this share of the calls first, and become live or be rolled back by what they say
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    canary: Option<u8>,
    /// How long the canary is tried; 60s unless the cluster's settings say otherwise
    #[arg(long, value_name = "DURATION", requires = "canary")]
    canary_for: Option<DurationText>,
    /// Don't wait until the canary is decided
    #[arg(long, requires = "canary")]
    no_wait: bool,
}

/// How often to look whether a canary is decided.
const CANARY_LOOK: Duration = Duration::from_millis(500);

fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse() {
        Ok(share @ 1..=99) => Ok(share),
        _ => Err(format!("'{text}' is no share of the calls: 1% to 99%")),
    }
}

impl Deploy {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let requests = match self.paths.as_slice() {
            [path] if is_archive(path) => {
                let (group, files) = deployment_archive::read(path)?;
                let group = self.group.clone().unwrap_or(group);
                vec![DeployRequest {
                    replace: true,
                    ..self.request(&group, files)
                }]
            }
            _ => self.requests()?,
        };
        let cluster = Cluster::of(global)?;
        let mut summaries = Vec::new();
        for request in &requests {
            summaries.push(cluster.call_within::<CreateDeployment>(&NoParams {}, request, DEPLOY)?);
        }
        if !self.no_wait {
            for summary in &mut summaries {
                wait_for_decision(global, &cluster, summary)?;
            }
        }
        finish(global, &summaries)
    }

    /// One request for each group that the files belong to.
    fn requests(&self) -> anyhow::Result<Vec<DeployRequest>> {
        let mut files = Vec::new();
        for path in &self.paths {
            if is_packed(path) {
                let what = format!("{} is packed, and nothing would unpack it", path.display());
                fail!(
                    InvalidInput,
                    what,
                    "deploy what is in it, or, alone, the .tar that `tenon deployment export` wrote"
                );
            }
            let root = self.root(path);
            collect(path, &root, &mut files)?;
        }
        if files.is_empty() && self.remove.is_empty() {
            fail!(InvalidInput, "there are no files to deploy there", "");
        }
        let mut groups = match &self.group {
            Some(group) => BTreeMap::from([(group.clone(), named_as(group, files))]),
            None => split_by_group(files),
        };
        if self.group.is_none() && !self.remove.is_empty() {
            groups.entry(DEFAULT_GROUP.to_owned()).or_default();
        }
        let mut requests = Vec::new();
        for (group, files) in groups {
            let mut request = self.request(&group, files);
            if self.group.as_ref() == Some(&group) || group == DEFAULT_GROUP {
                request.remove.clone_from(&self.remove);
            }
            requests.push(request);
        }
        Ok(requests)
    }

    /// What the paths of a directory's files begin at: the directory, or the one around it if it is a worker group of its own.
    fn root(&self, path: &Path) -> PathBuf {
        let is_group = self.group.is_none() && path.join(GROUP_FILE).is_file();
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        match (whole.file_name(), whole.parent()) {
            (Some(name), Some(parent)) if is_group && name != SERVICES_DIRECTORY => parent.to_owned(),
            _ => whole,
        }
    }

    fn request(&self, group: &str, files: Vec<DeploymentFile>) -> DeployRequest {
        let encode = |file: DeploymentFile| DeployFile {
            path: file.path,
            content: BASE64_STANDARD.encode(file.content),
        };
        DeployRequest {
            files: files.into_iter().map(encode).collect(),
            remove: Vec::new(),
            replace: false,
            again: self.again,
            group: Some(group.to_owned()),
            canary: self.canary.map(|share_percent| CanaryRequest {
                share_percent,
                period: self.canary_for,
            }),
        }
    }
}

/// Waits until a canary is live or rolled back.
fn wait_for_decision(global: &Global, cluster: &Cluster, summary: &mut DeploymentSummary) -> anyhow::Result<()> {
    if summary.state == DeploymentState::Canary && !global.output().is_json() {
        global.output().note(&sentence(summary));
    }
    while summary.state == DeploymentState::Canary {
        std::thread::sleep(CANARY_LOOK);
        let path = DeploymentPath { number: summary.number };
        *summary = cluster.call::<GetDeployment>(&path, &Nothing {})?.summary;
    }
    Ok(())
}

/// A program is called as the group that it is, whatever its file was called.
fn named_as(group: &str, mut files: Vec<DeploymentFile>) -> Vec<DeploymentFile> {
    if let [file] = files.as_mut_slice()
        && is_executable(&file.content)
    {
        group.clone_into(&mut file.path);
    }
    files
}

/// Whether a file is an archive, but not one of ours: as a file of a deployment it would be of no use.
fn is_packed(path: &Path) -> bool {
    let name = path.to_string_lossy();
    path.is_file()
        && [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst"]
            .iter()
            .any(|end| name.ends_with(end))
}

fn is_archive(path: &Path) -> bool {
    path.is_file() && path.to_string_lossy().ends_with(ARCHIVE_SUFFIX)
}

/// The files of a path, named as they will be below `services/`.
fn collect(path: &Path, root: &Path, files: &mut Vec<DeploymentFile>) -> anyhow::Result<()> {
    if path.is_dir() {
        let whole = path
            .canonicalize()
            .with_context(|| format!("can't read {}", path.display()))?;
        return collect_directory(root, &whole, files);
    }
    if !path.is_file() {
        fail!(NoSuchPath, format!("{} does not exist", path.display()), "");
    }
    let name = path.file_name().unwrap_or_default();
    files.push(read(path, Path::new(name))?);
    Ok(())
}

fn collect_directory(root: &Path, directory: &Path, files: &mut Vec<DeploymentFile>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("can't read {}", directory.display()))?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            collect_directory(root, &path, files)?;
        } else {
            files.push(read(&path, path.strip_prefix(root).unwrap_or(&path))?);
        }
    }
    Ok(())
}

fn read(path: &Path, name: &Path) -> anyhow::Result<DeploymentFile> {
    let content = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(DeploymentFile::new(name.to_string_lossy().into_owned(), content))
}

/// Shows what became of deployments. One that was refused, or lacks files that were, is a failure.
pub(super) fn finish(global: &Global, summaries: &[DeploymentSummary]) -> anyhow::Result<()> {
    let output = global.output();
    match summaries {
        [summary] if output.is_json() => output.json(summary)?,
        summaries if output.is_json() => output.json(&summaries)?,
        summaries => {
            for summary in summaries.iter().filter(|one| one.state != DeploymentState::Refused) {
                output.text(&sentence(summary))?;
            }
        }
    }
    if let Some(ended) = summaries.iter().find(|one| one.state == DeploymentState::RolledBack) {
        fail!(
            Refused,
            format!("deployment {} was {}", ended.number, ended.reason),
            "what ran before goes on"
        )
    }
    let is_whole = |one: &DeploymentSummary| one.refused.is_empty() && one.state != DeploymentState::Refused;
    let lacking: Vec<_> = summaries.iter().filter(|one| !is_whole(one)).collect();
    let Some(first) = lacking.first() else {
        return Ok(());
    };
    let refused = || lacking.iter().flat_map(|one| &one.refused);
    refused().for_each(|file| output.note(&refusal(file)));
    let names: Vec<&str> = refused().map(|file| file.path.as_str()).collect();
    fail!(
        Refused,
        format!("refused in deployment {}: {}", first.number, names.join(", ")),
        "what ran before goes on"
    )
}

fn sentence(summary: &DeploymentSummary) -> String {
    let (number, services, files) = (summary.number, summary.services, summary.files);
    let group = match summary.group.as_str() {
        DEFAULT_GROUP => String::new(),
        group => format!(" of group {group}"),
    };
    match (summary.state, &summary.canary) {
        (DeploymentState::Canary, Some(canary)) => {
            let (share, period) = (canary.share_percent, canary.period);
            format!("Deployment {number}{group} is a canary: it gets {share} % of the calls for {period}")
        }
        (DeploymentState::RolledBack, _) => format!("Deployment {number}{group} was {}", summary.reason),
        _ if !summary.reason.is_empty() => {
            format!("Deployment {number}{group} serves: {}", summary.reason)
        }
        _ => format!("Deployment {number}{group} serves: {services} services of {files} files"),
    }
}

/// A refused file with its reason.
pub(super) fn refusal(refused: &RefusedFile) -> String {
    let kept = if refused.kept_previous {
        " (its last good version goes on)"
    } else {
        ""
    };
    let (path, error, traceback) = (&refused.path, &refused.error, refused.traceback.trim_end());
    format!("{path}: {error}{kept}\n{traceback}")
}
