//! The dashboard's web interface: built when its sources are newer than what was built.

use std::path::Path;
use std::time::SystemTime;

use anyhow::bail;

use crate::run::{command, exists, root, run};

/// Installs the interface's packages if they are not there, and builds it if it is not fresh.
pub(crate) fn build() -> anyhow::Result<()> {
    if is_fresh() {
        return Ok(());
    }
    install()?;
    run(command("npm", ["run", "build"]).current_dir(root().join("ui")))
}

/// Checks types and style, and runs the interface's unit tests.
pub(crate) fn check() -> anyhow::Result<()> {
    install()?;
    for script in ["typecheck", "lint", "test"] {
        run(command("npm", ["run", script]).current_dir(root().join("ui")))?;
    }
    Ok(())
}

/// Installs the packages of the lock file, unless they are installed.
pub(crate) fn install() -> anyhow::Result<()> {
    let ui = root().join("ui");
    let installed = modified(&ui.join("node_modules/.package-lock.json"));
    if installed.is_some() && installed >= modified(&ui.join("package-lock.json")) {
        return Ok(());
    }
    if !exists("npm") {
        bail!("npm is missing; install Node.js 20 or newer with npm, then try again");
    }
    run(command("npm", ["ci", "--no-audit", "--no-fund"]).current_dir(ui))
}

fn is_fresh() -> bool {
    let ui = root().join("ui");
    let Some(built) = modified(&ui.join("dist/index.html")) else {
        return false;
    };
    let inputs = ["src", "public", "index.html", "package-lock.json", "vite.config.ts"];
    inputs
        .iter()
        .all(|input| newest(&ui.join(input)).is_none_or(|newest| newest <= built))
}

fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    let entries = std::fs::read_dir(path).ok()?;
    entries.flatten().filter_map(|entry| newest(&entry.path())).max()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}
