//! Places in an object's body: paths, and patterns of the paths that a kind marks.

use std::fmt;

use serde_json::Value;

/// One step into a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    Index(usize),
}

/// A place in a body; prints as `retry.attempts` or `security[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldPath(Vec<Segment>);

impl FieldPath {
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The value at this place.
    pub(crate) fn get<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(body, |value, segment| match segment {
            Segment::Key(key) => value.get(key),
            Segment::Index(index) => value.get(*index),
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if place == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The text at a place that is given as text, such as `security[0]`.
pub(crate) fn text_at<'a>(body: &'a Value, field: &str) -> Option<&'a str> {
    let mut parts = field.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let value = parts.try_fold(body, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    });
    value?.as_str()
}

/// The places that a kind marks with one dotted path: `password`, `users[].password`, `headers.*`.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Wanted>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Key(String),
    AnyKey,
    AnyIndex,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut wanted = Vec::new();
        for part in text.split('.') {
            let name = part.trim_end_matches("[]");
            wanted.push(if name == "*" {
                Wanted::AnyKey
            } else {
                Wanted::Key(name.to_owned())
            });
            wanted.extend(
                part[name.len()..]
                    .chars()
                    .filter(|c| *c == '[')
                    .map(|_| Wanted::AnyIndex),
            );
        }
        Self(wanted)
    }

    /// Whether a place is one of these, or an item of a list that is.
    pub(crate) fn matches(&self, path: &FieldPath) -> bool {
        let segments = match path.0.split_last() {
            Some((Segment::Index(_), list)) if path.0.len() == self.0.len() + 1 => list,
            _ => &path.0[..],
        };
        segments.len() == self.0.len()
            && segments
                .iter()
                .zip(&self.0)
                .all(|(segment, wanted)| match (segment, wanted) {
                    (Segment::Key(key), Wanted::Key(name)) => key == name,
                    (Segment::Key(_), Wanted::AnyKey) | (Segment::Index(_), Wanted::AnyIndex) => true,
                    _ => false,
                })
    }
}

/// The patterns of several dotted paths.
pub(crate) fn patterns(paths: &[String]) -> Vec<Pattern> {
    paths.iter().map(|path| Pattern::new(path)).collect()
}

/// Calls `visit` with each text of a body and its place.
pub(crate) fn visit_texts(body: &mut Value, visit: &mut dyn FnMut(&FieldPath, &mut String)) {
    fn walk(value: &mut Value, path: &FieldPath, visit: &mut dyn FnMut(&FieldPath, &mut String)) {
        match value {
            Value::String(text) => visit(path, text),
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    walk(item, &path.index(index), visit);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields.iter_mut() {
                    walk(field, &path.key(key), visit);
                }
            }
            _ => {}
        }
    }
    walk(body, &FieldPath::default(), visit);
}

/// The texts of a body at the places of these patterns.
pub(crate) fn texts_at(body: &Value, patterns: &[Pattern]) -> Vec<(FieldPath, String)> {
    let mut found = Vec::new();
    if !patterns.is_empty() {
        visit_texts(&mut body.clone(), &mut |path, text| {
            if patterns.iter().any(|pattern| pattern.matches(path)) {
                found.push((path.clone(), text.clone()));
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_find_marked_texts_in_lists_and_maps() {
        let body = json!({
            "password": "a", "security": ["b", "c"], "users": [{"token": "d", "name": "-"}], "headers": {"x.y": "e"}, "url": "-",
        });
        let marked = ["password", "security", "users[].token", "headers.*"].map(str::to_owned);
        let found: Vec<String> = texts_at(&body, &patterns(&marked))
            .into_iter()
            .map(|(path, text)| format!("{path}={text}"))
            .collect();
        assert_eq!(
            found,
            [
                "password=a",
                "security[0]=b",
                "security[1]=c",
                "users[0].token=d",
                "headers.x.y=e"
            ]
        );
    }
}
