//! The supervisor: one process per environment that starts the components, keeps them running and holds the public sockets.
//!
//! It knows nothing of what components do. Everything it decides is decided in one task, from one queue of events; what is
//! to run lies on disk, so that another supervisor can take over at any moment.

pub(crate) mod attachment;
pub(crate) mod client;
mod component;
pub(crate) mod link;
pub(crate) mod process;
mod renewal;
mod watched;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tenon_model::Role;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::environment::desired::{self, Desired};
use crate::environment::{Environment, locks};
use crate::failure::fail;
use component::{Component, ComponentLink};
use link::{Link, Listener, Message, Sockets};
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

/// How many events may wait; more than all components and commands cause at once.
const EVENTS_MAX: usize = 1024;

/// How long the lock may seem to be held by those who only look whether it is.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// The lock that makes sure that an environment has one supervisor.
pub(crate) const LOCK: &str = "supervisor.lock";

/// The file that tells the supervisor's process id.
pub(crate) const PID: &str = "supervisor.pid";

/// Supervises an environment until it is told to stop, by a command or by `stop`, or nothing is left to run.
pub(crate) async fn run(environment: Environment, launcher: Launcher, stop: CancellationToken) -> anyhow::Result<()> {
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
    components: Vec<Component>,
    events: mpsc::Sender<Event>,
    tasks: TaskTracker,
    finish: CancellationToken,
    stopping: bool,
}

impl Supervisor {
    async fn supervise(mut self, mut queue: mpsc::Receiver<Event>, stop: CancellationToken) -> anyhow::Result<()> {
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
        }
        // Nothing runs and nothing is to: whoever starts the environment next begins anew.
        desired::set_environment(self.environment.layout(), Desired::Stopped)
    }

    /// Reads which components there are and what is desired of them, and starts or adopts them.
    fn load(&mut self) -> anyhow::Result<()> {
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
        self.components
            .iter()
            .filter_map(|component| component.deadline(limits))
            .min()
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

    fn heard(&mut self, connection: u64, link: &Arc<Link>, message: Message, passed: Vec<std::os::fd::OwnedFd>) {
        let answer = match message {
            Message::Hello {
                name,
                pid,
                version,
                sockets,
            } => {
                let passed = sockets.into_iter().zip(passed).collect();
                let from = ComponentLink {
                    connection,
                    link: Arc::clone(link),
                };
                self.welcome(&name, pid, version, passed, from);
                return;
            }
            Message::Beat { ready, reason } => {
                if let Some(component) = self.linked(connection) {
                    component.beat(ready, reason);
                }
                return;
            }
            Message::Status => Message::Components {
                components: self.components.iter().map(Component::report).collect(),
            },
            order => match self.obey(&order) {
                Ok(()) => Message::Done,
                Err(error) => Message::Refused {
                    reason: format!("{error:#}"),
                },
            },
        };
        if let Err(error) = link.send(&answer, &[]) {
            tracing::debug!(%error, "an answer to the command line was not taken");
        }
    }

    /// Takes a component's process in, and gives it its public sockets.
    fn welcome(&mut self, name: &str, pid: u32, version: String, passed: Sockets, from: ComponentLink) {
        let link = Arc::clone(&from.link);
        if let Some(index) = self.index(name)
            && !self.stopping
            && self.components[index].desired == Desired::Running
        {
            // One that was started by hand in the meantime is adopted here.
            self.start(index);
        }
        let component = self.index(name).map(|index| &mut self.components[index]);
        let known = component.is_some_and(|component| component.hello(pid, version, passed, from));
        let component = self.index(name).map(|index| &self.components[index]).filter(|_| known);
        let (answer, descriptors) = if let Some(component) = component {
            let (sockets, descriptors) = link::split(component.sockets());
            let pid = std::process::id();
            (Message::Welcome { pid, sockets }, descriptors)
        } else {
            tracing::warn!(
                component = name,
                pid,
                "process {pid} says that it is {name}, which is not to run"
            );
            let reason = format!("{name} is not to run");
            (Message::Refused { reason }, Vec::new())
        };
        if let Err(error) = link.send(&answer, &descriptors) {
            tracing::warn!(component = name, %error, "{name} could not be welcomed");
        }
    }

    /// Does what the command line asks for.
    fn obey(&mut self, order: &Message) -> anyhow::Result<()> {
        match order {
            Message::Shutdown if self.stopping => Ok(()),
            _ if self.stopping => anyhow::bail!("the environment is being stopped"),
            Message::Start { components } => self.want(components, Desired::Running),
            Message::Stop { components } => self.want(components, Desired::Stopped),
            Message::Restart { component } => {
                let index = self.index(component).context("there is no such component")?;
                if self.components[index].desired != Desired::Running {
                    anyhow::bail!("{component} does not run");
                }
                if self.components[index].is_up() {
                    self.stop(index);
                } else {
                    self.start(index);
                }
                Ok(())
            }
            Message::Shutdown => self.shut_down(),
            _ => anyhow::bail!("the supervisor is not to be told that"),
        }
    }

    /// Keeps on disk what is desired of these components, and acts by it.
    fn want(&mut self, names: &[String], desired: Desired) -> anyhow::Result<()> {
        self.look_for_new_components()?;
        for index in 0..self.components.len() {
            let name = self.components[index].name().to_owned();
            let meant = if names.is_empty() {
                self.components[index].desired != Desired::Stopped
            } else {
                names.contains(&name)
            };
            if !meant {
                continue;
            }
            desired::set_component(self.environment.layout(), &name, desired)?;
            self.components[index].desired = desired;
            match desired {
                Desired::Running => self.start(index),
                Desired::Stopped | Desired::Idle => self.stop(index),
            }
        }
        Ok(())
    }

    fn look_for_new_components(&mut self) -> anyhow::Result<()> {
        for settings in self.environment.components()? {
            if self.index(&settings.name).is_none() {
                let desired = desired::of_component(self.environment.layout(), &settings.name);
                self.components.push(Component::new(settings, desired));
            }
        }
        Ok(())
    }

    /// Begins to stop everything. Kept on disk first, so that nobody takes the end of the supervisor for an accident.
    fn shut_down(&mut self) -> anyhow::Result<()> {
        tracing::info!("the environment is told to stop");
        desired::set_environment(self.environment.layout(), Desired::Stopped)?;
        self.stopping = true;
        for index in 0..self.components.len() {
            // Only for the time of stopping; what is kept on disk of each stays.
            self.components[index].desired = Desired::Idle;
            if !self.components[index].is_up() {
                // Nothing to wait for: it is not started again.
                self.stop(index);
            }
        }
        Ok(())
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
