//! How a certificate is ordered: the field `acme` of the kind `balancer-certificate`.

use http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{Problems, certificates_of};

/// The load balancer orders the certificate itself, from an authority that speaks ACME (RFC 8555), and renews it. Clients of the
/// authority must reach the load balancer under each of `hosts` on port 80, where it proves that they are yours (http-01).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {
    /// Address of the authority's directory, such as `https://acme-v02.api.letsencrypt.org/directory`.
    pub directory: String,
    /// Whom the authority writes to, such as `mailto:ops@example.com`.
    #[serde(default)]
    pub contact: Vec<String>,
    /// That you agree to the authority's terms of service; nothing is ordered otherwise.
    #[serde(default)]
    pub terms_agreed: bool,
    /// The CAs by which the authority's address is trusted, as PEM; without it those of the load balancer's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tenon-multiline" = true))]
    pub ca: Option<String>,
}

/// More hosts than authorities take in one certificate.
const HOSTS_MAX: usize = 100;

impl AcmeConfig {
    /// What is wrong with it as the way to a certificate for these hosts.
    pub(super) fn check(&self, hosts: &[String], problems: &mut Problems) {
        problems.add_if(
            hosts.is_empty() || hosts.len() > HOSTS_MAX,
            "hosts",
            "an authority is asked for a certificate for the hosts that are named here, 1 to 100 of them",
        );
        for (index, host) in hosts.iter().enumerate() {
            problems.add_if(
                host.starts_with("*."),
                format!("hosts[{index}]"),
                "an authority issues a certificate with a wildcard only after a proof in DNS (dns-01), which the load balancer does not \
                 give; name each host, or let another ACME client write the files",
            );
            problems.add_if(
                host.parse::<std::net::IpAddr>().is_ok(),
                format!("hosts[{index}]"),
                "an authority is asked for names of hosts, not for addresses",
            );
        }
        problems.add_if(
            !is_https(&self.directory),
            "acme.directory",
            "the address of an authority's directory, such as https://acme-v02.api.letsencrypt.org/directory",
        );
        for (index, contact) in self.contact.iter().enumerate() {
            let address = contact.strip_prefix("mailto:").unwrap_or_default();
            problems.add_if(
                !address.contains('@') || address.chars().any(|c| !c.is_ascii_graphic()),
                format!("acme.contact[{index}]"),
                "an address such as mailto:ops@example.com",
            );
        }
        problems.add_if(
            !self.terms_agreed,
            "acme.terms_agreed",
            "read the authority's terms of service and say true if you agree; nothing is ordered otherwise",
        );
        if let Some(Err(message)) = self.ca.as_deref().map(certificates_of) {
            problems.add("acme.ca", message);
        }
    }
}

fn is_https(address: &str) -> bool {
    let uri = address.parse::<Uri>();
    uri.is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()))
}
