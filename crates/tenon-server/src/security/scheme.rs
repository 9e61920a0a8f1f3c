//! How callers show who they are, as the OpenAPI document tells it. Definitions are not named there: that partners exist is
//! nobody else's business.

use serde_json::{Value, json};

use super::definitions::Definition;

/// A way of showing who one is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scheme {
    /// A user name and a password.
    Basic,
    /// A token.
    Bearer,
    /// A certificate.
    Certificate,
    /// A key in a header of this name.
    Header(String),
    /// A key in a parameter of this name.
    Query(String),
}

impl Scheme {
    /// The ways of a definition; none for a group, whose members have theirs.
    pub(super) fn of(definition: &Definition) -> Vec<Self> {
        match definition {
            Definition::BasicAuth(_) => vec![Self::Basic],
            Definition::ApiKey(config) => {
                let query = config.query_parameter.clone().map(Self::Query);
                [Self::Header(config.header.clone())].into_iter().chain(query).collect()
            }
            Definition::Jwt(_) => vec![Self::Bearer],
            Definition::MutualTls(_) => vec![Self::Certificate],
            Definition::Group(_) => Vec::new(),
        }
    }

    /// What it is called in the document.
    pub(crate) fn name(&self) -> String {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && !"._-".contains(c), "-");
        match self {
            Self::Basic => "basic".to_owned(),
            Self::Bearer => "bearer".to_owned(),
            Self::Certificate => "certificate".to_owned(),
            Self::Header(name) => format!("header-{}", plain(name)),
            Self::Query(name) => format!("query-{}", plain(name)),
        }
    }

    /// What the document says of it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Basic => json!({ "type": "http", "scheme": "basic" }),
            Self::Bearer => json!({ "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }),
            Self::Certificate => json!({ "type": "mutualTLS" }),
            Self::Header(name) => json!({ "type": "apiKey", "in": "header", "name": name }),
            Self::Query(name) => json!({ "type": "apiKey", "in": "query", "name": name }),
        }
    }
}
