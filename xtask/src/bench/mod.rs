//! Measurements beside peers: one interleaved run, ratios and CPU per operation.

use clap::Args;

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The scenarios; all if none is named.
    scenarios: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("unknown scenario: {:?}", options.scenarios)
}
