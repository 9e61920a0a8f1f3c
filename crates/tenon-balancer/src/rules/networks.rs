//! Many networks as one set: whether an address is in it costs a binary search.

use std::net::IpAddr;

use tenon_model::Network;

/// A set of addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    /// First and last address of each range, in order, none touching another.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    pub(crate) fn new(networks: &[Network]) -> Self {
        let mut set = Self::default();
        for network in networks {
            match network.range() {
                (IpAddr::V4(first), IpAddr::V4(last)) => set.v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => set.v6.push((first.to_bits(), last.to_bits())),
                _ => {}
            }
        }
        merge(&mut set.v4);
        merge(&mut set.v6);
        set
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether an address is of one of the networks. One of IPv4 that came over IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => holds(&self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(&self.v6, address.to_bits()),
        }
    }
}

fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges.drain(..) {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    *ranges = merged;
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind > 0 && address <= ranges[behind - 1].1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn a_set_has_what_one_of_its_networks_has(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20),
            address in any::<u32>(),
        ) {
            let networks: Vec<Network> = networks
                .into_iter()
                .map(|(bits, length)| format!("{}/{length}", std::net::Ipv4Addr::from_bits(bits)).parse().unwrap())
                .collect();
            let set = Networks::new(&networks);
            let mut asked = vec![IpAddr::V4(std::net::Ipv4Addr::from_bits(address))];
            asked.extend(networks.iter().flat_map(|network| [network.range().0, network.range().1]));
            for address in asked {
                prop_assert_eq!(set.contains(address), networks.iter().any(|network| network.contains(address)));
            }
        }
    }

    #[test]
    fn both_kinds_of_addresses_are_known() {
        let texts = ["10.0.0.0/8", "2001:db8::/32", "::1"].map(String::from);
        let set = Networks::new(&Network::parse_all(&texts).unwrap());
        for (address, expected) in [
            ("::ffff:10.1.2.3", true),
            ("2001:db8:ffff::", true),
            ("2001:db9::", false),
            ("::1", true),
            ("::2", false),
            ("11.0.0.0", false),
        ] {
            assert_eq!(set.contains(address.parse().unwrap()), expected, "{address}");
        }
        assert!(!set.is_empty() && Networks::default().is_empty());
    }
}
