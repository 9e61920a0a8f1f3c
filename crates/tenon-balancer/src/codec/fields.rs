//! The header fields that a proxy must know, found by name.

/// A field that is more than bytes to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Passed on as it is.
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    /// Means this connection only: `Keep-Alive`, `Proxy-Connection`, `TE`, `Proxy-Authorization`, `Proxy-Authenticate`.
    HopByHop,
    Forwarded,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    /// Other fields by which a proxy says who the client is.
    ForwardedOther,
    Cid,
    /// What is told of a client's certificate.
    ClientCertificate,
    /// Other fields of ours, which nobody outside may set.
    Reserved,
    /// `traceparent` and `tracestate` of W3C Trace Context.
    TraceParent,
    TraceState,
    /// A name that some frameworks confuse with one of those, as they read `_` like `-`.
    Lookalike,
}

/// Longer names are none that we know with `_` in place of `-`.
const LOOKALIKE_BYTES_MAX: usize = 64;

/// Which field this name is.
pub(crate) fn field(name: &[u8]) -> Field {
    let found = known(name);
    if found == Field::Other && name.len() <= LOOKALIKE_BYTES_MAX && memchr::memchr(b'_', name).is_some() {
        let mut dashed = [0_u8; LOOKALIKE_BYTES_MAX];
        for (to, from) in dashed.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        if known(&dashed[..name.len()]) != Field::Other {
            return Field::Lookalike;
        }
    }
    found
}

fn known(name: &[u8]) -> Field {
    let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
    match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
        (2, Some(b't')) if is("te") => Field::HopByHop,
        (4, Some(b'h')) if is("host") => Field::Host,
        (6, Some(b'e')) if is("expect") => Field::Expect,
        (7, Some(b'u')) if is("upgrade") => Field::Upgrade,
        (9, Some(b'f')) if is("forwarded") => Field::Forwarded,
        (9, Some(b'x')) if is("x-real-ip") => Field::ForwardedOther,
        (10, Some(b't')) if is("tracestate") => Field::TraceState,
        (11, Some(b't')) if is("traceparent") => Field::TraceParent,
        (10, Some(b'c')) if is("connection") => Field::Connection,
        (10, Some(b'k')) if is("keep-alive") => Field::HopByHop,
        (14, Some(b'c')) if is("content-length") => Field::ContentLength,
        (14, Some(b'h')) if is("http2-settings") => Field::HopByHop,
        (17, Some(b't')) if is("transfer-encoding") => Field::TransferEncoding,
        (16 | 18 | 19, Some(b'p'))
            if is("proxy-connection") || is("proxy-authenticate") || is("proxy-authorization") =>
        {
            Field::HopByHop
        }
        (length, Some(b'x')) if length > 8 => ours(name),
        _ => Field::Other,
    }
}

fn ours(name: &[u8]) -> Field {
    let starts = |prefix: &str| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    if starts("x-forwarded-") {
        match &name[12..] {
            rest if rest.eq_ignore_ascii_case(b"for") => Field::ForwardedFor,
            rest if rest.eq_ignore_ascii_case(b"host") => Field::ForwardedHost,
            rest if rest.eq_ignore_ascii_case(b"proto") => Field::ForwardedProto,
            _ => Field::ForwardedOther,
        }
    } else if starts("x-tenon-") {
        if name[8..].eq_ignore_ascii_case(b"cid") {
            Field::Cid
        } else if starts("x-tenon-client-cert-") {
            Field::ClientCertificate
        } else {
            Field::Reserved
        }
    } else {
        Field::Other
    }
}

/// What `Connection` fields say, all taken together.
#[derive(Debug, Default)]
pub(crate) struct Connection<'a> {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    /// Other fields named there, which mean this connection only. Bounded; more are an error of the sender.
    named: [&'a [u8]; 8],
    named_count: usize,
}

impl<'a> Connection<'a> {
    /// Reads one more `Connection` field; false if it can't be accepted.
    pub(crate) fn read(&mut self, value: &'a [u8]) -> bool {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !option.is_empty() {
                let framing = matches!(
                    field(option),
                    Field::Host | Field::ContentLength | Field::TransferEncoding
                );
                let Some(slot) = self.named.get_mut(self.named_count).filter(|_| !framing) else {
                    return false;
                };
                *slot = option;
                self.named_count += 1;
            }
        }
        true
    }

    /// Whether a field was named as meaning this connection only.
    pub(crate) fn names(&self, name: &[u8]) -> bool {
        self.named[..self.named_count]
            .iter()
            .any(|named| named.eq_ignore_ascii_case(name))
    }
}

/// A `Content-Length` that is digits and nothing else.
pub(crate) fn length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Whether a byte may be part of a token (a method, a field's name).
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~')
}
