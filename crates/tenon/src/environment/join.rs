//! Components on other hosts: what they need of the cluster comes in one file, which holds their certificate and key. The key
//! of the CA stays where the cluster was made.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tenon_model::{Clock, Role};

use super::authority::{Authority, Certificate};
use super::create::absolute;
use super::layout::Layout;
use super::made::Made;
use super::ports::PortOptions;
use super::secrets::write_private;
use super::settings::{ClusterSettings, ComponentSettings, EnvironmentSettings, LogSettings, SupervisorSettings};
use super::{Environment, additions, component};
use crate::failure::fail;

/// What a component on another host needs of the cluster.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinFile {
    /// What the component is.
    role: Role,
    /// Its name in the cluster.
    name: String,
    /// Control addresses of the cluster's servers.
    servers: Vec<SocketAddr>,
    /// The cluster.
    cluster: ClusterSettings,
    /// Who the component is to others.
    certificate: Certificate,
}

/// Writes the file for a component of this role and name on another host; only its owner may read it. Gives the addresses at
/// which the component will look for servers.
pub(crate) fn issue(
    environment: &Environment,
    role: Role,
    name: &str,
    file: &Path,
    clock: &dyn Clock,
) -> anyhow::Result<Vec<SocketAddr>> {
    refuse_without_store(role)?;
    let servers = told_servers(environment)?;
    let (layout, cluster) = (environment.layout(), environment.settings().cluster.clone());
    if layout.component_file(name).is_file() {
        fail!(
            InvalidInput,
            format!("{name} is a component of this host"),
            "give the one on the other host another name with --name"
        );
    }
    let authority = Authority::load(layout, &cluster.name, clock.now())?;
    let text = component::toml_text(&JoinFile {
        role,
        name: name.to_owned(),
        servers: servers.clone(),
        certificate: authority.certificate(&cluster.name, role, name)?,
        cluster,
    })?;
    write_private(file, &text)?;
    Ok(servers)
}

/// The control addresses of servers as other hosts reach them.
fn told_servers(environment: &Environment) -> anyhow::Result<Vec<SocketAddr>> {
    let mut components = environment.components()?;
    components.retain(|component| component.role == Role::Server);
    let servers: Vec<SocketAddr> = components
        .iter()
        .filter_map(ComponentSettings::control_address)
        .collect();
    if let Some(address) = servers.iter().find(|address| address.ip().is_unspecified()) {
        fail!(
            InvalidInput,
            format!("servers listen on {address}, by which no other host finds them"),
            "set addresses.advertised in the component.toml of each server to this host's address, and restart them"
        );
    }
    if servers.is_empty() {
        fail!(
            InvalidInput,
            "the environment has no server",
            "add one with `tenon create server`"
        );
    }
    Ok(servers)
}

fn refuse_without_store(role: Role) -> anyhow::Result<()> {
    if matches!(role, Role::LoadBalancer | Role::Dashboard) {
        return Ok(());
    }
    fail!(
        InvalidInput,
        format!(
            "a {role} on another host than the store's needs the PostgreSQL store, which this version does not have"
        ),
        "load balancer and dashboard can be on other hosts"
    )
}

/// What joining did.
#[derive(Debug)]
pub(crate) enum Joined {
    /// A new component.
    Made(Environment, ComponentSettings),
    /// The component was there and has a new certificate.
    Renewed(Environment, ComponentSettings),
}

/// Makes the component that a file is for, in an environment of this host, which is made too if it is missing. If the
/// component is there already, it gets the file's certificate, which it reads by itself.
pub(crate) fn join(
    directory: &Path,
    role: Role,
    file: &Path,
    options: &PortOptions,
    clock: &dyn Clock,
) -> anyhow::Result<Joined> {
    let join = read(file)?;
    if join.role != role {
        fail!(
            InvalidInput,
            format!("{} is for a {}", file.display(), join.role),
            format!("make one with `tenon create {}`", join.role)
        );
    }
    let layout = Layout::new(absolute(directory)?);
    if layout.environment_file().is_file() {
        let environment = Environment::open(layout.root())?;
        if environment.settings().cluster.id != join.cluster.id {
            fail!(
                NotEmpty,
                format!("{} belongs to another cluster", layout.root().display()),
                "give a directory that does not exist yet"
            );
        }
        if layout.component_file(&join.name).is_file() {
            join.certificate.write(&layout, &join.name)?;
            let settings = environment.component(&join.name)?;
            return Ok(Joined::Renewed(environment, settings));
        }
        let ports = environment.settings().ports.overridden(options);
        return make(&layout, &join, &ports, true, clock);
    }
    let is_empty = |root: &Path| std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
    if layout.root().exists() && !is_empty(layout.root()) {
        fail!(
            NotEmpty,
            format!("{} is not empty", layout.root().display()),
            "give a directory that does not exist yet, or is empty"
        );
    }
    make(&layout, &join, options, false, clock)
}

fn read(file: &Path) -> anyhow::Result<JoinFile> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => fail!(
            NoSuchPath,
            format!("{} can't be read: {error}", file.display()),
            "make the file with `tenon cert issue` on the host of the cluster"
        ),
    };
    // What is wrong with it is not said in its own words: they may be a key.
    let Ok(join) = toml::from_str(&text) else {
        fail!(
            InvalidInput,
            format!("{} is no file to join a cluster with", file.display()),
            "make one with `tenon cert issue` on the host of the cluster"
        );
    };
    Ok(join)
}

fn make(
    layout: &Layout,
    join: &JoinFile,
    ports: &PortOptions,
    exists: bool,
    clock: &dyn Clock,
) -> anyhow::Result<Joined> {
    let settings = additions::plan(join.role, &join.name, ports, &join.servers)?;
    let mut made = Made::new(layout)?;
    if !exists {
        for directory in ["ca", "run", "logs"] {
            made.directory(directory)?;
        }
        made.sockets(layout)?;
        std::fs::write(layout.ca().join("ca.pem"), &join.certificate.ca).context("can't write ca/ca.pem")?;
    }
    made.note(layout.ca().join(&join.name));
    join.certificate.write(layout, &join.name)?;
    component::make_directory(layout, &settings, &mut made, clock.now())?;
    if !exists {
        let environment = EnvironmentSettings {
            cluster: join.cluster.clone(),
            store: None,
            ports: ports.clone(),
            supervisor: SupervisorSettings::default(),
            log: LogSettings::default(),
        };
        const COMMENT: &str = "# Components of this host of a cluster whose store is on another one.\n\n";
        made.file(
            "environment.toml",
            &format!("{COMMENT}{}", component::toml_text(&environment)?),
        )?;
    }
    made.keep();
    Ok(Joined::Made(Environment::open(layout.root())?, settings))
}
