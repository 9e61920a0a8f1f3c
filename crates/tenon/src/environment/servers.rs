//! Servers that are added to an environment, and taken out of it: their names, ports, directories and certificates.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tenon_model::{Clock, Role};

use super::authority::Authority;
use super::made::Made;
use super::ports::{self, PortPlan, SERVERS_MAX};
use super::settings::ComponentSettings;
use super::{Environment, component, locks, python};
use crate::failure::fail;

/// Names that mean something else in an environment.
const RESERVED: [&str; 10] = [
    "ca",
    "data",
    "logs",
    "manifests",
    "operator",
    "run",
    "secrets",
    "services",
    "supervisor",
    "user-config",
];

/// The longest name of a component: with it, the paths of sockets stay short enough.
const NAME_LENGTH_MAX: usize = 24;

/// Makes servers that are like those that the environment has: with the same Python, limits and log. Their ports are the next
/// free ones of the environment's block. Nothing is changed if one of them can't be made.
pub(crate) fn add(
    environment: &Environment,
    name: Option<&str>,
    count: u16,
    python: Option<&Path>,
    clock: &dyn Clock,
) -> anyhow::Result<Vec<ComponentSettings>> {
    let known = environment.components()?;
    if !known.iter().any(|component| component.role == Role::Store) {
        fail!(
            InvalidInput,
            "servers on another host than the store's need the PostgreSQL store, which this version does not have",
            "add servers on the host of the cluster's store; load balancer and dashboard can be on other hosts"
        );
    }
    let names = match name {
        Some(name) => vec![checked_name(environment, name)?],
        None => free_names(environment, count),
    };
    let new = plan(environment, &known, &names, python)?;
    let (layout, cluster) = (environment.layout(), &environment.settings().cluster.name);
    let authority = Authority::load(layout, cluster, clock.now())?;
    let mut made = Made::new(layout)?;
    for component in &new {
        component::make(layout, cluster, &authority, component, &mut made, clock.now())?;
    }
    made.keep();
    Ok(new)
}

/// What the new servers' settings are.
fn plan(
    environment: &Environment,
    known: &[ComponentSettings],
    names: &[String],
    python: Option<&Path>,
) -> anyhow::Result<Vec<ComponentSettings>> {
    let model = known.iter().find(|component| component.role == Role::Server);
    let python = match (python, model.and_then(|model| model.python.clone())) {
        (None, Some(python)) => python,
        (wanted, _) => python::find(wanted)?.path,
    };
    let mut new: Vec<ComponentSettings> = Vec::new();
    for name in names {
        let mut taken = known.to_vec();
        taken.extend(new.iter().cloned());
        let addresses = free_addresses(environment, &taken, name)?;
        let mut server = component::server(name, addresses, &python);
        if let Some(model) = model {
            server.threads = model.threads;
            server.log.clone_from(&model.log);
            server.limits.clone_from(&model.limits);
            server.addresses.advertised = model.addresses.advertised;
        }
        new.push(server);
    }
    Ok(new)
}

/// The first data and control address of the environment's block that nobody uses: the one of the server's number, if it can be.
fn free_addresses(
    environment: &Environment,
    taken: &[ComponentSettings],
    name: &str,
) -> anyhow::Result<(SocketAddr, SocketAddr)> {
    let block = PortPlan::new(&environment.settings().ports, SERVERS_MAX)?.servers;
    let used: Vec<u16> = taken.iter().flat_map(ComponentSettings::ports).collect();
    let number: usize = name
        .strip_prefix("server")
        .and_then(|number| number.parse().ok())
        .unwrap_or(1);
    let first = number.saturating_sub(1).min(block.len() - 1);
    let mut refused = None;
    for index in (first..block.len()).chain(0..first) {
        let (data, control) = block[index];
        if used.contains(&data.port()) || used.contains(&control.port()) {
            continue;
        }
        let uses = [(format!("{name} (data)"), data), (format!("{name} (control)"), control)];
        match ports::check(&uses, ports::ephemeral_range()) {
            Ok(()) => return Ok((data, control)),
            Err(failure) => refused = refused.or(Some(failure)),
        }
    }
    match refused {
        Some(failure) => Err(failure.into()),
        None => fail!(
            Port,
            format!("there is no port for {name}: an environment has room for {SERVERS_MAX} servers"),
            "remove one, or run more clusters side by side"
        ),
    }
}

/// The lowest numbers that no component has.
fn free_names(environment: &Environment, count: u16) -> Vec<String> {
    let is_free = |name: &String| !environment.layout().component(name).exists();
    let names = (1_u32..).map(|number| format!("server{number}"));
    names.filter(is_free).take(usize::from(count)).collect()
}

/// A name that a new component can have.
pub(super) fn checked_name(environment: &Environment, name: &str) -> anyhow::Result<String> {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_LENGTH_MAX
        && name.chars().all(is_word)
        && !RESERVED.contains(&name);
    if !is_name {
        fail!(
            InvalidInput,
            format!("'{name}' can't be the name of a component"),
            format!(
                "choose one of at most {NAME_LENGTH_MAX} small letters, digits and '-', which is no other directory of an environment"
            )
        );
    }
    if environment.layout().component(name).exists() {
        fail!(
            NotEmpty,
            format!("{} exists already", environment.layout().component(name).display()),
            "choose another name, or use the one that is there"
        );
    }
    Ok(name.to_owned())
}

/// Deletes the directory and the certificate of a component that does not run.
pub(crate) fn delete(environment: &Environment, name: &str) -> anyhow::Result<()> {
    let layout = environment.layout();
    if locks::is_locked(&layout.component_run(name).join("lock")) {
        fail!(AlreadyRunning, format!("{name} still runs"), "stop it first");
    }
    // Aside first: half of a directory must not be taken for a component.
    let aside = layout.run().join(format!("removed-{name}"));
    remove_directory(&aside)?;
    let directory = layout.component(name);
    if directory.exists() {
        std::fs::rename(&directory, &aside).with_context(|| format!("can't move {} away", directory.display()))?;
    }
    remove_directory(&aside)?;
    remove_directory(&layout.ca().join(name))?;
    locks::remove_if_there(&layout.component_socket(name, "data.sock"))
}

fn remove_directory(path: &Path) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    std::fs::remove_dir_all(path).with_context(|| format!("can't remove {}", path.display()))
}
