//! Things that are done to a cluster while requests run, and what becomes of these.
//!
//! A [`Scenario`] is a list of [`Act`]s; [`run`] starts a cluster of the real binary, keeps the load generator of
//! [`load`](crate::load) going, does the acts again and again, and gives an [`Outcome`]. `docs/chaos.md` explains the columns.

mod act;
mod certificate;
mod disk;
mod keep;
mod part;
pub mod report;
mod run;
mod scenario;
mod subject;

pub use act::Act;
pub use part::Part;
pub use run::{Outcome, Pace, run};
pub use scenario::Scenario;
pub use subject::Subject;
