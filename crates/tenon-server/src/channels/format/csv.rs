//! CSV (RFC 4180): rows as objects by the names of the first line, or as lists without one. All values are texts.

use std::borrow::Cow;
use std::collections::HashSet;

use csv::WriterBuilder;
use serde_json::{Map, Value};
use tenon_connectors::CsvFormat;

use super::{Wrong, utf8};

/// Reads rows, as JSON. `bytes_max`: how large that may become, since each row repeats all names.
pub(super) fn read(body: &[u8], format: CsvFormat, bytes_max: usize) -> Result<Vec<u8>, Wrong> {
    let mut rows = Rows::new(utf8(body)?, format.delimiter);
    let names = if format.header && rows.begin() {
        Some(header(&mut rows)?)
    } else {
        None
    };
    let mut width = names.as_ref().map(Vec::len);
    let mut json = vec![b'['];
    while rows.begin() {
        if json.len() > 1 {
            json.push(b',');
        }
        json.push(if names.is_some() { b'{' } else { b'[' });
        let mut count = 0;
        while let Some(field) = rows.field()? {
            let name = names.as_ref().map(|names| names.get(count));
            count += 1;
            // A field too many is told when all are counted.
            if name == Some(None) {
                continue;
            }
            if count > 1 {
                json.push(b',');
            }
            if let Some(Some(name)) = name {
                push_text(&mut json, name)?;
                json.push(b':');
            }
            push_text(&mut json, &field)?;
        }
        json.push(if names.is_some() { b'}' } else { b']' });
        let width = *width.get_or_insert(count);
        if count != width {
            let message = format!("a row of {count} fields, where those before it have {width}");
            return Err(rows.wrong(message));
        }
        if json.len() > bytes_max {
            return Err(Wrong::too_large(bytes_max));
        }
    }
    json.push(b']');
    Ok(json)
}

fn push_text(json: &mut Vec<u8>, text: &str) -> Result<(), Wrong> {
    serde_json::to_writer(json, text).map_err(|error| Wrong::new("/", error.to_string()))
}

/// The first line: each column's name, once.
fn header(rows: &mut Rows<'_>) -> Result<Vec<String>, Wrong> {
    let mut names = Vec::new();
    let mut known = HashSet::new();
    while let Some(name) = rows.field()? {
        if name.is_empty() {
            return Err(rows.wrong(format!("column {} has no name", names.len() + 1)));
        }
        if !known.insert(name.clone()) {
            return Err(rows.wrong(format!("two columns are called '{name}'")));
        }
        names.push(name.into_owned());
    }
    Ok(names)
}

/// Reads a text field by field. Lines end with CR, LF or both; those with nothing in them are no rows.
struct Rows<'t> {
    text: &'t str,
    at: usize,
    delimiter: u8,
    /// The lines that ended before `at`.
    lines: usize,
    /// The line on which the row begins, from 1 on.
    line: usize,
    /// Whether the row has more fields.
    is_within: bool,
}

impl<'t> Rows<'t> {
    fn new(text: &'t str, delimiter: u8) -> Self {
        Self {
            text,
            at: 0,
            delimiter,
            lines: 0,
            line: 1,
            is_within: false,
        }
    }

    /// Goes to the next row; false if there is none.
    fn begin(&mut self) -> bool {
        while self.line_end() {}
        self.line = self.lines + 1;
        self.is_within = self.at < self.text.len();
        self.is_within
    }

    /// Takes the end of a line, if that is what comes.
    fn line_end(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let length = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return false,
        };
        self.at += length;
        self.lines += 1;
        true
    }

    /// The row's next field; none after its last one.
    fn field(&mut self) -> Result<Option<Cow<'t, str>>, Wrong> {
        if !self.is_within {
            return Ok(None);
        }
        let field = if self.text.as_bytes().get(self.at) == Some(&b'"') {
            self.quoted()?
        } else {
            let rest = &self.text.as_bytes()[self.at..];
            let ends = |byte: &u8| *byte == self.delimiter || matches!(byte, b'\r' | b'\n');
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            let field = &self.text[self.at..self.at + length];
            self.at += length;
            Cow::Borrowed(field)
        };
        if self.text.as_bytes().get(self.at) == Some(&self.delimiter) {
            self.at += 1;
        } else if self.at == self.text.len() || self.line_end() {
            self.is_within = false;
        } else {
            return Err(self.wrong("text behind the quote that closes a field"));
        }
        Ok(Some(field))
    }

    /// A field in quotes; two of them stand for one.
    fn quoted(&mut self) -> Result<Cow<'t, str>, Wrong> {
        let mut field = Cow::Borrowed("");
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find('"') else {
                return Err(self.wrong("a quote that opens a field is never closed"));
            };
            let piece = &rest[..length];
            self.lines += line_ends(piece);
            self.at += length + 1;
            if field.is_empty() {
                field = Cow::Borrowed(piece);
            } else {
                field.to_mut().push_str(piece);
            }
            if self.text.as_bytes().get(self.at) != Some(&b'"') {
                return Ok(field);
            }
            self.at += 1;
            field.to_mut().push('"');
        }
    }

    fn wrong(&self, message: impl Into<String>) -> Wrong {
        Wrong::new(format!("line {}", self.line), message)
    }
}

fn line_ends(text: &str) -> usize {
    let bytes = text.as_bytes();
    let is_end = |(at, byte): (usize, &u8)| *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    bytes.iter().enumerate().filter(|pair| is_end(*pair)).count()
}

/// How many fields are written. More, of which most are empty, come of objects that have little in common.
const CELLS_MAX: usize = 16_000_000;

/// Writes a list of objects with a line of their names, a list of lists, or one object; none for other values.
pub(super) fn write(value: &Value, format: CsvFormat) -> Option<String> {
    let rows = match value {
        Value::Array(rows) => rows.as_slice(),
        Value::Object(_) => std::slice::from_ref(value),
        _ => return None,
    };
    let mut writer = WriterBuilder::new()
        .delimiter(format.delimiter)
        .flexible(true)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    if rows.iter().all(Value::is_object) {
        let objects = || rows.iter().filter_map(Value::as_object);
        let mut names: Vec<&String> = Vec::new();
        let mut known = HashSet::new();
        for name in objects().flat_map(Map::keys) {
            if known.insert(name) {
                names.push(name);
            }
        }
        if names.len().saturating_mul(rows.len()) > CELLS_MAX {
            return None;
        }
        if format.header && !names.is_empty() {
            writer.write_record(&names).ok()?;
        }
        for row in objects() {
            let fields = names.iter().map(|name| row.get(*name).map_or_else(String::new, field));
            writer.write_record(fields).ok()?;
        }
    } else {
        for row in rows {
            writer.write_record(row.as_array()?.iter().map(field)).ok()?;
        }
    }
    String::from_utf8(writer.into_inner().ok()?).ok()
}

/// A value as a field; what is nested stays JSON.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
