//! Which certificate a client is shown: by the host it asks for, exact before wildcard before default.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificate::Loaded;

/// Certificates for the same host, of different kinds of keys.
type Keys = Vec<Arc<CertifiedKey>>;

/// Certificates by host; never changed once made.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    exact: HashMap<String, Keys>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Keys>,
    default: Keys,
}

impl Resolver {
    /// The earlier of two certificates for one host is preferred. Without a default, the first is it.
    pub(super) fn new<'a>(certificates: impl Iterator<Item = (&'a Loaded, bool)> + Clone) -> Self {
        let mut resolver = Self::default();
        for (loaded, is_default) in certificates.clone() {
            for host in &loaded.facts.hosts {
                let keys = match host.strip_prefix("*.") {
                    Some(parent) => resolver.wildcard.entry(parent.to_owned()),
                    None => resolver.exact.entry(host.clone()),
                };
                keys.or_default().push(Arc::clone(&loaded.key));
            }
            if is_default {
                resolver.default.push(Arc::clone(&loaded.key));
            }
        }
        if resolver.default.is_empty() {
            resolver
                .default
                .extend(certificates.map(|(loaded, _)| Arc::clone(&loaded.key)).next());
        }
        resolver
    }

    fn find(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let usable = |keys: &Keys| {
            keys.iter()
                .find(|key| key.key.choose_scheme(schemes).is_some())
                .cloned()
        };
        let by_host = host.and_then(|host| {
            let host = host.to_ascii_lowercase();
            let parent = host.split_once('.').map(|(_, parent)| parent);
            let exact = self.exact.get(&host).and_then(usable);
            exact.or_else(|| self.wildcard.get(parent?).and_then(usable))
        });
        by_host.or_else(|| usable(&self.default))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::super::certificate::{CertificatePem, CertificateSource};
    use super::*;

    fn loaded(hosts: &[&str]) -> Loaded {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        let source = CertificateSource {
            name: hosts[0].to_owned(),
            hosts: Vec::new(),
            is_default: false,
            pem: CertificatePem::Inline {
                certificate: params.self_signed(&key).unwrap().pem(),
                private_key: key.serialize_pem(),
            },
        };
        source.load(&rustls::crypto::ring::default_provider()).unwrap()
    }

    #[test]
    fn exact_before_wildcard_before_default() {
        let (own, wild, other) = (
            loaded(&["a.example.com"]),
            loaded(&["*.example.com"]),
            loaded(&["b.test"]),
        );
        let resolver = Resolver::new([(&own, false), (&wild, false), (&other, true)].into_iter());
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let shown = |host| resolver.find(host, &schemes).unwrap();
        for (host, expected) in [
            (Some("a.example.com"), &own),
            (Some("A.Example.com"), &own),
            (Some("c.example.com"), &wild),
            (Some("c.d.example.com"), &other),
            (Some("example.com"), &other),
            (Some("b.test"), &other),
            (None, &other),
        ] {
            assert!(Arc::ptr_eq(&shown(host), &expected.key), "{host:?}");
        }
        assert!(resolver.find(Some("b.test"), &[SignatureScheme::ED25519]).is_none());
        let resolver = Resolver::new([(&own, false), (&wild, false)].into_iter());
        assert!(Arc::ptr_eq(&resolver.find(None, &schemes).unwrap(), &own.key));
    }
}
