//! Reads the head of a server's answer and writes the head that the client gets.

use std::mem::MaybeUninit;

use httparse::Header;

use super::fields::{Connection, Field, field, length};

const FIELDS_MAX: usize = 128;

/// How the body of an answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// The head of an answer, as far as the proxy must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: ResponseBody,
    /// Whether the server keeps its connection.
    pub(crate) reusable: bool,
}

/// What the client is told about its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing: HTTP/1.1 keeps it.
    Implied,
    /// That it is kept: HTTP/1.0 wants to be told.
    KeepAlive,
    /// That it is closed.
    Close,
}

/// An answer that can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Reads a whole head and appends to `out` what the client gets.
///
/// `persistence` decides when the framing is known; with `Implied` or `KeepAlive` it is overruled by a body that ends
/// with the connection. `modern` is whether the client speaks HTTP/1.1, so that it can read chunks.
pub(crate) fn read_response(
    head: &[u8],
    answers_head: bool,
    modern: bool,
    persistence: Persistence,
    out: &mut Vec<u8>,
) -> Result<Response, Unreadable> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, head, &mut slots) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        _ => return Err(Unreadable),
    }
    let status = parsed.code.unwrap_or_default();
    let mut kinds = [Field::Other; FIELDS_MAX];
    let mut connection = Connection::default();
    let body = framing(parsed.headers, &mut kinds, &mut connection, (status, answers_head))?;
    let version_keeps = parsed.version == Some(1) || connection.keep_alive;
    let reusable = version_keeps && !connection.close && body != ResponseBody::UntilClose && status != 101;
    write_status(status, parsed.reason.unwrap_or_default(), out);
    for (header, kind) in parsed.headers.iter().zip(&kinds) {
        let keep = match kind {
            Field::Connection | Field::HopByHop => false,
            Field::TransferEncoding => modern && body == ResponseBody::Chunked,
            Field::Upgrade => status == 101,
            Field::Other => !connection.names(header.name.as_bytes()),
            _ => true,
        };
        if keep {
            for part in [header.name.as_bytes(), b": ", header.value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
    let ends_with_close = body == ResponseBody::UntilClose || (body == ResponseBody::Chunked && !modern);
    if status == 101 {
        out.extend_from_slice(b"connection: upgrade\r\n");
    } else if status >= 200 {
        match persistence {
            Persistence::Close => out.extend_from_slice(b"connection: close\r\n"),
            _ if ends_with_close => out.extend_from_slice(b"connection: close\r\n"),
            Persistence::KeepAlive => out.extend_from_slice(b"connection: keep-alive\r\n"),
            Persistence::Implied => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(Response { status, body, reusable })
}

fn framing<'a>(
    headers: &[Header<'a>],
    kinds: &mut [Field; FIELDS_MAX],
    connection: &mut Connection<'a>,
    (status, answers_head): (u16, bool),
) -> Result<ResponseBody, Unreadable> {
    let mut announced = None;
    let mut chunked = false;
    for (header, kind) in headers.iter().zip(kinds.iter_mut()) {
        *kind = field(header.name.as_bytes());
        match *kind {
            Field::ContentLength => {
                if announced.is_some() {
                    return Err(Unreadable);
                }
                announced = Some(length(header.value).ok_or(Unreadable)?);
            }
            Field::TransferEncoding => {
                if chunked || !header.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Unreadable);
                }
                chunked = true;
            }
            Field::Connection if !connection.read(header.value) => return Err(Unreadable),
            _ => {}
        }
    }
    if chunked && announced.is_some() {
        return Err(Unreadable);
    }
    Ok(if answers_head || status < 200 || status == 204 || status == 304 {
        ResponseBody::None
    } else if chunked {
        ResponseBody::Chunked
    } else {
        announced.map_or(ResponseBody::UntilClose, ResponseBody::Length)
    })
}

fn write_status(status: u16, reason: &str, out: &mut Vec<u8>) {
    let digit = |place: u16| b'0' + u8::try_from(status / place % 10).unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}
