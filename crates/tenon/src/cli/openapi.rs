//! `tenon openapi`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;
use tenon_protocol::control::{GetOpenApi, NoParams, Nothing, openapi_document};

use super::Global;
use super::control::Cluster;

/// Prints the OpenAPI document of the cluster's channels, or of the control API.
#[derive(Debug, Args)]
pub(super) struct OpenApi {
    /// Write it to a file instead
    #[arg(short = 'o', long = "to", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The document of the control API, which no cluster is needed for
    #[arg(long)]
    control: bool,
}

impl OpenApi {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let document: Value = if self.control {
            openapi_document()
        } else {
            Cluster::of(global)?.call::<GetOpenApi>(&NoParams {}, &Nothing {})?
        };
        let Some(file) = &self.file else {
            return global.output().json(&document);
        };
        let text = serde_json::to_string_pretty(&document)? + "\n";
        std::fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
    }
}
