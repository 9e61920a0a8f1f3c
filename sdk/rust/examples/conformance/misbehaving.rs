//! Services that keep the thread, wait, or leave processes behind.

use std::time::Duration;

use tenon_sdk::{Context, Error};

/// Keeps the thread, as no handler should.
pub(crate) async fn block(_: Context, millis: u64) -> Result<(), Error> {
    std::thread::sleep(Duration::from_millis(millis));
    Ok(())
}

/// Waits as a handler should.
pub(crate) async fn wait(_: Context, millis: u64) -> Result<(), Error> {
    tokio::time::sleep(Duration::from_millis(millis)).await;
    Ok(())
}

/// Leaves a process behind that outlives the worker for a while.
pub(crate) async fn child(_: Context) -> Result<(), Error> {
    std::process::Command::new("sleep").arg("30").spawn()?;
    Ok(())
}

/// Says which process this is, and which version: what was added behind the end of the program's file, if anything was.
pub(crate) async fn version(_: Context) -> Result<serde_json::Value, Error> {
    let program = std::fs::read("/proc/self/exe")?;
    let end = String::from_utf8_lossy(&program[program.len().saturating_sub(32)..]).into_owned();
    let version = end.rsplit_once("version=").map(|(_, version)| version.to_owned());
    Ok(serde_json::json!({"version": version, "pid": std::process::id()}))
}
