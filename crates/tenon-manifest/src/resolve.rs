//! `${VAR}` and `secret:NAME`: kept as written, resolved where a value is used.
//!
//! A text may hold any number of `${VAR}`; `$${` stands for `${` itself. A text that is `secret:NAME` and nothing else is the
//! cluster's secret of that name. Only texts are resolved, never names of fields.

use serde_json::Value;
use tenon_model::{FieldProblem, Kind, SEALED_PREFIX};

use crate::field::{patterns, visit_texts};
use crate::secrets::SecretSealer;

/// How a text names a secret of the cluster.
const SECRET_PREFIX: &str = "secret:";

/// Where references find their values.
pub trait Lookup {
    /// The value of a variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// The value of a secret of the cluster.
    fn secret(&self, name: &str) -> Option<String>;
}

/// A body with all references replaced by their values; or each field with a reference that has none.
pub fn resolve(body: &Value, lookup: &dyn Lookup) -> Result<Value, Vec<FieldProblem>> {
    let mut resolved = body.clone();
    let mut problems = Vec::new();
    visit_texts(&mut resolved, &mut |path, text| match resolve_text(text, lookup) {
        Ok(value) => *text = value,
        Err(message) => problems.push(FieldProblem::new(path.to_string(), message)),
    });
    if problems.is_empty() {
        Ok(resolved)
    } else {
        Err(problems)
    }
}

/// The body of an object as it is used: references replaced by their values, sealed secrets opened.
pub fn resolve_object(
    kind: &Kind,
    body: &Value,
    lookup: &dyn Lookup,
    sealer: &dyn SecretSealer,
) -> Result<Value, Vec<FieldProblem>> {
    let secrets = patterns(&kind.secret_fields);
    let mut resolved = body.clone();
    let mut problems = Vec::new();
    visit_texts(&mut resolved, &mut |path, text| {
        // Only where a secret belongs: elsewhere a sealed text would be a way to read a secret.
        let sealed = text.starts_with(SEALED_PREFIX) && secrets.iter().any(|pattern| pattern.matches(path));
        let value = if sealed {
            sealer.unseal(text).ok_or_else(|| CANNOT_OPEN.to_owned())
        } else {
            resolve_text(text, lookup)
        };
        match value {
            Ok(value) => *text = value,
            Err(message) => problems.push(FieldProblem::new(path.to_string(), message)),
        }
    });
    if problems.is_empty() {
        Ok(resolved)
    } else {
        Err(problems)
    }
}

/// What to say of a sealed secret that the cluster's key does not open.
pub(crate) const CANNOT_OPEN: &str = "the sealed secret can't be opened: it was sealed with the key of another cluster";

/// Whether a text is more than itself: it has a `${…}` or is a `secret:NAME`.
pub fn has_reference(text: &str) -> bool {
    secret_name(text).is_some()
        || parts(text).map_or(true, |parts| parts.iter().any(|part| matches!(part, Part::Variable(_))))
}

/// A text that holds no references, as it is meant.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("$${", "${")
}

fn resolve_text(text: &str, lookup: &dyn Lookup) -> Result<String, String> {
    if let Some(name) = secret_name(text) {
        return lookup
            .secret(name)
            .ok_or_else(|| format!("the cluster has no secret '{name}'; create it with 'tenon secret set {name}'"));
    }
    parts(text)?.into_iter().try_fold(String::new(), |mut value, part| {
        match part {
            Part::Literal(literal) => value.push_str(literal),
            Part::Escape => value.push_str("${"),
            Part::Variable(name) => {
                let found = lookup.variable(name);
                value.push_str(&found.ok_or_else(|| format!("the environment has no variable '{name}'"))?);
            }
        }
        Ok(value)
    })
}

fn secret_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix(SECRET_PREFIX)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (!name.is_empty() && name.chars().all(allowed)).then_some(name)
}

enum Part<'a> {
    Literal(&'a str),
    Escape,
    Variable(&'a str),
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find("${") {
        if rest[..place].ends_with('$') {
            parts.push(Part::Literal(&rest[..place - 1]));
            parts.push(Part::Escape);
            rest = &rest[place + 2..];
            continue;
        }
        parts.push(Part::Literal(&rest[..place]));
        let (name, after) = rest[place + 2..]
            .split_once('}')
            .filter(|(name, _)| is_variable(name))
            .ok_or("'${' begins a variable such as ${NAME}; write '$${' for the characters themselves")?;
        parts.push(Part::Variable(name));
        rest = after;
    }
    parts.push(Part::Literal(rest));
    Ok(parts)
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Fixed;

    impl Lookup for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "HOST").then(|| "db1".to_owned())
        }

        fn secret(&self, name: &str) -> Option<String> {
            (name == "billing-password").then(|| "s3 ${HOST}".to_owned())
        }
    }

    #[test]
    fn references_are_resolved_once_and_only_in_texts() {
        let body = json!({
            "url": "http://${HOST}:1/${HOST}", "password": "secret:billing-password", "n": 1, "${HOST}": true,
            "list": ["$${HOST}", "secret: not a name", "$5 {x}", "100%"],
        });
        assert_eq!(
            resolve(&body, &Fixed).unwrap(),
            json!({
                "url": "http://db1:1/db1", "password": "s3 ${HOST}", "n": 1, "${HOST}": true,
                "list": ["${HOST}", "secret: not a name", "$5 {x}", "100%"],
            })
        );
        assert!(has_reference("a${B}c") && has_reference("secret:x"));
        assert!(!has_reference("$${B}") && !has_reference("secret:") && !has_reference("plain"));
    }

    #[test]
    fn references_without_a_value_are_told_with_their_field() {
        let body = json!({"a": ["${NONE}", "ok"], "b": {"c": "secret:none"}, "d": "${", "e": "${a b}"});
        let problems = resolve(&body, &Fixed).unwrap_err();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "a[0]: the environment has no variable 'NONE'",
                "b.c: the cluster has no secret 'none'; create it with 'tenon secret set none'",
                "d: '${' begins a variable such as ${NAME}; write '$${' for the characters themselves",
                "e: '${' begins a variable such as ${NAME}; write '$${' for the characters themselves",
            ]
        );
    }
}
