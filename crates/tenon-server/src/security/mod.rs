//! Who may call: definitions that channels refer to, users and sessions of the control API, secrets at rest.

mod definitions;
mod guard;
mod sealer;
mod users;

pub use definitions::{ApiKeyConfig, BasicAuthConfig, Definition, kinds};
pub use guard::{Guard, Refusal};
pub use sealer::{ClusterKey, ClusterKeyError};
pub use users::{SignInError, Users};
