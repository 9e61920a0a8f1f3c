//! Addresses and networks of clients and proxies, as people write them: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A network, or one address as the network that has only it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is of this network. An IPv4 address that came over IPv6 (`::ffff:192.0.2.7`) counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(32 - bits)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits())
                    .checked_shr(128 - bits)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }

    /// Its first and its last address; both are of the kind that the network is written in.
    pub fn range(&self) -> (IpAddr, IpAddr) {
        let bits = u32::from(self.bits);
        match self.address {
            IpAddr::V4(address) => {
                let hosts = u32::MAX.checked_shr(bits).unwrap_or(0);
                let first = address.to_bits() & !hosts;
                (
                    Ipv4Addr::from_bits(first).into(),
                    Ipv4Addr::from_bits(first | hosts).into(),
                )
            }
            IpAddr::V6(address) => {
                let hosts = u128::MAX.checked_shr(bits).unwrap_or(0);
                let first = address.to_bits() & !hosts;
                (
                    Ipv6Addr::from_bits(first).into(),
                    Ipv6Addr::from_bits(first | hosts).into(),
                )
            }
        }
    }

    /// Reads a list; gives the first text that is neither an address nor a network.
    pub fn parse_all(texts: &[String]) -> Result<Vec<Self>, InvalidNetwork> {
        texts.iter().map(|text| text.parse()).collect()
    }
}

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither an address nor a network such as 10.0.0.0/8")]
pub struct InvalidNetwork(pub String);

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InvalidNetwork(text.to_owned());
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => whole,
            Some(bits) => bits.trim().parse().map_err(|_| wrong())?,
        };
        if bits > whole {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_contain_their_addresses_only() {
        let texts = ["10.0.0.0/8", "192.168.1.7", "2001:db8::/32", "0.0.0.0/32"].map(String::from);
        let networks = Network::parse_all(&texts).unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.168.1.7", true),
            ("192.168.1.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
        ] {
            let address = address.parse().unwrap();
            let found = networks.iter().any(|network| network.contains(address));
            assert_eq!(found, expected, "{address}");
        }
        for wrong in ["10.0.0.0/33", "host", "", "10.0.0.0/x", "::/129"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong:?}");
        }
        let range = |text: &str| text.parse::<Network>().map(|network| network.range()).unwrap();
        assert_eq!(
            range("10.1.2.3/8"),
            ("10.0.0.0".parse().unwrap(), "10.255.255.255".parse().unwrap())
        );
        assert_eq!(range("::1"), ("::1".parse().unwrap(), "::1".parse().unwrap()));
        let all: Network = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()));
        assert_eq!(all.to_string(), "0.0.0.0/0");
    }
}
