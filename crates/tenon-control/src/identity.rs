//! Who a component is: its certificate of the cluster's CA, and how it knows others by theirs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientCertVerifierBuilder, ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tenon_model::Role;

/// The name that a certificate has for a role or for a component: `server` → `server.tenon.internal`.
pub fn dns_name(role_or_component: &str) -> String {
    format!("{role_or_component}.tenon.internal")
}

/// Why an identity could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file can't be read or holds no PEM of the right sort.
    #[error("cannot read {what} from {path}; create the environment anew or restore the file")]
    Read {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The files do not fit together.
    #[error("the certificate in {path} cannot be used")]
    Use {
        /// The certificate's file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A component's certificate and key, and the CA that it trusts.
///
/// The files are read again by [`Identity::reload`]; connections made after that use what they hold then.
#[derive(Clone)]
pub struct Identity {
    files: Arc<Files>,
    roots: Arc<RootCertStore>,
    current: Arc<Current>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate in force, shared with every TLS configuration made from the identity.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl Identity {
    /// Loads the identity of a component: `ca.pem` of the CA's folder, `cert.pem` and `key.pem` of the component's.
    pub fn load(ca_file: &Path, component_folder: &Path) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let files = Files {
            certificate: component_folder.join("cert.pem"),
            key: component_folder.join("key.pem"),
        };
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(ca_file)? {
            roots.add(certificate).map_err(|error| IdentityError::Use {
                path: ca_file.to_owned(),
                source: Box::new(error),
            })?;
        }
        let current = files.certified_key(&provider)?;
        Ok(Self {
            files: Arc::new(files),
            roots: Arc::new(roots),
            current: Arc::new(Current(ArcSwap::from_pointee(current))),
            provider,
        })
    }

    /// Reads the certificate and the key again.
    pub fn reload(&self) -> Result<(), IdentityError> {
        let renewed = self.files.certified_key(&self.provider)?;
        self.current.0.store(Arc::new(renewed));
        Ok(())
    }

    /// TLS for a control address: HTTP/2 or 1.1, a certificate asked for but not demanded (health paths need none).
    pub(crate) fn server_config(&self) -> Result<ServerConfig, IdentityError> {
        let mut config = self.server_config_with(ClientCertVerifierBuilder::allow_unauthenticated)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS for those only who have a certificate of the cluster.
    pub(crate) fn strict_server_config(&self) -> Result<ServerConfig, IdentityError> {
        self.server_config_with(|verifier| verifier)
    }

    fn server_config_with(
        &self,
        clients: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
    ) -> Result<ServerConfig, IdentityError> {
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| IdentityError::Use {
            path: self.files.certificate.clone(),
            source,
        };
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), Arc::clone(&self.provider));
        let verifier = clients(verifier).build().map_err(|error| wrong(Box::new(error)))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.current) as _;
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(Box::new(error)))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        Ok(config)
    }

    /// TLS for calling a control address.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, IdentityError> {
        let resolver: Arc<dyn ResolvesClientCert> = Arc::clone(&self.current) as _;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| IdentityError::Use {
                path: self.files.certificate.clone(),
                source: Box::new(error),
            })?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.files.certificate)
            .finish_non_exhaustive()
    }
}

impl Files {
    fn certified_key(&self, provider: &CryptoProvider) -> Result<CertifiedKey, IdentityError> {
        let chain = read_certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|source| IdentityError::Read {
            what: "a private key",
            path: self.key.clone(),
            source,
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| IdentityError::Use {
            path: self.certificate.clone(),
            source: Box::new(error),
        })
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let wrong = |source| IdentityError::Read {
        what: "a certificate",
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    if certificates.is_empty() {
        return Err(wrong(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

/// The role that a verified certificate of the cluster's CA names; none for one without a role.
pub(crate) fn role_of(certificate: &CertificateDer<'_>) -> Option<Role> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    Role::ALL.into_iter().find(|role| {
        ServerName::try_from(dns_name(role.as_str()))
            .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
    })
}
