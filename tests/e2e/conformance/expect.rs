//! Whether an answer is what a case expects.

use serde_json::Value;

use crate::harness::Answer;

/// What stands for a value that differs from run to run.
const ANY: &str = "...";

/// What is wrong with an answer; nothing if it is as expected.
pub(super) fn check(answer: &Answer, expected: &Value) -> Result<(), String> {
    let status = expected.get("status").and_then(Value::as_u64).unwrap_or(200);
    if u64::from(answer.status) != status {
        return Err(format!("status {} instead of {status}", answer.status));
    }
    for (name, value) in expected.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let found = answer.header(name);
        let fits = match value {
            Value::Null => found.is_none(),
            Value::String(text) if text == ANY => found.is_some(),
            Value::String(text) => found == Some(text),
            other => found == Some(&other.to_string()),
        };
        if !fits {
            return Err(format!("header {name} is {found:?} instead of {value}"));
        }
    }
    if let Some(text) = expected.get("text").and_then(Value::as_str)
        && answer.body != text
    {
        return Err(format!("the body is {:?} instead of {text:?}", answer.body));
    }
    match expected.get("json") {
        None => Ok(()),
        Some(json) => {
            let found = serde_json::from_str(&answer.body).map_err(|error| format!("the body is no JSON: {error}"))?;
            check_value(&found, json, "")
        }
    }
}

/// Objects may have more than is expected; lists may not.
fn check_value(found: &Value, expected: &Value, path: &str) -> Result<(), String> {
    match (found, expected) {
        (_, Value::String(any)) if any == ANY => Ok(()),
        (Value::Object(found), Value::Object(expected)) => expected.iter().try_for_each(|(key, value)| {
            let path = format!("{path}/{key}");
            let found = found.get(key).ok_or_else(|| format!("{path} is missing"))?;
            check_value(found, value, &path)
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs.try_for_each(|(index, (found, expected))| check_value(found, expected, &format!("{path}[{index}]")))
        }
        (Value::Number(found), Value::Number(expected)) if found.as_f64() == expected.as_f64() => Ok(()),
        _ if found == expected => Ok(()),
        _ => Err(format!(
            "{} is {found} instead of {expected}",
            if path.is_empty() { "/" } else { path }
        )),
    }
}
