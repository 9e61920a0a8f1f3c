//! Reads a request head strictly and writes the head that a server gets.

use std::mem::MaybeUninit;

use httparse::Header;

use super::fields::{Connection, Field, field, is_token, length};
use super::forwarding::{Forwarding, put, write_certificate, write_forwarding};
use super::refusal::Refusal;
use super::trace::TraceId;

/// Header fields that are read at most, whatever the settings say.
const FIELDS_MAX: usize = 128;
/// Longer ones are no methods.
const METHOD_BYTES_MAX: usize = 24;

/// What a method means for sending a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    /// `OPTIONS`, `PUT`, `DELETE`, `TRACE`: may be repeated too.
    OtherIdempotent,
    /// May not be repeated.
    Other,
}

impl Method {
    fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" | b"PUT" | b"DELETE" | b"TRACE" => Self::OtherIdempotent,
            _ => Self::Other,
        }
    }

    /// Whether doing it twice is the same as doing it once.
    pub(crate) const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Other)
    }
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked,
}

/// A request head, as far as the proxy must know it; the rest is in the head written for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts of a head that don't depend on each other"
)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) body: Body,
    /// Whether the client speaks HTTP/1.1.
    pub(crate) modern: bool,
    /// Whether the client wants to keep its connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for `100 Continue`.
    pub(crate) expects: bool,
    /// Whether the client asks for a WebSocket.
    pub(crate) upgrade: bool,
    /// Whether the path is `/tenon/live` (or `/zato-lb-alive`), which the load balancer answers itself.
    pub(crate) live: bool,
    /// Whether the written head has a valid `traceparent`.
    pub(crate) has_trace: bool,
    /// Length of method and target in the written head, with the space between and behind them.
    pub(crate) line_bytes: usize,
}

/// Limits of what is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLimits {
    pub(crate) headers_max: usize,
    pub(crate) body_bytes_max: u64,
}

#[derive(Debug, Default)]
struct Facts<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    connection: Connection<'a>,
    upgrade: Option<&'a [u8]>,
    expects: bool,
    trace: Trace,
}

/// What a request says of its trace.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Trace {
    #[default]
    None,
    Valid,
    /// It is not valid, or there are several; then there is none.
    Invalid,
}

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::Malformed(detail)
}

/// Reads a whole head and writes into `out`, after clearing it, what a server gets.
pub(crate) fn read_request(
    head: &[u8],
    limits: RequestLimits,
    forwarding: &Forwarding<'_>,
    out: &mut Vec<u8>,
) -> Result<Request, Refusal> {
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let slots = &mut slots[..limits.headers_max.min(FIELDS_MAX)];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(head, slots) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(malformed("the head can't be read")),
        Err(error) => return Err(refusal_of(error, head)),
    }
    let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    let modern = parsed.version == Some(1);
    let mut kinds = [Field::Other; FIELDS_MAX];
    let facts = gather(parsed.headers, &mut kinds, modern)?;
    let (path, authority) = split_target(method, target)?;
    check_method(method)?;
    if facts.host.is_none() && modern {
        return Err(malformed("there is no Host"));
    }
    if authority.is_some_and(|authority| {
        !facts
            .host
            .unwrap_or_default()
            .eq_ignore_ascii_case(authority.as_bytes())
    }) {
        return Err(malformed("Host and the request's target name different hosts"));
    }
    let body = match (facts.chunked, facts.length) {
        (true, _) => Body::Chunked,
        (false, Some(length)) if length > limits.body_bytes_max => return Err(Refusal::BodyTooLarge),
        (false, Some(length)) => Body::Length(length),
        (false, None) => Body::None,
    };
    let websocket = facts
        .upgrade
        .is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
    let request = Request {
        method: Method::of(method.as_bytes()),
        body,
        modern,
        keep_alive: !facts.connection.close && (modern || facts.connection.keep_alive),
        expects: facts.expects && modern && body != Body::None && body != Body::Length(0),
        upgrade: modern && method == "GET" && body == Body::None && facts.connection.upgrade && websocket,
        live: matches!(path.split('?').next(), Some("/tenon/live" | "/zato-lb-alive")),
        has_trace: facts.trace == Trace::Valid || forwarding.new_trace.is_some(),
        line_bytes: method.len() + path.len() + 2,
    };
    out.clear();
    for part in [method, " ", path, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_fields(parsed.headers, &kinds, &facts, &request, forwarding, out);
    Ok(request)
}

fn refusal_of(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge,
        httparse::Error::Version => {
            let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
            if memchr::memmem::find(line, b" HTTP/").is_some() {
                Refusal::Version
            } else {
                malformed("the request line can't be read")
            }
        }
        httparse::Error::HeaderName => malformed("the name of a header field can't be read"),
        httparse::Error::HeaderValue => malformed("the value of a header field can't be read"),
        _ => malformed("the head can't be read"),
    }
}

/// Says which field each header is, and collects what decides on framing and routing.
fn gather<'a>(headers: &[Header<'a>], kinds: &mut [Field; FIELDS_MAX], modern: bool) -> Result<Facts<'a>, Refusal> {
    let mut facts = Facts::default();
    let mut host_seen = false;
    let mut encoding_seen = false;
    for (header, kind) in headers.iter().zip(kinds.iter_mut()) {
        *kind = field(header.name.as_bytes());
        match *kind {
            Field::Host => {
                if std::mem::replace(&mut host_seen, true) || !is_authority(header.value) {
                    return Err(malformed("Host is repeated or malformed"));
                }
                facts.host = Some(header.value);
            }
            Field::ContentLength => {
                if facts.length.is_some() {
                    return Err(malformed("Content-Length is repeated"));
                }
                facts.length = Some(length(header.value).ok_or(malformed("Content-Length is not a number"))?);
            }
            Field::TransferEncoding => {
                let chunked = header.value.eq_ignore_ascii_case(b"chunked");
                if std::mem::replace(&mut encoding_seen, true) || !chunked || !modern {
                    return Err(malformed("Transfer-Encoding is not exactly 'chunked' on HTTP/1.1"));
                }
                facts.chunked = true;
            }
            Field::Connection if !facts.connection.read(header.value) => {
                return Err(malformed("Connection names fields that it may not"));
            }
            Field::TraceParent => {
                facts.trace = match (facts.trace, TraceId::of(header.value)) {
                    (Trace::None, Some(_)) => Trace::Valid,
                    _ => Trace::Invalid,
                };
            }
            Field::Upgrade => facts.upgrade = Some(header.value),
            Field::Expect => {
                if !header.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::Expectation);
                }
                facts.expects = true;
            }
            _ => {}
        }
    }
    if facts.chunked && facts.length.is_some() {
        return Err(malformed("there are both Content-Length and Transfer-Encoding"));
    }
    Ok(facts)
}

fn check_method(method: &str) -> Result<(), Refusal> {
    if method == "CONNECT" {
        return Err(malformed("CONNECT is not served here"));
    }
    if method.len() > METHOD_BYTES_MAX || !method.bytes().all(is_token) {
        return Err(Refusal::UnknownMethod);
    }
    Ok(())
}

/// The path with its query, and the authority if the target is a whole URL.
fn split_target<'a>(method: &str, target: &'a str) -> Result<(&'a str, Option<&'a str>), Refusal> {
    const WRONG: Refusal = Refusal::Malformed("the request's target can't be read");
    // What must be percent-encoded (RFC 3986) and what servers refuse: the two parts differ in what clients get away with.
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path_fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'`');
    let query_fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'<' | b'>' | b'"');
    if !path.bytes().all(path_fits) || !query.bytes().all(query_fits) {
        return Err(WRONG);
    }
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok((target, None));
    }
    let scheme_end = target.find("://").ok_or(WRONG)?;
    let scheme = &target[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(WRONG);
    }
    let rest = &target[scheme_end + 3..];
    match rest.find(['/', '?']) {
        Some(at) if rest.as_bytes()[at] == b'/' => Ok((&rest[at..], Some(&rest[..at]))),
        Some(_) => Err(WRONG),
        None => Ok(("/", Some(rest))),
    }
}

/// `host` or `host:port`, with no byte that a second reader could take for something else.
fn is_authority(value: &[u8]) -> bool {
    value.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
                    | b':'
                    | b'['
                    | b']'
            )
    })
}

fn write_fields(
    headers: &[Header<'_>],
    kinds: &[Field; FIELDS_MAX],
    facts: &Facts<'_>,
    request: &Request,
    forwarding: &Forwarding<'_>,
    out: &mut Vec<u8>,
) {
    let trusted = forwarding.trusted;
    for (header, kind) in headers.iter().zip(kinds) {
        let keep = match kind {
            Field::Other => !facts.connection.names(header.name.as_bytes()),
            Field::Host => true,
            Field::TraceParent | Field::TraceState => facts.trace == Trace::Valid,
            Field::ForwardedOther | Field::Reserved | Field::Cid | Field::ForwardedHost | Field::ForwardedProto => {
                trusted
            }
            Field::ClientCertificate => trusted && forwarding.certificate.is_none(),
            _ => false,
        };
        if keep {
            put(out, &[header.name.as_bytes(), b": ", header.value, b"\r\n"]);
        }
    }
    if let (Some(trace), false) = (forwarding.new_trace, facts.trace == Trace::Valid) {
        put(out, &[b"traceparent: ", trace.as_bytes(), b"\r\n"]);
    }
    if facts.host.is_none() {
        put(out, &[b"host: ", forwarding.own_host.as_bytes(), b"\r\n"]);
    }
    match request.body {
        Body::None => {}
        Body::Length(length) => {
            let mut digits = Digits::default();
            put(out, &[b"content-length: ", digits.of(length), b"\r\n"]);
        }
        Body::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if request.expects {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if request.upgrade {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
    if let Some(certificate) = forwarding.certificate {
        write_certificate(certificate, out);
    }
    write_forwarding(headers, kinds, facts.host.unwrap_or_default(), forwarding, out);
    out.extend_from_slice(b"\r\n");
}

/// A number as decimal digits without an allocation.
#[derive(Debug, Default)]
pub(crate) struct Digits([u8; 20]);

impl Digits {
    pub(crate) fn of(&mut self, mut number: u64) -> &[u8] {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            if number == 0 {
                return &self.0[at..];
            }
        }
    }
}
