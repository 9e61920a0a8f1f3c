//! Channels over HTTP: the listener, the routes, how requests are read and answers written. Which technology declared a route
//! is not known here.

mod listener;
mod reply;
mod request;
mod router;

pub(crate) use listener::{DataListener, DataPlane};
pub(crate) use router::{Route, Router};
