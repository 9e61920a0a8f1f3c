//! The store over a Unix socket: frames, the server that has the files open, and its clients.
//!
//! A client says hello with the protocol's version and who it is; the store welcomes or refuses it. Then the client sends
//! calls, each with a number of its own, and gets the answers in whatever order they are ready; events come in between. A
//! call whose answer is lost with the connection is repeated on the next one under the same operation id.

mod client;
mod frame;
mod server;
#[cfg(test)]
mod tests;

pub use client::RemoteEngine;
pub use server::StoreServer;
