//! A load generator that writes down every request and how it ended.
//!
//! [`Plan`] says what is asked for and how fast; [`Load`] asks, on a thread of its own with a runtime on one core; [`Ledger`] holds
//! one [`Entry`] per request; [`Weather`] is told who is being killed, because only that explains some ends. How an exchange is
//! judged is one pure function, [`judge`].

mod clients;
mod kind;
mod latency;
mod ledger;
mod multiplexed;
mod plan;
mod pool;
mod request;
mod stream;
mod verdict;
mod weather;
mod wire;

pub use clients::Load;
pub use kind::{Kind, Via};
pub use latency::Latencies;
pub use ledger::{Counts, End, Entry, Ledger};
pub use plan::{Plan, SlowClients};
pub use stream::served_certificate;
pub use verdict::{Circumstances, Outcome, Seen, Sent, Step, judge};
pub use weather::{Dying, Weather};
