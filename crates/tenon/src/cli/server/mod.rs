//! `tenon server`: servers are added to a cluster that runs, taken out of it, and set aside.

mod add;
mod drain;
mod remove;
mod state;

use clap::Subcommand;

use super::Global;
use crate::environment::Environment;
use crate::environment::settings::ComponentSettings;
use crate::failure::fail;
use tenon_model::Role;

/// Adds, removes and drains servers.
#[derive(Debug, Subcommand)]
pub(super) enum Server {
    /// Add a server, or several, and wait until they are ready
    Add(add::Add),
    /// Take a server out of the cluster, when its requests have ended, and delete its directory
    Remove(remove::Remove),
    /// Let a server finish what it has and give it nothing new, or take it back
    Drain(drain::Drain),
}

impl Server {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Server::Add(command) => command.run(global),
            Server::Remove(command) => command.run(global),
            Server::Drain(command) => command.run(global),
        }
    }
}

/// The servers of an environment.
fn servers_of(environment: &Environment) -> anyhow::Result<Vec<ComponentSettings>> {
    let mut components = environment.components()?;
    components.retain(|component| component.role == Role::Server);
    Ok(components)
}

/// The server of this name among the environment's components.
fn server_named(environment: &Environment, name: &str) -> anyhow::Result<ComponentSettings> {
    let components = environment.components()?;
    let names = |components: &[ComponentSettings]| {
        let servers = components.iter().filter(|component| component.role == Role::Server);
        servers.map(|server| server.name.clone()).collect::<Vec<_>>().join(", ")
    };
    match components.iter().find(|component| component.name == name) {
        Some(component) if component.role == Role::Server => Ok(component.clone()),
        Some(component) => fail!(
            InvalidInput,
            format!("{name} is not a server but the {}", component.role),
            format!("the servers are {}", names(&components))
        ),
        None => fail!(
            NotFound,
            format!("{} has no server '{name}'", environment.layout().root().display()),
            format!("it has {}", names(&components))
        ),
    }
}
