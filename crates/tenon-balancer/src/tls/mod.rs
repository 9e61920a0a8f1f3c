//! TLS from clients: certificates by host name, replaced while running, and clients' own certificates.
//!
//! [`Tls`] holds the configuration that new connections get. What can't be used (a broken certificate, a CA that is none)
//! leaves its last good version in force, is said once in the log and stays in the status; the rest takes effect.

mod certificate;
mod client;
mod facts;
mod files;
mod resolver;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use certificate::{CertificateFacts, CertificateFiles, CertificatePem, CertificateSource};
pub(crate) use client::ClientCertificate;

use crate::kinds::{TlsConfig, TlsVersion};
use crate::proxy::Shared;
use certificate::Loaded;
pub(crate) use certificate::{CertificateError, check_pair, facts_of, fingerprint};
use client::ClientCaError;
use files::Stamp;
use resolver::Resolver;

/// What the certificate is called that stands in where no other is for a host.
const DEFAULT: &str = "default";

/// What is in force for TLS from clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfiguration {
    /// Versions and clients' certificates.
    pub options: TlsConfig,
    /// The certificates that are shown, the preferred ones first.
    pub certificates: Vec<CertificateSource>,
}

/// How a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// What it is called.
    pub name: String,
    /// Whether it is shown to clients that ask for no host, or for one that no certificate is for.
    pub is_default: bool,
    /// What is shown to clients; nothing if there never was a good version.
    pub facts: Option<CertificateFacts>,
    /// Why the newest version is not used.
    pub error: Option<String>,
}

/// TLS as connections get it; shared by all threads.
#[derive(Debug)]
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    protocols: Vec<Vec<u8>>,
    /// Shown where no other certificate is for the host.
    default: Option<CertificateSource>,
    config: ArcSwapOption<ServerConfig>,
    status: ArcSwap<Vec<CertificateStatus>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    front: Option<Front>,
    front_error: Option<String>,
}

/// A certificate with what is known of it.
#[derive(Debug)]
struct Entry {
    source: CertificateSource,
    stamp: Option<Stamp>,
    good: Option<Loaded>,
    error: Option<String>,
}

/// What does not depend on certificates.
#[derive(Debug, Clone)]
struct Front {
    options: TlsConfig,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Made anew with the verifier: a ticket stands for a client that was verified when it was made.
    tickets: Arc<dyn ProducesTickets>,
}

/// What can keep TLS as a whole from being configured.
#[derive(Debug, thiserror::Error)]
enum FrontError {
    #[error(transparent)]
    Client(#[from] ClientCaError),
    #[error("TLS can't be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

impl Tls {
    /// Without a configuration: no handshake succeeds.
    pub(crate) fn new(http2: bool, default: Option<CertificateFiles>) -> Self {
        let names: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        Self {
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            protocols: names.iter().map(|name| name.to_vec()).collect(),
            default: default.map(|files| CertificateSource {
                name: DEFAULT.to_owned(),
                hosts: Vec::new(),
                is_default: false,
                pem: CertificatePem::Files(files),
            }),
            config: ArcSwapOption::empty(),
            status: ArcSwap::default(),
            state: Mutex::default(),
        }
    }

    /// What a new connection uses; `None` if there is nothing to show to clients.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.config.load_full()
    }

    /// How each certificate is.
    pub(crate) fn status(&self) -> Arc<Vec<CertificateStatus>> {
        self.status.load_full()
    }

    /// Takes a configuration into force, as far as it can be used. Reads files.
    pub(crate) fn apply(&self, wanted: &TlsConfiguration) {
        let mut state = self.lock();
        let mut before = std::mem::take(&mut state.entries);
        for source in self.sources(wanted) {
            let known = before.iter().position(|entry| entry.source.name == source.name);
            let mut entry = known.map_or_else(|| Entry::new(&source), |at| before.swap_remove(at));
            if entry.source != source || (entry.good.is_none() && entry.error.is_none()) {
                entry.stamp = Stamp::of(&source);
                entry.source = source;
                entry.load(&self.provider);
            }
            state.entries.push(entry);
        }
        if state.front.as_ref().is_none_or(|front| front.options != wanted.options) {
            match Front::new(&wanted.options, &self.provider) {
                Ok(front) => {
                    state.front = Some(front);
                    state.front_error = None;
                }
                Err(error) => {
                    let error = error.to_string();
                    if state.front_error.as_ref() != Some(&error) {
                        tracing::error!("the load balancer's TLS settings are not taken: {error}");
                    }
                    state.front_error = Some(error);
                }
            }
        }
        self.publish(&state);
    }

    /// Reads certificates whose files have changed.
    pub(crate) fn look_at_files(&self) {
        let mut state = self.lock();
        let mut changed = false;
        for entry in &mut state.entries {
            let stamp = Stamp::of(&entry.source);
            if stamp != entry.stamp {
                entry.stamp = stamp;
                entry.load(&self.provider);
                changed = true;
            }
        }
        if changed {
            self.publish(&state);
        }
    }

    /// The wanted certificates, and the one that stands in where none is the default.
    fn sources(&self, wanted: &TlsConfiguration) -> Vec<CertificateSource> {
        let mut sources = wanted.certificates.clone();
        if let Some(default) = &self.default {
            let is_default = !sources.iter().any(|source| source.is_default);
            sources.push(CertificateSource {
                is_default,
                ..default.clone()
            });
        }
        sources
    }

    fn publish(&self, state: &State) {
        let good = state
            .entries
            .iter()
            .filter_map(|entry| Some((entry.good.as_ref()?, entry.source.is_default)));
        let resolver = Resolver::new(good.clone());
        let status = state.entries.iter().map(Entry::status).collect();
        self.status.store(Arc::new(status));
        let config = match &state.front {
            Some(front) if good.count() > 0 => self.build(front, resolver),
            _ => None,
        };
        self.config.store(config.map(Arc::new));
    }

    fn build(&self, front: &Front, resolver: Resolver) -> Option<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(versions(front.options.min_version))
            // The front was made with the same versions, so it can't fail here.
            .ok()?;
        let verifier = front
            .verifier
            .clone()
            .unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let mut config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols.clone_from(&self.protocols);
        config.ticketer = Arc::clone(&front.tickets);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Some(config)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn versions(least: TlsVersion) -> &'static [&'static rustls::SupportedProtocolVersion] {
    match least {
        TlsVersion::V12 => rustls::ALL_VERSIONS,
        TlsVersion::V13 => ONLY_13,
    }
}

const ONLY_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl Front {
    fn new(options: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Self, FrontError> {
        ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions(options.min_version))?;
        Ok(Self {
            verifier: client::verifier(options.client_certificates, options.client_ca.as_deref(), provider)?,
            tickets: rustls::crypto::ring::Ticketer::new()?,
            options: options.clone(),
        })
    }
}

impl Entry {
    fn new(source: &CertificateSource) -> Self {
        Self {
            source: source.clone(),
            stamp: None,
            good: None,
            error: None,
        }
    }

    fn load(&mut self, provider: &CryptoProvider) {
        match self.source.load(provider) {
            Ok(loaded) => {
                if self.good.as_ref().is_none_or(|good| good.facts != loaded.facts) {
                    tracing::info!(
                        certificate = self.source.name,
                        hosts = loaded.facts.hosts.join(" "),
                        fingerprint = loaded.facts.fingerprint,
                        "a certificate is in force",
                    );
                }
                self.good = Some(loaded);
                self.error = None;
            }
            Err(error @ CertificateError::NotIssued) => {
                tracing::info!(
                    certificate = self.source.name,
                    "a certificate is not there yet: {error}"
                );
                self.error = Some(error.to_string());
            }
            Err(error) => {
                let error = error.to_string();
                if self.error.as_ref() != Some(&error) {
                    let kept = if self.good.is_some() {
                        "; the earlier one stays"
                    } else {
                        ""
                    };
                    tracing::error!(
                        certificate = self.source.name,
                        "a certificate can't be used{kept}: {error}"
                    );
                }
                self.error = Some(error);
            }
        }
    }

    fn status(&self) -> CertificateStatus {
        CertificateStatus {
            name: self.source.name.clone(),
            is_default: self.source.is_default,
            facts: self.good.as_ref().map(|good| good.facts.clone()),
            error: self.error.clone(),
        }
    }
}

/// Looks at the files of certificates every now and then, until `stop`.
pub(crate) async fn follow_files(shared: &Arc<Shared>, stop: CancellationToken) {
    let interval = shared.settings.certificate_check_interval.0;
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        let shared = Arc::clone(shared);
        if let Err(error) = tokio::task::spawn_blocking(move || shared.tls.look_at_files()).await {
            tracing::error!(%error, "the files of certificates could not be looked at");
        }
    }
}
