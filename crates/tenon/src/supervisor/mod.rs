//! The supervisor: one process per environment that starts the components, keeps them running and holds the public sockets.
//!
//! It knows nothing of what components do. Everything it decides is decided in one task, from one queue of events; what is
//! to run lies on disk, so that another supervisor can take over at any moment.

pub(crate) mod attachment;
pub(crate) mod binary;
pub(crate) mod client;
mod component;
pub(crate) mod link;
mod orders;
pub(crate) mod process;
mod renewal;
mod watched;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenon_model::{InstanceId, Role, SystemRandom};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::environment::desired::{self, Desired};
use crate::environment::{Environment, locks};
use crate::failure::fail;
use component::Component;
use link::{Link, Listener, Message};
use process::{Launcher, Process};

/// How often components and supervisor tell each other that they live.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// A supervisor that wakes so much too late was itself held up, and blames nobody for silence.
const LATE: Duration = Duration::from_secs(2);

/// In this order components are stopped, so that nobody is called who is gone.
const STOP_ORDER: [Role; 5] = [
    Role::LoadBalancer,
    Role::Dashboard,
    Role::Scheduler,
    Role::Server,
    Role::Store,
];

/// How long a supervisor that is to go on as another binary waits for components that are just being started: what only it
/// holds, their sockets, would be closed for a moment.
const RENEWAL: Duration = Duration::from_secs(5);

/// How many events may wait; more than all components and commands cause at once.
const EVENTS_MAX: usize = 1024;

/// How long the lock may seem to be held by those who only look whether it is.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The lock that makes sure that an environment has one supervisor.
pub(crate) const LOCK: &str = "supervisor.lock";

/// The file that tells the supervisor's process id.
pub(crate) const PID: &str = "supervisor.pid";

/// What comes after a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing: all components have ended.
    Nothing,
    /// The components run, and this binary is to supervise them, in this very process.
    Renewed(PathBuf),
}

/// Supervises an environment until it is told to stop, by a command or by `stop`, or nothing is left to run, or it is told to
/// go on as another binary.
pub(crate) async fn run(
    environment: Environment,
    launcher: Launcher,
    stop: CancellationToken,
) -> anyhow::Result<After> {
    let run = environment.layout().run();
    let Some(_lock) = locks::lock_within(&run.join(LOCK), LOCK_WAIT)? else {
        fail!(
            AlreadyRunning,
            format!("{} has a supervisor already", environment.layout().root().display()),
            "look at it with `tenon status`"
        );
    };
    locks::write_pid(&run.join(PID))?;
    environment.layout().prepare_sockets()?;
    let listener = Listener::bind(&environment.layout().supervisor_socket())?;
    let tasks = TaskTracker::new();
    let (events, queue) = mpsc::channel(EVENTS_MAX);
    let supervisor = Supervisor {
        environment,
        launcher,
        life: InstanceId::generate(&SystemRandom).as_str().to_owned(),
        renewal: None,
        components: Vec::new(),
        events: events.clone(),
        tasks: tasks.clone(),
        finish: CancellationToken::new(),
        stopping: false,
    };
    let finish = supervisor.finish.clone();
    tasks.spawn(accept(listener, events, tasks.clone(), finish.clone()));
    tasks.spawn(renewal::keep_certificates_young(
        supervisor.environment.clone(),
        finish.clone(),
    ));
    tracing::info!("supervisor {} runs", std::process::id());
    let result = supervisor.supervise(queue, stop).await;
    finish.cancel();
    tasks.close();
    tasks.wait().await;
    locks::remove_if_there(&run.join(PID))?;
    tracing::info!("supervisor {} ends", std::process::id());
    result
}

/// What the supervisor's task hears of.
#[derive(Debug)]
enum Event {
    /// Somebody said something.
    Said {
        connection: u64,
        link: Arc<Link>,
        message: Message,
        sockets: Vec<std::os::fd::OwnedFd>,
    },
    /// A connection is gone.
    Gone { connection: u64 },
    /// A process has ended.
    Ended { component: String, pid: u32, how: String },
}

#[derive(Debug)]
struct Supervisor {
    environment: Environment,
    launcher: Launcher,
    /// This life of it: its process id stays when it goes on as another binary.
    life: String,
    /// The binary that it is to go on as, at this instant at the latest.
    renewal: Option<(PathBuf, Instant)>,
    components: Vec<Component>,
    events: mpsc::Sender<Event>,
    tasks: TaskTracker,
    finish: CancellationToken,
    stopping: bool,
}

impl Supervisor {
    async fn supervise(mut self, mut queue: mpsc::Receiver<Event>, stop: CancellationToken) -> anyhow::Result<After> {
        self.load()?;
        let mut next_beat = Instant::now();
        while !self.is_done() {
            let wake = self
                .next_deadline()
                .map_or(next_beat, |deadline| deadline.min(next_beat));
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.stopping => self.shut_down()?,
                event = queue.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
                () = tokio::time::sleep_until(wake.into()) => {}
            }
            let now = Instant::now();
            if now.duration_since(wake) > LATE {
                self.components.iter_mut().for_each(Component::forgive);
            }
            if now >= next_beat {
                self.pulse();
                next_beat = now + BEAT;
            }
            self.advance(now);
            if let Some(program) = self.due_renewal(now) {
                return Ok(After::Renewed(program));
            }
        }
        // Nothing runs and nothing is to: whoever starts the environment next begins anew.
        desired::set_environment(self.environment.layout(), Desired::Stopped)?;
        Ok(After::Nothing)
    }

    /// The binary to go on as now, if that is to be: every public socket is held by its component too, or that took too long.
    fn due_renewal(&self, now: Instant) -> Option<PathBuf> {
        let (program, latest) = self.renewal.as_ref().filter(|_| !self.stopping)?;
        let all_keep = self.components.iter().all(Component::keeps_its_sockets);
        if !all_keep && now < *latest {
            return None;
        }
        tracing::info!("supervisor {} goes on as {}", std::process::id(), program.display());
        for component in self.components.iter().filter_map(Component::link) {
            // One that does not hear it starts another supervisor at worst, which finds the lock taken.
            let _ = component.link.send(&Message::Renewing, &[]);
        }
        Some(program.clone())
    }

    /// Reads which components there are and what is desired of them, and starts or adopts them.
    fn load(&mut self) -> anyhow::Result<()> {
        reap_predecessors_children();
        for settings in self.environment.components()? {
            let desired = desired::of_component(self.environment.layout(), &settings.name);
            self.components.push(Component::new(settings, desired));
        }
        for index in 0..self.components.len() {
            let component = &self.components[index];
            let run = self.environment.layout().component_run(component.name());
            if component.desired == Desired::Running {
                self.start(index);
            } else if locks::is_locked(&run.join("lock")) {
                // It was to be stopped, and whoever said so did not live to see it done.
                self.start(index);
                self.stop(index);
            }
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let wanted = |component: &Component| component.desired == Desired::Running;
        !self.components.iter().any(Component::is_up) && (self.stopping || !self.components.iter().any(wanted))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let limits = &self.environment.settings().supervisor;
        let renewal = self.renewal.as_ref().map(|(_, latest)| *latest);
        let components = self
            .components
            .iter()
            .filter_map(|component| component.deadline(limits));
        components.chain(renewal).min()
    }

    /// Tells every component that the supervisor lives.
    fn pulse(&self) {
        for component in &self.components {
            if let Some(link) = component.link() {
                // One that does not read is seen by its own silence.
                let _ = link.link.send(&Message::Pulse, &[]);
            }
        }
        if std::process::id() == 1 {
            reap_strangers(&self.components);
        }
    }

    fn advance(&mut self, now: Instant) {
        let limits = self.environment.settings().supervisor.clone();
        for index in 0..self.components.len() {
            if self.components[index].advance(now, &limits) && !self.stopping {
                self.start(index);
            }
        }
        if self.stopping {
            self.stop_next();
        }
    }

    /// Stops those whose turn it is: a role's components when those of the roles before it have ended.
    fn stop_next(&mut self) {
        for role in STOP_ORDER {
            let mut waits = false;
            for index in 0..self.components.len() {
                if self.components[index].settings.role == role {
                    self.stop(index);
                    waits |= self.components[index].is_up();
                }
            }
            if waits {
                return;
            }
        }
    }

    fn start(&mut self, index: usize) {
        let component = &mut self.components[index];
        let Some(process) = component.start(&self.environment, &self.launcher) else {
            return;
        };
        let name = component.name().to_owned();
        self.watch(name, process);
    }

    fn stop(&mut self, index: usize) {
        let timeout = self.environment.settings().supervisor.stop_timeout.0;
        self.components[index].stop(timeout);
    }

    /// Reports when a process has ended.
    fn watch(&self, component: String, process: Process) {
        let (events, finish) = (self.events.clone(), self.finish.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                how = process.ended() => {
                    let pid = process.pid();
                    // The queue's receiver lives as long as the supervisor does.
                    let _ = events.send(Event::Ended { component, pid, how }).await;
                }
                () = finish.cancelled() => {}
            }
        });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Ended { component, pid, how } => {
                let limits = self.environment.settings().supervisor.clone();
                if let Some(index) = self.index(&component) {
                    self.components[index].ended(pid, &how, &limits);
                }
            }
            Event::Gone { connection } => {
                if let Some(component) = self.linked(connection) {
                    component.unlink();
                }
            }
            Event::Said {
                connection,
                link,
                message,
                sockets,
            } => self.heard(connection, &link, message, sockets),
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.components.iter().position(|component| component.name() == name)
    }

    fn linked(&mut self, connection: u64) -> Option<&mut Component> {
        let of = |component: &&mut Component| component.link().is_some_and(|link| link.connection == connection);
        self.components.iter_mut().find(of)
    }
}

/// Takes connections and reports what is said on them.
async fn accept(listener: Listener, events: mpsc::Sender<Event>, tasks: TaskTracker, finish: CancellationToken) {
    let mut connection = 0;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = finish.cancelled() => return,
        };
        match accepted {
            Ok(link) => {
                connection += 1;
                tasks.spawn(listen(connection, link, events.clone(), finish.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "the supervisor's socket can't take a connection");
                tokio::time::sleep(BEAT).await;
            }
        }
    }
}

async fn listen(connection: u64, link: Link, events: mpsc::Sender<Event>, finish: CancellationToken) {
    let link = Arc::new(link);
    loop {
        let received = tokio::select! {
            received = link.receive() => received,
            () = finish.cancelled() => return,
        };
        let event = match received {
            Ok(Some((message, sockets))) => Event::Said {
                connection,
                link: Arc::clone(&link),
                message,
                sockets,
            },
            Ok(None) => break,
            Err(error) => {
                tracing::debug!(%error, "a connection to the supervisor failed");
                break;
            }
        };
        if events.send(event).await.is_err() {
            return;
        }
    }
    // The queue's receiver lives as long as the supervisor does.
    let _ = events.send(Event::Gone { connection }).await;
}

/// Takes away children that ended while this process was going on as another binary. Nothing else has been started yet.
fn reap_predecessors_children() {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    while let Ok(Some(_)) = waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {}
}

/// As process 1 of a container: takes away what orphans left behind. Those of components are reaped by who watches them.
fn reap_strangers(components: &[Component]) {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let children = std::fs::read_to_string("/proc/1/task/1/children").unwrap_or_default();
    for pid in children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()) {
        let ours = |component: &Component| component.process().is_some_and(|process| process.pid() == pid);
        if components.iter().any(ours) {
            continue;
        }
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // One that still runs is left alone, and one that is gone needs nothing.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
        }
    }
}
