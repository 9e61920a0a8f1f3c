//! What the supervisor is told over its socket, by components and by the command line, and what it does about it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;

use super::component::{Component, ComponentLink};
use super::link::{self, Link, Message, Sockets, SupervisorReport};
use super::{RENEWAL, Supervisor, binary};
use crate::environment::desired::{self, Desired};

impl Supervisor {
    pub(super) fn heard(&mut self, connection: u64, link: &Arc<Link>, message: Message, passed: Vec<OwnedFd>) {
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
            Message::Status => self.status(),
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
            Message::Renew { program } => {
                self.renewal = Some((program.clone(), Instant::now() + RENEWAL));
                Ok(())
            }
            Message::Forget { component } => self.forget(component),
            Message::Shutdown => self.shut_down(),
            _ => anyhow::bail!("the supervisor is not to be told that"),
        }
    }

    /// How all components are, and the supervisor itself.
    fn status(&self) -> Message {
        let (pid, program) = (std::process::id(), self.launcher.program());
        Message::Components {
            components: self
                .components
                .iter()
                .map(|component| component.report(program))
                .collect(),
            supervisor: Some(SupervisorReport {
                pid,
                life: self.life.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                binary: binary::of_process(pid, program),
            }),
        }
    }

    /// Lets go of a component that has been taken out of the environment.
    fn forget(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(index) = self.index(name) else {
            return Ok(());
        };
        if self.components[index].is_up() {
            anyhow::bail!("{name} runs");
        }
        self.components.remove(index);
        tracing::info!(component = name, "{name} does not belong to the environment any more");
        Ok(())
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
    pub(super) fn shut_down(&mut self) -> anyhow::Result<()> {
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
}
