//! The load balancer: takes HTTP/1.1 and HTTP/2 from clients, with and without TLS, and relays it to the servers of the cluster.
//!
//! [`Balancer::new`] takes listening sockets that are already bound and a watched list of servers, and
//! [`Balancer::run`] serves until it is told to stop, then drains. The [`Follower`] feeds the list from the cluster and
//! keeps it on disk; the [`ConfigurationFollower`] does so with what objects of the [`kinds`] that live here say. Each
//! thread has a runtime, an accept loop and a pool of server connections of its own; they share the directory of servers,
//! what is configured, and nothing else that changes.
//!
//! A request's way: `front` finds out what a connection speaks (certificates are in `tls`, those ordered from an authority come from `acme`), `http2` gives each stream to the rest
//! as if it were a connection of HTTP/1.1; `proxy/connection` reads its head with `codec` (strict; refuses on doubt), `shaping` lets it
//! in by `rules` and limits, `proxy/exchange` chooses a server of `upstream` and decides what may be tried again, `proxy/relay` moves the bytes. Not here: which servers exist (the
//! cluster says so).
//!
//! To add a limit, add a field to [`Settings`] with a default and use it where the limited thing happens; one that can be
//! changed while it runs is a field of [`BalancerConfig`] as well.

mod access;
mod acme;
mod balancer;
mod codec;
mod configuration;
mod counters;
mod error;
mod follower;
mod front;
mod health;
mod http2;
mod kinds;
mod metrics;
mod proxy;
mod proxy_protocol;
mod report;
mod rules;
mod settings;
mod shaping;
mod status;
mod tls;
mod upstream;

pub use balancer::{Balancer, Deps, Handle};
pub use configuration::{ConfigurationFollower, ConfigurationSource};
pub use error::BalancerError;
pub use follower::{Follower, MemberSource, SourceError};
pub use kinds::{AcmeConfig, BalancerConfig, CertificateConfig, OperatorState, RuleConfig, ServerConfig, kinds};
pub use settings::Settings;
pub use status::{ServerStatus, Status};
pub use tls::{
    CertificateFacts, CertificateFiles, CertificatePem, CertificateSource, CertificateStatus, TlsConfiguration,
};
pub use upstream::{Endpoint, Health, Server, ServerState, Upstreams};
