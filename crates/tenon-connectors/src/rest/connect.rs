//! From an origin to a byte stream: name look-up, TCP, TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::Origin;
use crate::connector::ConnectorError;
use crate::tls;

/// Makes connections to one origin.
pub(super) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Dialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dialer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Dialer {
    /// A dialer that trusts the certificate authorities of `ca_file`, or anybody if the check is switched off.
    pub(super) fn new(origin: &Origin, ca_file: &Path, is_verified: bool) -> Result<Self, ConnectorError> {
        let tls = if origin.is_tls {
            let mut config = tls::client_config(ca_file, is_verified)?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let name = ServerName::try_from(origin.host.clone()).map_err(|_| {
                ConnectorError::Environment(format!("'{}' can't be the name of a TLS server", origin.host))
            })?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        Ok(Self {
            host: origin.host.clone(),
            port: origin.port,
            tls,
        })
    }

    /// Connects. The error is a sentence.
    pub(super) async fn dial(&self, by: Instant) -> Result<TokioIo<Stream>, String> {
        let (host, port) = (&self.host, self.port);
        let addresses = timeout_at(by, tokio::net::lookup_host((host.as_str(), port)))
            .await
            .map_err(|_| format!("the name '{host}' was not resolved in time"))?
            .map_err(|error| format!("the name '{host}' can't be resolved: {error}"))?;
        let stream = connect_any(&addresses.collect::<Vec<_>>(), by)
            .await
            .map_err(|error| format!("{host}:{port} can't be reached: {error}"))?;
        let Some((connector, name)) = &self.tls else {
            return Ok(TokioIo::new(Stream::Plain(stream)));
        };
        timeout_at(by, connector.connect(name.clone(), stream))
            .await
            .map_err(|_| format!("{host}:{port} did not finish the TLS handshake in time"))?
            .map(|stream| TokioIo::new(Stream::Tls(Box::new(stream))))
            .map_err(|error| format!("TLS with {host}:{port} failed: {error}"))
    }
}

/// Tries one address after the other; each gets its share of the time, so that a silent one does not take it all.
async fn connect_any(addresses: &[SocketAddr], by: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (index, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let share = Instant::now() + by.saturating_duration_since(Instant::now()) / left;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        }
    }
    Err(last)
}

/// A connection, with or without TLS.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
