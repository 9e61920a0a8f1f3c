//! Python workers that are forked: one process for each interpreter has imported what every worker needs, and starts a worker
//! in a tenth of the time that an interpreter takes. Workers share its memory as long as they don't write to it.
//!
//! It speaks lines of JSON; an order has the worker's descriptors beside it (`sdk/python/tenon/zygote.py`). It only starts
//! workers and tells how they end: their sockets, pipes and limits are those of workers that are started by themselves, and so
//! is everything if a worker can't be forked.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Interest, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::output::{LastLines, Stream, log_output};
use super::process::{self, CommandLine, Ends, Forked, Process, WorkerEnds};
use super::settings::WorkerSettings;
use super::start::python_entry;
use super::user::WorkerUser;

/// How many times a worker is ordered: the first zygote may be one that has to be replaced.
const TRIES: usize = 2;

/// How long a zygote may take for an order. Forking takes milliseconds, unless somebody has stopped it.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Who forks the workers of a server, for each of its interpreters.
#[derive(Debug)]
pub(crate) struct Zygotes {
    common: Arc<Common>,
    /// By interpreter. A zygote is there as long as anybody may order a worker, or has one.
    known: Mutex<BTreeMap<String, Weak<Zygote>>>,
}

/// What all zygotes of a server have in common.
#[derive(Debug)]
struct Common {
    /// The program that every worker runs.
    entry: PathBuf,
    user: Option<WorkerUser>,
    settings: WorkerSettings,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Zygotes {
    pub(crate) fn new(entry: &Path, user: Option<&WorkerUser>, settings: &WorkerSettings) -> Self {
        let common = Common {
            entry: entry.to_owned(),
            user: user.cloned(),
            settings: settings.clone(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            common: Arc::new(common),
            known: Mutex::default(),
        }
    }

    /// Who forks workers of an interpreter; nothing is started before the first one is ordered.
    pub(crate) fn of(&self, interpreter: &str) -> Arc<Zygote> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zygote) = known.get(interpreter).and_then(Weak::upgrade) {
            return zygote;
        }
        known.retain(|_, zygote| zygote.strong_count() > 0);
        let zygote = Arc::new(Zygote {
            interpreter: interpreter.to_owned(),
            common: self.common.clone(),
            state: tokio::sync::Mutex::default(),
        });
        known.insert(interpreter.to_owned(), Arc::downgrade(&zygote));
        zygote
    }

    /// Ends them all, once the workers have been told to end.
    pub(crate) async fn end(&self) {
        self.common.stop.cancel();
        self.common.tasks.close();
        self.common.tasks.wait().await;
    }
}

/// Who forks the workers of one interpreter.
#[derive(Debug)]
pub struct Zygote {
    interpreter: String,
    common: Arc<Common>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    NotStarted,
    Running(Running),
    /// Workers of this interpreter can't be forked.
    Unable,
}

/// Why no worker was forked.
#[derive(Debug, thiserror::Error)]
enum ForkError {
    #[error("the process that forks workers can't be reached")]
    Io(#[from] io::Error),
    #[error("the process that forks workers said nothing for too long")]
    Silent,
    #[error("the process that forks workers has ended")]
    Ended,
    #[error("{0}")]
    Problem(String),
}

impl Zygote {
    /// Forks a worker; none if that can't be done, which is no reason not to start it by itself.
    pub(crate) async fn fork(self: &Arc<Self>, line: &CommandLine) -> Option<(Ends, Process)> {
        let mut state = self.state.lock().await;
        for _ in 0..TRIES {
            if !matches!(&*state, State::Running(running) if !running.has_ended()) {
                *state = self.started(&state).await;
            }
            let State::Running(running) = &*state else {
                return None;
            };
            match self.order(running, line).await {
                Ok((ends, forked)) => return Some((ends, Process::Forked(forked))),
                Err(error) => {
                    tracing::info!(
                        interpreter = self.interpreter,
                        "workers are forked by a new process: {error}"
                    );
                    if matches!(error, ForkError::Silent) {
                        running.silent.cancel();
                    }
                    *state = State::NotStarted;
                }
            }
        }
        None
    }

    async fn started(self: &Arc<Self>, before: &State) -> State {
        if matches!(before, State::Unable) || self.common.stop.is_cancelled() {
            return State::Unable;
        }
        match self.start().await {
            Ok(running) => State::Running(running),
            Err(error @ ForkError::Problem(_)) => {
                tracing::info!(
                    interpreter = self.interpreter,
                    "workers are started one by one, not forked: {error}"
                );
                State::Unable
            }
            // If the interpreter can't be run, starting a worker will say so.
            Err(error) => {
                tracing::warn!(interpreter = self.interpreter, "workers can't be forked now: {error}");
                State::NotStarted
            }
        }
    }

    async fn start(&self) -> Result<Running, ForkError> {
        let Common {
            entry,
            user,
            settings,
            tasks,
            stop,
        } = &*self.common;
        let line = CommandLine {
            program: self.interpreter.clone(),
            entry: python_entry(entry),
            arguments: vec![OsString::from("--zygote")],
            directory: entry.parent().unwrap_or(Path::new("/")).to_owned(),
            variables: Vec::new(),
            user: user.clone(),
            address_space_bytes_max: 0,
        };
        let (ends, process) = process::started(&line)?;
        let Ends {
            stream, output, errors, ..
        } = ends;
        let log = |pipe, stream| {
            let name = format!("zygote-{}", process.id());
            tasks.spawn(log_output(pipe, stream, name, LastLines::default(), settings.clone()))
        };
        log(output, Stream::Out);
        log(errors, Stream::Error);
        let (reader, orders) = stream.into_split();
        let mut answers = BufReader::new(reader).lines();
        match timeout(settings.hello_timeout.0, next(&mut answers)).await {
            Ok(Some(Answer::Ready {})) => {}
            Ok(Some(Answer::Problem(problem))) => return Err(ForkError::Problem(problem)),
            Ok(_) => return Err(ForkError::Ended),
            Err(_) => return Err(ForkError::Silent),
        }
        let ordered = Arc::new(Ordered::default());
        let silent = stop.child_token();
        tasks.spawn(listen(answers, process, ordered.clone(), silent.clone()));
        Ok(Running {
            orders,
            ordered,
            silent,
        })
    }

    /// Has a worker forked. Each order has its own ends of the connection: one that nobody waits for any more may be carried
    /// out all the same, and that worker finds nobody at the other end.
    async fn order(self: &Arc<Self>, running: &Running, line: &CommandLine) -> Result<(Ends, Forked), ForkError> {
        let (ours, theirs) = process::connection()?;
        let order = Order {
            arguments: line.arguments.iter().map(|word| word.to_string_lossy()).collect(),
            directory: line.directory.to_string_lossy(),
            variables: line
                .variables
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect(),
        };
        let mut text = serde_json::to_vec(&order).map_err(io::Error::from)?;
        text.push(b'\n');
        let (sender, answer) = oneshot::channel();
        if !running.ordered.push(self.clone(), sender) {
            return Err(ForkError::Ended);
        }
        let answer = async {
            send(running.orders.as_ref(), &text, &theirs).await?;
            answer.await.map_err(|_| ForkError::Ended)
        };
        match timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => Ok((ours, answer?.map_err(ForkError::Problem)?)),
            Err(_) => Err(ForkError::Silent),
        }
    }
}

/// A process that forks. When the server's end of its socket is closed, it waits for its workers, and ends.
#[derive(Debug)]
struct Running {
    orders: OwnedWriteHalf,
    ordered: Arc<Ordered>,
    /// Cancelled when it does not do what it should: it is killed.
    silent: CancellationToken,
}

impl Running {
    fn has_ended(&self) -> bool {
        self.ordered.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// Who waits for a worker, in the order of the orders; none once the process that forks has ended.
#[derive(Debug)]
struct Ordered(Mutex<Option<VecDeque<Waiting>>>);

type Waiting = (Arc<Zygote>, oneshot::Sender<Result<Forked, String>>);

impl Default for Ordered {
    fn default() -> Self {
        Self(Mutex::new(Some(VecDeque::new())))
    }
}

impl Ordered {
    fn push(&self, zygote: Arc<Zygote>, sender: oneshot::Sender<Result<Forked, String>>) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = waiting.as_mut().map(|waiting| waiting.push_back((zygote, sender)));
        is_open.is_some()
    }

    fn pop(&self) -> Option<Waiting> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut()?.pop_front()
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[derive(Debug, Serialize)]
struct Order<'a> {
    arguments: Vec<std::borrow::Cow<'a, str>>,
    directory: std::borrow::Cow<'a, str>,
    variables: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ready {},
    Problem(String),
    Started(u32),
    /// Process id, and status as the operating system gives it.
    Ended(u32, i32),
}

async fn next(answers: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Answer> {
    let line = answers.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

/// Hears what became of orders and workers, until the process that forks ends.
async fn listen(
    mut answers: Lines<BufReader<OwnedReadHalf>>,
    mut process: Process,
    ordered: Arc<Ordered>,
    stop: CancellationToken,
) {
    let mut workers: HashMap<u32, (Arc<Zygote>, oneshot::Sender<ExitStatus>)> = HashMap::new();
    loop {
        let answer = tokio::select! {
            () = stop.cancelled() => break,
            answer = next(&mut answers) => answer,
        };
        match answer {
            Some(Answer::Started(pid)) => {
                let (sender, told) = oneshot::channel();
                // Dropped, and so ended, if nobody waits for it any more.
                let forked = Forked::new(pid, told);
                if let Some((zygote, waiting)) = ordered.pop() {
                    workers.insert(pid, (zygote, sender));
                    let _ = waiting.send(Ok(forked));
                }
            }
            Some(Answer::Problem(problem)) => {
                if let Some((_, waiting)) = ordered.pop() {
                    let _ = waiting.send(Err(problem));
                }
            }
            Some(Answer::Ended(pid, status)) => {
                if let Some((_, told)) = workers.remove(&pid) {
                    let _ = told.send(ExitStatus::from_raw(status));
                }
            }
            Some(Answer::Ready {}) | None => break,
        }
    }
    ordered.close();
    let _ = process.end().await;
}

/// Sends an order, and the worker's ends with its first byte.
async fn send(stream: &UnixStream, text: &[u8], ends: &WorkerEnds) -> io::Result<()> {
    let descriptors = [&ends.input, &ends.output, &ends.errors, &ends.socket].map(AsFd::as_fd);
    let send = || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let sent = rustix::net::sendmsg(stream, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(sent)
    };
    let mut rest = &text[stream.async_io(Interest::WRITABLE, send).await?..];
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
