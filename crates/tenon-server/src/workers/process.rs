//! Worker processes as the operating system sees them.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::ExitStatus;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process_group};
use tenon_protocol::worker::WORKER_FD_VARIABLE;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::user::WorkerUser;

/// The descriptor on which a worker finds its socket.
const WORKER_FD: i32 = 3;

/// How often to look whether a process is gone whose end nobody tells.
const LOOK: Duration = Duration::from_millis(50);

/// How long after the end of a process it may be told how it ended.
const TOLD_WITHIN: Duration = Duration::from_millis(500);

/// What is run.
#[derive(Debug, Clone)]
pub(crate) struct CommandLine {
    pub(crate) program: String,
    /// What comes before the arguments: an interpreter's flags and the program that it runs.
    pub(crate) entry: Vec<OsString>,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) directory: PathBuf,
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) user: Option<WorkerUser>,
    /// 0 for no limit.
    pub(crate) address_space_bytes_max: u64,
}

/// The server's ends of what connects it with a worker.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stream: UnixStream,
    pub(crate) output: pipe::Receiver,
    pub(crate) errors: pipe::Receiver,
    /// Nobody writes to it: when the server ends, however it ends, the worker sees the end of it.
    pub(crate) owner: OwnedFd,
}

/// The worker's ends of the same.
#[derive(Debug)]
pub(crate) struct WorkerEnds {
    pub(crate) socket: OwnedFd,
    pub(crate) input: OwnedFd,
    pub(crate) output: OwnedFd,
    pub(crate) errors: OwnedFd,
}

/// What will connect the server with a worker.
pub(crate) fn connection() -> io::Result<(Ends, WorkerEnds)> {
    let (stream, socket) = std::os::unix::net::UnixStream::pair()?;
    stream.set_nonblocking(true)?;
    let (input, owner) = io::pipe()?;
    let (output, output_end) = io::pipe()?;
    let (errors, errors_end) = io::pipe()?;
    let ours = Ends {
        stream: UnixStream::from_std(stream)?,
        output: pipe::Receiver::from_owned_fd(output.into())?,
        errors: pipe::Receiver::from_owned_fd(errors.into())?,
        owner: owner.into(),
    };
    let theirs = WorkerEnds {
        socket: socket.into(),
        input: input.into(),
        output: output_end.into(),
        errors: errors_end.into(),
    };
    Ok((ours, theirs))
}

/// Starts a program that the server is connected with.
pub(crate) fn started(line: &CommandLine) -> io::Result<(Ends, Process)> {
    let (ours, theirs) = connection()?;
    Ok((ours, spawn(line, theirs)?))
}

/// Starts a program in a process group of its own.
fn spawn(line: &CommandLine, ends: WorkerEnds) -> io::Result<Process> {
    let mut command = std::process::Command::new(&line.program);
    command
        .args(line.entry.iter().chain(&line.arguments))
        .current_dir(&line.directory)
        .env(WORKER_FD_VARIABLE, WORKER_FD.to_string())
        .envs(line.variables.iter().map(|(name, value)| (name, value)))
        // The files are the server's own copies: compiled ones beside them make the next worker start sooner.
        .env_remove("PYTHONDONTWRITEBYTECODE")
        .stdin(ends.input)
        .stdout(ends.output)
        .stderr(ends.errors)
        .process_group(0);
    command
        .fd_mappings(vec![FdMapping {
            parent_fd: ends.socket,
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
    Ok(Process::Child(child))
}

/// A worker's process. Dropping it ends it.
#[derive(Debug)]
pub(crate) enum Process {
    /// One that the server started.
    Child(Child),
    /// One that was forked by another process, which will tell how it ended.
    Forked(Forked),
}

impl Process {
    /// Its process id; 0 if its end was already waited for.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Process::Child(child) => child.id().unwrap_or(0),
            Process::Forked(forked) => forked.pid,
        }
    }

    /// Waits for its end.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Process::Child(child) => child.wait().await,
            Process::Forked(forked) => forked.wait().await,
        }
    }

    /// Kills it and whatever it started, and waits for its end.
    pub(crate) async fn end(&mut self) -> io::Result<ExitStatus> {
        signal(self.id(), Signal::KILL);
        match self {
            Process::Child(child) => child.wait().await,
            Process::Forked(forked) => forked.wait_killed().await,
        }
    }
}

/// A process that another one waits for.
#[derive(Debug)]
pub(crate) struct Forked {
    pid: u32,
    /// Nothing once it told, or never will.
    told: Option<oneshot::Receiver<ExitStatus>>,
    status: Option<ExitStatus>,
}

impl Forked {
    /// A process whose end will be told.
    pub(crate) fn new(pid: u32, told: oneshot::Receiver<ExitStatus>) -> Self {
        Self {
            pid,
            told: Some(told),
            status: None,
        }
    }

    /// Waits until it is told how the process ended, or until there is nobody to tell, and no process.
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(told) = &mut self.told {
            let status = told.await.ok();
            self.told = None;
            self.status = status;
        }
        if let Some(status) = self.status {
            return Ok(status);
        }
        gone(self.pid).await;
        Err(io::Error::other(
            "an unknown cause: the process that started it does not tell",
        ))
    }

    /// Waits for the end of a process that was killed, whether anybody tells it or not: who should may be stopped.
    async fn wait_killed(&mut self) -> io::Result<ExitStatus> {
        let pid = self.pid;
        let silence = async {
            gone(pid).await;
            tokio::time::sleep(TOLD_WITHIN).await;
        };
        tokio::select! {
            biased;
            status = self.wait() => return status,
            () = silence => {}
        }
        self.told = None;
        self.wait().await
    }
}

/// Waits until a process is gone that nobody tells about.
async fn gone(pid: u32) {
    while is_running(pid) {
        tokio::time::sleep(LOOK).await;
    }
}

impl Drop for Forked {
    fn drop(&mut self) {
        let has_told = self.told.as_mut().is_some_and(|told| told.try_recv().is_ok());
        if self.status.is_none() && !has_told {
            signal(self.pid, Signal::KILL);
        }
    }
}

/// Whether there is such a process that has not ended.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have parentheses of its own.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
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

/// Sets the limit of a process that has just begun, before it can have used much; 0 for no limit.
pub(crate) fn limit_address_space(process: &Process, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let limit = rustix::process::Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
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
