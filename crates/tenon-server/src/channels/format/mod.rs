//! Data formats: bodies of requests are checked, and made JSON where they are none; answers that are JSON become the channel's
//! format. So a service sees the same whatever its language, and never a body that is broken.

mod csv;
mod form;
mod json;
#[cfg(test)]
mod tests;
mod xml;
mod xml_write;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tenon_connectors::{CsvFormat, DataFormat, HttpRoute};
use tenon_model::{FieldProblem, Problem};
use tokio::sync::Semaphore;

use super::router::Route;
use crate::aside;

/// A request's body as its service gets it.
#[derive(Debug, Default)]
pub(super) struct ReadBody {
    /// JSON, or the bytes as they came.
    pub(super) bytes: Bytes,
    /// Whether they are JSON.
    pub(super) is_json: bool,
    /// The body as it came, if `bytes` is what became of it.
    pub(super) raw: Option<Bytes>,
}

/// What is wrong with a body.
#[derive(Debug)]
struct Wrong {
    /// The element, such as `/lines[1]/quantity`; or where the text ends to be readable: `line 3, column 7`.
    field: String,
    message: String,
    /// Whether it is only too much.
    is_too_large: bool,
}

impl Wrong {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            is_too_large: false,
        }
    }

    /// A body that becomes more than so many bytes of JSON.
    fn too_large(bytes_max: usize) -> Self {
        Self {
            is_too_large: true,
            ..Self::new("/", format!("it is more than {bytes_max} bytes as JSON"))
        }
    }

    fn into_problem(self, format: &str) -> Problem {
        if self.is_too_large {
            return Problem::new(
                413,
                "body-too-large",
                format!("the body can't be taken: {}", self.message),
            );
        }
        let kind = format!("invalid-{}", format.to_lowercase());
        let detail = format!("the body is not valid {format}: {} ({})", self.message, self.field);
        Problem::new(400, &kind, detail).with_errors(vec![FieldProblem::new(self.field, self.message)])
    }
}

/// How large a body and what it becomes as JSON may be together: what a worker takes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

fn json_of(value: &Value, bytes_max: usize) -> Result<Vec<u8>, Wrong> {
    let json = serde_json::to_vec(value).map_err(|error| Wrong::new("/", error.to_string()))?;
    if json.len() > bytes_max {
        return Err(Wrong::too_large(bytes_max));
    }
    Ok(json)
}

/// Large bodies are read and written a few at a time: each takes a processor, and many times its size in memory.
static LARGE_ONES: Semaphore = Semaphore::const_new(2);

/// Does what takes long on a thread of its own, so that other requests need not wait.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let turn = LARGE_ONES.acquire().await;
    aside::aside(move || {
        let _turn = turn;
        work()
    })
    .await
}

/// Reads the body of a request to this channel.
pub(super) async fn read_beside(route: &Arc<Route>, body: Bytes, depth_max: usize) -> Result<ReadBody, Problem> {
    if body.len() <= aside::JSON_BYTES_MAX || route.http.data_format == DataFormat::Raw {
        return read(&route.http, body, depth_max);
    }
    let route = Arc::clone(route);
    beside(move || read(&route.http, body, depth_max)).await
}

/// A JSON answer in the format of the channel, with its media type. None if it stays JSON: that is the format, or the format
/// has no way to write such a value.
pub(super) async fn write_beside(route: &HttpRoute, json: &Bytes) -> Option<(Bytes, &'static str)> {
    let (format, csv) = (route.data_format, route.csv);
    if json.len() <= aside::JSON_BYTES_MAX || matches!(format, DataFormat::Json | DataFormat::Raw) {
        return write(format, csv, json);
    }
    let json = json.clone();
    beside(move || write(format, csv, &json)).await
}

/// Reads the body of a request to this channel. `depth_max`: how deep its elements may be nested.
fn read(route: &HttpRoute, body: Bytes, depth_max: usize) -> Result<ReadBody, Problem> {
    if route.data_format == DataFormat::Raw || body.iter().all(u8::is_ascii_whitespace) {
        let bytes = if route.data_format == DataFormat::Raw {
            body
        } else {
            Bytes::new()
        };
        return Ok(ReadBody {
            bytes,
            ..ReadBody::default()
        });
    }
    let bytes_max = BYTES_MAX.saturating_sub(body.len());
    let json = |value: Value| json_of(&value, bytes_max);
    let (read, format) = match route.data_format {
        DataFormat::Raw | DataFormat::Json => {
            return match json::check(&body, depth_max) {
                Ok(()) => Ok(ReadBody {
                    bytes: body,
                    is_json: true,
                    raw: None,
                }),
                Err(wrong) => Err(wrong.into_problem("JSON")),
            };
        }
        DataFormat::Form => (form::read(&body).and_then(json), "form"),
        DataFormat::Csv => (csv::read(&body, route.csv, bytes_max), "CSV"),
        DataFormat::Xml => (xml::read(&body, depth_max).and_then(json), "XML"),
    };
    let bytes = read.map_err(|wrong| wrong.into_problem(format))?;
    Ok(ReadBody {
        bytes: bytes.into(),
        is_json: true,
        raw: Some(body),
    })
}

fn write(format: DataFormat, csv: CsvFormat, json: &[u8]) -> Option<(Bytes, &'static str)> {
    let value = || serde_json::from_slice::<Value>(json).ok();
    let (text, media_type) = match format {
        DataFormat::Json | DataFormat::Raw => return None,
        DataFormat::Form => (form::write(&value()?)?, "application/x-www-form-urlencoded"),
        DataFormat::Csv => (csv::write(&value()?, csv)?, "text/csv; charset=utf-8"),
        DataFormat::Xml => (xml_write::write(&value()?)?, "application/xml"),
    };
    Some((text.into(), media_type))
}

/// The body as text, or where it is none.
fn utf8(body: &[u8]) -> Result<&str, Wrong> {
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        Wrong::new(place_of(text, at), format!("the byte 0x{:02x} is no UTF-8", text[at]))
    })
}

/// A byte's place in a text as people count.
fn place_of(text: &[u8], at: usize) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.split(|byte| *byte == b'\n').count();
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |newline| newline + 1);
    format!("line {line}, column {}", before.len() - line_start + 1)
}
