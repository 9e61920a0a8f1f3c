//! `tenon status`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tenon_model::Role;

use super::Global;
use super::output::{or_dash, size, span};
use crate::supervisor::binary::Binary;
use crate::supervisor::client;
use crate::supervisor::link::{ComponentReport, SupervisorReport};

/// Shows how the components are. Works when nothing runs.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// An environment or one of its components
    path: Option<PathBuf>,
}

/// What is printed as JSON. Others read it: fields stay.
#[derive(Debug, Serialize)]
struct StatusDocument {
    cluster: String,
    supervisor: Option<SupervisorReport>,
    components: Vec<ComponentDocument>,
}

#[derive(Debug, Serialize)]
struct ComponentDocument {
    name: String,
    role: Role,
    pid: Option<u32>,
    state: String,
    ready: bool,
    version: String,
    address: Option<String>,
    control_address: Option<String>,
    uptime_seconds: Option<u64>,
    memory_bytes: Option<u64>,
    binary: Option<Binary>,
}

impl Status {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        let mut reports = client::reports(&target.environment)?;
        if let Some(name) = &target.component {
            reports.retain(|report| &report.name == name);
        }
        let output = global.output();
        if output.is_json() {
            return output.json(&StatusDocument {
                cluster: target.environment.settings().cluster.name.clone(),
                supervisor: client::supervisor(&target.environment),
                components: reports.into_iter().map(document).collect(),
            });
        }
        let header = [
            "name", "state", "ready", "pid", "uptime", "memory", "address", "control", "reason",
        ];
        let rows = reports.iter().map(row).collect();
        output.text(&super::output::table(&header, rows))
    }
}

fn document(report: ComponentReport) -> ComponentDocument {
    ComponentDocument {
        name: report.name,
        role: report.role,
        pid: report.pid,
        state: report.state,
        ready: report.ready,
        version: report.version,
        address: report.address,
        control_address: report.control_address,
        uptime_seconds: report.uptime_seconds,
        memory_bytes: report.memory_bytes,
        binary: report.binary,
    }
}

fn row(report: &ComponentReport) -> Vec<String> {
    vec![
        report.name.clone(),
        report.state.clone(),
        if report.ready { "yes" } else { "no" }.to_owned(),
        or_dash(report.pid),
        or_dash(report.uptime_seconds.map(span)),
        or_dash(report.memory_bytes.map(size)),
        or_dash(report.address.as_ref()),
        or_dash(report.control_address.as_ref()),
        reason(report),
    ]
}

/// Why a component is not ready; else, whether it waits for a restart.
fn reason(report: &ComponentReport) -> String {
    let is_old = report.binary.as_ref().is_some_and(|binary| !binary.is_current);
    if report.reason.is_empty() && is_old {
        "runs a binary that was replaced: `tenon restart` starts the new one".to_owned()
    } else {
        report.reason.clone()
    }
}
