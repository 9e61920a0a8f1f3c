//! The dashboard: login, the embedded web interface, and a gateway that passes API calls on to a server.
//!
//! The process is thin. It keeps no sessions and no state of the cluster: the browser's cookie holds the token that a server
//! gave at login, each API call goes on to a server with it, and the server decides what the user may do. It knows servers
//! only, by their control addresses. The interface itself is in `ui/`.

mod assets;
mod gateway;
mod guard;
mod listen;
mod login;
mod servers;
mod settings;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response_with_state};
use axum::routing::{any, post};
use tenon_model::{Clock, CorrelationId, Problem, Random};
use tokio::sync::Semaphore;

pub use listen::DashboardError;
pub use servers::{ControlServers, GatewayError, Servers};
pub use settings::Settings;

use login::Attempts;

/// The dashboard of a cluster.
#[derive(Debug, Clone)]
pub struct Dashboard {
    state: Arc<State>,
}

/// What every request may need. Nothing in it outlives the process or matters to the cluster.
#[derive(Debug)]
struct State {
    settings: Settings,
    servers: Arc<dyn Servers>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    attempts: Attempts,
    logins: Semaphore,
    /// Whether the last call reached a server, so that the log tells changes and not every call.
    servers_answer: AtomicBool,
}

impl Dashboard {
    /// A dashboard that passes calls on to these servers.
    pub fn new(settings: Settings, servers: Arc<dyn Servers>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        let state = State {
            attempts: Attempts::new(&settings),
            logins: Semaphore::new(settings.logins_max),
            servers_answer: AtomicBool::new(true),
            settings,
            servers,
            clock,
            random,
        };
        Self { state: Arc::new(state) }
    }

    /// What the dashboard answers, without a socket: for tests, and for whoever serves it in another way. A request without
    /// a [`ClientAddress`] among its extensions counts as one of an unknown address.
    pub fn router(&self) -> Router {
        let state = Arc::clone(&self.state);
        let api = Router::new()
            .route("/api/login", post(login::log_in))
            .route("/api/logout", post(login::log_out))
            .route("/api/v1/{*path}", any(gateway::forward))
            .layer(from_fn(guard::refuse_foreign_pages))
            .with_state(Arc::clone(&state));
        Router::new()
            .merge(api)
            .route("/api/{*path}", any(gateway::unknown))
            .fallback(assets::serve)
            .layer(from_fn_with_state(Arc::clone(&state), gateway::time_limit))
            .layer(map_response_with_state(Arc::clone(&state), guard::add_security_headers))
            .with_state(state)
    }
}

/// Where a request came from, by its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub std::net::IpAddr);

impl State {
    /// A problem of the dashboard's own, with an id under which the log has more.
    fn problem(&self, status: u16, kind: &str, detail: impl Into<String>) -> Problem {
        let cid = CorrelationId::generate(&*self.random);
        Problem::new(status, kind, detail).with_cid(cid.as_str())
    }
}

#[cfg(test)]
mod tests;
