//! Who may call: definitions that channels refer to, users and sessions of the control API, secrets at rest.

mod definitions;
mod gate;
mod guard;
mod sealer;
mod users;

pub use definitions::{ApiKeyConfig, BasicAuthConfig, Definition, kinds};
pub(crate) use gate::{Gate, Refusal, Visitor};
pub(crate) use guard::Guard;
pub use sealer::{ClusterKey, ClusterKeyError};
pub use users::{SignInError, Users};
