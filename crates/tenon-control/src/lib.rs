//! The control protocol on the wire: HTTP/2 and JSON over mutual TLS, between components and for the command line.
//!
//! `tenon-protocol` says what is said; this crate says it. Every control address is a [`ControlListener`] with the health
//! paths of [`health_routes`] and whatever routes its role adds; everybody who calls one is a [`ControlClient`]. Who is on the
//! other side is known by the certificate alone ([`Identity`], [`Peer`]).

mod client;
mod data;
mod health;
mod identity;
mod listener;
mod settings;

pub use client::{Addresses, ControlClient, ControlError};
pub use data::DataAcceptor;
pub use health::{Health, MetricsText, health_routes};
pub use identity::{Identity, IdentityError, dns_name};
pub use listener::{ControlListener, Peer, serve_probes};
pub use settings::ControlSettings;

#[cfg(test)]
mod tests;
