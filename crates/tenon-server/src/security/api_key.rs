//! The kind `api-key`: a key in a header, or, where a client can't send one, in the query string.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup, Secret};

/// A key that a client sends in a header.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// The key.
    pub key: Secret,
    /// The header that carries it.
    #[serde(default = "default_header")]
    pub header: String,
    /// A parameter of the query string that may carry it, too. Query strings end up in the logs of proxies: leave it out where
    /// clients can send a header.
    pub query_parameter: Option<String>,
    /// The `rate-limit` object that says how many requests may come with this key.
    #[schemars(extend("x-tenon-reference" = ["rate-limit"]))]
    pub rate_limit: Option<String>,
}

fn default_header() -> String {
    "X-API-Key".to_owned()
}

impl KindConfig for ApiKeyConfig {
    const NAME: &'static str = "api-key";
    const TITLE: &'static str = "API key";
    const GROUP: KindGroup = KindGroup::Security;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if self.key.reveal().is_empty() {
            problems.push(FieldProblem::new("key", "a key is not empty"));
        }
        if http::HeaderName::try_from(self.header.as_str()).is_err() {
            problems.push(FieldProblem::new(
                "header",
                format!("'{}' is not the name of a header", self.header),
            ));
        }
        if self.query_parameter.as_ref().is_some_and(String::is_empty) {
            problems.push(FieldProblem::new("query_parameter", "a parameter has a name"));
        }
        problems
    }
}

/// The first value of a parameter in a query string.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split('&').find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (decoded(known)? == name).then(|| decoded(value)).flatten()
    })
}

/// Undoes the encoding of query strings; none if it is broken.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_query_strings_are_decoded() {
        let found = |query, name| parameter(query, name).map(Cow::into_owned);
        assert_eq!(found("a=1&key=x%2By+z&key=2", "key").as_deref(), Some("x+y z"));
        assert_eq!(found("k%65y=v", "key").as_deref(), Some("v"));
        assert_eq!(found("key", "key"), None);
        assert_eq!(found("key=%zz", "key"), None);
        assert_eq!(found("keys=1", "key"), None);
    }
}
