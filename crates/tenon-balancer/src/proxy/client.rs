//! What a client's connection must be able to do, beyond carrying bytes.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The client's side of an exchange.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Whether its orderly end is told apart from its breaking off by more than being closed.
    const SAYS_GOODBYE: bool;

    /// Whether it carries one request only.
    const CARRIES_ONE: bool = false;

    /// Ready once the client has given up on what it asked for, as far as that can be seen without reading.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl ClientStream for TcpStream {
    const SAYS_GOODBYE: bool = false;
}

// In a box: it is large, and connections are moved about.
impl ClientStream for Box<TlsStream<TcpStream>> {
    const SAYS_GOODBYE: bool = true;
}
