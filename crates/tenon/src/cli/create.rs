//! `tenon create`: the components of a cluster, one by one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use tenon_model::{Role, SystemClock, SystemRandom};

use super::output::or_dash;
use super::{Global, quickstart};
use crate::environment::create::{self, CreateOptions, Created, STORE_URL};
use crate::environment::join::{self, Joined};
use crate::environment::ports::PortOptions;
use crate::environment::settings::ComponentSettings;
use crate::environment::{Environment, additions, servers};
use crate::failure::fail;

/// Makes components one by one, for clusters on several hosts and for tools that put clusters together.
#[derive(Debug, Subcommand)]
pub(super) enum Create {
    /// Make a cluster with nothing but its store: identity, certificates, admin, settings
    Cluster(Cluster),
    /// Make a server in an environment
    Server(Server),
    /// Make a scheduler in an environment
    Scheduler(Component),
    /// Make a dashboard in an environment, or on another host
    Dashboard(Component),
    /// Make a load balancer in an environment, or on another host
    LoadBalancer(Component),
}

/// Makes a cluster with nothing but its store.
#[derive(Debug, Args)]
pub(super) struct Cluster {
    /// The directory; must not exist yet, or be empty
    directory: PathBuf,
    /// The cluster's name; the directory's without it
    #[arg(long = "cluster-name", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    ports: Ports,
    /// Where everything durable is
    #[arg(long, value_name = "URL", default_value = STORE_URL)]
    store: String,
    /// The Python for services, 3.9 or newer; found without it
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A file with the admin's password in its first line; without it, a random one is made
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Do nothing if there is an environment already
    #[arg(long)]
    skip_if_exists: bool,
}

/// Makes a server.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The environment; without it, the one of --env or of the current directory
    directory: Option<PathBuf>,
    /// Its name; without it, serverN with the lowest number that is free
    #[arg(long)]
    name: Option<String>,
    /// The Python for services; that of the other servers, or else found, without it
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// The file that `tenon cert issue` made on the host of the cluster
    #[arg(long, value_name = "FILE")]
    join: Option<PathBuf>,
}

/// Makes a component.
#[derive(Debug, Args)]
pub(super) struct Component {
    /// The environment; without it, the one of --env or of the current directory. With --join it is made if it is missing
    directory: Option<PathBuf>,
    /// The file that `tenon cert issue` made on the host of the cluster
    #[arg(long, value_name = "FILE", requires = "directory")]
    join: Option<PathBuf>,
    #[command(flatten)]
    ports: Ports,
}

/// Where components listen; as the environment was made, without them.
#[derive(Debug, Args)]
struct Ports {
    /// The address that the component listens on
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The load balancer's port
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// The dashboard's port
    #[arg(long, value_name = "PORT")]
    dashboard_port: Option<u16>,
    /// The first of all ports, which then follow each other
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
}

impl Ports {
    fn options(&self) -> PortOptions {
        PortOptions {
            bind: self.bind,
            http_port: self.http_port,
            dashboard_port: self.dashboard_port,
            port_base: self.port_base,
        }
    }
}

impl Create {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Create::Cluster(command) => command.run(global),
            Create::Server(command) => command.run(global),
            Create::Scheduler(command) => command.run(global, Role::Scheduler),
            Create::Dashboard(command) => command.run(global, Role::Dashboard),
            Create::LoadBalancer(command) => command.run(global, Role::LoadBalancer),
        }
    }
}

impl Cluster {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let options = CreateOptions {
            ports: self.ports.options(),
            directory: self.directory,
            cluster_name: self.name,
            servers: 0,
            store: self.store,
            scheduler: false,
            balancer: false,
            dashboard: false,
            demo: false,
            python: self.python,
            admin_password_file: self.admin_password_file,
            skip_if_exists: self.skip_if_exists,
            force: false,
        };
        match create::create(&options, &SystemClock, &SystemRandom)? {
            Created::New(new) => quickstart::show(global, &new),
            Created::Existed(environment) => quickstart::show_existing(global, &environment),
        }
    }
}

impl Server {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.join.is_some() {
            fail!(
                InvalidInput,
                "servers on another host than the store's need the PostgreSQL store, which this version does not have",
                "add servers on the host of the cluster's store; load balancer and dashboard can be on other hosts"
            );
        }
        let environment = environment_of(global, self.directory.as_deref())?;
        let new = servers::add(
            &environment,
            self.name.as_deref(),
            1,
            self.python.as_deref(),
            &SystemClock,
        )?;
        for server in &new {
            show(global, &environment, server, "created")?;
        }
        Ok(())
    }
}

impl Component {
    fn run(self, global: &Global, role: Role) -> anyhow::Result<()> {
        let options = self.ports.options();
        if let (Some(file), Some(directory)) = (&self.join, &self.directory) {
            return match join::join(directory, role, file, &options, &SystemClock)? {
                Joined::Made(environment, component) => show(global, &environment, &component, "created"),
                Joined::Renewed(environment, component) => show(global, &environment, &component, "renewed"),
            };
        }
        let environment = environment_of(global, self.directory.as_deref())?;
        let component = additions::add(&environment, role, &options, &SystemClock)?;
        show(global, &environment, &component, "created")
    }
}

fn environment_of(global: &Global, directory: Option<&Path>) -> anyhow::Result<Environment> {
    match directory {
        Some(directory) => Environment::open(directory),
        None => Ok(global.target(None)?.environment),
    }
}

fn show(global: &Global, environment: &Environment, component: &ComponentSettings, what: &str) -> anyhow::Result<()> {
    let output = global.output();
    let directory = environment.layout().component(&component.name);
    if output.is_json() {
        return output.json(&json!({
            "name": component.name,
            "role": component.role,
            "path": directory.display().to_string(),
            "did": what,
            "address": component.address(),
            "control_address": component.control_address(),
        }));
    }
    let address = or_dash(component.address().or(component.control_address()));
    let (name, directory) = (&component.name, directory.display());
    output.text(&match what {
        "renewed" => format!("Renewed the certificate of {name} in {directory}"),
        _ => format!("Created {name} ({address}); start it with: tenon start {directory}"),
    })
}
