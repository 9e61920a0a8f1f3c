//! Worker processes as the operating system sees them.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process_group};
use tenon_protocol::worker::WORKER_FD_VARIABLE;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::user::WorkerUser;

/// The descriptor on which a worker finds its socket.
const WORKER_FD: i32 = 3;

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    pub(crate) program: String,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) user: Option<WorkerUser>,
    /// 0 for no limit.
    pub(crate) address_space_bytes_max: u64,
}

/// Starts a worker in a process group of its own. Its standard input is a pipe that nobody writes to: when the server ends,
/// however it ends, the worker sees the end of it.
pub(crate) fn spawn(line: &CommandLine) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut command = std::process::Command::new(&line.program);
    command
        .args(&line.arguments)
        .current_dir(&line.directory)
        .env(WORKER_FD_VARIABLE, WORKER_FD.to_string())
        .envs(line.variables.iter().map(|(name, value)| (name, value)))
        // The files are the server's own copies: compiled ones beside them make the next worker start sooner.
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
        .fd_mappings(vec![FdMapping {
            parent_fd: OwnedFd::from(theirs),
            child_fd: WORKER_FD,
        }])
        .map_err(io::Error::other)?;
    if let Some(user) = &line.user {
        // The groups of the server go with its user: a worker has that of its own user only.
        command.uid(user.uid).gid(user.gid);
        command
            .env("HOME", &user.home)
            .env("USER", &user.name)
            .env("LOGNAME", &user.name);
    }
    let child = Command::from(command).kill_on_drop(true).spawn()?;
    if line.address_space_bytes_max > 0 {
        limit_address_space(&child, line.address_space_bytes_max)?;
    }
    Ok((child, UnixStream::from_std(ours)?))
}

/// Sends a signal to a worker and to whatever it started. A worker that has ended is no error.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}

/// How a process ended, in words.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown cause".to_owned(),
    }
}

/// Sets the limit of a process that has just begun, before it can have used much.
fn limit_address_space(child: &Child, bytes: u64) -> io::Result<()> {
    let limit = rustix::process::Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    rustix::process::prlimit(pid, rustix::process::Resource::As, limit)?;
    Ok(())
}

/// Resident memory of a process; 0 if it is gone.
pub(crate) fn memory_bytes(pid: u32) -> u64 {
    kilobytes(&format!("/proc/{pid}/status"), "VmRSS:") * 1024
}

/// Memory of a process with its share of pages that others have too; its resident memory where that can't be had. Takes much
/// longer to find out than the latter.
pub(crate) fn proportional_memory_bytes(pid: u32) -> u64 {
    match kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:") {
        0 => memory_bytes(pid),
        found => found * 1024,
    }
}

/// A line of a file in `/proc` that gives a number of kilobytes; 0 if it can't be read.
fn kilobytes(path: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(field));
    found
        .and_then(|text| text.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or(0)
}
