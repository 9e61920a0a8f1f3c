//! CSV (RFC 4180): rows as objects by the names of the first line, or as lists without one. All values are texts.

use csv::{ByteRecord, ErrorKind, ReaderBuilder, WriterBuilder};
use serde_json::{Map, Value};
use tenon_connectors::CsvFormat;

use super::{Wrong, utf8};

/// Reads rows.
pub(super) fn read(body: &[u8], format: CsvFormat) -> Result<Value, Wrong> {
    let text = utf8(body)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(format.delimiter)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut names: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(Value::Array(rows)),
            Err(error) => return Err(wrong(&error)),
        }
        // The text is UTF-8 as a whole, and separators are ASCII, so each field is.
        let fields = record.iter().map(|field| String::from_utf8_lossy(field).into_owned());
        match &names {
            None if format.header => names = Some(header(fields.collect())?),
            None => rows.push(Value::Array(fields.map(Value::String).collect())),
            Some(names) => {
                let row: Map<String, Value> = names.iter().cloned().zip(fields.map(Value::String)).collect();
                rows.push(Value::Object(row));
            }
        }
    }
}

fn header(names: Vec<String>) -> Result<Vec<String>, Wrong> {
    for (index, name) in names.iter().enumerate() {
        let message = match name.as_str() {
            "" => format!("column {} has no name", index + 1),
            name if names[..index].iter().any(|other| other == name) => format!("two columns are called '{name}'"),
            _ => continue,
        };
        return Err(Wrong::new("line 1", message));
    }
    Ok(names)
}

fn wrong(error: &csv::Error) -> Wrong {
    match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            Wrong::new(
                format!("line {line}"),
                format!("the row has {len} fields, and those before it have {expected_len}"),
            )
        }
        _ => Wrong::new("/", error.to_string()),
    }
}

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
        let mut known = std::collections::HashSet::new();
        for name in objects().flat_map(Map::keys) {
            if known.insert(name) {
                names.push(name);
            }
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
