//! Channels over HTTP: the listener, the routes, how requests are read and answers written. Which technology declared a route
//! is not known here.

mod cache;
mod compression;
mod cors;
mod deprecation;
mod format;
mod head_timer;
mod idempotency;
mod incoming;
mod kept;
mod listener;
mod openapi;
mod origin;
mod own_paths;
mod plane;
mod reply;
mod reply_body;
mod request;
mod router;

pub(crate) use cache::AnswerCache;
pub(crate) use listener::DataListener;
pub(crate) use openapi::OpenApi;
pub use openapi::OpenApiSettings;
pub(crate) use plane::DataPlane;
pub(crate) use router::{Route, Router};
