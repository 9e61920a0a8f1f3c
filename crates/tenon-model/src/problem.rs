//! Errors as callers see them: RFC 9457 `application/problem+json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::FieldProblem;

/// What a caller is told when something is wrong. Never holds internals; the log has those, under the same `cid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable name for this sort of problem, such as `tenon:not-found`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The sort of problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The correlation id of the call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cid: String,
    /// Which elements or fields are wrong, if that is what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

impl Problem {
    /// The media type of a problem.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// The name of the problem that a server is starting and did nothing: whoever calls may ask another one.
    pub const STARTING: &'static str = "starting";

    /// A problem with a status, a stable name (`not-found`) and a sentence on what happened and what to do.
    pub fn new(status: u16, kind: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("tenon:{kind}"),
            title: title_of(kind),
            status,
            detail: detail.into(),
            cid: String::new(),
            errors: Vec::new(),
        }
    }

    /// The same problem with the correlation id of the call.
    #[must_use]
    pub fn with_cid(mut self, cid: impl Into<String>) -> Self {
        self.cid = cid.into();
        self
    }

    /// The same problem with the fields that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// Whether this is its stable name, given as to [`new`](Self::new).
    pub fn is_called(&self, kind: &str) -> bool {
        self.kind.strip_prefix("tenon:") == Some(kind)
    }

    /// The problem as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a problem is plain data and always serialises")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        })?;
        for error in &self.errors {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// `not-found` → `Not found`.
fn title_of(kind: &str) -> String {
    let words = kind.replace('-', " ");
    let mut characters = words.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_rfc_9457() {
        let problem = Problem::new(404, "not-found", "no channel has the path /a").with_cid("c1");
        let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "tenon:not-found", "title": "Not found", "status": 404,
                "detail": "no channel has the path /a", "cid": "c1",
            })
        );
    }
}
