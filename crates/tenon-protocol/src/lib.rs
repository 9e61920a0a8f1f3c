//! The wire formats between components. No I/O: bytes in, values out, and back.
//!
//! - [`control`]: HTTP/2 and JSON between components, and for the command line and the dashboard. Each endpoint is described
//!   once; the server's routes, the typed client and the OpenAPI document follow from that.
//! - [`worker`]: binary frames between a server and the worker processes that run services.

#[cfg(feature = "control")]
pub mod control;
#[cfg(feature = "worker")]
pub mod worker;
