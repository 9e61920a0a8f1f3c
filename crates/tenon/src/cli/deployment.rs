//! `tenon deploy` and `tenon deployment`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::{Args, Subcommand};
use tenon_protocol::control::{
    CreateDeployment, DeployFile, DeployRequest, DeploymentPath, DeploymentState, DeploymentSummary, GetDeployment,
    ListDeployments, NoParams, Nothing, PageQuery, RefusedFile, RollBack,
};

use super::Global;
use super::control::Cluster;
use crate::failure::fail;

/// How long a deployment may take until it serves on all servers.
const DEPLOY: Duration = Duration::from_mins(2);

/// Deploys files: answers when every live server serves them.
#[derive(Debug, Args)]
pub(super) struct Deploy {
    /// Python files, or directories of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The worker group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

/// Lists, shows and rolls back deployments.
#[derive(Debug, Subcommand)]
pub(super) enum Deployment {
    /// List deployments, the newest first
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Show a deployment with its files, services and what was refused
    Show {
        /// Its number
        number: u64,
    },
    /// Make an earlier deployment live again
    Rollback {
        /// Its number
        number: u64,
    },
}

impl Deploy {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for path in &self.paths {
            collect(path, &mut files)?;
        }
        if files.is_empty() {
            fail!(InvalidInput, "there are no files to deploy there", "");
        }
        let cluster = Cluster::of(global)?;
        let request = DeployRequest {
            files,
            remove: Vec::new(),
            group: self.group.clone(),
        };
        let summary = cluster.call_within::<CreateDeployment>(&NoParams {}, &request, DEPLOY)?;
        finish(global, &summary)
    }
}

/// The files of a path, named as they will be below `services/`.
fn collect(path: &Path, files: &mut Vec<DeployFile>) -> anyhow::Result<()> {
    if path.is_dir() {
        return collect_directory(path, path, files);
    }
    if !path.is_file() {
        fail!(NoSuchPath, format!("{} does not exist", path.display()), "");
    }
    let name = path.file_name().unwrap_or_default();
    files.push(read(path, Path::new(name))?);
    Ok(())
}

fn collect_directory(root: &Path, directory: &Path, files: &mut Vec<DeployFile>) -> anyhow::Result<()> {
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

fn read(path: &Path, name: &Path) -> anyhow::Result<DeployFile> {
    let content = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    Ok(DeployFile {
        path: name.to_string_lossy().into_owned(),
        content: BASE64_STANDARD.encode(content),
    })
}

/// Shows what became of a deployment. One that was refused, or lacks files that were, is a failure.
fn finish(global: &Global, summary: &DeploymentSummary) -> anyhow::Result<()> {
    let output = global.output();
    if output.is_json() {
        output.json(summary)?;
    } else if summary.state != DeploymentState::Refused {
        let (number, services, files) = (summary.number, summary.services, summary.files);
        output.text(&format!(
            "Deployment {number} serves: {services} services of {files} files"
        ))?;
    }
    if summary.refused.is_empty() && summary.state != DeploymentState::Refused {
        return Ok(());
    }
    for refused in &summary.refused {
        output.note(&refusal(refused));
    }
    let names: Vec<&str> = summary.refused.iter().map(|refused| refused.path.as_str()).collect();
    fail!(
        Refused,
        format!("refused in deployment {}: {}", summary.number, names.join(", ")),
        "what ran before goes on"
    )
}

fn refusal(refused: &RefusedFile) -> String {
    let kept = if refused.kept_previous {
        " (its last good version goes on)"
    } else {
        ""
    };
    format!(
        "{}: {}{kept}\n{}",
        refused.path,
        refused.error,
        refused.traceback.trim_end()
    )
}

impl Deployment {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        match self {
            Deployment::List { limit } => {
                let query = PageQuery {
                    after: None,
                    limit: Some(*limit),
                };
                let page = cluster.call::<ListDeployments>(&query, &Nothing {})?;
                let header = [
                    "number", "state", "created", "group", "files", "services", "source", "refused",
                ];
                global
                    .output()
                    .show(&page, &header, |page| page.items.iter().map(row).collect())
            }
            Deployment::Show { number } => show(global, &cluster, *number),
            Deployment::Rollback { number } => {
                let path = DeploymentPath { number: *number };
                let summary = cluster.call_within::<RollBack>(&path, &Nothing {}, DEPLOY)?;
                finish(global, &summary)
            }
        }
    }
}

fn state(summary: &DeploymentSummary) -> String {
    let state = serde_json::to_value(summary.state).unwrap_or_default();
    state.as_str().unwrap_or_default().to_owned()
}

fn row(summary: &DeploymentSummary) -> Vec<String> {
    let refused: Vec<String> = summary
        .refused
        .iter()
        .map(|refused| format!("{}: {}", refused.path, refused.error))
        .collect();
    vec![
        summary.number.to_string(),
        state(summary),
        summary.created_at.to_string(),
        summary.group.clone(),
        summary.files.to_string(),
        summary.services.to_string(),
        summary.source.clone(),
        refused.join("; "),
    ]
}

fn show(global: &Global, cluster: &Cluster, number: u64) -> anyhow::Result<()> {
    let detail = cluster.call::<GetDeployment>(&DeploymentPath { number }, &Nothing {})?;
    let output = global.output();
    if output.is_json() {
        return output.json(&detail);
    }
    let summary = &detail.summary;
    let mut lines = vec![
        format!("number    {}", summary.number),
        format!("state     {}", state(summary)),
        format!("created   {}", summary.created_at),
        format!("group     {}", summary.group),
        format!("source    {}", summary.source),
        format!("services  {}", detail.service_names.join(", ")),
    ];
    for (path, hash) in &detail.file_hashes {
        lines.push(format!("file      {path} ({})", hash.get(..12).unwrap_or(hash)));
    }
    for refused in &summary.refused {
        lines.push(format!("refused   {}", refusal(refused)));
    }
    output.text(&lines.join("\n"))
}
