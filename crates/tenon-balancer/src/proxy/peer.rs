//! Who the client is, as servers are told, and whose word on that is believed.

use std::net::SocketAddr;

use tenon_model::Network;

use crate::tls::ClientCertificate;

/// A client's address, written out once per connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    /// As `Forwarded` wants it: IPv6 in brackets and quotes.
    pub(crate) node: String,
    pub(crate) trusted: bool,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The certificate that it showed and that was verified.
    pub(crate) certificate: Option<ClientCertificate>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, trusted: &[Network]) -> Self {
        let ip = address.ip().to_canonical();
        let text = ip.to_string();
        let node = if ip.is_ipv6() {
            format!("\"[{text}]\"")
        } else {
            text.clone()
        };
        Self {
            address: text,
            node,
            trusted: trusted.iter().any(|network| network.contains(ip)),
            scheme: "http",
            certificate: None,
        }
    }
}
