//! One component under supervision: whether it is to run, its process, how it is, when it is started again.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;

use super::binary;
use super::link::{ComponentReport, Link, Sockets};
use super::process::{self, Launcher, Process};
use crate::environment::desired::Desired;
use crate::environment::settings::{ComponentSettings, SupervisorSettings};
use crate::environment::{Environment, locks};

/// A component under supervision.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) settings: ComponentSettings,
    pub(super) desired: Desired,
    phase: Phase,
    health: Health,
    link: Option<ComponentLink>,
    /// Public sockets that are held for it, whether it runs or not.
    sockets: Sockets,
    /// When it last gave a sign of life.
    last_sign: Instant,
    /// How often it died since it last ran for long.
    failures: u32,
}

#[derive(Debug)]
enum Phase {
    /// It does not run.
    Down,
    /// It does not run, and is started at this instant.
    Waiting { until: Instant },
    /// It runs.
    Running { process: Process, since: Instant },
    /// It was told to stop, and is killed at this instant.
    Stopping { process: Process, kill_at: Instant },
}

#[derive(Debug, Default)]
struct Health {
    ready: bool,
    was_ready: bool,
    reason: String,
    version: String,
}

/// The connection of a component's process.
#[derive(Debug)]
pub(super) struct ComponentLink {
    /// The connection's number.
    pub(super) connection: u64,
    /// The connection.
    pub(super) link: Arc<Link>,
}

impl Component {
    pub(super) fn new(settings: ComponentSettings, desired: Desired) -> Self {
        Self {
            settings,
            desired,
            phase: Phase::Down,
            health: Health::default(),
            link: None,
            sockets: Sockets::new(),
            last_sign: Instant::now(),
            failures: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether it has a process.
    pub(super) fn is_up(&self) -> bool {
        self.process().is_some()
    }

    /// Its process, if it has one.
    pub(super) fn process(&self) -> Option<&Process> {
        match &self.phase {
            Phase::Running { process, .. } | Phase::Stopping { process, .. } => Some(process),
            Phase::Down | Phase::Waiting { .. } => None,
        }
    }

    pub(super) fn link(&self) -> Option<&ComponentLink> {
        self.link.as_ref()
    }

    pub(super) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Whether its process holds its public sockets too, so that they stay open when the supervisor lets go of them.
    pub(super) fn keeps_its_sockets(&self) -> bool {
        self.sockets.is_empty() || self.link.is_some() && matches!(self.phase, Phase::Running { .. })
    }

    /// The next instant at which something is due by itself.
    pub(super) fn deadline(&self, limits: &SupervisorSettings) -> Option<Instant> {
        match &self.phase {
            Phase::Down => None,
            Phase::Waiting { until } => Some(*until),
            Phase::Running { .. } => Some(self.last_sign + limits.hang_timeout.0),
            Phase::Stopping { kill_at, .. } => Some(*kill_at),
        }
    }

    /// Starts its process, or adopts the one that runs. A new process is to be watched by the caller.
    pub(super) fn start(&mut self, environment: &Environment, launcher: &Launcher) -> Option<Process> {
        if self.is_up() {
            return None;
        }
        self.health = Health::default();
        self.last_sign = Instant::now();
        match self.adopt_or_launch(environment, launcher) {
            Ok(process) => {
                self.phase = Phase::Running {
                    process: process.clone(),
                    since: Instant::now(),
                };
                Some(process)
            }
            Err(error) => {
                let name = self.name();
                tracing::error!(
                    component = name,
                    error = format!("{error:#}"),
                    "{name} can't be started"
                );
                self.health.reason = format!("{error:#}");
                self.wait_to_restart(&environment.settings().supervisor, false);
                None
            }
        }
    }

    fn adopt_or_launch(&mut self, environment: &Environment, launcher: &Launcher) -> anyhow::Result<Process> {
        let name = self.settings.name.clone();
        let layout = environment.layout();
        let run = layout.component_run(&name);
        if locks::is_locked(&run.join("lock")) {
            let process = locks::read_pid(&run.join("pid"))
                .filter(|pid| process::mentions(*pid, &layout.component(&name)))
                .and_then(Process::open)
                .context("its lock is held, but by no process of its own")?;
            let pid = process.pid();
            tracing::info!(component = name, pid, "{name} runs as process {pid} and is adopted");
            return Ok(process);
        }
        // Settings are read at each start: changing them takes a restart of the component only.
        self.settings = environment.component(&name)?;
        self.bind_public_sockets()?;
        let process = launcher.component(&layout.component(&name), &layout.component_log(&name))?;
        let pid = process.pid();
        tracing::info!(component = name, pid, "{name} was started as process {pid}");
        Ok(process)
    }

    fn bind_public_sockets(&mut self) -> anyhow::Result<()> {
        let wanted = self.settings.public_sockets();
        self.sockets.retain(|name, socket| {
            wanted
                .iter()
                .any(|(wanted, address)| wanted == name && local_address(socket) == Some(*address))
        });
        for (name, address) in wanted {
            if !self.sockets.contains_key(name) {
                let socket = TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
                socket.set_nonblocking(true)?;
                self.sockets.insert(name.to_owned(), OwnedFd::from(socket));
            }
        }
        Ok(())
    }

    /// Its process said hello, with the public sockets that it got from an earlier supervisor. False for a stranger.
    pub(super) fn hello(&mut self, pid: u32, version: String, passed: Sockets, link: ComponentLink) -> bool {
        if self.process().is_none_or(|process| process.pid() != pid) {
            return false;
        }
        for (name, socket) in passed {
            self.sockets.entry(name).or_insert(socket);
        }
        self.health.version = version;
        self.link = Some(link);
        self.last_sign = Instant::now();
        true
    }

    /// Its connection is gone.
    pub(super) fn unlink(&mut self) {
        self.link = None;
    }

    /// It lives, and this is how it is.
    pub(super) fn beat(&mut self, ready: bool, reason: String) {
        if ready && !self.health.ready {
            tracing::info!(component = self.name(), "{} is ready", self.name());
        }
        self.health.ready = ready;
        self.health.was_ready |= ready;
        self.health.reason = reason;
        self.last_sign = Instant::now();
    }

    /// Counts silence from now on: the supervisor itself was away, so nobody can be blamed for it.
    pub(super) fn forgive(&mut self) {
        self.last_sign = Instant::now();
    }

    /// Tells its process to stop.
    pub(super) fn stop(&mut self, timeout: Duration) {
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Running { process, .. } => {
                tracing::info!(component = self.name(), "{} is told to stop", self.name());
                process.signal(Signal::TERM);
                // One that is stopped by a signal hears SIGTERM only when it goes on.
                process.signal(Signal::CONT);
                self.phase = Phase::Stopping {
                    process,
                    kill_at: Instant::now() + timeout,
                };
            }
            stopping @ Phase::Stopping { .. } => self.phase = stopping,
            Phase::Down | Phase::Waiting { .. } => self.after_stop(),
        }
    }

    /// Does what is due: kills what hangs. Whether it is to be started now.
    pub(super) fn advance(&mut self, now: Instant, limits: &SupervisorSettings) -> bool {
        match &mut self.phase {
            Phase::Waiting { until } => now >= *until,
            Phase::Running { process, .. } if now >= self.last_sign + limits.hang_timeout.0 => {
                let name = &self.settings.name;
                let seconds = limits.hang_timeout;
                tracing::error!(component = name, "{name} has said nothing for {seconds} and is killed");
                process.signal(Signal::KILL);
                // Once is enough; its end is seen through its descriptor.
                self.last_sign = now;
                self.link = None;
                false
            }
            Phase::Stopping { process, kill_at } if now >= *kill_at => {
                let name = &self.settings.name;
                tracing::error!(component = name, "{name} did not stop in time and is killed");
                process.signal(Signal::KILL);
                *kill_at = now + limits.stop_timeout.0;
                false
            }
            _ => false,
        }
    }

    /// Its process of this id has ended.
    pub(super) fn ended(&mut self, pid: u32, how: &str, limits: &SupervisorSettings) {
        if self.process().is_none_or(|process| process.pid() != pid) {
            return;
        }
        let name = self.settings.name.clone();
        self.link = None;
        let health = std::mem::take(&mut self.health);
        match std::mem::replace(&mut self.phase, Phase::Down) {
            Phase::Stopping { .. } => {
                tracing::info!(component = name, "{name} has stopped ({how})");
                self.failures = 0;
                if self.desired == Desired::Running {
                    self.phase = Phase::Waiting { until: Instant::now() };
                } else {
                    self.after_stop();
                }
            }
            Phase::Running { since, .. } => {
                if since.elapsed() >= limits.restart_reset.0 {
                    self.failures = 0;
                }
                self.wait_to_restart(limits, health.was_ready);
                self.health.reason = if health.reason.is_empty() {
                    format!("it {how}")
                } else {
                    format!("it {how}; {}", health.reason)
                };
                tracing::error!(component = name, "{name} {how} and is started again");
            }
            Phase::Down | Phase::Waiting { .. } => {}
        }
    }

    fn wait_to_restart(&mut self, limits: &SupervisorSettings, was_ready: bool) {
        let delay = restart_delay(limits, self.failures, was_ready);
        self.failures = (self.failures + 1).min(30);
        self.phase = Phase::Waiting {
            until: Instant::now() + delay,
        };
    }

    /// A component that stays stopped gives its ports back, so that clients are refused rather than kept waiting.
    fn after_stop(&mut self) {
        self.sockets.clear();
    }

    /// How it is, for people.
    pub(super) fn report(&self, program: &Path) -> ComponentReport {
        let pid = self.process().map(Process::pid);
        let (uptime_seconds, memory_bytes) = pid.map_or((None, None), process::facts);
        let state = match &self.phase {
            Phase::Down => "stopped",
            Phase::Waiting { .. } => "restarting",
            Phase::Running { .. } if self.health.ready => "running",
            Phase::Running { .. } if self.health.was_ready => "not-ready",
            Phase::Running { .. } => "starting",
            Phase::Stopping { .. } => "draining",
        };
        let running = matches!(self.phase, Phase::Running { .. });
        ComponentReport {
            name: self.settings.name.clone(),
            role: self.settings.role,
            pid,
            state: state.to_owned(),
            wanted: self.desired == Desired::Running,
            ready: running && self.health.ready,
            reason: self.health.reason.clone(),
            version: self.health.version.clone(),
            address: self.settings.address().map(|address| address.to_string()),
            control_address: self.settings.addresses.control.map(|address| address.to_string()),
            uptime_seconds,
            memory_bytes,
            binary: pid.and_then(|pid| binary::of_process(pid, program)),
        }
    }
}

/// How long a component waits that died after this many others of its deaths.
fn restart_delay(limits: &SupervisorSettings, failures: u32, was_ready: bool) -> Duration {
    let factor = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
    let delay_max = if was_ready {
        limits.restart_delay_ready_max
    } else {
        limits.restart_delay_max
    };
    limits.restart_delay_min.0.saturating_mul(factor).min(delay_max.0)
}

fn local_address(socket: &OwnedFd) -> Option<SocketAddr> {
    rustix::net::getsockname(socket).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dies_again_and_again_waits_longer_but_not_for_long_if_it_had_been_ready() {
        let limits = SupervisorSettings::default();
        let delays =
            |was_ready| [0, 1, 3, 4, 30].map(|failures| restart_delay(&limits, failures, was_ready).as_millis());
        assert_eq!(delays(false), [100, 200, 800, 1_600, 10_000]);
        assert_eq!(delays(true), [100, 200, 800, 1_000, 1_000]);
    }
}
