//! `tenon quickstart create`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use tenon_model::{SystemClock, SystemRandom};

use super::{Global, start};
use crate::environment::create::{self, CreateOptions, Created, NewEnvironment, STORE_URL};
use crate::environment::ports::{PortOptions, SERVERS_MAX};
use crate::environment::secrets;
use crate::environment::{Environment, Target};
use crate::failure::fail;

/// Makes clusters whose components all lie in one directory.
#[derive(Debug, Subcommand)]
pub(super) enum Quickstart {
    /// Make a cluster in a new directory
    Create(Create),
}

/// Makes a cluster in a new directory.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Create {
    /// The directory; must not exist yet, or be empty
    directory: PathBuf,
    /// How many servers
    #[arg(long, value_name = "N", default_value_t = 1)]
    servers: u16,
    /// The cluster's name; the directory's without it
    #[arg(long, value_name = "NAME")]
    cluster_name: Option<String>,
    /// Start it, and wait until it is ready
    #[arg(long)]
    start: bool,
    /// The address that everything listens on; without it, all of them for the load balancer and loopback for the rest
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// The load balancer's port [default: 11223]
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// The dashboard's port [default: 8183]
    #[arg(long, value_name = "PORT")]
    dashboard_port: Option<u16>,
    /// The first of all ports, which then follow each other
    #[arg(long, value_name = "PORT")]
    port_base: Option<u16>,
    /// Where everything durable is
    #[arg(long, value_name = "URL", default_value = STORE_URL)]
    store: String,
    /// The Python for services, 3.9 or newer; found without it
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Make no scheduler
    #[arg(long)]
    no_scheduler: bool,
    /// Make no load balancer
    #[arg(long)]
    no_load_balancer: bool,
    /// A file with the admin's password in its first line; without it, a random one is made
    #[arg(long, value_name = "FILE")]
    admin_password_file: Option<PathBuf>,
    /// Do nothing if there is an environment already
    #[arg(long, conflicts_with = "force")]
    skip_if_exists: bool,
    /// Make an environment anew where one is: its data and secrets are lost, services and manifests stay
    #[arg(long)]
    force: bool,
}

impl Quickstart {
    pub(super) fn run(self, global: &Global) -> anyhow::Result<()> {
        match self {
            Quickstart::Create(command) => command.run(global),
        }
    }
}

impl Create {
    fn run(self, global: &Global) -> anyhow::Result<()> {
        let start = self.start;
        if self.servers == 0 {
            fail!(
                InvalidInput,
                "--servers 0 can't be",
                format!("an environment has 1 to {SERVERS_MAX} servers")
            );
        }
        let created = create::create(&self.into_options(), &SystemClock, &SystemRandom)?;
        let environment = match created {
            Created::New(new) => {
                show(global, &new)?;
                new.environment
            }
            Created::Existed(environment) => {
                show_existing(global, &environment)?;
                environment
            }
        };
        if start {
            let target = Target {
                environment,
                component: None,
            };
            start::start_and_wait(global, &target, Duration::from_mins(1), true)?;
        }
        Ok(())
    }

    fn into_options(self) -> CreateOptions {
        CreateOptions {
            directory: self.directory,
            cluster_name: self.cluster_name,
            servers: self.servers,
            ports: PortOptions {
                bind: self.bind,
                http_port: self.http_port,
                dashboard_port: self.dashboard_port,
                port_base: self.port_base,
            },
            store: self.store,
            scheduler: !self.no_scheduler,
            balancer: !self.no_load_balancer,
            dashboard: true,
            demo: true,
            python: self.python,
            admin_password_file: self.admin_password_file,
            skip_if_exists: self.skip_if_exists,
            force: self.force,
        }
    }
}

/// Says that there was an environment already.
pub(super) fn show_existing(global: &Global, environment: &Environment) -> anyhow::Result<()> {
    let root = environment.layout().root().display();
    let output = global.output();
    if output.is_json() {
        output.json(&json!({ "path": root.to_string(), "created": false }))
    } else {
        output.text(&format!("{root} already holds an environment, which was left as it is"))
    }
}

/// Shows a new environment, and what its owner needs to know once.
pub(super) fn show(global: &Global, new: &NewEnvironment) -> anyhow::Result<()> {
    let environment = &new.environment;
    let (layout, output) = (environment.layout(), global.output());
    let root = layout.root().display();
    let cluster = &environment.settings().cluster;
    let components: Vec<String> = environment.components()?.into_iter().map(|c| c.name).collect();
    let password_file = secrets::password_file(layout);
    if output.is_json() {
        return output.json(&json!({
            "path": root.to_string(),
            "created": true,
            "cluster": cluster.name,
            "cluster_id": cluster.id,
            "components": components,
            "admin_user": secrets::ADMIN,
            "admin_password": new.password,
            "admin_password_file": password_file.display().to_string(),
            "python": new.python.path.display().to_string(),
            "python_version": new.python.version,
        }));
    }
    let mut lines = vec![
        format!("Created the cluster {} in {root}", cluster.name),
        format!("  components      {}", components.join(", ")),
        format!(
            "  python          {} ({})",
            new.python.path.display(),
            new.python.version
        ),
    ];
    lines.extend(start::addresses(environment)?);
    lines.push(format!("  admin user      {}", secrets::ADMIN));
    match &new.password {
        Some(password) => lines.push(format!(
            "  admin password  {password} (shown once; kept in {})",
            password_file.display()
        )),
        None => lines.push("  admin password  the one of the file that was given".to_owned()),
    }
    lines.push(format!("Start it with: tenon start {root}"));
    output.text(&lines.join("\n"))
}
