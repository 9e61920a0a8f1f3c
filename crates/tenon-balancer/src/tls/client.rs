//! Certificates that clients show.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::certificate::fingerprint;
use super::facts::Facts;
use crate::kinds::ClientCertificates;

/// Why the certificates of clients can't be verified.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientCaError {
    #[error("there is no CA by which the certificates of clients could be verified")]
    Missing,
    #[error("the CA for the certificates of clients is not PEM that can be read")]
    Unreadable,
    #[error("the CA for the certificates of clients can't be used: {0}")]
    Unusable(String),
}

/// What decides on clients' certificates, or `None` if none are asked for.
pub(super) fn verifier(
    wanted: ClientCertificates,
    ca: Option<&str>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, ClientCaError> {
    if wanted == ClientCertificates::None {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.ok_or(ClientCaError::Missing)?.as_bytes()) {
        let certificate = certificate.map_err(|_| ClientCaError::Unreadable)?;
        roots
            .add(certificate)
            .map_err(|error| ClientCaError::Unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(ClientCaError::Unreadable);
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match wanted {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        _ => builder,
    };
    let verifier = builder
        .build()
        .map_err(|error| ClientCaError::Unusable(error.to_string()))?;
    Ok(Some(verifier))
}

/// The verified certificate of a client, as servers are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// SHA-256 in hexadecimal.
    pub(crate) fingerprint: String,
    /// Its distinguished name as RFC 4514 writes it, in printable ASCII.
    pub(crate) subject: String,
}

impl ClientCertificate {
    /// What is told of a certificate that was verified.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self {
            fingerprint: fingerprint(certificate),
            // One that was verified can be read; without a subject, the fingerprint alone decides.
            subject: Facts::of(certificate).map(|facts| facts.subject).unwrap_or_default(),
        }
    }
}
