//! Where a connection comes from, and whose word about the client is believed.

use std::net::IpAddr;

use http::HeaderMap;
use tenon_model::Network;

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The load balancer of this host: what it says of the client is believed.
    Balancer,
    /// A proxy at this address that is believed as well.
    Proxy(String),
    /// Somebody at this address.
    Direct(String),
}

impl Origin {
    /// Who is at an address, given the networks that are believed.
    pub(super) fn of(address: IpAddr, trusted: &[Network]) -> Self {
        let address = address.to_canonical();
        if trusted.iter().any(|network| network.contains(address)) {
            Self::Proxy(address.to_string())
        } else {
            Self::Direct(address.to_string())
        }
    }

    /// Whether what it says of the client is believed.
    pub(super) fn is_trusted(&self) -> bool {
        !matches!(self, Self::Direct(_))
    }

    /// The client's address.
    pub(super) fn client(&self, headers: &HeaderMap) -> String {
        match self {
            Self::Balancer => forwarded_for(headers).unwrap_or_default(),
            Self::Proxy(address) => forwarded_for(headers).unwrap_or_else(|| address.clone()),
            Self::Direct(address) => address.clone(),
        }
    }
}

/// The client as the load balancer saw it: the first address of `X-Forwarded-For`.
fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-forwarded-for")?.to_str().ok()?;
    Some(value.split(',').next()?.trim().to_owned())
}
