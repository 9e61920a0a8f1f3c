//! Which requests a rule is for.

use std::net::IpAddr;

use tenon_model::Network;

use super::networks::Networks;
use super::path::PathPattern;
use super::view::{RequestView, host_of, path_of};
use crate::kinds::RuleMatch;

/// What must hold of a request; all of it must.
#[derive(Debug, Clone, Default)]
pub(super) struct Matches {
    pub(super) paths: Vec<PathPattern>,
    pub(super) hosts: Vec<HostPattern>,
    methods: Vec<&'static str>,
    /// Name in lower case, and the value; none for any.
    headers: Vec<(Box<str>, Option<Box<str>>)>,
    /// None for any.
    addresses: Option<Networks>,
}

/// Hosts, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostPattern {
    Exact(Box<str>),
    /// What stands behind the star, with its dot.
    Below(Box<str>),
}

impl Matches {
    pub(super) fn compile(config: &RuleMatch) -> Result<Self, String> {
        let paths: Result<_, _> = config.paths.iter().map(|path| PathPattern::parse(path)).collect();
        let networks = Network::parse_all(&config.addresses).map_err(|error| error.to_string())?;
        let hosts = config.hosts.iter().map(|host| {
            let host = host.to_ascii_lowercase();
            match host.strip_prefix('*') {
                Some(suffix) => HostPattern::Below(suffix.into()),
                None => HostPattern::Exact(host.into()),
            }
        });
        let headers = config.headers.iter().map(|(name, value)| {
            let value = (value != "*").then(|| value.as_str().into());
            (name.to_ascii_lowercase().into(), value)
        });
        Ok(Self {
            paths: paths.map_err(|error: super::path::InvalidPattern| error.to_string())?,
            hosts: hosts.collect(),
            methods: config.methods.iter().map(|method| method.as_str()).collect(),
            headers: headers.collect(),
            addresses: (!networks.is_empty()).then(|| Networks::new(&networks)),
        })
    }

    /// Whether a request of this client is meant.
    pub(super) fn hold(&self, view: &impl RequestView, client: IpAddr) -> bool {
        (self.methods.is_empty() || self.methods.contains(&view.method()))
            && self.addresses.as_ref().is_none_or(|networks| networks.contains(client))
            && self.fits_host(view)
            && self.fits_path(view)
            && self.headers.iter().all(|(name, wanted)| {
                view.header(name)
                    .is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted.as_bytes() == value))
            })
    }

    fn fits_host(&self, view: &impl RequestView) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let host = host_of(view.authority());
        self.hosts.iter().any(|pattern| match pattern {
            HostPattern::Exact(name) => **name == *host,
            HostPattern::Below(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        })
    }

    fn fits_path(&self, view: &impl RequestView) -> bool {
        let path = path_of(view.target());
        self.paths.is_empty() || self.paths.iter().any(|pattern| pattern.fits(path))
    }
}
