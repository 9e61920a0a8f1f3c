//! `tenon deployment`.

use std::path::PathBuf;

use clap::Subcommand;
use tenon_protocol::control::{
    DeploymentPath, DeploymentState, DeploymentSummary, DeploymentsQuery, ExportDeployment, GetDeployment,
    ListDeployments, Nothing, PromoteCanary, RollBack,
};

use super::Global;
use super::control::Cluster;
use super::deploy::{DEPLOY, finish, refusal};
use super::deployment_archive::{self, ARCHIVE_SUFFIX};

/// Lists, shows, rolls back and exports deployments.
#[derive(Debug, Subcommand)]
pub(super) enum Deployment {
    /// List deployments, the newest first
    List {
        /// How many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Only those of a worker group
        #[arg(long, value_name = "NAME")]
        group: Option<String>,
    },
    /// Show a deployment with its files, services and what was refused
    Show {
        /// Its number
        number: u64,
    },
    /// Make an earlier deployment of a worker group live again, or end a canary; other groups stay as they are
    Rollback {
        /// Its number
        number: u64,
    },
    /// Make a canary live now
    Promote {
        /// Its number
        number: u64,
    },
    /// Write a deployment to an archive, which `tenon deploy` takes in this or another cluster
    Export {
        /// Its number
        number: u64,
        /// Where to; deployment-NUMBER.tar if not given
        #[arg(long = "file", short = 'o', value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

impl Deployment {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        match self {
            Deployment::List { limit, group } => {
                let query = DeploymentsQuery {
                    after: None,
                    limit: Some(*limit),
                    group: group.clone(),
                };
                let page = cluster.call::<ListDeployments>(&query, &Nothing {})?;
                let header = [
                    "number", "state", "created", "group", "files", "services", "source", "refused", "reason",
                ];
                global
                    .output()
                    .show(&page, &header, |page| page.items.iter().map(row).collect())
            }
            Deployment::Show { number } => show(global, &cluster, *number),
            Deployment::Rollback { number } => {
                let path = DeploymentPath { number: *number };
                let summary = cluster.call_within::<RollBack>(&path, &Nothing {}, DEPLOY)?;
                if summary.state == DeploymentState::RolledBack {
                    return ended(global, &summary);
                }
                finish(global, &[summary])
            }
            Deployment::Promote { number } => {
                let path = DeploymentPath { number: *number };
                let summary = cluster.call_within::<PromoteCanary>(&path, &Nothing {}, DEPLOY)?;
                ended(global, &summary)
            }
            Deployment::Export { number, file } => export(global, &cluster, *number, file.clone()),
        }
    }
}

/// Shows a canary that was ended by hand.
fn ended(global: &Global, summary: &DeploymentSummary) -> anyhow::Result<()> {
    let output = global.output();
    if output.is_json() {
        return output.json(summary);
    }
    output.text(&format!("Deployment {} was {}", summary.number, summary.reason))
}

fn export(global: &Global, cluster: &Cluster, number: u64, file: Option<PathBuf>) -> anyhow::Result<()> {
    let exported = cluster.call_within::<ExportDeployment>(&DeploymentPath { number }, &Nothing {}, DEPLOY)?;
    let file = file.unwrap_or_else(|| format!("deployment-{number}{ARCHIVE_SUFFIX}").into());
    let summary = exported.summary.clone();
    deployment_archive::write(&file, exported)?;
    let output = global.output();
    if output.is_json() {
        return output.json(&serde_json::json!({ "file": file, "deployment": summary }));
    }
    output.text(&format!("Deployment {number} is in {}", file.display()))
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
        summary.reason.clone(),
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
    if let Some(canary) = &summary.canary {
        let (share, period) = (canary.share_percent, canary.period);
        lines.push(format!("canary    {share} % of the calls for {period}"));
    }
    if !summary.reason.is_empty() {
        lines.push(format!("reason    {}", summary.reason));
    }
    for (path, hash) in &detail.file_hashes {
        lines.push(format!("file      {path} ({})", hash.get(..12).unwrap_or(hash)));
    }
    for refused in &summary.refused {
        lines.push(format!("refused   {}", refusal(refused)));
    }
    output.text(&lines.join("\n"))
}
