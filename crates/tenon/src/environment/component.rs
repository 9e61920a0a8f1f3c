//! The directory of one component: what its settings say at first, and how it is made.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use tenon_model::{Role, Timestamp};

use super::authority::Authority;
use super::layout::Layout;
use super::made::Made;
use super::ports::PortPlan;
use super::settings::{Addresses, ComponentSettings};
use super::{desired, public_certificate};

fn settings(name: &str, role: Role, addresses: Addresses) -> ComponentSettings {
    ComponentSettings {
        name: name.to_owned(),
        role,
        servers: Vec::new(),
        python: None,
        addresses,
        threads: None,
        log: None,
        limits: toml::Table::new(),
    }
}

/// The store.
pub(super) fn store() -> ComponentSettings {
    settings("store", Role::Store, Addresses::default())
}

/// A server with these data and control addresses.
pub(super) fn server(name: &str, (data, control): (SocketAddr, SocketAddr), python: &Path) -> ComponentSettings {
    let addresses = Addresses {
        data: Some(data),
        control: Some(control),
        ..Addresses::default()
    };
    ComponentSettings {
        python: Some(python.to_owned()),
        ..settings(name, Role::Server, addresses)
    }
}

/// The scheduler.
pub(super) fn scheduler(ports: &PortPlan) -> ComponentSettings {
    let addresses = Addresses {
        control: Some(ports.scheduler_control),
        ..Addresses::default()
    };
    settings("scheduler", Role::Scheduler, addresses)
}

/// The dashboard, which finds servers at these control addresses.
pub(super) fn dashboard(ports: &PortPlan, servers: &[SocketAddr]) -> ComponentSettings {
    let addresses = Addresses {
        http: Some(ports.dashboard),
        ..Addresses::default()
    };
    ComponentSettings {
        servers: servers.to_vec(),
        ..settings("dashboard", Role::Dashboard, addresses)
    }
}

/// The load balancer, which finds servers at these control addresses.
pub(super) fn load_balancer(ports: &PortPlan, servers: &[SocketAddr]) -> ComponentSettings {
    let addresses = Addresses {
        http: Some(ports.http),
        https: Some(ports.https),
        control: Some(ports.balancer_control),
        ..Addresses::default()
    };
    ComponentSettings {
        servers: servers.to_vec(),
        ..settings("load-balancer", Role::LoadBalancer, addresses)
    }
}

/// Makes a component's directory, settings and certificate; it is to run when the environment does.
pub(super) fn make(
    layout: &Layout,
    cluster: &str,
    authority: &Authority,
    component: &ComponentSettings,
    made: &mut Made,
    now: Timestamp,
) -> anyhow::Result<()> {
    made.note(layout.ca().join(&component.name));
    authority.issue(layout, cluster, component.role, &component.name)?;
    make_directory(layout, component, made, now)
}

/// Makes a component's directory and settings; its certificate is there, or comes from elsewhere.
pub(super) fn make_directory(
    layout: &Layout,
    component: &ComponentSettings,
    made: &mut Made,
    now: Timestamp,
) -> anyhow::Result<()> {
    made.directory(&component.name)?;
    made.directory(&format!("{}/run", component.name))?;
    made.directory(&format!("{}/logs", component.name))?;
    desired::set_component(layout, &component.name, desired::Desired::Running)?;
    if let Some(https) = component.addresses.https {
        public_certificate::create(layout, &component.name, https.ip(), now)?;
    }
    // Last: a directory without this file is no component.
    let text = format!("{}{}", comment(component), toml_text(component)?);
    made.file(&format!("{}/component.toml", component.name), &text)
}

/// Settings as a file has them.
pub(super) fn toml_text<T: Serialize>(settings: &T) -> anyhow::Result<String> {
    toml::to_string(settings).context("settings can't be written as TOML")
}

fn comment(component: &ComponentSettings) -> &'static str {
    match component.role {
        Role::LoadBalancer => {
            "# What this component needs to start; its limits go into [limits]. HTTPS is spoken with tls/cert.pem and\n\
             # tls/key.pem unless an object of the kind `balancer-certificate` is for the host.\n\n"
        }
        _ => "# What this component needs to start; its limits go into [limits].\n\n",
    }
}
