//! The kinds of objects that configure the load balancer: `balancer`, `balancer-certificate`, `balancer-rule`.
//!
//! What is here is what users write and what can be said about it without running anything. How it is put into force is
//! decided where it is used: rules and limits in `shaping`, certificates in `tls`, servers in `upstream`.

mod acme;
mod balancer;
mod certificate;
mod checks;
mod rule;
#[cfg(test)]
mod tests;

use tenon_model::Kind;

pub use acme::AcmeConfig;
pub(crate) use balancer::{Algorithm, ClientCertificates, ProxyProtocol, RedirectToHttps, TlsConfig, TlsVersion};
pub use balancer::{BalancerConfig, OperatorState, ServerConfig};
pub use certificate::CertificateConfig;
pub use rule::RuleConfig;
pub(crate) use rule::{RuleAction, RuleMatch};

/// The kinds of objects that live here.
pub fn kinds() -> Vec<Kind> {
    vec![
        Kind::of::<BalancerConfig>(),
        Kind::of::<CertificateConfig>(),
        Kind::of::<RuleConfig>(),
    ]
}
