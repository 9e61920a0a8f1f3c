//! A connection to a server, over either kind of socket.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::upstream::Endpoint;

/// Who the load balancer is to servers on other hosts.
#[derive(Debug, Clone)]
pub(crate) struct ServerTls(pub(crate) Arc<ClientConfig>);

/// A stream to a server.
#[derive(Debug)]
pub(crate) enum ServerStream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ServerStream {
    /// Connects; `tls` is who we are to servers on other hosts.
    pub(crate) async fn connect(endpoint: &Endpoint, tls: Option<&ServerTls>, timeout: Duration) -> io::Result<Self> {
        let connecting = async {
            match endpoint {
                Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
                Endpoint::Tcp(address) => connect_tcp(address).await.map(Self::Tcp),
                Endpoint::Tls { address, name } => {
                    let tls =
                        tls.ok_or_else(|| io::Error::other("there is no certificate for servers on other hosts"))?;
                    let name = ServerName::try_from(name.clone()).map_err(io::Error::other)?;
                    let stream = TlsConnector::from(Arc::clone(&tls.0))
                        .connect(name, connect_tcp(address).await?)
                        .await?;
                    Ok(Self::Tls(Box::new(stream)))
                }
            }
        };
        tokio::time::timeout(timeout, connecting)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Whether nothing came and nobody hung up, as far as the runtime knows. Costs no system call if all is well.
    pub(crate) fn seems_quiet(&self) -> bool {
        let mut byte = [0_u8; 1];
        let tried = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
            // Servers send nothing unasked, not even a ticket; so what comes is the end.
            Self::Tls(stream) => stream.get_ref().0.try_read(&mut byte),
        };
        matches!(tried, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same, asked of the kernel.
    pub(crate) fn is_quiet(&self) -> bool {
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        let mut byte = [0_u8; 1];
        matches!(
            rustix::net::recv(self.fd(), &mut byte, flags),
            Err(rustix::io::Errno::AGAIN)
        )
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

async fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl AsyncRead for ServerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => {
                // What was written and found no room in the socket goes now: who waits for an answer has sent its request.
                if let Poll::Ready(flushed) = Pin::new(&mut *stream).poll_flush(cx) {
                    flushed?;
                }
                Pin::new(stream).poll_read(cx, buffer)
            }
        }
    }
}

impl AsyncWrite for ServerStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
