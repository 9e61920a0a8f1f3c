//! Keeps one certificate: orders it when it is due, and says how that went.

use std::sync::Arc;

use tenon_model::Timestamp;
use tokio::sync::Semaphore;

use super::Wanted;
use super::client::Client;
use super::folder::FILE_MODE;
use super::order::{OrderError, order};
use super::plan::{Attempts, renewal};
use crate::follower::{keep, keep_text, load};
use crate::proxy::Shared;
use crate::tls::{CertificateFacts, facts_of};

/// Keeps one certificate for as long as it is wanted.
pub(super) struct Keeper {
    pub(super) shared: Arc<Shared>,
    pub(super) wanted: Wanted,
    /// One order at a time, so that an authority is not asked for everything at once.
    pub(super) turn: Arc<Semaphore>,
}

impl Keeper {
    /// Orders the certificate whenever it is due; ends only when it is dropped.
    pub(super) async fn run(self) {
        let acme = &self.shared.acme;
        let (name, config) = (&self.wanted.name, &self.wanted.config);
        let digest = self.wanted.digest();
        let mut attempts = load::<Attempts>(&acme.folder.attempts(name, config))
            .filter(|attempts| attempts.of == digest)
            .unwrap_or_else(|| Attempts::none(&digest));
        loop {
            let now = self.shared.clock.now();
            let due = self.due(&attempts, now);
            acme.say(&self.wanted, &attempts, (due > now).then_some(due));
            if !self.until(due, now).await {
                continue;
            }
            let Ok(_turn) = self.turn.acquire().await else { return };
            acme.say(&self.wanted, &attempts, None);
            self.attempt(&mut attempts).await;
            if let Err(error) = keep(&acme.folder.attempts(name, config), &attempts, FILE_MODE) {
                tracing::warn!(certificate = name, %error, "how the order went is not kept; a restart may order too soon");
            }
        }
    }

    /// When the certificate is ordered next.
    fn due(&self, attempts: &Attempts, now: Timestamp) -> Timestamp {
        let issued = self.issued().map(|facts| renewal(&facts, &*self.shared.random));
        let pause_until = attempts.pause_until(now, &self.shared.settings);
        issued.unwrap_or_default().max(pause_until)
    }

    /// The certificate that is there, if it is for the hosts that are wanted.
    fn issued(&self) -> Option<CertificateFacts> {
        let path = self.shared.acme.folder.issued(&self.wanted.name, &self.wanted.config);
        let facts = facts_of(&std::fs::read(path).ok()?)?;
        let is_wanted = self.wanted.hosts.iter().all(|host| facts.hosts.contains(host));
        is_wanted.then_some(facts)
    }

    /// Looks at the clock now and then until it is time; false if it was set back, so that what is due must be found out anew.
    async fn until(&self, due: Timestamp, mut before: Timestamp) -> bool {
        while before < due {
            tokio::time::sleep(self.shared.settings.certificate_check_interval.0).await;
            let now = self.shared.clock.now();
            if now < before {
                return false;
            }
            before = now;
        }
        true
    }

    async fn attempt(&self, attempts: &mut Attempts) {
        let (shared, name) = (&self.shared, &self.wanted.name);
        tracing::info!(
            certificate = name,
            hosts = self.wanted.hosts.join(" "),
            directory = self.wanted.config.directory,
            "a certificate is ordered"
        );
        let settings = &shared.settings;
        let client = Client::new(
            self.wanted.config.ca.as_deref(),
            &settings.acme_ca_file,
            settings.acme_request_timeout.0,
        );
        let (asked, ordered) = match client {
            Ok(client) => {
                let ordered = tokio::time::timeout(settings.acme_order_timeout.0, self.order(&client)).await;
                (client.asked(), ordered.unwrap_or(Err(OrderError::Timeout)))
            }
            Err(error) => (None, Err(error.into())),
        };
        let now = shared.clock.now();
        match ordered {
            Ok(()) => attempts.succeeded(now, settings),
            Err(error) => {
                tracing::error!(certificate = name, "an order failed; what there is stays: {error}");
                attempts.failed(now, error.to_string(), asked, settings, &*shared.random);
            }
        }
    }

    async fn order(&self, client: &Client) -> Result<(), OrderError> {
        let folder = &self.shared.acme.folder;
        folder.create().map_err(|source| OrderError::Folder {
            folder: folder.path().display().to_string(),
            source,
        })?;
        let pem = order(&self.shared, folder, &self.wanted, client).await?;
        keep_text(&folder.issued(&self.wanted.name, &self.wanted.config), &pem, FILE_MODE)?;
        let shared = Arc::clone(&self.shared);
        if let Err(error) = tokio::task::spawn_blocking(move || shared.tls.look_at_files()).await {
            tracing::error!(%error, "the files of certificates could not be looked at");
        }
        Ok(())
    }
}
