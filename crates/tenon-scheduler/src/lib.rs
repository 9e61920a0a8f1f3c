//! When a job is due, and the record of its runs.
//!
//! [`JobConfig`] is what a user writes; [`Schedule`] says which instants that means; the planner says which of them are to be
//! written now; [`Scheduler`] leads, waits and writes. Servers claim runs from the store and execute them; nothing here calls a
//! service.
//!
//! To add a way to say when a job is due, add a field to [`JobConfig`] and a rule to [`Schedule`]; everything else follows from
//! [`Schedule::next_after`].

mod config;
mod cron;
mod job;
mod planner;
mod schedule;
mod scheduler;
mod settings;
#[cfg(test)]
mod simulation;
mod summary;

pub use config::{Dst, Fold, Gap, JobConfig, Missed, MissedPolicy, OnLost, Overlap, Retries};
pub use job::{literal_payload, manual_run, payload_text};
pub use schedule::{Schedule, next_after};
pub use scheduler::{NextInstant, Scheduler, SchedulerDeps, SchedulerHandle, SchedulerStatus};
pub use settings::Settings;
pub use summary::summaries;

use tenon_model::Kind;

/// The kinds of objects that live here.
pub fn kinds() -> Vec<Kind> {
    vec![Kind::of::<JobConfig>()]
}
