//! Mutual TLS of the data plane, between a load balancer on one host and a server on another.

use std::io;
use std::sync::Arc;

use rustls::{ClientConfig, ServerConfig};
use tenon_model::Role;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::identity::{Identity, IdentityError, role_of};

/// How a TLS connection begins; no HTTP request begins so.
const HANDSHAKE: u8 = 0x16;

/// Takes in load balancers of the cluster that come from other hosts.
#[derive(Clone)]
pub struct DataAcceptor(TlsAcceptor);

impl std::fmt::Debug for DataAcceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataAcceptor")
    }
}

impl DataAcceptor {
    /// Whether a connection that sent this byte first is one for [`DataAcceptor::accept`].
    pub fn is_for(first: u8) -> bool {
        first == HANDSHAKE
    }

    /// The handshake. Fails for anybody but a load balancer of the cluster.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>> {
        let stream = self.0.accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        match certificates.and_then(|chain| chain.first()).and_then(role_of) {
            Some(Role::LoadBalancer) => Ok(stream),
            _ => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "only load balancers of the cluster send requests over TLS",
            )),
        }
    }
}

impl Identity {
    /// The server's side, by the server's identity.
    pub fn data_acceptor(&self) -> Result<DataAcceptor, IdentityError> {
        let mut config: ServerConfig = self.strict_server_config()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A connection on which nothing was asked stays silent, so that a load balancer can tell that it is still good.
        config.send_tls13_tickets = 0;
        Ok(DataAcceptor(TlsAcceptor::from(Arc::new(config))))
    }

    /// The load balancer's side, by the load balancer's identity.
    pub fn data_client_config(&self) -> Result<Arc<ClientConfig>, IdentityError> {
        let mut config = self.client_config()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
