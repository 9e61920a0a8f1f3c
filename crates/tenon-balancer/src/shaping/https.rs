//! Sending clients of HTTP to HTTPS, and telling browsers to stay there.

use std::sync::Arc;

use crate::kinds::{BalancerConfig, RedirectToHttps};
use crate::rules::{HeaderEdits, RequestView, location};

/// What is different because a request came over HTTPS or not.
#[derive(Debug, Default)]
pub(super) struct Https {
    /// Status and address of the answer to what came without.
    redirect: Option<(u16, String)>,
    /// What answers over HTTPS carry.
    pub(super) hsts: Option<Arc<HeaderEdits>>,
}

impl Https {
    /// `port` is where HTTPS is listened on; without it nobody is sent there.
    pub(super) fn new(balancer: &BalancerConfig, port: Option<u16>) -> Self {
        let status = match balancer.redirect_to_https {
            RedirectToHttps::Off => None,
            RedirectToHttps::Permanent => Some(308),
            RedirectToHttps::Temporary => Some(307),
        };
        let to = port.map(|port| match port {
            443 => "https://{host}{path}{query}".to_owned(),
            port => format!("https://{{host}}:{port}{{path}}{{query}}"),
        });
        let hsts = balancer.hsts_max_age.map(|age| {
            let fields = (
                &"strict-transport-security".to_owned(),
                &format!("max-age={}", age.0.as_secs()),
            );
            Arc::new(HeaderEdits::set([fields]))
        });
        Self {
            redirect: status.zip(to),
            hsts,
        }
    }

    /// Whether requests need to be looked at because of it.
    pub(super) fn is_configured(&self) -> bool {
        self.redirect.is_some() || self.hsts.is_some()
    }

    /// Status and address of the answer to a request that came without TLS; none if it is served.
    pub(super) fn redirect(&self, view: &impl RequestView) -> Option<(u16, String)> {
        let (status, to) = self.redirect.as_ref()?;
        Some((*status, location(to, view)))
    }
}
