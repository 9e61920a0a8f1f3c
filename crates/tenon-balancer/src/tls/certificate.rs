//! One certificate with its key: where it comes from, and what it is once it was read and found to be usable.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use tenon_model::Timestamp;

use super::facts::Facts;
use crate::kinds::CertificateConfig;

/// Files of this size hold no certificate.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A certificate that the load balancer is to show, and for which hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSource {
    /// What it is called in the log and in the status.
    pub name: String,
    /// The host names, exact or `*.example.com`; empty: those that the certificate itself names.
    pub hosts: Vec<String>,
    /// Whether it is shown to clients that ask for no host, or for one that no certificate is for.
    pub is_default: bool,
    /// Where it is.
    pub pem: CertificatePem,
}

/// Where a certificate and its key are.
#[derive(Clone, PartialEq, Eq)]
pub enum CertificatePem {
    /// Here.
    Inline {
        /// The chain as PEM, the host's own certificate first.
        certificate: String,
        /// The key as PEM.
        private_key: String,
    },
    /// In files that are read again when they change.
    Files(CertificateFiles),
    /// In a file with both that is there once an authority has issued it, and is read again when it changes.
    Issued(PathBuf),
}

/// The files of a certificate and of its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the host's own certificate first.
    pub certificate: PathBuf,
    /// The key.
    pub private_key: PathBuf,
}

impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline { .. } => f.write_str("Inline"),
            Self::Files(files) => files.fmt(f),
            Self::Issued(path) => f.debug_tuple("Issued").field(path).finish(),
        }
    }
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// Nothing is wrong yet.
    #[error("no authority has issued it yet")]
    NotIssued,
    /// A file of it.
    #[error("{path} can't be read: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the certificate is not PEM that can be read")]
    Certificate,
    #[error("the private key is not PEM that can be read")]
    Key,
    /// The key is of a sort that can't be used, or does not belong to the certificate.
    #[error("the private key can't be used with the certificate: {0}")]
    Pair(#[source] rustls::Error),
    /// No host is named, neither by the certificate nor beside it.
    #[error("the certificate names no hosts, so they must be given")]
    NoHosts,
}

/// What is told of a certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFacts {
    /// For which hosts it is shown.
    pub hosts: Vec<String>,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

/// A certificate that can be used.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) facts: CertificateFacts,
    pub(super) key: Arc<CertifiedKey>,
}

impl CertificateSource {
    /// The source that an object describes; `None` if it says nowhere. `issued` is where it is if an authority issues it.
    pub fn of(name: &str, config: &CertificateConfig, issued: Option<PathBuf>) -> Option<Self> {
        let pem = match (&config.certificate, &config.private_key, issued) {
            (_, _, Some(path)) => CertificatePem::Issued(path),
            (Some(certificate), Some(key), None) => CertificatePem::Inline {
                certificate: certificate.clone(),
                private_key: key.reveal().to_owned(),
            },
            _ => CertificatePem::Files(CertificateFiles {
                certificate: config.certificate_file.as_ref()?.into(),
                private_key: config.private_key_file.as_ref()?.into(),
            }),
        };
        Some(Self {
            name: name.to_owned(),
            hosts: config.hosts.clone(),
            is_default: config.is_default,
            pem,
        })
    }

    /// Reads it.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Loaded, CertificateError> {
        match &self.pem {
            CertificatePem::Inline {
                certificate,
                private_key,
            } => load(
                certificate.as_bytes(),
                private_key.as_bytes(),
                &self.hosts,
                self.is_default,
                provider,
            ),
            CertificatePem::Files(files) => {
                let (certificate, key) = (read(&files.certificate)?, read(&files.private_key)?);
                load(&certificate, &key, &self.hosts, self.is_default, provider)
            }
            CertificatePem::Issued(path) => {
                let both = read(path).map_err(|error| match error {
                    CertificateError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                        CertificateError::NotIssued
                    }
                    other => other,
                })?;
                // It is shown for what it is for: its hosts may have been changed since it was issued.
                load(&both, &both, &[], self.is_default, provider)
            }
        }
    }
}

/// Finds out whether a certificate and its key, both PEM, can be used.
pub(crate) fn check_pair(certificate: &str, private_key: &str) -> Result<(), CertificateError> {
    let provider = rustls::crypto::ring::default_provider();
    load(certificate.as_bytes(), private_key.as_bytes(), &[], false, &provider).map(drop)
}

/// What the first certificate of a PEM text says of itself; none if there is none that can be read.
pub(crate) fn facts_of(pem: &[u8]) -> Option<CertificateFacts> {
    let leaf = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let facts = Facts::of(&leaf).ok()?;
    Some(CertificateFacts {
        hosts: facts.names,
        not_before: facts.not_before,
        not_after: facts.not_after,
        fingerprint: fingerprint(&leaf),
    })
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |source| CertificateError::File {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(path).map_err(failed)
}

fn load(
    certificate: &[u8],
    private_key: &[u8],
    hosts: &[String],
    hostless: bool,
    provider: &CryptoProvider,
) -> Result<Loaded, CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, pem::Error>>()
        .map_err(|_| CertificateError::Certificate)?;
    let leaf = chain.first().ok_or(CertificateError::Certificate)?;
    let facts = Facts::of(leaf).map_err(|_| CertificateError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|_| CertificateError::Key)?;
    let hosts = if hosts.is_empty() {
        facts.names
    } else {
        hosts.iter().map(|host| host.to_ascii_lowercase()).collect()
    };
    if hosts.is_empty() && !hostless {
        return Err(CertificateError::NoHosts);
    }
    let fingerprint = fingerprint(leaf);
    let key = CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Pair)?;
    Ok(Loaded {
        facts: CertificateFacts {
            hosts,
            not_before: facts.not_before,
            not_after: facts.not_after,
            fingerprint,
        },
        key: Arc::new(key),
    })
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn fingerprint(certificate: &[u8]) -> String {
    use fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
