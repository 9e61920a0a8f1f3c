//! A component's process: how it is started, watched, signalled and recognised.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::binary::{self, OWN_IMAGE};
use super::watched::watch;
use anyhow::Context as _;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};

/// A process that is held by a descriptor, so that its id can't come to mean another one.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pid: u32,
    descriptor: Arc<OwnedFd>,
}

impl Process {
    /// The process of this id, if there is one.
    pub(crate) fn open(pid: u32) -> Option<Self> {
        let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let descriptor = pidfd_open(raw, PidfdFlags::empty()).ok()?;
        Some(Self {
            pid,
            descriptor: Arc::new(descriptor),
        })
    }

    /// Its id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal; a process that is gone already does not mind.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Err(error) = pidfd_send_signal(&*self.descriptor, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!(pid = self.pid, %error, "process {} can't be signalled", self.pid);
        }
    }

    /// Waits until it has ended. Answers with how, if it was started by this process.
    pub(crate) async fn ended(&self) -> String {
        let watch = self.descriptor.try_clone().and_then(watch);
        match watch {
            Ok(watch) => {
                // Readable means ended; an error of the watch itself is handled as if it had, and the lock decides.
                let _ = watch.readable().await;
            }
            Err(error) => tracing::error!(%error, "process {} can't be watched", self.pid),
        }
        self.reap()
    }

    /// Waits until it has ended, or for so long. Whether it has.
    pub(crate) fn ended_within(&self, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        while self.is_alive() {
            if std::time::Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    fn is_alive(&self) -> bool {
        // Signal 0 finds zombies too; those have ended.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        !matches!(state, None | Some('Z' | 'X'))
    }

    fn reap(&self) -> String {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.descriptor.as_fd()), options) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(0), _) => "ended".to_owned(),
                (Some(code), _) => format!("ended with code {code}"),
                (_, Some(signal)) => format!("was killed by signal {signal}"),
                _ => "ended".to_owned(),
            },
            _ => "ended".to_owned(),
        }
    }
}

/// Whether the command line of this process names the path.
pub(crate) fn mentions(pid: u32, path: &Path) -> bool {
    let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else {
        return false;
    };
    line.split(|byte| *byte == 0)
        .any(|argument| argument == path.as_os_str().as_bytes())
}

/// How long a process runs, and its resident memory.
pub(crate) fn facts(pid: u32) -> (Option<u64>, Option<u64>) {
    let uptime = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        // Field 22 of the whole line, counted from 1: when it started, in ticks since the machine did.
        let started: u64 = fields.get(19)?.parse().ok()?;
        let machine: f64 = std::fs::read_to_string("/proc/uptime")
            .ok()?
            .split(' ')
            .next()?
            .parse()
            .ok()?;
        let ticks = rustix::param::clock_ticks_per_second();
        Some(
            Duration::from_secs_f64(machine)
                .as_secs()
                .saturating_sub(started / ticks.max(1)),
        )
    };
    let memory = || {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
    };
    (uptime(), memory())
}

/// Starts processes of this binary.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    program: PathBuf,
    /// Whether what is started prints to this process's output rather than to its log.
    inherit_output: bool,
}

impl Launcher {
    /// A launcher of the binary that this process was started from; a newer one at the same path is taken when it is there.
    pub(crate) fn new(inherit_output: bool) -> anyhow::Result<Self> {
        Ok(Self {
            program: binary::own_program()?,
            inherit_output,
        })
    }

    /// The file that is started next.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts `tenon component DIR/NAME` in a process group of its own.
    pub(crate) fn component(&self, directory: &Path, log: &Path) -> anyhow::Result<Process> {
        let prepare = |command: &mut Command| {
            command.arg("component").arg(directory).current_dir(directory);
            if self.inherit_output {
                command.env("TENON_LOG_TO", "stderr");
            }
            command.process_group(0);
        };
        self.spawn(prepare, log)
    }

    /// Starts `tenon supervise DIR`, which makes a session of its own.
    pub(crate) fn supervisor(&self, root: &Path, log: &Path) -> anyhow::Result<Process> {
        let prepare = |command: &mut Command| {
            command.arg("supervise").arg(root).current_dir(root);
        };
        self.spawn(prepare, log)
    }

    /// Goes on as `program` in this very process, as the supervisor of an environment. Returns only if that can't be.
    pub(crate) fn become_supervisor(&self, program: &Path, root: &Path) -> anyhow::Error {
        let mut command = Command::new(program);
        command.arg("supervise").arg(root).current_dir(root);
        if self.inherit_output {
            command.arg("--foreground");
        }
        anyhow::Error::new(command.exec()).context(format!("can't go on as {}", program.display()))
    }

    /// Starts the program. While its file is being replaced it may be missing, half written or not yet executable; then the
    /// binary that this process runs is started, which is better than nothing.
    fn spawn(&self, prepare: impl Fn(&mut Command), log: &Path) -> anyhow::Result<Process> {
        let start = |program: &Path| {
            let mut command = Command::new(program);
            prepare(&mut command);
            command.stdin(Stdio::null());
            if !self.inherit_output {
                let (out, err) = open_log(log)?;
                command.stdout(out).stderr(err);
            }
            command.spawn()
        };
        let child = match start(&self.program) {
            Ok(child) => child,
            Err(error) => {
                let program = self.program.display();
                tracing::warn!(%error, "{program} can't be started; the binary that runs already is started again");
                start(Path::new(OWN_IMAGE)).with_context(|| format!("can't start {program}"))?
            }
        };
        // The descriptor takes over from here; dropping the handle leaves the process alone.
        Process::open(child.id()).context("the process that was started can't be watched")
    }
}

fn open_log(log: &Path) -> std::io::Result<(File, File)> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options().create(true).append(true).open(log)?;
    Ok((file.try_clone()?, file))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// What is started writes its arguments; `program` is what the launcher believes to be its binary.
    fn started(program: &Path, directory: &Path) -> anyhow::Result<Process> {
        let launcher = Launcher {
            program: program.to_owned(),
            inherit_output: false,
        };
        launcher.supervisor(directory, &directory.join("log"))
    }

    #[test]
    fn while_the_binary_is_replaced_the_one_that_runs_is_started() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("tenon");
        let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        let run = || {
            started(&program, directory.path())
                .unwrap()
                .ended_within(Duration::from_mins(1))
        };

        // This test's own binary takes `supervise` for the name of a test, and finds none.
        assert!(run() && log().contains("0 passed"), "no file: {}", log());
        let mut file = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&program)
            .unwrap();
        writeln!(file, "#!/bin/sh\necho replaced").unwrap();
        let executable = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        assert!(run() && !log().contains("replaced"), "not executable: {}", log());
        std::fs::set_permissions(&program, executable).unwrap();
        assert!(run() && !log().contains("replaced"), "being written: {}", log());
        drop(file);
        // A process that another test is just starting may hold the file open for a moment longer.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while !log().contains("replaced") {
            assert!(run() && std::time::Instant::now() < deadline, "in place: {}", log());
        }
    }
}
