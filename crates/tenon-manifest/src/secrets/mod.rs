//! Secrets in bodies: sealed where they are kept, masked where they are shown.
//!
//! Which fields are secret the kind says. How a text is sealed the caller says ([`SecretSealer`]); this crate does no
//! cryptography.

#[cfg(test)]
mod tests;

use serde_json::Value;
use tenon_model::{FieldProblem, Kind, SEALED_PREFIX};

use crate::field::{patterns, visit_texts};
use crate::resolve::{CANNOT_OPEN, has_reference, unescape};

/// What is shown in place of a secret, and what stands for the value that it had.
pub const MASK: &str = "********";

/// Encrypts with the cluster's key.
pub trait SecretSealer {
    /// A text that begins with `sealed:` and that only [`unseal`](Self::unseal) turns back.
    fn seal(&self, plain: &str) -> String;

    /// The text that was sealed; none if it was sealed with another key or changed since.
    fn unseal(&self, sealed: &str) -> Option<String>;
}

/// A body with its secrets masked. References (`${VAR}`, `secret:NAME`) are no secrets and stay.
pub fn mask(kind: &Kind, body: &Value) -> Value {
    let secrets = patterns(&kind.secret_fields);
    let mut masked = body.clone();
    visit_texts(&mut masked, &mut |path, text| {
        if !has_reference(text) && secrets.iter().any(|pattern| pattern.matches(path)) {
            MASK.clone_into(text);
        }
    });
    masked
}

/// A body with its literal secrets sealed. `old` is the body that it replaces: a masked secret keeps its value, and a secret
/// that is the same keeps its sealed text, so that nothing seems to change.
pub fn seal(
    kind: &Kind,
    body: &Value,
    old: Option<&Value>,
    sealer: &dyn SecretSealer,
) -> Result<Value, Vec<FieldProblem>> {
    let secrets = patterns(&kind.secret_fields);
    let mut sealed = body.clone();
    let mut problems = Vec::new();
    visit_texts(&mut sealed, &mut |path, text| {
        if !secrets.iter().any(|pattern| pattern.matches(path)) {
            return;
        }
        let kept = old.and_then(|old| path.get(old)).and_then(Value::as_str);
        match seal_text(text, kept, sealer) {
            Ok(value) => *text = value,
            Err(message) => problems.push(FieldProblem::new(path.to_string(), message)),
        }
    });
    if problems.is_empty() { Ok(sealed) } else { Err(problems) }
}

fn seal_text(text: &str, kept: Option<&str>, sealer: &dyn SecretSealer) -> Result<String, String> {
    if text == MASK {
        return kept
            .map(str::to_owned)
            .ok_or_else(|| format!("{MASK} keeps the value of before, and there is none; write the secret"));
    }
    if has_reference(text) || kept == Some(text) {
        return Ok(text.to_owned());
    }
    let plain = if text.starts_with(SEALED_PREFIX) {
        sealer.unseal(text).ok_or_else(|| CANNOT_OPEN.to_owned())?
    } else {
        unescape(text)
    };
    let same = kept
        .filter(|kept| kept.starts_with(SEALED_PREFIX))
        .is_some_and(|kept| sealer.unseal(kept).as_ref() == Some(&plain));
    match kept {
        Some(kept) if same => Ok(kept.to_owned()),
        _ if text.starts_with(SEALED_PREFIX) => Ok(text.to_owned()),
        _ => Ok(sealer.seal(&plain)),
    }
}
