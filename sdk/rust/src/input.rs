//! What a handler takes: a type that serde reads, or the body as it came.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::{Error, type_name};
use crate::merge::Merged;
use crate::schema;
use crate::strict::Strict;
use crate::wrong::wrong_input;

/// What a handler can take.
///
/// Every type that implements serde's `Deserialize` and schemars' `JsonSchema` is one: it is read from the JSON or the form in
/// the body, together with the channel's parameters, and what does not fit is answered with 400 and the path of the element.
/// [`Raw`], [`Text`] and [`BodyStream`](crate::BodyStream) take the body as it came.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the input of a service",
    label = "not an input",
    note = "derive `serde::Deserialize` and `schemars::JsonSchema` for it, or take `tenon_sdk::Raw` or `tenon_sdk::Text`"
)]
pub trait Input: Sized + Send + 'static {
    /// Whether the body is read while it arrives.
    #[doc(hidden)]
    const STREAMS: bool = false;

    /// Its JSON Schema; none for bodies that are no JSON.
    #[doc(hidden)]
    fn schema() -> Option<Value>;

    /// Reads it.
    #[doc(hidden)]
    fn read(source: Source<'_>) -> Result<Self, Error>;
}

/// What an input is read from.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Source<'a>(pub(crate) &'a std::sync::Arc<Call>);

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Input for T {
    fn schema() -> Option<Value> {
        schema::of_input::<T>()
    }

    fn read(source: Source<'_>) -> Result<Self, Error> {
        let call = source.0;
        let facts = call.input_facts();
        let params = facts.merged_params();
        let body = facts.readable(&call.body);
        if !call.body_is_json && facts.is_form() && facts.raw_at.is_none() {
            let fields = form_fields(body)?;
            let mut merged = Merged::of_params(fields);
            merged.add_params(params, facts.message_wins);
            return merged.read();
        }
        if body.is_empty() {
            return if params.is_empty() {
                from_nothing()
            } else {
                Merged::of_params(params).read()
            };
        }
        if params.is_empty() {
            return from_json(body);
        }
        match parse(body)? {
            Value::Object(object) => {
                let mut merged = Merged::of_json(object);
                merged.add_params(params, facts.message_wins);
                merged.read()
            }
            // Parameters have no place in a text, a number or an array.
            other => serde_path_to_error::deserialize(Strict(other)).map_err(|error| wrong_input(&error)),
        }
    }
}

/// Reads a type from the JSON in a body.
fn from_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = T::deserialize(Strict(&mut reader)).and_then(|value| reader.end().map(|()| value));
    let error = match read {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if !error.is_data() {
        return Err(Error::bad_request(format!("The body is no JSON: {error}")));
    }
    // Once more, now with an eye on where it is.
    let again = serde_path_to_error::deserialize(Strict(&mut serde_json::Deserializer::from_slice(body)));
    again.map_err(|error| wrong_input(&error))
}

fn parse(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|error| Error::bad_request(format!("The body is no JSON: {error}")))
}

/// Reads a type from no body at all: nothing if it can be nothing, else an object without elements.
fn from_nothing<T: DeserializeOwned>() -> Result<T, Error> {
    T::deserialize(Value::Null).or_else(|_| {
        let empty = Value::Object(Map::new());
        serde_path_to_error::deserialize(empty).map_err(|error| wrong_input(&error))
    })
}

fn form_fields(body: &[u8]) -> Result<Map<String, Value>, Error> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
        .map_err(|error| Error::bad_request(format!("The body is no form: {error}")))?;
    let mut fields = Map::new();
    for (name, value) in pairs {
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, Value::String(value));
            }
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(earlier) => *earlier = Value::Array(vec![earlier.take(), Value::String(value)]),
        }
    }
    Ok(fields)
}

/// A body of bytes. As an input it is the body as it came; as an output it is sent as it is.
///
/// ```
/// # use tenon_sdk::{Context, Error, Raw};
/// async fn to_csv(_: Context, rows: Vec<u32>) -> Result<Raw, Error> {
///     let lines: Vec<String> = rows.iter().map(u32::to_string).collect();
///     Ok(Raw::new("text/csv", lines.join("\r\n")))
/// }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Raw {
    /// The bytes.
    pub bytes: Bytes,
    /// Their media type; empty if it is not known.
    pub content_type: String,
}

impl Raw {
    /// Bytes of a media type.
    pub fn new(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            content_type: content_type.into(),
        }
    }
}

impl Input for Raw {
    fn schema() -> Option<Value> {
        None
    }

    fn read(source: Source<'_>) -> Result<Self, Error> {
        let call = source.0;
        let named = call.http().and_then(|http| http.header("content-type"));
        let content_type = named.unwrap_or(if call.body_is_json { "application/json" } else { "" });
        Ok(Self::new(content_type, call.came().clone()))
    }
}

/// A body of text in UTF-8. As an output it is `text/plain`; a `String` would be a text in JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl Input for Text {
    fn schema() -> Option<Value> {
        None
    }

    fn read(source: Source<'_>) -> Result<Self, Error> {
        let text = std::str::from_utf8(source.0.came()).map_err(|error| {
            Error::bad_request(format!(
                "The body is no UTF-8 text: a wrong byte at {}",
                error.valid_up_to()
            ))
        })?;
        Ok(Self(text.to_owned()))
    }
}

/// Reads what a service answered, or what a cache holds, as a type. `what` names it in errors.
pub(crate) fn decode<T: DeserializeOwned>(
    body: &[u8],
    is_json: bool,
    what: impl FnOnce() -> String,
) -> Result<T, crate::HostError> {
    let read = if body.is_empty() {
        T::deserialize(Value::Null)
    } else if is_json {
        serde_json::from_slice(body)
    } else {
        T::deserialize(Value::String(String::from_utf8_lossy(body).into_owned()))
    };
    read.map_err(|source| crate::HostError::Decode {
        what: what(),
        expected: type_name::<T>(),
        source,
    })
}
