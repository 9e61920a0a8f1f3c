//! Values as XML, the way back from `xml`.

use std::fmt::Write;

use quick_xml::escape::escape;
use serde_json::Value;

use super::xml::is_character;

/// The element around values that have none by themselves.
const ROOT: &str = "response";
/// The elements of a list that has no name.
const ITEM: &str = "item";

/// Writes a value: an object with one element that is no list is the document's element, other values are put into
/// `<response>`. None if a name can't be one of XML.
pub(super) fn write(value: &Value) -> Option<String> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let single = value.as_object().filter(|object| object.len() == 1);
    let single = single.and_then(|object| object.iter().next());
    match single.filter(|(name, value)| !value.is_array() && !name.starts_with(['@', '#'])) {
        Some((name, value)) => element(&mut text, name, value)?,
        None => element(&mut text, ROOT, value)?,
    }
    text.push('\n');
    Some(text)
}

fn element(text: &mut String, name: &str, value: &Value) -> Option<()> {
    if !is_name(name) {
        return None;
    }
    text.push('<');
    text.push_str(name);
    if let Value::Object(children) = value {
        for (name, value) in children {
            if let Some(name) = name.strip_prefix('@').filter(|name| is_name(name)) {
                let value = plain(value)?;
                let _ = write!(text, " {name}=\"{}\"", escape(&value));
            }
        }
    }
    let opened = text.len();
    text.push('>');
    content(text, value)?;
    if text.len() == opened + 1 {
        text.truncate(opened);
        text.push_str("/>");
        return Some(());
    }
    text.push_str("</");
    text.push_str(name);
    text.push('>');
    Some(())
}

fn content(text: &mut String, value: &Value) -> Option<()> {
    match value {
        Value::Object(children) => {
            for (name, value) in children {
                match (name.as_str(), value) {
                    ("#text", value) => text.push_str(&escape(&plain(value)?)),
                    (name, _) if name.starts_with('@') => {}
                    (name, Value::Array(items)) => {
                        for item in items {
                            element(text, name, item)?;
                        }
                    }
                    (name, value) => element(text, name, value)?,
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                element(text, ITEM, item)?;
            }
        }
        value => text.push_str(&escape(&plain(value)?)),
    }
    Some(())
}

/// A plain value as text; none if it is none, or has characters that XML can't have.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => return None,
    };
    text.chars().all(is_character).then_some(text)
}

/// Whether a text is a name of XML 1.0.
pub(super) fn is_name(name: &str) -> bool {
    let goes_on = |c: char| {
        begins_name(c)
            || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
    };
    name.starts_with(begins_name) && name.chars().all(goes_on)
}

fn begins_name(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}
