//! Who the client is, as servers are told, and whose word on that is believed.

use std::net::{IpAddr, SocketAddr};

/// Addresses and networks that are believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedNetworks(Vec<(IpAddr, u8)>);

impl TrustedNetworks {
    /// Reads `address` or `network/bits`; gives the text that can't be read.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        texts
            .iter()
            .map(|text| Self::parse_one(text).ok_or_else(|| text.clone()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn parse_one(text: &str) -> Option<(IpAddr, u8)> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(whole), |bits| bits.trim().parse().ok())?;
        (bits <= whole).then_some((address, bits))
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, bits)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(32 - u32::from(*bits))
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(128 - u32::from(*bits))
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        })
    }
}

/// A client's address, written out once per connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    /// As `Forwarded` wants it: IPv6 in brackets and quotes.
    pub(crate) node: String,
    pub(crate) trusted: bool,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, trusted: &TrustedNetworks) -> Self {
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
            trusted: trusted.contains(ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_only() {
        let texts = ["10.0.0.0/8", "192.168.1.7", "2001:db8::/32", "0.0.0.0/32"].map(String::from);
        let trusted = TrustedNetworks::parse(&texts).unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{address}");
        }
        for wrong in ["10.0.0.0/33", "host", "", "10.0.0.0/x"] {
            assert!(TrustedNetworks::parse(&[wrong.to_owned()]).is_err(), "{wrong:?}");
        }
        let all = TrustedNetworks::parse(&["0.0.0.0/0".to_owned()]).unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()));
    }
}
