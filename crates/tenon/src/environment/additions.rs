//! Components other than servers that are added to an environment: scheduler, dashboard, load balancer.

use std::net::SocketAddr;

use tenon_model::{Clock, Role};

use super::authority::Authority;
use super::made::Made;
use super::ports::{self, PortOptions, PortPlan};
use super::settings::ComponentSettings;
use super::{Environment, component, servers};
use crate::failure::fail;

/// Makes a component of this role in an environment that has the cluster's CA. What the options do not say is as the
/// environment was made.
pub(crate) fn add(
    environment: &Environment,
    role: Role,
    options: &PortOptions,
    clock: &dyn Clock,
) -> anyhow::Result<ComponentSettings> {
    let known = environment.components()?;
    if role == Role::Scheduler && !known.iter().any(|component| component.role == Role::Store) {
        fail!(
            InvalidInput,
            "a scheduler on another host than the store's needs the PostgreSQL store, which this version does not have",
            "make it on the host of the cluster's store"
        );
    }
    let servers: Vec<SocketAddr> = known
        .iter()
        .filter(|component| component.role == Role::Server)
        .filter_map(ComponentSettings::control_address)
        .collect();
    let settings = plan(
        role,
        role.as_str(),
        &environment.settings().ports.overridden(options),
        &servers,
    )?;
    servers::checked_name(environment, &settings.name)?;
    let (layout, cluster) = (environment.layout(), &environment.settings().cluster.name);
    let authority = Authority::load(layout, cluster, clock.now())?;
    let mut made = Made::new(layout)?;
    component::make(layout, cluster, &authority, &settings, &mut made, clock.now())?;
    made.keep();
    Ok(settings)
}

/// The settings of a new component, whose ports nobody uses.
pub(super) fn plan(
    role: Role,
    name: &str,
    options: &PortOptions,
    servers: &[SocketAddr],
) -> anyhow::Result<ComponentSettings> {
    let ports = PortPlan::new(options, 0)?;
    let (settings, uses) = match role {
        Role::Scheduler => (component::scheduler(&ports), ports.uses(false, false, true)),
        Role::Dashboard => (component::dashboard(&ports, servers), ports.uses(true, false, false)),
        Role::LoadBalancer => (
            component::load_balancer(&ports, servers),
            ports.uses(false, true, false),
        ),
        Role::Server | Role::Store | Role::Operator => fail!(
            InvalidInput,
            format!("a component of the role '{role}' is not made so"),
            "servers are added with `tenon create server`"
        ),
    };
    ports::check(&uses, ports::ephemeral_range())?;
    Ok(ComponentSettings {
        name: name.to_owned(),
        ..settings
    })
}
