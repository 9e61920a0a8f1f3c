//! `tenon completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{CommandLine, Global};

/// Prints a script that completes commands in a shell.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "tenon", &mut script);
        global.output().text(&String::from_utf8_lossy(&script))
    }
}
