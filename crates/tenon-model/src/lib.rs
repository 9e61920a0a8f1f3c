//! The vocabulary of Tenon: names, kinds, objects, clock, randomness and problems. No I/O.
//!
//! A type enters this crate when two others need it and it does no I/O. To add a kind of object, write a struct that
//! implements [`KindConfig`] in the crate that owns it and add it to that crate's list of kinds; validation, storage, the
//! API, manifests, CLI output, the dashboard's form and the reference page all follow from that struct.

mod access;
mod catalog;
mod clock;
mod duration;
mod forwarded;
mod ids;
mod kind;
mod member;
mod name;
mod network;
mod object;
mod problem;
mod random;
mod secret;

pub use access::{Access, Role};
pub use catalog::Catalog;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use duration::DurationText;
pub use forwarded::{address_of, address_of_forwarded, believed_forwarded, believed_forwarded_for};
pub use ids::{CorrelationId, InstanceId, OperationId};
pub use kind::{FieldProblem, Kind, KindConfig, KindGroup};
pub use member::{Member, MemberState};
pub use name::{InvalidName, ObjectName};
pub use network::{InvalidNetwork, Network};
pub use object::{Object, ObjectBody, ObjectKey, Revision};
pub use problem::Problem;
pub use random::{ManualRandom, Random, SystemRandom};
pub use secret::{SEALED_PREFIX, Secret};
