//! Requests that two readers could read differently, and clients that are slow on purpose: what our load balancer, HAProxy and
//! nginx do with them.
//!
//! Each load balancer stands in front of a [`Recorder`], which writes down what reaches a server and judges nothing. What one
//! lets through and another refuses is a row of the table that `cargo xtask security` prints; the tests run the same requests
//! through ours.
#![expect(clippy::panic, reason = "the end of a test is a panic")]

mod cases;
mod recorder;
mod slow;
mod smuggling;
mod targets;

pub use cases::{Case, Expected, cases};
pub use recorder::{Recorded, Recorder};
pub use slow::{Ending, Slowness, watch};
pub use smuggling::{Seen, send};
pub use targets::{Kind, Target};
