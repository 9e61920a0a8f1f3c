//! `tenon service`.

use std::io::Read as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use tenon_model::DurationText;
use tenon_protocol::control::{
    GetService, InvokeReply, InvokeRequest, InvokeService, ListServices, Nothing, ServicePath, ServiceSummary,
};

use super::Global;
use super::control::Cluster;
use crate::failure::fail;

/// How much longer than the service itself the answer may take.
const ANSWER_MARGIN: Duration = Duration::from_secs(10);

/// Lists, shows and invokes services.
#[derive(Debug, Subcommand)]
pub(super) enum Service {
    /// List the services that are deployed
    List,
    /// Show a service
    Show {
        /// The service's name
        name: String,
    },
    /// Invoke a service and print what it answers
    Invoke(Invoke),
}

/// Invokes a service.
#[derive(Debug, Args)]
pub(super) struct Invoke {
    /// The service's name
    name: String,
    /// What the service gets: JSON, or @FILE, or - for standard input
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// How long it may take
    #[arg(long, value_name = "DURATION")]
    timeout: Option<DurationText>,
}

impl Service {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        match self {
            Service::List => list(global),
            Service::Show { name } => show(global, name),
            Service::Invoke(invoke) => invoke.run(global),
        }
    }
}

fn list(global: &Global) -> anyhow::Result<()> {
    let cluster = Cluster::of(global)?;
    let all = cluster.all::<ListServices, _>()?;
    global.output().show(
        &all,
        &["name", "file", "group", "deployment", "state", "channels", "doc"],
        |all| all.items.iter().map(row).collect(),
    )
}

fn row(service: &ServiceSummary) -> Vec<String> {
    vec![
        service.name.clone(),
        service.file.clone(),
        service.group.clone(),
        service.deployment.to_string(),
        state(service).to_owned(),
        service.channels.join(", "),
        service.doc.lines().next().unwrap_or_default().to_owned(),
    ]
}

fn state(service: &ServiceSummary) -> &'static str {
    match service.quarantine {
        Some(_) => "quarantined",
        None => "serves",
    }
}

fn show(global: &Global, name: &str) -> anyhow::Result<()> {
    let cluster = Cluster::of(global)?;
    let path = ServicePath { name: name.to_owned() };
    let service = cluster.call::<GetService>(&path, &Nothing {})?;
    global.output().show(&service, &["field", "value"], |service| {
        let schema = |schema: &Option<Value>| schema.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
        [
            ("name", service.name.clone()),
            ("file", service.file.clone()),
            ("group", service.group.clone()),
            ("deployment", service.deployment.to_string()),
            ("state", state(service).to_owned()),
            ("quarantine", service.quarantine.clone().unwrap_or_default()),
            ("channels", service.channels.join(", ")),
            ("input", schema(&service.input)),
            ("output", schema(&service.output)),
            ("doc", service.doc.clone()),
        ]
        .into_iter()
        .map(|(field, value)| vec![field.to_owned(), value])
        .collect()
    })
}

impl Invoke {
    fn run(&self, global: &Global) -> anyhow::Result<()> {
        let request = InvokeRequest {
            payload: self
                .payload
                .as_deref()
                .map(read_payload)
                .transpose()?
                .unwrap_or_default(),
            timeout_ms: self
                .timeout
                .map(|timeout| u64::try_from(timeout.0.as_millis()).unwrap_or(u64::MAX)),
        };
        let cluster = Cluster::of(global)?;
        let path = ServicePath {
            name: self.name.clone(),
        };
        let reply = match self.timeout {
            Some(timeout) => cluster.call_within::<InvokeService>(&path, &request, timeout.0 + ANSWER_MARGIN)?,
            None => cluster.call::<InvokeService>(&path, &request)?,
        };
        let output = global.output();
        if output.is_json() {
            output.json(&reply)?;
        } else {
            output.text(&answer(&reply)?)?;
        }
        if reply.status >= 400 {
            fail!(
                Refused,
                format!("{} answered with status {}", self.name, reply.status),
                format!("its correlation id in the logs is {}", reply.cid)
            );
        }
        Ok(())
    }
}

fn answer(reply: &InvokeReply) -> anyhow::Result<String> {
    Ok(match (&reply.payload, &reply.text) {
        (Some(payload), _) => serde_json::to_string_pretty(payload)?,
        (None, text) => text.clone().unwrap_or_default(),
    })
}

/// JSON from the command line, a file or standard input; what is no JSON is a text, unless it begins as only JSON does.
fn read_payload(argument: &str) -> anyhow::Result<Value> {
    let text = if argument == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else if let Some(file) = argument.strip_prefix('@') {
        let Ok(text) = std::fs::read_to_string(file) else {
            fail!(NoSuchPath, format!("the payload's file {file} can't be read"), "");
        };
        text
    } else {
        argument.to_owned()
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(value),
        Err(error) if text.trim_start().starts_with(['{', '[', '"']) => fail!(
            InvalidInput,
            format!("the payload is not JSON: {error}"),
            "quote it for the shell, or read it from a file with --payload @FILE"
        ),
        Err(_) => Ok(Value::String(text)),
    }
}
