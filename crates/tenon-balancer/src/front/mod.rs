//! A new connection, up to the point where it is known what it speaks: HTTP/1.1 or HTTP/2, with or without TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::counters::count;
use crate::proxy::{Connection, Peer, Worker};
use crate::shaping::Met;
use crate::tls::ClientCertificate;

/// By which listening socket a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    Http,
    Https,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    worker: Arc<Worker>,
    mut stream: TcpStream,
    (address, met): (SocketAddr, Met),
    entrance: Entrance,
    idle: Arc<AtomicBool>,
) {
    let Ok(received) = worker.shared.shaping.receive(met, &mut stream, address).await else {
        return;
    };
    let peer = Peer::new(received.client, received.trusted);
    let _arrival = received.arrival;
    match entrance {
        Entrance::Http => Connection::new(worker, stream, peer, idle).run().await,
        // A box of its own, so that connections without TLS need no room for it.
        Entrance::Https => Box::pin(serve_tls(worker, stream, peer, idle)).await,
    }
}

async fn serve_tls(worker: Arc<Worker>, stream: TcpStream, mut peer: Peer, idle: Arc<AtomicBool>) {
    let shared = Arc::clone(&worker.shared);
    let Some(stream) = handshake(&worker, stream, &peer).await else {
        return count(&worker.counters.tls_failures);
    };
    count(&worker.counters.tls_handshakes);
    let _open = Counted::new(&shared.tls_open);
    let (_, session) = stream.get_ref();
    peer.scheme = "https";
    peer.tls = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    peer.certificate = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(ClientCertificate::of);
    Connection::new(worker, stream, peer, idle).run().await;
}

async fn handshake(worker: &Worker, stream: TcpStream, peer: &Peer) -> Option<TlsStream<TcpStream>> {
    let config = worker.shared.tls.config()?;
    let timeout = worker.shared.settings.tls_handshake_timeout.0;
    let done = tokio::time::timeout(timeout, TlsAcceptor::from(config).accept(stream)).await;
    match done {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(peer = peer.address, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(peer = peer.address, "a TLS handshake took too long");
            None
        }
    }
}

/// Counts something while it lives.
pub(crate) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(crate) fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
