//! A new connection, up to the point where it is known what it speaks: HTTP/1.1 or HTTP/2, with or without TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::counters::count;
use crate::http2;
use crate::proxy::{Connection, Open, Peer, Worker};
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
    open: Open,
    mut stream: TcpStream,
    (address, met): (SocketAddr, Met),
    entrance: Entrance,
    idle: Arc<AtomicBool>,
) {
    let worker = Arc::clone(&open.0);
    let Ok(received) = worker.shared.shaping.receive(met, &mut stream, address).await else {
        return;
    };
    let peer = Peer::new(received.client, received.trusted);
    let _arrival = received.arrival;
    // Boxes of their own, so that a connection has room for what it speaks only.
    match entrance {
        Entrance::Http if worker.shared.settings.http2_cleartext && Box::pin(begins_http2(&worker, &stream)).await => {
            let shared = Arc::clone(&worker.shared);
            let _open = Counted::new(&shared.h2_open);
            Box::pin(http2::serve(worker, stream, peer)).await;
        }
        Entrance::Http => Box::pin(Connection::new(worker, stream, Arc::new(peer), idle).run()).await,
        Entrance::Https => Box::pin(serve_tls(worker, stream, peer, idle)).await,
    }
}

async fn serve_tls(worker: Arc<Worker>, stream: TcpStream, mut peer: Peer, idle: Arc<AtomicBool>) {
    let shared = Arc::clone(&worker.shared);
    let Some(stream) = Box::pin(handshake(&worker, stream, &peer)).await else {
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
    if session.alpn_protocol() == Some(b"h2") {
        let _open = Counted::new(&shared.h2_open);
        Box::pin(http2::serve(worker, stream, peer)).await;
    } else {
        Box::pin(Connection::new(worker, stream, Arc::new(peer), idle).run()).await;
    }
}

async fn handshake(worker: &Worker, stream: TcpStream, peer: &Peer) -> Option<Box<TlsStream<TcpStream>>> {
    let config = worker.shared.tls.config()?;
    let timeout = worker.shared.settings.tls_handshake_timeout.0;
    let done = tokio::time::timeout(timeout, TlsAcceptor::from(config).accept(stream)).await;
    match done {
        Ok(Ok(stream)) => Some(Box::new(stream)),
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

/// What a client sends first that knows that HTTP/2 is spoken here (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A pause until more of a preface may have come.
const PEEK_PAUSE: Duration = Duration::from_millis(5);

/// Looks at the first bytes of a connection without taking them.
async fn begins_http2(worker: &Worker, stream: &TcpStream) -> bool {
    let peeking = async {
        let mut start = [0; PREFACE.len()];
        loop {
            match stream.peek(&mut start).await {
                Ok(count) if count > 0 && start[..count] == PREFACE[..count] => {
                    if count == PREFACE.len() {
                        return true;
                    }
                }
                _ => return false,
            }
            tokio::time::sleep(PEEK_PAUSE).await;
        }
    };
    let timeout = worker.shared.settings.head_timeout.0;
    tokio::time::timeout(timeout, peeking).await.unwrap_or(false)
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
