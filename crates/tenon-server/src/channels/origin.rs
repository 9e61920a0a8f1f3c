//! Where a connection comes from, and whose word about the client is believed.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::FORWARDED;
use tenon_model::{
    CorrelationId, Network, address_of, address_of_forwarded, believed_forwarded, believed_forwarded_for,
};

use super::reply::CID_HEADER;

/// Bytes of a correlation id that is taken over at most.
const CID_BYTES_MAX: usize = 128;

/// Where a connection comes from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// The load balancer of this host: what it says of the client is believed.
    Balancer,
    /// A proxy at this address, believed as well, and the networks that are.
    Proxy(IpAddr, Arc<[Network]>),
    /// Somebody at this address.
    Direct(String),
}

impl Origin {
    /// Who is at an address, given the networks that are believed.
    pub(super) fn of(address: IpAddr, trusted: &Arc<[Network]>) -> Self {
        let address = address.to_canonical();
        if trusted.iter().any(|network| network.contains(address)) {
            Self::Proxy(address, Arc::clone(trusted))
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
            Self::Balancer => first_forwarded_for(headers).unwrap_or_default(),
            Self::Proxy(address, trusted) => forwarded(headers, trusted).unwrap_or(*address).to_string(),
            Self::Direct(address) => address.clone(),
        }
    }

    /// What the request is called already by whoever passed it on, so that its lines in their log and in ours have one id.
    pub(super) fn cid(&self, headers: &HeaderMap) -> Option<CorrelationId> {
        let given = headers.get(&CID_HEADER).filter(|_| self.is_trusted())?.to_str().ok()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        let is_id = (1..=CID_BYTES_MAX).contains(&given.len()) && given.bytes().all(is_plain);
        is_id.then(|| CorrelationId::from_text(given))
    }
}

/// The client as our load balancer saw it: it passes on what can be believed, and nothing else.
fn first_forwarded_for(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-forwarded-for")?.to_str().ok()?;
    let first = value.split(',').next()?;
    Some(address_of(first).map_or_else(|| first.trim().to_owned(), |address| address.to_string()))
}

/// The client as a trusted proxy says it, by `X-Forwarded-For` or, where there is none, by `Forwarded`.
fn forwarded(headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address| trusted.iter().any(|network| network.contains(address));
    // A value that is no text is as good as an address that is hidden.
    let values = |name| {
        let all = headers.get_all(name).iter();
        all.map(|value| value.to_str().unwrap_or("unknown"))
    };
    if headers.contains_key("x-forwarded-for") {
        let list = believed_forwarded_for(values("x-forwarded-for"), is_trusted);
        return list.into_iter().find_map(address_of);
    }
    let list = believed_forwarded(values(FORWARDED.as_str()), is_trusted);
    list.into_iter().find_map(address_of_forwarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted: Arc<[Network]> = ["10.0.0.0/8".parse().unwrap()].into();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Origin::of(address.parse().unwrap(), &trusted).client(&map)
    }

    #[test]
    fn a_correlation_id_is_taken_over_from_whom_is_believed() {
        let cid = |origin: &Origin, given: &str| {
            let headers = HeaderMap::from_iter([(CID_HEADER.clone(), given.parse().unwrap())]);
            origin.cid(&headers).map(|cid| cid.to_string())
        };
        let trusted: Arc<[Network]> = ["10.0.0.0/8".parse().unwrap()].into();
        let proxy = Origin::of("10.0.0.1".parse().unwrap(), &trusted);
        let direct = Origin::of("192.0.2.9".parse().unwrap(), &trusted);
        assert_eq!(cid(&Origin::Balancer, "f2d6-1.a:b_c").as_deref(), Some("f2d6-1.a:b_c"));
        assert_eq!(cid(&proxy, "abc").as_deref(), Some("abc"));
        assert_eq!(cid(&direct, "abc"), None);
        for bad in ["", "a b", "a\"", &"x".repeat(129)] {
            assert_eq!(cid(&proxy, bad), None, "{bad}");
        }
        assert_eq!(Origin::Balancer.cid(&HeaderMap::new()), None);
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_knows() {
        let xff = "x-forwarded-for";
        for (address, headers, expected) in [
            ("192.0.2.9", vec![(xff, "6.6.6.6")], "192.0.2.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec![(xff, "192.0.2.7")], "192.0.2.7"),
            ("10.0.0.1", vec![(xff, "6.6.6.6, 192.0.2.7")], "192.0.2.7"),
            ("10.0.0.1", vec![(xff, "6.6.6.6"), (xff, "192.0.2.7")], "192.0.2.7"),
            ("10.0.0.1", vec![(xff, "192.0.2.7, 10.0.0.2")], "192.0.2.7"),
            ("10.0.0.1", vec![(xff, "6.6.6.6, unknown, 10.0.0.2")], "10.0.0.2"),
            (
                "10.0.0.1",
                vec![("forwarded", "for=6.6.6.6, for=192.0.2.7")],
                "192.0.2.7",
            ),
            (
                "10.0.0.1",
                vec![("forwarded", "for=6.6.6.6"), (xff, "192.0.2.7")],
                "192.0.2.7",
            ),
        ] {
            assert_eq!(client(address, &headers), expected, "{address} {headers:?}");
        }
    }
}
