//! A text that must not be seen.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a secret that was encrypted with the cluster's key begins.
pub const SEALED_PREFIX: &str = "sealed:";

/// A secret field of an object: a password, a key, a token.
///
/// Its schema carries `"x-tenon-secret": true`, so that everything that handles objects generically (the API, manifests, the
/// dashboard) knows it. It prints as `***`; it serialises as it is, because that is how it gets to where it is used.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be used and not to be kept or printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "writeOnly": true, "x-tenon-secret": true })
    }
}
