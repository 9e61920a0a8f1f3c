//! Who the client is, as servers are told, and whose word on that is believed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tenon_model::Network;

use crate::tls::ClientCertificate;

/// A client's address, written out once per connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    pub(crate) address: String,
    /// As `Forwarded` wants it: IPv6 in brackets and quotes.
    pub(crate) node: String,
    pub(crate) trusted: bool,
    /// Whose word on clients is believed.
    pub(crate) networks: Arc<[Network]>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// What it speaks, for the log.
    pub(crate) protocol: &'static str,
    /// The version of TLS, for the log; empty without.
    pub(crate) tls: &'static str,
    /// The certificate that it showed and that was verified.
    pub(crate) certificate: Option<ClientCertificate>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, networks: Arc<[Network]>) -> Self {
        let ip = address.ip().to_canonical();
        let text = ip.to_string();
        let node = if ip.is_ipv6() {
            format!("\"[{text}]\"")
        } else {
            text.clone()
        };
        Self {
            ip,
            address: text,
            node,
            trusted: networks.iter().any(|network| network.contains(ip)),
            networks,
            scheme: "http",
            protocol: "HTTP/1",
            tls: "",
            certificate: None,
        }
    }
}
