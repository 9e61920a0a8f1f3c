//! Ambiguous requests and slow clients, at our load balancer and others: builds ours and hands over to the program `security` of
//! `tests/`.

use crate::install;
use crate::run::{self, command};

/// Prints what each load balancer does; fails if ours does not what it should.
pub(crate) fn run() -> anyhow::Result<()> {
    install::for_security()?;
    run::run(&mut command(
        "cargo",
        ["build", "--package", "tenon-balancer", "--examples"],
    ))?;
    run::run(&mut command(
        "cargo",
        ["run", "--quiet", "--package", "tenon-tests", "--bin", "security"],
    ))
}
