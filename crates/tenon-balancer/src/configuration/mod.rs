//! What the cluster's objects say that the load balancer does: learnt, kept on disk, read, put into force.
//!
//! The [`ConfigurationFollower`] learns it from any server, gives parts that can't be used their last good form, and keeps it
//! in a file, so that the load balancer starts in full with no server up. [`run`] reads it and hands each part to whom it is
//! for: certificates to `tls` and `acme`, rules and limits to `shaping`, servers to `upstream`. There is no reload: each of them swaps what
//! it had, and connections and requests that are under way go on.

mod follower;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;
use tenon_model::Revision;
use tenon_protocol::control::{
    BALANCER_CERTIFICATE_KIND, BALANCER_KIND, BALANCER_RULE_KIND, BalancerConfiguration, ConfigurationPart,
    ConfigurationProblem,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use follower::{ConfigurationFollower, ConfigurationSource};

use crate::acme::Acme;
use crate::kinds::{BalancerConfig, CertificateConfig, RuleConfig};
use crate::proxy::Shared;
use crate::tls::{CertificateSource, TlsConfiguration};

/// A configuration, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Configuration {
    /// The revision of the objects that it is of.
    pub(crate) revision: Revision,
    /// The object `balancer/main`; the defaults if there is none.
    pub(crate) balancer: BalancerConfig,
    /// Certificates by name.
    pub(crate) certificates: Vec<(String, CertificateConfig)>,
    /// Rules by name.
    pub(crate) rules: Vec<(String, RuleConfig)>,
    /// Parts of which the newest version can't be used.
    pub(crate) problems: Vec<ConfigurationProblem>,
}

impl Configuration {
    /// Reads what came from the cluster or the disk.
    pub(crate) fn read(wire: &BalancerConfiguration) -> Self {
        let mut problems = Vec::new();
        let balancer = wire.balancer.as_slice();
        Self {
            revision: wire.revision,
            balancer: parts(BALANCER_KIND, balancer, &mut problems)
                .pop()
                .map(|(_, balancer)| balancer)
                .unwrap_or_default(),
            certificates: parts(BALANCER_CERTIFICATE_KIND, &wire.certificates, &mut problems),
            rules: parts(BALANCER_RULE_KIND, &wire.rules, &mut problems),
            problems,
        }
    }

    fn tls(&self, acme: &Acme) -> TlsConfiguration {
        TlsConfiguration {
            options: self.balancer.tls.clone(),
            certificates: self
                .certificates
                .iter()
                .filter_map(|(name, config)| CertificateSource::of(name, config, acme.file_of(name, config)))
                .collect(),
        }
    }
}

/// The parts of a kind that can be used, in some form; and which of them not in the newest.
fn parts<T: DeserializeOwned>(
    kind: &str,
    parts: &[ConfigurationPart],
    problems: &mut Vec<ConfigurationProblem>,
) -> Vec<(String, T)> {
    let mut read = Vec::with_capacity(parts.len());
    for part in parts {
        let mut message = part.problem.clone();
        if !part.body.is_null() {
            match T::deserialize(&part.body) {
                Ok(config) => read.push((part.name.clone(), config)),
                Err(error) => message = error.to_string(),
            }
        }
        if !message.is_empty() {
            problems.push(ConfigurationProblem {
                kind: kind.to_owned(),
                name: part.name.clone(),
                message,
            });
        }
    }
    read
}

/// Puts each configuration that comes into force, until `stop`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut configurations: watch::Receiver<Arc<BalancerConfiguration>>,
    stop: CancellationToken,
) {
    while let Some(Ok(())) = stop.run_until_cancelled(configurations.changed()).await {
        let next = Arc::clone(&configurations.borrow_and_update());
        let shared = Arc::clone(&shared);
        // Certificate files are read, and many rules take their time.
        let applying = tokio::task::spawn_blocking(move || put_in_force(&shared, &next));
        if let Err(error) = applying.await {
            tracing::error!(%error, "a configuration could not be put into force; the one before stays");
        }
    }
    stop.cancelled().await;
}

/// Puts a configuration into force. Reads certificate files.
pub(crate) fn put_in_force(shared: &Shared, wire: &BalancerConfiguration) {
    let mut next = Configuration::read(wire);
    let now = Instant::now();
    shared.directory.configure(&next.balancer, now);
    let unusable = shared.shaping.apply(&shared.settings, &next.balancer, &next.rules, now);
    let unusable = unusable.into_iter().map(|rule| ConfigurationProblem {
        kind: BALANCER_RULE_KIND.to_owned(),
        name: rule.name,
        message: rule.problem,
    });
    next.problems.extend(unusable);
    shared.tls.apply(&next.tls(&shared.acme));
    shared.acme.want(&next.certificates);
    let before = shared.configuration.load_full();
    for problem in next
        .problems
        .iter()
        .filter(|problem| !before.problems.contains(problem))
    {
        tracing::warn!(
            kind = %problem.kind,
            name = %problem.name,
            "the object '{}/{}' is not used as it is now: {}", problem.kind, problem.name, problem.message,
        );
    }
    shared.configuration.store(Arc::new(next));
}
