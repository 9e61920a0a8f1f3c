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

/// The descriptor on which a worker finds its socket.
const WORKER_FD: i32 = 3;

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    pub(crate) program: String,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
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
    let child = Command::from(command).kill_on_drop(true).spawn()?;
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

/// Resident memory of a process; 0 if it is gone.
pub(crate) fn memory_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
