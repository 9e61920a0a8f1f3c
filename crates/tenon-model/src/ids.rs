//! Identifiers made from randomness: of a call, of a process's life, of a write to the store.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::Random;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new identifier: lower-case hexadecimal digits.
            pub fn generate(random: &dyn Random) -> Self {
                let mut bytes = [0_u8; $bytes];
                random.fill(&mut bytes);
                let mut digits = [0_u8; 2 * $bytes];
                for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
                    pair.copy_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
                }
                // Digits are text.
                Self(std::str::from_utf8(&digits).unwrap_or_default().into())
            }

            /// An identifier that was made elsewhere, taken as it is.
            pub fn from_text(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
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

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
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
