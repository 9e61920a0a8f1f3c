//! From PostgreSQL to JSON. What no number of JSON holds exactly becomes a text.

use std::error::Error;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};
use tokio_postgres::types::{FromSql, Kind, Type};

/// A value of a row as JSON.
pub(super) struct Cell(pub Value);

type DecodeError = Box<dyn Error + Sync + Send>;

/// The value that stands for infinity in dates and timestamps.
const DATE_INFINITY: i32 = i32::MAX;
const TIMESTAMP_INFINITY: i64 = i64::MAX;

impl<'a> FromSql<'a> for Cell {
    fn from_sql(of_type: &Type, raw: &'a [u8]) -> Result<Self, DecodeError> {
        decode(of_type, raw).map(Self)
    }

    fn from_sql_null(_: &Type) -> Result<Self, DecodeError> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn decode(of_type: &Type, raw: &[u8]) -> Result<Value, DecodeError> {
    match of_type.kind() {
        Kind::Domain(base) => return decode(base, raw),
        Kind::Enum(_) => return Ok(Value::String(std::str::from_utf8(raw)?.to_owned())),
        Kind::Array(_) => {
            let cells: Vec<Cell> = FromSql::from_sql(of_type, raw)
                .map_err(|error| format!("{error}; return it as text, for example with ::text"))?;
            return Ok(cells.into_iter().map(|cell| cell.0).collect());
        }
        _ => {}
    }
    match *of_type {
        Type::BOOL => Ok(Value::Bool(bool::from_sql(of_type, raw)?)),
        Type::INT2 => Ok(Value::from(i16::from_sql(of_type, raw)?)),
        Type::INT4 => Ok(Value::from(i32::from_sql(of_type, raw)?)),
        Type::INT8 => Ok(Value::from(i64::from_sql(of_type, raw)?)),
        Type::OID => Ok(Value::from(u32::from_sql(of_type, raw)?)),
        // By way of its text, so that 0.1 stays 0.1 and does not become 0.10000000149011612.
        Type::FLOAT4 => Ok(float_value(f32::from_sql(of_type, raw)?.to_string().parse()?)),
        Type::FLOAT8 => Ok(float_value(f64::from_sql(of_type, raw)?)),
        Type::NUMERIC => numeric(raw),
        Type::JSON | Type::JSONB => Ok(Value::from_sql(of_type, raw)?),
        Type::BYTEA => Ok(Value::String(STANDARD.encode(raw))),
        Type::UUID => Ok(Value::String(uuid::Uuid::from_sql(of_type, raw)?.to_string())),
        Type::DATE => date(raw),
        Type::TIME => Ok(Value::String(jiff::civil::Time::from_sql(of_type, raw)?.to_string())),
        Type::TIMESTAMP => timestamp(raw, || {
            Ok(jiff::civil::DateTime::from_sql(&Type::TIMESTAMP, raw)?.to_string())
        }),
        Type::TIMESTAMPTZ => timestamp(raw, || {
            Ok(jiff::Timestamp::from_sql(&Type::TIMESTAMPTZ, raw)?.to_string())
        }),
        Type::INTERVAL => interval(raw),
        Type::VOID => Ok(Value::Null),
        _ if <String as FromSql<'_>>::accepts(of_type) || *of_type == Type::XML => {
            Ok(Value::String(std::str::from_utf8(raw)?.to_owned()))
        }
        _ => Err(format!("type {of_type} has no form in JSON here; return it as text, for example with ::text").into()),
    }
}

fn float_value(float: f64) -> Value {
    Number::from_f64(float).map_or_else(|| Value::String(float.to_string()), Value::Number)
}

fn date(raw: &[u8]) -> Result<Value, DecodeError> {
    let days = i32::from_sql(&Type::INT4, raw)?;
    Ok(Value::String(match days {
        DATE_INFINITY => "infinity".to_owned(),
        i32::MIN => "-infinity".to_owned(),
        _ => jiff::civil::Date::from_sql(&Type::DATE, raw)?.to_string(),
    }))
}

fn timestamp(raw: &[u8], text: impl FnOnce() -> Result<String, DecodeError>) -> Result<Value, DecodeError> {
    let micros = i64::from_sql(&Type::INT8, raw)?;
    Ok(Value::String(match micros {
        TIMESTAMP_INFINITY => "infinity".to_owned(),
        i64::MIN => "-infinity".to_owned(),
        _ => text()?,
    }))
}

/// Microseconds, days and months, each with its own sign, as ISO 8601 has them: `P1Y2M3DT4H5M6.5S`.
fn interval(raw: &[u8]) -> Result<Value, DecodeError> {
    let (micros, rest) = raw.split_at_checked(8).ok_or("an interval is too short")?;
    let (days, months) = rest.split_at_checked(4).ok_or("an interval is too short")?;
    let micros = i64::from_sql(&Type::INT8, micros)?;
    let days = i32::from_sql(&Type::INT4, days)?;
    let months = i32::from_sql(&Type::INT4, months)?;
    let mut text = String::from("P");
    let part = |amount: i64, unit: &str| {
        if amount == 0 {
            String::new()
        } else {
            format!("{amount}{unit}")
        }
    };
    text += &part(i64::from(months / 12), "Y");
    text += &part(i64::from(months % 12), "M");
    text += &part(i64::from(days), "D");
    let mut time = part(micros / 3_600_000_000, "H") + &part(micros / 60_000_000 % 60, "M");
    let left = micros % 60_000_000;
    if left != 0 {
        let sign = if left < 0 { "-" } else { "" };
        let (seconds, fraction) = (left.unsigned_abs() / 1_000_000, left.unsigned_abs() % 1_000_000);
        write!(time, "{sign}{seconds}")?;
        if fraction != 0 {
            time += format!(".{fraction:06}").trim_end_matches('0');
        }
        time.push('S');
    }
    if !time.is_empty() {
        text.push('T');
        text += &time;
    }
    Ok(Value::String(if text.len() == 1 { "PT0S".to_owned() } else { text }))
}

/// A decimal number: a number if JSON's holds it exactly, else a text.
fn numeric(raw: &[u8]) -> Result<Value, DecodeError> {
    let mut words = raw.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
    let mut word = || words.next().ok_or("a numeric is too short");
    let count = word()?;
    let weight = word()?.cast_signed();
    let sign = word()?;
    let scale = usize::from(word()?);
    match sign {
        0x0000 | 0x4000 => {}
        0xC000 => return Ok(Value::from("NaN")),
        0xD000 => return Ok(Value::from("Infinity")),
        0xF000 => return Ok(Value::from("-Infinity")),
        other => return Err(format!("a numeric has the unknown sign {other:#x}").into()),
    }
    let digits = (0..count).map(|_| word()).collect::<Result<Vec<_>, _>>()?;
    let group = |index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|index| digits.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::new();
    for index in 0..=i32::from(weight).max(0) {
        // Groups of four digits; the weight says how many stand before the point.
        let digit = if weight < 0 { 0 } else { group(index) };
        write!(text, "{digit:04}")?;
    }
    let integer = text.trim_start_matches('0');
    let mut text = if integer.is_empty() {
        "0".to_owned()
    } else {
        integer.to_owned()
    };
    if scale > 0 {
        let mut fraction = String::new();
        // Between the point and the first group there may be groups of zeros.
        for index in (i32::from(weight) + 1..).take(scale.div_ceil(4)) {
            write!(fraction, "{:04}", group(index))?;
        }
        fraction.truncate(scale);
        text.push('.');
        text += &fraction;
    }
    if sign == 0x4000 {
        text.insert(0, '-');
    }
    Ok(exact_number(&text).map_or_else(|| Value::String(text), Value::Number))
}

/// The number of a decimal text, if reading and printing it gives the same digits again.
fn exact_number(text: &str) -> Option<Number> {
    let shortened = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    if let Ok(integer) = shortened.parse::<i64>() {
        return Some(Number::from(integer));
    }
    let float: f64 = shortened.parse().ok()?;
    (format!("{float}") == shortened).then(|| Number::from_f64(float))?
}
