//! What rules see of a request, whatever version of HTTP it came by.

use std::borrow::Cow;
use std::net::IpAddr;

use super::edits::field_of_head;

/// A request.
pub(crate) trait RequestView {
    /// The method as it was written.
    fn method(&self) -> &str;
    /// Path and query.
    fn target(&self) -> &str;
    /// The host that is asked for, with its port if it names one; empty if none is named.
    fn authority(&self) -> &str;
    /// The first value of a header, whose name is given in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
}

/// A request as the head that a server gets over HTTP/1.1: what rules judge is what servers see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadView<'a> {
    head: &'a [u8],
    method: &'a str,
    target: &'a str,
}

impl<'a> HeadView<'a> {
    /// `line_bytes` is the length of method and target, with the space between and behind them.
    pub(crate) fn new(head: &'a [u8], line_bytes: usize) -> Self {
        let line = head.get(..line_bytes).and_then(|line| std::str::from_utf8(line).ok());
        let (method, target) = line.and_then(|line| line.split_once(' ')).unwrap_or_default();
        Self {
            head,
            method,
            target: target.trim_end(),
        }
    }
}

impl RequestView for HeadView<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &str {
        self.target
    }

    fn authority(&self) -> &str {
        let host = field_of_head(self.head, "host");
        host.and_then(|host| std::str::from_utf8(host).ok()).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        field_of_head(self.head, name)
    }
}

/// A target without its query.
pub(crate) fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// The name of a host, without a port and in lower case.
pub(crate) fn host_of(authority: &str) -> Cow<'_, str> {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// Who sent the request: the peer, or, if the peer is trusted, whom it speaks for. `X-Forwarded-For` has only what can be
/// believed by then, the client first.
pub(crate) fn client_of(view: &impl RequestView, peer: IpAddr, is_trusted: bool) -> IpAddr {
    if !is_trusted {
        return peer;
    }
    let said = view
        .header("x-forwarded-for")
        .and_then(|value| std::str::from_utf8(value).ok());
    said.and_then(|list| tenon_model::address_of(list.split(',').next()?))
        .unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_shows_what_rules_ask_for() {
        let head = b"GET /a/b?c=d HTTP/1.1\r\nHost: API.example.org:81\r\nX-Forwarded-For: 9.9.9.9, 10.0.0.1\r\n\r\n";
        let view = HeadView::new(head, "GET /a/b?c=d ".len());
        assert_eq!(
            (view.method(), view.target(), path_of(view.target())),
            ("GET", "/a/b?c=d", "/a/b")
        );
        assert_eq!(host_of(view.authority()), "api.example.org");
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(client_of(&view, peer, false), peer);
        assert_eq!(client_of(&view, peer, true), "9.9.9.9".parse::<IpAddr>().unwrap());
        for (authority, host) in [("[::1]:80", "::1"), ("a", "a"), ("A.", "a"), ("", "")] {
            assert_eq!(host_of(authority), host);
        }
    }
}
