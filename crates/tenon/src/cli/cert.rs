//! `tenon cert`: certificates of the cluster's CA for components on other hosts.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tenon_model::{Role, SystemClock};

use super::Global;
use crate::environment::join;

/// Issues certificates.
#[derive(Debug, Subcommand)]
pub(super) enum Cert {
    /// Write a file with which a component on another host joins the cluster, or gets another certificate
    Issue(Issue),
}

/// Writes what a component on another host needs: the CA's certificate, its own with its key, and where servers are. The file
/// holds a key: move it safely, and delete it after use.
#[derive(Debug, Args)]
pub(super) struct Issue {
    /// What the component is
    role: JoinRole,
    /// Its name in the cluster; that of its role without it
    #[arg(long)]
    name: Option<String>,
    /// The file, which must not exist
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

/// What a component on another host can be.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum JoinRole {
    LoadBalancer,
    Dashboard,
    Server,
    Scheduler,
}

impl JoinRole {
    fn role(self) -> Role {
        match self {
            JoinRole::LoadBalancer => Role::LoadBalancer,
            JoinRole::Dashboard => Role::Dashboard,
            JoinRole::Server => Role::Server,
            JoinRole::Scheduler => Role::Scheduler,
        }
    }
}

impl Cert {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Cert::Issue(command) => command.run(global),
        }
    }
}

impl Issue {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let environment = global.target(None)?.environment;
        let role = self.role.role();
        let name = self.name.unwrap_or_else(|| role.as_str().to_owned());
        let servers = join::issue(&environment, role, &name, &self.file, &SystemClock)?;
        let output = global.output();
        if servers.iter().all(|server| server.ip().is_loopback()) {
            output.note("The servers listen on this host's loopback addresses only, which other hosts do not reach.");
        }
        let file = self.file.display();
        if output.is_json() {
            return output.json(&json!({
                "file": file.to_string(), "name": name, "role": role, "servers": servers,
            }));
        }
        output.text(&format!(
            "Wrote {file}, which holds a key. On the other host: tenon create {role} DIR --join FILE"
        ))
    }
}
