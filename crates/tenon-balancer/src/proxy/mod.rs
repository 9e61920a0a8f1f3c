//! One thread's work: accept connections, read requests, relay them to servers and answers back.

mod admitted;
mod answers;
mod budget;
mod buffer;
mod cids;
mod client;
mod connection;
mod deadline;
mod endings;
mod exchange;
mod linger;
mod peer;
mod pool;
mod relay;
mod room;
mod stream;
mod tunnel;
mod upload;
mod worker;

pub(crate) use client::ClientStream;
pub(crate) use connection::Connection;
pub(crate) use deadline::Deadline;
pub(crate) use linger::linger;
pub(crate) use peer::Peer;
pub(crate) use stream::{ServerStream, ServerTls};
pub(crate) use worker::{Open, Shared, Worker, own_host};
