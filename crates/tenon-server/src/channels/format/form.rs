//! Forms: `application/x-www-form-urlencoded` as an object of texts; of names that repeat the last one counts.

use serde_json::{Map, Value};

use super::{Wrong, utf8};
use crate::channels::router::percent_decode;

/// Reads a form.
pub(super) fn read(body: &[u8]) -> Result<Value, Wrong> {
    let text = utf8(body)?;
    let mut fields = Map::new();
    for pair in text.trim_end().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| Wrong::new(format!("/{name}"), "its percent-encoding is broken"))?;
        let value = decode(value).ok_or_else(|| Wrong::new(format!("/{name}"), "its percent-encoding is broken"))?;
        fields.insert(name, Value::String(value));
    }
    Ok(Value::Object(fields))
}

fn decode(text: &str) -> Option<String> {
    if text.contains('+') {
        percent_decode(&text.replace('+', " "))
    } else {
        percent_decode(text)
    }
}

/// Writes an object of plain values, or of lists of such; none for other values.
pub(super) fn write(value: &Value) -> Option<String> {
    let mut pairs = Vec::new();
    for (name, value) in value.as_object()? {
        match value {
            Value::Array(items) => {
                for item in items {
                    pairs.push((name.as_str(), plain(item)?));
                }
            }
            value => pairs.push((name.as_str(), plain(value)?)),
        }
    }
    serde_urlencoded::to_string(pairs).ok()
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
