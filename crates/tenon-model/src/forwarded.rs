//! Who the client is when proxies stand between: `X-Forwarded-For` and `Forwarded` (RFC 7239), read from the end.
//!
//! Each proxy adds the address it was called from at the end of the list. So the last element is the word of the proxy that
//! called us, the one before it the word of whoever has the last element's address, and so on: an element is worth as much as
//! the address behind it. What stands before the first address that is not trusted, seen from the end, is what a stranger
//! claims, and is not believed.

use std::net::{IpAddr, SocketAddr};

/// The elements of `X-Forwarded-For` that can be believed, the client's first; empty if there are none.
///
/// `values` are the values of all fields of that name, in the order in which they came, from a peer that is trusted itself.
pub fn believed_forwarded_for<'a>(
    values: impl IntoIterator<Item = &'a str>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Vec<&'a str> {
    let elements = values.into_iter().flat_map(|value| value.split(','));
    believed(elements, address_of, is_trusted)
}

/// The same for `Forwarded`, whose elements are pairs such as `for=192.0.2.7;proto=https`.
pub fn believed_forwarded<'a>(
    values: impl IntoIterator<Item = &'a str>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Vec<&'a str> {
    let elements = values.into_iter().flat_map(split_outside_quotes);
    believed(elements, |element| address_of(for_of(element)?), is_trusted)
}

/// The client's address as the first element of `X-Forwarded-For` says it; none if that is no address.
pub fn address_of(element: &str) -> Option<IpAddr> {
    let element = element.trim().trim_matches('"');
    let bare = element.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(element).parse().ok();
    let with_port = || element.parse().ok().map(|address: SocketAddr| address.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

/// The client's address as an element of `Forwarded` says it; none if it says none, or hides it.
pub fn address_of_forwarded(element: &str) -> Option<IpAddr> {
    address_of(for_of(element)?)
}

fn believed<'a>(
    elements: impl Iterator<Item = &'a str>,
    address: impl Fn(&str) -> Option<IpAddr>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> Vec<&'a str> {
    let mut list: Vec<&str> = elements.map(str::trim).filter(|element| !element.is_empty()).collect();
    let stranger = list
        .iter()
        .rposition(|element| !address(element).is_some_and(&is_trusted));
    if let Some(stranger) = stranger {
        list.drain(..stranger);
    }
    list
}

fn for_of(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })
}

fn split_outside_quotes(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    value.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_trusted(address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
    }

    #[test]
    fn what_a_stranger_claims_is_not_believed() {
        for (values, expected) in [
            (vec!["192.0.2.7"], vec!["192.0.2.7"]),
            (vec!["6.6.6.6, 192.0.2.7"], vec!["192.0.2.7"]),
            (vec!["6.6.6.6", "192.0.2.7, 10.0.0.1"], vec!["192.0.2.7", "10.0.0.1"]),
            (vec!["10.0.0.9, 192.0.2.7,10.0.0.1"], vec!["192.0.2.7", "10.0.0.1"]),
            (vec!["10.0.0.2, 10.0.0.1"], vec!["10.0.0.2", "10.0.0.1"]),
            (vec!["192.0.2.7, unknown, 10.0.0.1"], vec!["unknown", "10.0.0.1"]),
            (
                vec!["192.0.2.7:1234, 10.0.0.1:80"],
                vec!["192.0.2.7:1234", "10.0.0.1:80"],
            ),
            (vec!["[2001:db8::1]:1234"], vec!["[2001:db8::1]:1234"]),
            (vec!["", " , "], vec![]),
        ] {
            let found = believed_forwarded_for(values.iter().copied(), is_trusted);
            assert_eq!(found, expected, "{values:?}");
        }
    }

    #[test]
    fn forwarded_is_read_alike() {
        for (value, expected) in [
            ("for=192.0.2.7;proto=https", vec!["for=192.0.2.7;proto=https"]),
            (
                "for=6.6.6.6, for=192.0.2.7, for=10.0.0.1",
                vec!["for=192.0.2.7", "for=10.0.0.1"],
            ),
            (
                "for=6.6.6.6, For=\"[2001:db8::1]:99\"",
                vec!["For=\"[2001:db8::1]:99\""],
            ),
            ("for=192.0.2.7, for=_hidden", vec!["for=_hidden"]),
            ("for=\"10.0.0.1, for=10.0.0.2\"", vec!["for=\"10.0.0.1, for=10.0.0.2\""]),
        ] {
            assert_eq!(believed_forwarded([value], is_trusted), expected, "{value}");
        }
        assert_eq!(
            address_of_forwarded("For=\"[2001:db8::1]:99\""),
            "2001:db8::1".parse().ok()
        );
        assert_eq!(address_of_forwarded("proto=http"), None);
    }

    #[test]
    fn addresses_may_have_ports() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7:80 ", Some("192.0.2.7")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("\"[2001:db8::1]:80\"", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(address_of(text), expected, "{text:?}");
        }
    }
}
