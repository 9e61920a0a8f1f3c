//! Clients that speak TLS, and certificates for them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::Cluster;

/// A certificate with its key, as PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pem {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Pem {
    /// A self-signed one.
    pub(crate) fn of(hosts: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let certificate = CertificateParams::new(hosts).unwrap().self_signed(&key).unwrap();
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// Writes both files, each in one step.
    pub(crate) fn write(&self, directory: &Path) {
        for (name, text) in [("key.pem", &self.key), ("cert.pem", &self.certificate)] {
            let beside = directory.join("new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(&beside, directory.join(name)).unwrap();
        }
    }
}

/// Signs certificates of clients.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// A certificate of a server on this host or address.
    pub(crate) fn sign_host(&self, host: &str) -> Pem {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        Pem {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn sign(&self, name: &str) -> Pem {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Example, Ltd.");
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Pem {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// How a client of TLS connects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dial {
    pub(crate) protocols: &'static [&'static str],
    pub(crate) own: Option<Pem>,
}

impl Dial {
    pub(crate) fn protocols(protocols: &'static [&'static str]) -> Self {
        Self { protocols, own: None }
    }

    pub(crate) fn with(own: Pem) -> Self {
        Self {
            own: Some(own),
            ..Self::default()
        }
    }

    /// The configuration of a client that trusts these certificates.
    pub(crate) fn config(&self, trusted: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate.clone()).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.own {
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![own.der()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A connection over TLS to the load balancer, which must show one of these certificates.
pub(crate) async fn connect(
    cluster: &Cluster,
    host: &str,
    trusted: &[CertificateDer<'static>],
    dial: &Dial,
) -> io::Result<TlsStream<TcpStream>> {
    connect_with(cluster, host, dial.config(trusted)).await
}

pub(crate) async fn connect_with(
    cluster: &Cluster,
    host: &str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    connect_to(cluster.tls_address, host, config).await
}

/// The same to any server.
pub(crate) async fn connect_to(
    address: SocketAddr,
    host: &str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// Sends one request that asks to close, and reads the whole answer; an error if it breaks off.
pub(crate) async fn ask(mut stream: TlsStream<TcpStream>, path: &str) -> io::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let request = format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
