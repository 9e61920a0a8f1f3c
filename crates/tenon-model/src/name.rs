//! Names of objects, services and components.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of an object: 1 to 200 characters, no control characters, no `/`, no white space at the ends.
///
/// Names are identity: manifests, references and the API use nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ObjectName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a name: {reason}")]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

impl ObjectName {
    const LENGTH_MAX: usize = 200;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ObjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |reason| {
            Err(InvalidName {
                text: text.to_owned(),
                reason,
            })
        };
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.chars().count() > Self::LENGTH_MAX {
            return wrong("it is longer than 200 characters");
        }
        if text.trim() != text {
            return wrong("it begins or ends with white space");
        }
        if text.contains('/') {
            return wrong("it contains a slash");
        }
        if text.chars().any(char::is_control) {
            return wrong("it contains a control character");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ObjectName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for ObjectName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for ObjectName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ObjectName".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": Self::LENGTH_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_paths_or_logs_are_refused() {
        for good in ["api.my-service", "CRM", "Zahlungen für März", "a"] {
            assert!(good.parse::<ObjectName>().is_ok(), "{good:?}");
        }
        for wrong in ["", " a", "a ", "a/b", "a\nb", &"x".repeat(201)] {
            assert!(wrong.parse::<ObjectName>().is_err(), "{wrong:?}");
        }
    }
}
