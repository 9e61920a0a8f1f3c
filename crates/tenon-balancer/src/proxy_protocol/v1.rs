//! Version 1: one line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Found, Header, Malformed};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// With its line end.
const LINE_BYTES_MAX: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Found, Malformed> {
    let window = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() == LINE_BYTES_MAX {
            Err(Malformed("the line is too long"))
        } else {
            Ok(Found::Part)
        };
    };
    let line = window[..end]
        .strip_suffix(b"\r")
        .ok_or(Malformed("the line does not end with CR LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed("it is not ASCII"))?;
    let client = client_of(line.strip_prefix("PROXY ").ok_or(Malformed("it is no PROXY line"))?)?;
    Ok(Found::Header(Header { client, bytes: end + 1 }))
}

fn client_of(text: &str) -> Result<Option<SocketAddr>, Malformed> {
    const WRONG: Malformed = Malformed("addresses and ports are not as they must be");
    let mut parts = text.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match parts.next() {
        // What stands behind it is to be ignored.
        Some("UNKNOWN") => return Ok(None),
        Some("TCP4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Malformed("the protocol is not known")),
    };
    let mut next = || parts.next().ok_or(WRONG);
    let source = address(next()?).ok_or(WRONG)?;
    address(next()?).ok_or(WRONG)?;
    let source_port = port(next()?).ok_or(WRONG)?;
    port(next()?).ok_or(WRONG)?;
    if parts.next().is_some() {
        return Err(WRONG);
    }
    Ok(Some(SocketAddr::new(source, source_port)))
}

/// A port as digits, without zeros before them.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}
