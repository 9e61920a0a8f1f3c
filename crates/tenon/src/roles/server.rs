//! A server: channels, services and their workers, outgoing connections, jobs, the control API.

use std::borrow::Cow;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use rust_embed::RustEmbed;
use tenon_server::deployments::SdkFiles;
use tenon_server::{Presence, ServerParts, ServerSettings, run_server};
use tenon_store::Store;
use tokio_util::sync::CancellationToken;

use super::RoleContext;
use crate::catalog::catalog;
use crate::environment::secrets;

/// What Python services import, and the program that runs them.
#[derive(RustEmbed)]
#[folder = "../../sdk/python"]
#[include = "*.py"]
#[include = "*.pyi"]
#[include = "*/py.typed"]
#[exclude = "tests/*"]
struct PythonSdk;

/// Serves until it is told to stop.
pub(super) async fn run(context: RoleContext, stop: CancellationToken) -> anyhow::Result<()> {
    let mut settings: ServerSettings = context.settings.limits()?;
    if let Some(python) = &context.settings.python {
        settings.workers.python = python.display().to_string();
    }
    let layout = context.environment.layout();
    let name = &context.settings.name;
    let data = address("data", context.settings.addresses.data)?;
    let control = address("control", context.settings.addresses.control)?;
    let data_socket = layout.component_socket(name, "data.sock");
    let store = Store::connect(
        &layout.store_socket(),
        settings.store.clone(),
        name,
        context.instance.clone(),
        Arc::clone(&context.random),
    );
    let supervisor = context.supervisor.clone();
    let parts = ServerParts {
        cluster: context.environment.settings().cluster.name.clone(),
        presence: Presence {
            name: name.clone(),
            role: context.settings.role,
            instance: context.instance.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: context.settings.address().map(|address| address.to_string()),
            data_socket: Some(data_socket.display().to_string()),
            control_address: context.settings.control_address().map(|address| address.to_string()),
            started_at: context.clock.now(),
        },
        store,
        identity: context.identity.clone(),
        catalog: Arc::new(catalog()),
        secret_key_file: secrets::key_file(layout),
        first_admin: first_admin(&context),
        data_listener: bind(data)?,
        data_socket,
        control_listener: bind(control)?,
        probe_listener: context.settings.addresses.probes.map(bind).transpose()?,
        manifests: layout.manifests(),
        environment: Arc::new(std::env::vars().collect()),
        random: Arc::clone(&context.random),
        sdk: python_sdk(),
        run_dir: layout.component_run(name),
        services_dir: layout.services(),
        user_config: layout.user_config(),
        condition: Arc::new(move |ready, reason| supervisor.set_condition(ready, reason)),
        settings,
    };
    run_server(parts, stop).await.context("the server can't run")
}

fn python_sdk() -> SdkFiles {
    let files = PythonSdk::iter().filter_map(|path| {
        let file = PythonSdk::get(&path)?;
        Some((path.into_owned(), Cow::Owned(file.data.into_owned())))
    });
    SdkFiles::new(files.collect())
}

/// The administrator that was made with the environment; none where the file was taken away.
fn first_admin(context: &RoleContext) -> Option<(String, String)> {
    let file = secrets::password_hash_file(context.environment.layout());
    let hash = std::fs::read_to_string(file).ok()?;
    Some(("admin".to_owned(), hash.trim().to_owned()))
}

fn address(what: &str, address: Option<SocketAddr>) -> anyhow::Result<SocketAddr> {
    address.with_context(|| format!("component.toml names no {what} address"))
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))
}
