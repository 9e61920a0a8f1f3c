//! Learns the configuration from the cluster and keeps the one known last on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tenon_model::KindConfig;
use tenon_protocol::control::{BalancerConfiguration, ConfigurationPart};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::follower::{Followed, SourceError, keep, load, poll};
use crate::kinds::{BalancerConfig, CertificateConfig, RuleConfig};
use crate::settings::Settings;

/// Where the configuration is learnt from; the binary asks any server's control address.
#[async_trait]
pub trait ConfigurationSource: Send + Sync + 'static {
    /// The configuration; with `after`, the `cursor` of the last reply, waits a while for it to differ from that.
    async fn configuration(&self, after: Option<u64>) -> Result<BalancerConfiguration, SourceError>;
}

/// Keeps the configuration up to date.
pub struct ConfigurationFollower {
    source: Arc<dyn ConfigurationSource>,
    path: PathBuf,
    timeout: Duration,
    sender: watch::Sender<Arc<BalancerConfiguration>>,
}

impl std::fmt::Debug for ConfigurationFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigurationFollower")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Only the owner may read it: there are private keys in it.
const MODE: u32 = 0o600;

impl ConfigurationFollower {
    /// Starts from what is on disk, if anything is; gives the configuration for [`crate::Deps`].
    pub fn new(
        settings: &Settings,
        source: Arc<dyn ConfigurationSource>,
        path: PathBuf,
    ) -> (Self, watch::Receiver<Arc<BalancerConfiguration>>) {
        let known: BalancerConfiguration = load(&path).unwrap_or_default();
        let (sender, receiver) = watch::channel(Arc::new(known));
        let follower = Self {
            source,
            path,
            timeout: settings.follow_timeout.0,
            sender,
        };
        (follower, receiver)
    }

    /// Follows the configuration until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(poll(&self, self.timeout)).await;
    }
}

#[async_trait]
impl Followed for ConfigurationFollower {
    const WHAT: &'static str = "the configuration";
    type Reply = BalancerConfiguration;

    async fn ask(&self, after: Option<u64>) -> Result<(u64, BalancerConfiguration), SourceError> {
        let reply = self.source.configuration(after).await?;
        Ok((reply.cursor, reply))
    }

    fn take(&self, reply: BalancerConfiguration) {
        let known = Arc::clone(&self.sender.borrow());
        let next = with_last_good(reply, &known);
        if *known == next {
            return;
        }
        if let Err(error) = keep(&self.path, &next, MODE) {
            tracing::warn!(%error, "the configuration is not kept; a restart without a server starts from an older one");
        }
        tracing::info!(
            revision = %next.revision,
            certificates = next.certificates.len(),
            rules = next.rules.len(),
            "the configuration changed"
        );
        self.sender.send_replace(Arc::new(next));
    }
}

/// Gives each part that can't be used the last form of it that could.
pub(super) fn with_last_good(mut next: BalancerConfiguration, known: &BalancerConfiguration) -> BalancerConfiguration {
    if let Some(part) = &mut next.balancer {
        settle::<BalancerConfig>(part, known.balancer.as_slice());
    }
    for part in &mut next.certificates {
        settle::<CertificateConfig>(part, &known.certificates);
    }
    for part in &mut next.rules {
        settle::<RuleConfig>(part, &known.rules);
    }
    next
}

fn settle<T: KindConfig>(part: &mut ConfigurationPart, known: &[ConfigurationPart]) {
    if part.problem.is_empty() {
        // A server of another version may allow what this one does not know.
        part.problem = match T::deserialize(&part.body) {
            Err(error) => error.to_string(),
            Ok(config) => {
                let problems: Vec<String> = config.check().iter().map(ToString::to_string).collect();
                problems.join("; ")
            }
        };
    }
    if !part.problem.is_empty() {
        let before = known.iter().find(|before| before.name == part.name);
        part.body = before.map(|before| before.body.clone()).unwrap_or_default();
    }
}
