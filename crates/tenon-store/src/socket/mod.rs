//! The store over a Unix socket: frames, the server that has the files open, and its clients.

mod client;
mod server;

pub use client::RemoteEngine;
pub use server::StoreServer;
