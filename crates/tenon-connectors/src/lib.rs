//! Connectors: the code of each technology that services are reached through (channels) or that they call (outgoing).
//!
//! Other crates see the traits of this page and never a technology: the server asks [`connectors`] who takes a kind, calls
//! [`Outgoing::call`] with an operation's name, and binds what a [`ChannelBinding`] declares. This crate knows neither the
//! store nor the server.
//!
//! # To add a connector
//!
//! 1. Make a folder `src/<technology>/` with `mod.rs` (a struct that implements [`Connector`]) and `config.rs` (one struct per
//!    kind that implements [`KindConfig`](tenon_model::KindConfig); a kind's name ends in `-channel` or `-outgoing`). Beside
//!    them, as needed: `client.rs` (the other side's protocol), `channel.rs`, `outgoing.rs`, `tests.rs`.
//! 2. Add it to the list of [`connectors`]. Its library goes into this crate's `Cargo.toml`.
//! 3. Let its tests run the suite that every outgoing connection must pass (`behavior.rs`), against the real other side.
//!
//! `connection.rs` makes a connection of what a technology can do, `pool.rs` keeps the technology's connections for the next
//! call, `tls.rs` has the client side of TLS. Nothing else is to be changed. Schema, validation, storage, API, manifests, CLI, the
//! dashboard's form and the reference page follow from the config struct.

#[cfg(test)]
mod behavior;
mod connection;
mod connector;
mod http_route;
mod path;
mod pool;
mod rest;
mod settings;
mod sql;
mod tls;

pub use connector::{
    ChannelBinding, Connector, ConnectorError, Credentials, Outgoing, OutgoingCall, OutgoingContext, OutgoingError,
    OutgoingReply,
};
pub use http_route::{
    Cors, CsvFormat, DataFormat, Deprecation, ErrorFormat, HttpRoute, MediaRange, ParamsPriority, ResponseCache,
    UrlParamsPriority,
};
pub use path::{InvalidPath, PathPattern, PathSegment, SegmentPart};
pub use rest::WebDocument;
pub use settings::Settings;

/// Every connector there is. This is the list to which a new one is added.
pub fn connectors() -> Vec<Box<dyn Connector>> {
    vec![Box::new(rest::Rest), Box::new(sql::Sql)]
}

/// Every kind of every connector.
pub fn kinds() -> Vec<tenon_model::Kind> {
    connectors().iter().flat_map(|connector| connector.kinds()).collect()
}
