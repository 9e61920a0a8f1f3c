//! The worker processes of one deployment: started, fed, watched, replaced. What a service is called by is not their business.
//!
//! - [`Pool`] is what a deployment runs on: some workers, the queue before them, and the tasks that keep both well.
//! - `dispatch.rs` gives calls to workers; `ends.rs` looks after what a worker that ended leaves behind.
//! - `worker.rs` is one worker as the pool sees it: what it runs, and what it may still take.
//! - `start.rs` starts a worker; `zygote.rs` has Python's forked, which takes a tenth of the time.
//! - `process.rs` is the operating system's side: spawning, signals, exit codes; `connection.rs` the socket; `reader.rs` what
//!   comes out of it; `stream.rs` bodies in chunks, either way; `output.rs` what the worker prints.
//!
//! A call costs no task and no timer: it is written to the worker by the caller's own task, the worker's one reading task
//! completes it, and one sweep per pool, every 20 ms while anything runs, looks after deadlines and callers that left.

mod connection;
mod dispatch;
mod ends;
mod keeper;
mod metadata;
mod output;
mod pool;
mod process;
mod quarantine;
mod queue;
mod reader;
mod recycle;
mod running;
mod service;
mod settings;
mod start;
mod stream;
#[cfg(test)]
mod stream_tests;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod user;
#[cfg(test)]
mod violation_tests;
mod worker;
mod zygote;

pub use pool::{Pool, PoolParts, WorkerStatus};
pub use service::ServiceEntry;
pub use settings::WorkerSettings;
pub(crate) use start::{Interpreter, interpreter};
pub use start::{ReadyWorker, StartError, WorkerProgram, WorkerSpec};
pub use user::{UserError, WorkerUser};
pub use zygote::Zygote;
pub(crate) use zygote::Zygotes;
