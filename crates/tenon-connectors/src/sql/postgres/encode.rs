//! From JSON to PostgreSQL: values are sent as text and read by the database's own rules for the parameter's type, so that
//! no type is unknown here and no number loses a digit.

use std::error::Error;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use serde_json::Value;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};

/// The value of one parameter, ready to be sent; none is NULL.
pub(super) struct Param(Option<String>);

impl Param {
    /// The value of a parameter of this type. The error says what the type takes.
    pub(super) fn new(value: &Value, of_type: &Type) -> Result<Self, String> {
        text_of(value, of_type).map(Self)
    }
}

/// Values don't belong into logs.
impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl ToSql for Param {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        out.put_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(&self, of_type: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.to_sql(of_type, out)
    }
}

fn text_of(value: &Value, of_type: &Type) -> Result<Option<String>, String> {
    if value.is_null() {
        return Ok(None);
    }
    let of_type = base_of(of_type);
    if let Kind::Array(member) = of_type.kind() {
        return array_text(value, of_type, member).map(Some);
    }
    let text = match *of_type {
        Type::JSON | Type::JSONB => value.to_string(),
        Type::BOOL => bool_text(value)?,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => integer_text(value)?,
        Type::BYTEA => bytes_text(value)?,
        Type::TIMESTAMP => timestamp_text(&scalar_text(value, of_type)?),
        _ => scalar_text(value, of_type)?,
    };
    if text.contains('\0') {
        return Err("PostgreSQL has no character 0 in texts".to_owned());
    }
    Ok(Some(text))
}

fn base_of(of_type: &Type) -> &Type {
    match of_type.kind() {
        Kind::Domain(base) => base_of(base),
        _ => of_type,
    }
}

fn scalar_text(value: &Value, of_type: &Type) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("a value of type {of_type} is a text, a number, true or false"))
        }
    }
}

fn bool_text(value: &Value) -> Result<String, String> {
    match value {
        Value::Number(number) if number.as_u64().is_some_and(|number| number <= 1) => Ok(number.to_string()),
        Value::Bool(_) | Value::String(_) => scalar_text(value, &Type::BOOL),
        _ => Err("expected true or false".to_owned()),
    }
}

fn integer_text(value: &Value) -> Result<String, String> {
    match value {
        // `2.0` is an integer in JSON, and none in PostgreSQL.
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => Ok(format!("{float:.0}")),
            _ => Err(format!("expected an integer, got {number}")),
        },
        Value::Number(_) | Value::String(_) => scalar_text(value, &Type::INT8),
        _ => Err("expected an integer".to_owned()),
    }
}

fn bytes_text(value: &Value) -> Result<String, String> {
    let wrong = || "expected a text with bytes in base64".to_owned();
    let bytes = STANDARD
        .decode(value.as_str().ok_or_else(wrong)?)
        .map_err(|_| wrong())?;
    Ok(bytes
        .iter()
        .fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// An instant for a column without a time zone becomes its time in UTC; PostgreSQL would ignore the offset.
fn timestamp_text(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |instant| instant.to_zoned(jiff::tz::TimeZone::UTC).datetime().to_string(),
    )
}

/// `{"a","b",NULL}`; lists within lists are further dimensions.
fn array_text(value: &Value, of_type: &Type, member: &Type) -> Result<String, String> {
    let items = match value {
        Value::Array(items) => items,
        // The database's own way to write it.
        Value::String(text) if text.starts_with('{') => return Ok(text.clone()),
        _ => return Err(format!("a value of type {of_type} is a list")),
    };
    let mut text = String::from("{");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let is_inner = item.is_array() && !matches!(*member, Type::JSON | Type::JSONB);
        if is_inner {
            text.push_str(&array_text(item, of_type, member)?);
            continue;
        }
        match text_of(item, member)? {
            None => text.push_str("NULL"),
            Some(item) => {
                text.push('"');
                text.push_str(&item.replace('\\', "\\\\").replace('"', "\\\""));
                text.push('"');
            }
        }
    }
    text.push('}');
    Ok(text)
}
