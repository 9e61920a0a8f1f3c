//! The control API of a server: every endpoint of `tenon-protocol`, who may call it, and what it does.
//!
//! To add one: describe it in `tenon-protocol`, write its handler in the file of its thing here, add it to [`routes`].

mod balancer;
mod channels;
mod cluster;
mod deployments;
mod endpoint;
mod jobs;
mod manifests;
mod objects;
mod secrets;
mod services;
mod sessions;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use tenon_model::{Catalog, Random};
use tenon_store::Store;

use crate::channels::OpenApi;
use crate::invoke::Invoker;
use crate::membership::ServerHealth;
use crate::object_writer::ObjectWriter;
use crate::secrets::Secrets;
use crate::security::Users;
use crate::services::Services;
use crate::snapshot::SnapshotCell;

use endpoint::Routes;

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct Api {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The store.
    pub(crate) store: Store,
    /// All kinds.
    pub(crate) catalog: Arc<Catalog>,
    /// The objects in force on this server.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// Where services run.
    pub(crate) services: Services,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// How this server is.
    pub(crate) health: Arc<ServerHealth>,
    /// Users and sessions.
    pub(crate) users: Users,
    /// What references in objects stand for.
    pub(crate) secrets: Secrets,
    /// The document of all channels.
    pub(crate) openapi: Arc<OpenApi>,
    /// Writes objects.
    pub(crate) writer: ObjectWriter,
    /// Correlation ids and nonces.
    pub(crate) random: Arc<dyn Random>,
}

/// The routes of the control API.
pub(crate) fn routes(api: Arc<Api>, body_bytes_max: usize) -> Router {
    let mut routes = Routes::new(api);
    cluster::add(&mut routes);
    balancer::add(&mut routes);
    sessions::add(&mut routes);
    deployments::add(&mut routes);
    secrets::add(&mut routes);
    routes.need_loaded();
    channels::add(&mut routes);
    objects::add(&mut routes);
    manifests::add(&mut routes);
    services::add(&mut routes);
    jobs::add(&mut routes);
    routes.into_router().layer(DefaultBodyLimit::max(body_bytes_max))
}
