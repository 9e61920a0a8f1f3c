//! Values as YAML text that reads back as the same values, here and in other readers.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::scalar;

/// Longer keys must be written with a question mark before them; shorter than YAML's 1,024 because escapes count.
const KEY_LENGTH_MAX: usize = 128;

/// A value as a YAML document.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut out, map, 0, false),
        Value::Array(items) if !items.is_empty() => write_list(&mut out, items, 0),
        other => {
            write_inline(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// The entries of a mapping; `begun` if the first key follows on the line, after a dash.
fn write_map(out: &mut String, map: &Map<String, Value>, depth: usize, begun: bool) {
    for (place, (key, value)) in map.iter().enumerate() {
        if place > 0 || !begun {
            indent(out, depth);
        }
        if key.chars().count() > KEY_LENGTH_MAX {
            out.push_str("? ");
            write_quoted(out, key);
            out.push('\n');
            indent(out, depth);
        } else {
            write_line(out, key);
        }
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                write_map(out, inner, depth + 1, false);
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_list(out, items, depth + 1);
            }
            other => {
                out.push(' ');
                write_inline(out, other, depth + 1);
                out.push('\n');
            }
        }
    }
}

fn write_list(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        indent(out, depth);
        match item {
            Value::Object(map) if !map.is_empty() => {
                out.push_str("- ");
                write_map(out, map, depth + 1, true);
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push_str("-\n");
                write_list(out, inner, depth + 1);
            }
            other => {
                out.push_str("- ");
                write_inline(out, other, depth + 1);
                out.push('\n');
            }
        }
    }
}

/// A value that needs no lines of its own, but for a text of several lines.
fn write_inline(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        Value::String(text) if is_block(text) => write_block(out, text, depth),
        Value::String(text) => write_line(out, text),
        // JSON's forms of null, truth values and numbers are YAML's too.
        other => write!(out, "{other}").expect("a String takes everything"),
    }
}

/// A text on one line.
fn write_line(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        write_quoted(out, text);
    }
}

/// Whether a text needs no quotes to be read as this text, by YAML 1.1 readers too.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let begins_well = first.is_ascii_alphanumeric() || "_/$.".contains(first) || is_letter(first);
    let allowed = |c: char| c.is_ascii_graphic() || c == ' ' || is_letter(c);
    begins_well
        && text.chars().all(allowed)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !is_special(text)
}

/// Letters beyond ASCII that every reader and terminal shows as they are.
fn is_letter(c: char) -> bool {
    !c.is_ascii() && c.is_alphabetic()
}

/// Whether some reader takes an unquoted text for something else than a text.
fn is_special(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan",
    ];
    // Numbers, dates, times of day (numbers to base 60) and numbers with underscores.
    let like_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "+-.:_xobTZ ,".contains(c))
        && !text.chars().all(|c| c == '.' || c.is_ascii_alphabetic());
    like_number
        || WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
        || !matches!(scalar::plain(text), Ok(Value::String(_)))
        || text.starts_with("---")
        || text.starts_with("...")
}

/// Whether a text is best written over several lines, and can be without loss.
fn is_block(text: &str) -> bool {
    let line_is_plain = |line: &str| {
        !line.ends_with([' ', '\t']) && line.chars().all(|c| c.is_ascii_graphic() || c == ' ' || is_letter(c))
    };
    let text_lines = text.strip_suffix('\n').unwrap_or(text);
    text_lines.contains('\n')
        && !text.starts_with([' ', '\n'])
        && !text_lines.ends_with('\n')
        && text_lines.split('\n').all(line_is_plain)
}

fn write_block(out: &mut String, text: &str, depth: usize) {
    out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth.max(1));
            out.push_str(line);
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_ascii_graphic() || c == ' ' || is_shown(c) => out.push(c),
            c if u32::from(c) <= 0xff => write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes everything"),
            c if u32::from(c) <= 0xffff => write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes everything"),
            c => write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes everything"),
        }
    }
    out.push('"');
}

/// Whether a character beyond ASCII is seen as itself: no control, no white space, no mark of direction, no surrogate of a line
/// end.
fn is_shown(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}')
        && !matches!(c, '\u{e000}'..='\u{f8ff}')
}
