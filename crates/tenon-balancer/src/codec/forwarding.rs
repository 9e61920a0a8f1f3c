//! What a server is told about where a request comes from.

use httparse::Header;
use tenon_model::{Network, believed_forwarded, believed_forwarded_for};

use super::fields::Field;
use crate::tls::ClientCertificate;

/// What the head for the server says about where the request comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forwarding<'a> {
    /// The client's address.
    pub(crate) peer: &'a str,
    /// The client's address as `Forwarded` wants it.
    pub(crate) peer_node: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// The certificate that the client showed, verified by us; it stands in place of what a trusted peer says.
    pub(crate) certificate: Option<&'a ClientCertificate>,
    /// Whether what the peer says of the client is believed.
    pub(crate) trusted: bool,
    /// Whose word is believed: of a list of addresses, what stands behind the last one that is not of these.
    pub(crate) networks: &'a [Network],
    /// The correlation id, unless a trusted peer gives one.
    pub(crate) cid: &'a str,
    /// What stands for a missing `Host` of HTTP/1.0.
    pub(crate) own_host: &'a str,
    /// The `traceparent` of a request that has none.
    pub(crate) new_trace: Option<&'a str>,
}

pub(super) fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Writes what a client's certificate says.
pub(super) fn write_certificate(certificate: &ClientCertificate, out: &mut Vec<u8>) {
    let fingerprint = certificate.fingerprint.as_bytes();
    out.extend_from_slice(b"x-tenon-client-cert-verified: 1\r\n");
    put(out, &[b"x-tenon-client-cert-fingerprint: ", fingerprint, b"\r\n"]);
    if !certificate.subject.is_empty() {
        let subject = certificate.subject.as_bytes();
        put(out, &[b"x-tenon-client-cert-subject: ", subject, b"\r\n"]);
    }
}

/// Writes who the client is, behind what trusted peers said of it.
pub(super) fn write_forwarding(
    headers: &[Header<'_>],
    kinds: &[Field],
    host: &[u8],
    forwarding: &Forwarding<'_>,
    out: &mut Vec<u8>,
) {
    let given = |wanted: Field| {
        headers
            .iter()
            .zip(kinds)
            .filter(move |(_, kind)| forwarding.trusted && **kind == wanted)
            // A value that is no text is as good as an address that is hidden.
            .map(|(header, _)| std::str::from_utf8(header.value).unwrap_or("unknown"))
    };
    let is_trusted = |address| forwarding.networks.iter().any(|network| network.contains(address));
    let peer = forwarding.peer.as_bytes();
    let scheme = forwarding.scheme.as_bytes();
    out.extend_from_slice(b"x-forwarded-for: ");
    for element in believed_forwarded_for(given(Field::ForwardedFor), is_trusted) {
        put(out, &[element.as_bytes(), b", "]);
    }
    put(out, &[peer, b"\r\n"]);
    if given(Field::ForwardedProto).next().is_none() {
        put(out, &[b"x-forwarded-proto: ", scheme, b"\r\n"]);
    }
    if given(Field::ForwardedHost).next().is_none() && !host.is_empty() {
        put(out, &[b"x-forwarded-host: ", host, b"\r\n"]);
    }
    out.extend_from_slice(b"forwarded: ");
    for element in believed_forwarded(given(Field::Forwarded), is_trusted) {
        put(out, &[element.as_bytes(), b", "]);
    }
    put(out, &[b"for=", forwarding.peer_node.as_bytes(), b";proto=", scheme]);
    if !host.is_empty() {
        put(out, &[b";host=\"", host, b"\""]);
    }
    out.extend_from_slice(b"\r\n");
    if given(Field::Cid).next().is_none() {
        put(out, &[b"x-tenon-cid: ", forwarding.cid.as_bytes(), b"\r\n"]);
    }
}
