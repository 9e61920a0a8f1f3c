//! What is wrong with an input, in the words of those who send it.

use std::fmt::Write as _;

use serde_json::Value;
use serde_path_to_error::Segment;

use crate::error::Error;

/// The answer to an input that is not of the expected type: 400, with the path of the element.
pub(crate) fn wrong_input(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let mut path = String::new();
    for segment in error.path() {
        match segment {
            Segment::Seq { index } => {
                let root = if path.is_empty() { "/" } else { "" };
                let _ = write!(path, "{root}[{index}]");
            }
            Segment::Map { key } => drop(write!(path, "/{key}")),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let message = error.inner().to_string();
    // Where in the text it is, the path says better.
    let message = message.rfind(" at line ").map_or(&*message, |end| &message[..end]);
    let (field, message) = match quoted(message, "missing field `") {
        Some(name) => (format!("{path}/{name}"), "the element is missing".to_owned()),
        None => (path, plain(message)),
    };
    Error::bad_element(if field.is_empty() { "/".to_owned() } else { field }, message)
}

fn quoted<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    message.strip_prefix(before)?.split('`').next()
}

/// serde's `invalid type: string "many", expected u32` as `expected a whole number, found text 'many'`.
fn plain(message: &str) -> String {
    if let Some(name) = quoted(message, "unknown field `") {
        return format!("there is no element '{name}'");
    }
    if let Some(name) = quoted(message, "duplicate field `") {
        return format!("the element '{name}' is there more than once");
    }
    let Some(rest) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
    else {
        return message.to_owned();
    };
    match rest.rsplit_once(", expected ") {
        Some((found, expected)) => format!("expected {}, found {}", wanted(expected), found_words(found)),
        None => message.to_owned(),
    }
}

fn wanted(expected: &str) -> String {
    let words = match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => {
            "a whole number"
        }
        "f32" | "f64" => "a number",
        "a string" | "a borrowed string" | "a character" => "text",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "an object",
        "unit" => "nothing",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    words.to_owned()
}

fn found_words(found: &str) -> String {
    let shown = |text: &str| {
        if text.chars().count() <= 40 {
            format!(" {text}")
        } else {
            String::new()
        }
    };
    if let Some(text) = found.strip_prefix("string ") {
        let text: String = serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').to_owned());
        return format!("text{}", shown(&format!("'{text}'")));
    }
    for prefix in ["integer `", "floating point `"] {
        if let Some(number) = quoted(found, prefix) {
            return format!("number{}", shown(number));
        }
    }
    match found {
        "map" => "object".to_owned(),
        "sequence" => "array".to_owned(),
        "unit value" | "null" => "null".to_owned(),
        other => match quoted(other, "boolean `") {
            Some(value) => format!("boolean {value}"),
            None => other.to_owned(),
        },
    }
}

/// What a caller calls the type of a value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
