//! Heads of HTTP/2 as those of HTTP/1.1, and back.

use base64::Engine as _;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tenon_model::Random;

/// How the body of a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    /// As it is: its length was announced, or it is a tunnel.
    Plain,
    Chunked,
}

/// Writes the head of a request. Whatever is doubtful is written as it came: it is judged like that of any other client.
pub(super) fn write_request(parts: &Parts, ends: bool, random: &dyn Random, out: &mut Vec<u8>) -> Framing {
    let tunnel = is_web_socket(parts);
    let method = if tunnel { "GET" } else { parts.method.as_str() };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.is_empty() { "/" } else { target };
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    if let Some(authority) = authority {
        put(out, b"host", authority.as_bytes());
    }
    let mut cookies = 0;
    let mut has_length = false;
    for (name, value) in &parts.headers {
        if *name == COOKIE {
            cookies += 1;
            continue;
        }
        // A second, different one stays, so that it is refused.
        if *name == HOST
            && authority.is_some_and(|authority| value.as_bytes().eq_ignore_ascii_case(authority.as_bytes()))
        {
            continue;
        }
        has_length |= *name == CONTENT_LENGTH;
        put(out, name.as_str().as_bytes(), value.as_bytes());
    }
    if cookies > 0 {
        write_cookies(&parts.headers, out);
    }
    let framing = if tunnel {
        write_upgrade(random, out);
        Framing::Plain
    } else if ends {
        Framing::None
    } else if has_length {
        Framing::Plain
    } else {
        put(out, b"transfer-encoding", b"chunked");
        Framing::Chunked
    };
    out.extend_from_slice(b"\r\n");
    framing
}

/// Whether a stream is to become a WebSocket (RFC 8441).
pub(super) fn is_web_socket(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<h2::ext::Protocol>();
    parts.method == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// HTTP/2 may split cookies, HTTP/1.1 may not (RFC 9113, 8.2.3).
fn write_cookies(headers: &HeaderMap, out: &mut Vec<u8>) {
    out.extend_from_slice(b"cookie: ");
    for (index, value) in headers.get_all(COOKIE).iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn write_upgrade(random: &dyn Random, out: &mut Vec<u8>) {
    let mut key = [0; 16];
    random.fill(&mut key);
    let key = base64::engine::general_purpose::STANDARD.encode(key);
    put(out, b"connection", b"upgrade");
    put(out, b"upgrade", b"websocket");
    put(out, b"sec-websocket-key", key.as_bytes());
}

pub(super) fn write_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in trailers {
        put(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

fn put(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

const FIELDS_MAX: usize = 160;

/// How the body of an answer is framed in the bytes that follow its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Reads the head of an answer that the load balancer wrote.
pub(super) fn read_response(head: &Bytes) -> Option<(Response<()>, Body)> {
    let mut slots = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut slots);
    if !matches!(parsed.parse(head), Ok(httparse::Status::Complete(_))) {
        return None;
    }
    let status = StatusCode::from_u16(parsed.code?).ok()?;
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    let mut body = Body::UntilClose;
    for header in parsed.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        match name.as_str() {
            "connection" | "keep-alive" | "upgrade" | "proxy-connection" => continue,
            "transfer-encoding" => {
                body = Body::Chunked;
                continue;
            }
            "content-length" => body = Body::Length(std::str::from_utf8(header.value).ok()?.trim().parse().ok()?),
            _ => {}
        }
        // Shares the memory of the whole head.
        let value = HeaderValue::from_maybe_shared(head.slice_ref(header.value)).ok()?;
        headers.append(name, value);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Some((response, body))
}

/// Reads trailers with the empty line at their end.
pub(super) fn read_trailers(text: &[u8]) -> Option<HeaderMap> {
    let mut slots = [httparse::EMPTY_HEADER; 32];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(text, &mut slots) else {
        return None;
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        trailers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(trailers)
}
