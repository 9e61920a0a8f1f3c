//! Identifiers made from randomness: of a call, of a process's life, of a write to the store.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::Random;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// A new identifier: lower-case hexadecimal digits.
            pub fn generate(random: &dyn Random) -> Self {
                let mut bytes = [0_u8; $bytes];
                random.fill(&mut bytes);
                Self(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect())
            }

            /// An identifier that was made elsewhere, taken as it is.
            pub fn from_text(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

fn hex_digit(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble)])
}

random_id! {
    /// Names one call through everything that it causes, in logs, answers and errors.
    CorrelationId, 12
}
random_id! {
    /// Names one life of a process: a restarted component has a new one.
    InstanceId, 8
}
random_id! {
    /// Names one write to the store, so that repeating it does it once.
    OperationId, 16
}
