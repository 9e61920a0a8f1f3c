//! What an unquoted text means.

use serde_json::{Number, Value};

/// The value of an unquoted scalar; an error if it is a number that JSON can't hold.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | "+.Inf" | "-.Inf" | "+.INF" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => {
            return Err(format!(
                "{text} is no number that can be kept; put it in quotes to make it a text"
            ));
        }
        _ => {}
    }
    if let Some((digits, radix)) = radix_digits(text) {
        return u64::from_str_radix(digits, radix)
            .map(Value::from)
            .map_err(|_| too_large(text));
    }
    let Some(shape) = decimal_shape(text) else {
        return Ok(Value::String(text.to_owned()));
    };
    let digits = text.strip_prefix('+').unwrap_or(text);
    if shape == Shape::Integer {
        if let Ok(number) = digits.parse::<i64>() {
            return Ok(Value::from(number));
        }
        return digits.parse::<u64>().map(Value::from).map_err(|_| too_large(text));
    }
    digits
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| too_large(text))
}

fn too_large(text: &str) -> String {
    format!("{text} is too large for a number; put it in quotes to make it a text")
}

/// The digits of `0x1f` and `0o17`, and what they count in.
fn radix_digits(text: &str) -> Option<(&str, u32)> {
    [("0x", 16), ("0o", 8)].into_iter().find_map(|(prefix, radix)| {
        let digits = text.strip_prefix(prefix)?;
        (!digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix))).then_some((digits, radix))
    })
}

#[derive(PartialEq, Eq)]
enum Shape {
    Integer,
    Fraction,
}

/// Whether a text is written as a decimal number, and which.
fn decimal_shape(text: &str) -> Option<Shape> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(place) => (&unsigned[..place], Some(&unsigned[place + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    if !has_digits || !digits(whole) || !fraction.is_none_or(digits) {
        return None;
    }
    // An account number is no octal number, and no decimal one either.
    if whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    match exponent {
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            (!exponent.is_empty() && digits(exponent)).then_some(Shape::Fraction)
        }
        None if fraction.is_some() => Some(Shape::Fraction),
        None => Some(Shape::Integer),
    }
}
