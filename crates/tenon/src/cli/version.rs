//! `tenon version`.

use clap::Args;
use serde_json::json;

use super::Global;

/// Prints the version.
#[derive(Debug, Args)]
pub(super) struct Version {}

impl Version {
    #[expect(clippy::unused_self, reason = "commands are called alike")]
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let output = global.output();
        if output.is_json() {
            output.json(&json!({ "version": version }))
        } else {
            output.text(&format!("tenon {version}"))
        }
    }
}
