//! `tenon openapi`.

use clap::Args;
use tenon_protocol::control::openapi_document;

use super::Global;

/// Prints the OpenAPI document of the control API.
#[derive(Debug, Args)]
pub(super) struct OpenApi {}

impl OpenApi {
    #[expect(clippy::unused_self, reason = "commands are called alike")]
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        global.output().json(&openapi_document())
    }
}
