//! Starting a worker, up to its hello.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use bytes::BytesMut;
use rustix::process::Signal;
use tenon_protocol::worker::{Hello, Limits, Message, Violation, decode};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout};
use tokio_util::task::TaskTracker;

use super::output::{LastLines, Stream, log_output};
use super::process::{self, CommandLine, Ends, Process};
use super::reader::log_line;
use super::settings::WorkerSettings;
use super::user::WorkerUser;
use super::zygote::Zygote;

/// What workers of a deployment run.
#[derive(Debug, Clone)]
pub struct WorkerSpec {
    /// The worker group.
    pub group: String,
    /// The directory with the deployment's files.
    pub root: PathBuf,
    /// What is started.
    pub program: WorkerProgram,
    /// Environment variables that workers get besides the server's own.
    pub variables: Vec<(&'static str, String)>,
    /// The user that workers run as; none for the server's own.
    pub user: Option<WorkerUser>,
}

/// What a worker is.
#[derive(Debug, Clone)]
pub enum WorkerProgram {
    /// An interpreter that runs a program, which loads the deployment's files.
    Python {
        /// The interpreter.
        interpreter: String,
        /// The program that every worker runs.
        entry: PathBuf,
        /// Who forks the workers; none if each is started by itself.
        zygote: Option<Arc<Zygote>>,
    },
    /// A program that has the services itself.
    Executable(PathBuf),
}

impl WorkerProgram {
    /// What to call it when it can't be run.
    fn name(&self) -> String {
        match self {
            WorkerProgram::Python { interpreter, .. } => interpreter.clone(),
            WorkerProgram::Executable(path) => path.display().to_string(),
        }
    }

    /// What comes before the arguments of a worker.
    fn entry(&self) -> Vec<OsString> {
        match self {
            WorkerProgram::Python { entry, .. } => python_entry(entry),
            WorkerProgram::Executable(_) => Vec::new(),
        }
    }

    fn zygote(&self) -> Option<&Arc<Zygote>> {
        match self {
            WorkerProgram::Python { zygote, .. } => zygote.as_ref(),
            WorkerProgram::Executable(_) => None,
        }
    }
}

/// How an interpreter is told to run a worker's program.
pub(crate) fn python_entry(entry: &Path) -> Vec<OsString> {
    let flags = ["-X", "faulthandler", "-u"].map(OsString::from);
    flags.into_iter().chain([entry.as_os_str().to_owned()]).collect()
}

impl WorkerSpec {
    fn command_line(&self, settings: &WorkerSettings) -> CommandLine {
        let mut arguments: Vec<OsString> = vec![
            "--root".into(),
            self.root.clone().into(),
            "--group".into(),
            self.group.clone().into(),
        ];
        if let WorkerProgram::Python { .. } = &self.program {
            arguments.push("--threads".into());
            arguments.push(settings.threads.to_string().into());
            arguments.push("--body-limit".into());
            arguments.push(settings.body_bytes_max.to_string().into());
            arguments.push("--import-timeout".into());
            arguments.push(settings.import_timeout.0.as_secs_f64().to_string().into());
        }
        CommandLine {
            program: self.program.name(),
            entry: self.program.entry(),
            arguments,
            directory: self.root.clone(),
            variables: self.variables.clone(),
            user: self.user.clone(),
            address_space_bytes_max: settings.address_space_bytes_max,
        }
    }
}

/// A Python interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interpreter {
    /// Its path, or the name that nothing could be found out about.
    pub(crate) path: String,
    /// Which packages fit it, such as `cpython-311 linux-x86_64`; empty if it can't be run, or is older than 3.9.
    pub(crate) tag: String,
}

/// Asks an interpreter who it is. One that is too old is as good as none.
const WHO: &str = "import sys, sysconfig; sys.version_info < (3, 9) and sys.exit(1); \
    print(sys.executable); print(sys.implementation.cache_tag, sysconfig.get_platform())";

/// The interpreter behind a name, as it calls itself. Version managers put slow scripts in front of interpreters, which would
/// be run with every worker; what can't be found out stays as it is, and fails when a worker is started.
pub(crate) async fn interpreter(program: &str) -> Interpreter {
    let asked = tokio::process::Command::new(program)
        .args(["-I", "-S", "-c", WHO])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answered = timeout(Duration::from_secs(10), asked).await;
    let said = match &answered {
        Ok(Ok(output)) if output.status.success() => std::str::from_utf8(&output.stdout).unwrap_or_default().trim(),
        _ => "",
    };
    match said.split_once('\n') {
        Some((path, tag)) if Path::new(path.trim()).is_absolute() => Interpreter {
            path: path.trim().to_owned(),
            tag: tag.trim().to_owned(),
        },
        _ => Interpreter {
            path: program.to_owned(),
            tag: String::new(),
        },
    }
}

/// Why a worker did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The interpreter, or the program, could not be run.
    #[error("can't run '{program}'")]
    Spawn {
        /// Which one.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended before its hello.
    #[error("the worker ended while it loaded the services: {cause}")]
    Ended {
        /// How it ended.
        cause: String,
        /// What it printed.
        output: String,
    },
    /// It sent no hello in time.
    #[error("the worker did not load the services within {0:?}")]
    TimedOut(Duration, String),
    /// It said something else.
    #[error("the worker broke the protocol")]
    Protocol(#[from] Violation),
    /// It loaded less than the deployment has.
    #[error("the worker loaded other services than the deployment has: {0}")]
    Differs(String),
}

impl StartError {
    /// What the worker printed before it ended; empty if it printed nothing or did not run.
    pub fn output(&self) -> &str {
        match self {
            StartError::Ended { output, .. } | StartError::TimedOut(_, output) => output,
            _ => "",
        }
    }
}

/// A worker that said hello and belongs to no pool yet. Dropping it ends the process.
#[derive(Debug)]
pub struct ReadyWorker {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) process: Process,
    pub(crate) owner: OwnedFd,
    pub(crate) stream: UnixStream,
    pub(crate) buffer: BytesMut,
    pub(crate) started: Instant,
    /// What it said.
    pub hello: Hello,
}

impl ReadyWorker {
    /// Starts a worker and waits for its hello.
    pub async fn start(
        spec: &WorkerSpec,
        name: String,
        settings: &WorkerSettings,
        tasks: &TaskTracker,
    ) -> Result<Self, StartError> {
        let line = spec.command_line(settings);
        let started = Instant::now();
        let (ends, process) = launch(spec, &line).await.map_err(|source| StartError::Spawn {
            program: line.program.clone(),
            source,
        })?;
        let Ends {
            mut stream,
            output,
            errors,
            owner,
        } = ends;
        let pid = process.id();
        let last = LastLines::default();
        let log = |pipe, stream| {
            let lines = log_output(pipe, stream, name.clone(), last.clone(), settings.clone());
            tasks.spawn(lines)
        };
        let pipes = [log(output, Stream::Out), log(errors, Stream::Error)];
        let mut buffer = BytesMut::with_capacity(64 << 10);
        let greeted = timeout(
            settings.hello_timeout.0,
            read_hello(&mut stream, &mut buffer, &settings.frame_limits(), (&name, &last)),
        )
        .await;
        let hello = match greeted {
            Ok(Ok(Some(hello))) => hello,
            Ok(Err(violation)) => {
                process::signal(pid, Signal::KILL);
                return Err(violation.into());
            }
            Ok(Ok(None)) => return Err(last_words(process, &last, pipes, None).await),
            Err(_) => return Err(last_words(process, &last, pipes, Some(settings.hello_timeout.0)).await),
        };
        Ok(Self {
            name,
            pid,
            process,
            owner,
            stream,
            buffer,
            started,
            hello,
        })
    }
}

/// Forks a worker, or starts it if it can't be forked.
async fn launch(spec: &WorkerSpec, line: &CommandLine) -> io::Result<(Ends, Process)> {
    let forked = match spec.program.zygote() {
        Some(zygote) => zygote.fork(line).await,
        None => None,
    };
    let (ends, process) = match forked {
        Some(forked) => forked,
        None => process::started(line)?,
    };
    process::limit_address_space(&process, line.address_space_bytes_max)?;
    Ok((ends, process))
}

/// What a worker that did not greet has to say: how it ended by itself, or that it had to be ended after so long.
async fn last_words(
    mut process: Process,
    last: &LastLines,
    pipes: [JoinHandle<()>; 2],
    timed_out: Option<Duration>,
) -> StartError {
    let pid = process.id();
    let by_itself = match timed_out {
        None => timeout(Duration::from_millis(500), process.wait()).await.ok(),
        Some(_) => None,
    };
    // What it started goes with it.
    process::signal(pid, Signal::KILL);
    let status = match by_itself {
        Some(status) => status,
        None => process.end().await,
    };
    // The pipes are at their end now; what was in them belongs to the error.
    for task in pipes {
        let _ = timeout(Duration::from_millis(500), task).await;
    }
    match timed_out {
        Some(after) => StartError::TimedOut(after, last.text()),
        None => StartError::Ended {
            cause: status.map_or_else(|error| error.to_string(), process::ending),
            output: last.text(),
        },
    }
}

/// Reads up to the hello; none if the worker closed the socket before.
async fn read_hello(
    stream: &mut UnixStream,
    buffer: &mut BytesMut,
    limits: &Limits,
    (name, last): (&str, &LastLines),
) -> Result<Option<Hello>, Violation> {
    loop {
        while let Some(frame) = decode(buffer, limits)? {
            let kind = frame.kind;
            match Message::from_frame(frame)? {
                Message::Hello(hello) => return Ok(Some(hello)),
                Message::Log(line) => {
                    log_line(name, &line);
                    last.push(&line.message);
                }
                _ => {
                    return Err(Violation::Malformed {
                        kind,
                        part: "place before the hello",
                        source: None,
                    });
                }
            }
        }
        if !matches!(stream.read_buf(buffer).await, Ok(read) if read > 0) {
            return Ok(None);
        }
    }
}
