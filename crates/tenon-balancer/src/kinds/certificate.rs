//! The kind `balancer-certificate`: what the load balancer shows to clients that speak TLS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{FieldProblem, KindConfig, KindGroup, SEALED_PREFIX, Secret};
use tenon_protocol::control::BALANCER_CERTIFICATE_KIND;

use super::acme::AcmeConfig;
use super::checks::{Problems, check_pair, is_host_pattern};

/// A certificate with its key, for TLS with clients: as PEM in the object, as files on the load balancer's host, or ordered from an
/// authority.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateConfig {
    /// Names of hosts that it is shown for, such as `api.example.com` or `*.example.com`. Empty: those that it has itself.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The certificate and those between it and its authority, as PEM, its own first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tenon-multiline" = true))]
    pub certificate: Option<String>,
    /// Its private key, as PEM; `secret:NAME` for one that is kept as a secret of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tenon-multiline" = true))]
    pub private_key: Option<Secret>,
    /// A file on the load balancer's host with the certificate, as PEM. It is looked at every few seconds, and a new one is used
    /// for the connections that come then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<String>,
    /// A file on the load balancer's host with the private key, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key_file: Option<String>,
    /// The authority that it is ordered from, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeConfig>,
    /// Whether it is shown to clients that name no host, or one that no certificate is for.
    #[serde(default)]
    pub is_default: bool,
}

/// Stands for a secret that is not shown; the value is judged when it is known.
const MASK: char = '*';

impl KindConfig for CertificateConfig {
    const NAME: &'static str = BALANCER_CERTIFICATE_KIND;
    const TITLE: &'static str = "Certificate";
    const GROUP: KindGroup = KindGroup::LoadBalancer;

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Problems::default();
        for (index, host) in self.hosts.iter().enumerate() {
            problems.add_if(
                !is_host_pattern(host),
                format!("hosts[{index}]"),
                "a host is a name such as api.example.com or *.example.com",
            );
        }
        let in_object = self.certificate.is_some() || self.private_key.is_some();
        let in_files = self.certificate_file.is_some() || self.private_key_file.is_some();
        match (in_object, in_files, &self.acme) {
            (true, false, None) => self.check_pem(&mut problems),
            (false, true, None) => self.check_files(&mut problems),
            (false, false, Some(acme)) => acme.check(&self.hosts, &mut problems),
            (false, false, None) => problems.add(
                "certificate",
                "give 'certificate' and 'private_key', or 'certificate_file' and 'private_key_file', or 'acme'",
            ),
            (_, in_files, _) => problems.add(
                if in_files { "certificate_file" } else { "acme" },
                "give only one of 'certificate' with 'private_key', the files, and 'acme'",
            ),
        }
        problems.into()
    }
}

impl CertificateConfig {
    fn check_pem(&self, problems: &mut Problems) {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.private_key) else {
            let missing = if self.certificate.is_none() {
                "certificate"
            } else {
                "private_key"
            };
            problems.add(missing, "a certificate and its private key belong together");
            return;
        };
        let key = key.reveal();
        let is_known = !key.starts_with(SEALED_PREFIX) && !key.chars().all(|c| c == MASK) && !is_reference(key);
        if let Err((field, message)) = check_pair(certificate, is_known.then_some(key)) {
            problems.add(field, message);
        }
    }

    fn check_files(&self, problems: &mut Problems) {
        for (field, path) in [
            ("certificate_file", &self.certificate_file),
            ("private_key_file", &self.private_key_file),
        ] {
            match path {
                None => problems.add(field, "a certificate and its private key belong together"),
                Some(path) => problems.add_if(
                    !path.starts_with('/'),
                    field,
                    "an absolute path on the load balancer's host, such as /etc/ssl/api.pem",
                ),
            }
        }
    }
}

/// Whether a text names what it is made of, which only a server knows.
fn is_reference(text: &str) -> bool {
    text.starts_with("secret:") || text.contains("${")
}
