//! A component's side of the supervisor's link: beats, public sockets, and a new supervisor when the old one is gone.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::{self, Link, Message, Sockets};
use super::process::{self, Launcher, Process};
use super::{BEAT, LATE, LOCK, PID};
use crate::environment::desired::{self, Desired};
use crate::environment::{Environment, locks};

/// How long to wait before trying to reach the supervisor again.
const RETRY: Duration = Duration::from_millis(200);

/// How long a supervisor that is gone may take to come back by itself, before a component starts another.
const GRACE: Duration = Duration::from_secs(1);

/// How long a new supervisor may take until it has its lock.
const START: Duration = Duration::from_secs(5);

/// How a component is, as its role says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Whether it takes work.
    pub(crate) ready: bool,
    /// Why it does not.
    pub(crate) reason: String,
}

/// What a role has of the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Attachment {
    condition: Arc<watch::Sender<Condition>>,
    sockets: Arc<Mutex<Sockets>>,
    welcomed: watch::Receiver<bool>,
}

impl Attachment {
    /// Says how the component is; told to the supervisor at once.
    pub(crate) fn set_condition(&self, ready: bool, reason: impl Into<String>) {
        let reason = reason.into();
        self.condition.send_if_modified(|condition| {
            let next = Condition { ready, reason };
            let changed = *condition != next;
            *condition = next;
            changed
        });
    }

    /// The public socket of this name, as the supervisor holds it; bound anew if there is no supervisor to ask.
    pub(crate) async fn public_socket(&self, name: &str, address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
        let mut welcomed = self.welcomed.clone();
        let wait = welcomed.wait_for(|welcomed| *welcomed);
        if tokio::time::timeout(START, wait).await.is_err() {
            tracing::warn!("no supervisor answers; the socket {name} is bound by this process alone");
        }
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(socket) = sockets.get(name) {
            return Ok(TcpListener::from(socket.try_clone()?));
        }
        let socket = TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
        socket.set_nonblocking(true)?;
        sockets.insert(name.to_owned(), OwnedFd::from(socket.try_clone()?));
        Ok(socket)
    }
}

/// Attaches a component to its environment's supervisor. The second value is to be run until the component ends; it cancels
/// `stop` if the component is not to run any more.
pub(crate) fn attach(
    environment: &Environment,
    name: &str,
    launcher: Launcher,
    tasks: TaskTracker,
    stop: CancellationToken,
) -> (Attachment, impl Future<Output = ()> + Send + use<>) {
    let (condition, conditions) = watch::channel(Condition {
        ready: false,
        reason: "starting".to_owned(),
    });
    let (welcomed_sender, welcomed) = watch::channel(false);
    let sockets = Arc::new(Mutex::new(Sockets::new()));
    let attachment = Attachment {
        condition: Arc::new(condition),
        sockets: Arc::clone(&sockets),
        welcomed,
    };
    let keeper = Keeper {
        environment: environment.clone(),
        name: name.to_owned(),
        launcher,
        tasks,
        stop,
        conditions,
        welcomed: welcomed_sender,
        sockets,
        last_sign: Instant::now(),
        supervisor: None,
    };
    (attachment, keeper.run())
}

/// Keeps the link, and the supervisor.
struct Keeper {
    environment: Environment,
    name: String,
    launcher: Launcher,
    tasks: TaskTracker,
    stop: CancellationToken,
    conditions: watch::Receiver<Condition>,
    welcomed: watch::Sender<bool>,
    sockets: Arc<Mutex<Sockets>>,
    /// When the supervisor last gave a sign of life.
    last_sign: Instant,
    /// The process id of the supervisor that was heard last.
    supervisor: Option<u32>,
}

impl Keeper {
    async fn run(mut self) {
        let path = self.environment.layout().supervisor_socket();
        loop {
            if let Ok(link) = Link::connect(&path)
                && let Err(error) = self.converse(&link).await
            {
                tracing::debug!(%error, "the link to the supervisor ended");
            }
            // Without a supervisor, what is on disk decides.
            if !self.is_wanted() {
                tracing::info!("{} is not to run any more and stops", self.name);
                self.stop.cancel();
                return;
            }
            tokio::time::sleep(RETRY).await;
            if self.last_sign.elapsed() > GRACE {
                self.replace_supervisor().await;
            }
        }
    }

    fn is_wanted(&self) -> bool {
        let layout = self.environment.layout();
        desired::of_environment(layout) == Desired::Running
            && desired::of_component(layout, &self.name) == Desired::Running
    }

    /// Talks with the supervisor for as long as it lives.
    async fn converse(&mut self, link: &Link) -> anyhow::Result<()> {
        self.hello(link)?;
        let hang_timeout = self.environment.settings().supervisor.hang_timeout.0;
        let mut next_beat = Instant::now() + BEAT;
        self.conditions.mark_unchanged();
        loop {
            tokio::select! {
                received = link.receive() => {
                    let Some((message, passed)) = received? else {
                        anyhow::bail!("the supervisor has ended");
                    };
                    self.last_sign = Instant::now();
                    match message {
                        Message::Welcome { pid, sockets } => {
                            self.welcome(pid, sockets.into_iter().zip(passed));
                            self.beat(link)?;
                        }
                        // It counts as heard for as long as a new one may take.
                        Message::Renewing => self.last_sign = Instant::now() + START,
                        Message::Refused { reason } => {
                            tracing::warn!("the supervisor says that {reason}");
                            self.stop.cancel();
                        }
                        _ => {}
                    }
                }
                _ = self.conditions.changed() => self.beat(link)?,
                () = tokio::time::sleep_until(next_beat.into()) => {
                    let now = Instant::now();
                    if now.duration_since(next_beat) > LATE {
                        // This process was held up itself.
                        self.last_sign = now;
                    }
                    next_beat = now + BEAT;
                    self.beat(link)?;
                }
            }
            if self.last_sign.elapsed() > hang_timeout {
                anyhow::bail!("the supervisor has said nothing for too long");
            }
        }
    }

    fn hello(&self, link: &Link) -> anyhow::Result<()> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let (names, descriptors) = link::split(&sockets);
        let hello = Message::Hello {
            name: self.name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sockets: names,
        };
        Ok(link.send(&hello, &descriptors)?)
    }

    fn welcome(&mut self, pid: u32, passed: impl Iterator<Item = (String, OwnedFd)>) {
        if self.supervisor.is_some_and(|known| known != pid) {
            tracing::info!("supervisor {pid} has taken over");
        }
        self.supervisor = Some(pid);
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, socket) in passed {
            sockets.entry(name).or_insert(socket);
        }
        drop(sockets);
        self.welcomed.send_replace(true);
    }

    fn beat(&mut self, link: &Link) -> anyhow::Result<()> {
        let Condition { ready, reason } = self.conditions.borrow_and_update().clone();
        match link.send(&Message::Beat { ready, reason }, &[]) {
            // A supervisor that does not read shows itself by its silence.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Starts another supervisor in place of one that died or hangs. Only one component does so at a time.
    async fn replace_supervisor(&mut self) {
        let run = self.environment.layout().run();
        let lock = match locks::try_lock(&run.join("respawn.lock")) {
            Ok(Some(lock)) => lock,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the supervisor can't be replaced");
                return;
            }
        };
        if locks::is_locked(&run.join(LOCK)) && !self.end_hanging_supervisor().await {
            return;
        }
        let layout = self.environment.layout();
        tracing::warn!("the supervisor is gone; {} starts another", self.name);
        match self.launcher.supervisor(layout.root(), &layout.supervisor_log()) {
            Ok(process) => {
                let deadline = Instant::now() + START;
                while !locks::is_locked(&run.join(LOCK)) && Instant::now() < deadline {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // It is this process's child by accident; taken away when it ends, so that it does not stay a zombie.
                let stop = self.stop.clone();
                self.tasks.spawn(async move {
                    tokio::select! {
                        _ = process.ended() => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "no supervisor can be started"),
        }
        drop(lock);
    }

    /// Kills the supervisor that holds the lock but says nothing. Whether its lock is free now.
    async fn end_hanging_supervisor(&mut self) -> bool {
        let hang_timeout = self.environment.settings().supervisor.hang_timeout.0;
        let layout = self.environment.layout();
        let pid = locks::read_pid(&layout.run().join(PID));
        let silent_for = self.last_sign.elapsed();
        if silent_for < hang_timeout || pid != self.supervisor && self.supervisor.is_some() {
            // It may be new, and busy with starting: it gets as long as any.
            if pid != self.supervisor {
                self.supervisor = pid;
                self.last_sign = Instant::now();
            }
            return false;
        }
        let named = pid.filter(|pid| *pid != 1 && process::mentions(*pid, layout.root()));
        let Some(process) = named.and_then(Process::open) else {
            tracing::warn!("the supervisor hangs, but its process is not known");
            return false;
        };
        tracing::error!(
            "supervisor {} has said nothing for {silent_for:?} and is killed",
            process.pid()
        );
        process.signal(Signal::KILL);
        let lock = layout.run().join(LOCK);
        let deadline = Instant::now() + START;
        while locks::is_locked(&lock) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        !locks::is_locked(&lock)
    }
}
