//! HTTP/2 from clients.
//!
//! Each stream is given to the rest of the load balancer as if it were a connection that carries one request of HTTP/1.1
//! ([`stream`]): the same strict reading of heads, the same rules, choice of server, retries, limits and log. What is
//! different is here: many streams on one connection, their flow control, and how such a connection ends.

mod head;
mod stream;
mod tally;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use h2::server::{self, SendResponse};
use h2::{Ping, PingPong, Reason, RecvStream};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::counters::count;
use crate::front::Counted;
use crate::proxy::{Connection, Deadline, Peer, Worker, linger};
use crate::settings::Settings;
use stream::Stream;
use tally::Tally;

/// How long what a client reset is remembered: frames of it may be under way.
const RESET_MEMORY: std::time::Duration = std::time::Duration::from_secs(1);

/// Serves a connection whose client speaks HTTP/2, to its end.
pub(crate) async fn serve<S>(worker: Arc<Worker>, mut io: S, mut peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let shared = Arc::clone(&worker.shared);
    let _open = Counted::new(&shared.http2_open);
    let settings = &shared.settings;
    peer.protocol = "HTTP/2";
    let handshake = builder(settings).handshake::<_, Bytes>(&mut io);
    let Ok(Ok(mut connection)) = tokio::time::timeout(shared.shaping.limits.head_timeout(), handshake).await else {
        return;
    };
    let idle_timeout = shared.shaping.limits.idle_timeout();
    let care = Care {
        deadline: Deadline::after(idle_timeout.min(settings.http2_ping_interval.0)),
        pings: connection.ping_pong(),
        asked: None,
        since: Instant::now(),
        is_late: worker.drains.is_cancelled(),
        told: false,
        calmed: false,
    };
    let tally = Arc::new(Tally::new(settings.http2_resets_max));
    let peer = Arc::new(peer);
    let mut serving = Serving {
        worker: &worker,
        care,
        tally: &tally,
    };
    let mut draining = pin!(worker.drains.cancelled());
    let mut drains = false;
    let mut streams = FuturesUnordered::new();
    poll_fn(|cx| {
        if !drains && draining.as_mut().poll(cx).is_ready() {
            drains = true;
            let due = Instant::now() + settings.drain_idle_timeout.0;
            serving.care.deadline.set(due);
            if !serving.care.is_late && !std::mem::replace(&mut serving.care.told, true) {
                connection.graceful_shutdown();
            }
        }
        // What streams did before is written by this, and what came is read.
        while let Poll::Ready(accepted) = connection.poll_accept(cx) {
            let Some(Ok((request, respond))) = accepted else {
                return Poll::Ready(());
            };
            streams.push(serve_stream(&worker, request, respond, &peer, &tally));
            if serving.care.is_late && !std::mem::replace(&mut serving.care.told, true) {
                connection.graceful_shutdown();
            }
        }
        // Whatever a stream wants to be written wakes the connection again.
        while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
        match serving.poll(cx) {
            Poll::Ready(End::Gently) => {
                connection.graceful_shutdown();
                cx.waker().wake_by_ref();
            }
            Poll::Ready(End::Calm) => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                cx.waker().wake_by_ref();
            }
            Poll::Ready(End::Now) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        Poll::Pending
    })
    .await;
    // What the client sends before it has heard of the end must not reset the connection: it could lose the goodbye, which is
    // what tells it that these requests were not looked at.
    drop((streams, connection));
    linger(&mut io).await;
}

fn builder(settings: &Settings) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(settings.http2_streams_max)
        .initial_window_size(settings.http2_stream_window_bytes)
        .initial_connection_window_size(settings.http2_connection_window_bytes)
        .max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(settings.http2_send_buffer_bytes as usize)
        .max_concurrent_reset_streams(settings.http2_resets_max)
        .max_pending_accept_reset_streams(settings.http2_resets_max)
        .max_local_error_reset_streams(Some(settings.http2_resets_max))
        .reset_stream_duration(RESET_MEMORY)
        .enable_connect_protocol();
    builder
}

/// Serves one stream to its end.
async fn serve_stream(
    worker: &Arc<Worker>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    peer: &Arc<Peer>,
    tally: &Arc<Tally>,
) {
    count(&worker.counters.http2_requests);
    let stream = Stream::new(request, respond, Arc::clone(tally), &*worker.shared.random);
    Connection::new(Arc::clone(worker), stream, Arc::clone(peer), tally.busy())
        .run()
        .await;
}

/// How a connection is to end.
enum End {
    /// It takes no new streams.
    Gently,
    /// Its client resets streams without measure.
    Calm,
    /// Its client is gone.
    Now,
}

/// When to look whether the client is still there, and when it has been idle for too long.
struct Care {
    deadline: Deadline,
    pings: Option<PingPong>,
    /// When the client was asked for a sign of life that it has not given yet.
    asked: Option<Instant>,
    /// Since when nothing is known of it.
    since: Instant,
    /// Whether it came when connections were already being ended: it is told so with its first request, not before it could ask.
    is_late: bool,
    /// Whether it was told that the connection ends.
    told: bool,
    /// Whether it was told that it resets too much.
    calmed: bool,
}

struct Serving<'a> {
    worker: &'a Worker,
    care: Care,
    tally: &'a Tally,
}

impl Serving<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let settings = &self.worker.shared.settings;
        let idle_timeout = if self.worker.drains.is_cancelled() {
            settings.drain_idle_timeout.0
        } else {
            self.worker.shared.shaping.limits.idle_timeout()
        };
        if self.tally.is_too_much() && !self.care.calmed {
            self.care.calmed = true;
            self.care.deadline.set(Instant::now() + settings.drain_idle_timeout.0);
            return Poll::Ready(End::Calm);
        }
        if self.care.asked.is_some()
            && let Some(pings) = &mut self.care.pings
            && pings.poll_pong(cx).is_ready()
        {
            self.care.asked = None;
            self.care.since = Instant::now();
            self.care.deadline.set(self.care.since + settings.http2_ping_interval.0);
        }
        loop {
            ready!(self.care.deadline.poll(cx));
            let now = Instant::now();
            if self.care.calmed {
                return Poll::Ready(End::Now);
            }
            let due = match (self.tally.idle_since(), self.care.asked) {
                (Some(since), _) if now >= since + idle_timeout => {
                    if std::mem::replace(&mut self.care.told, true) {
                        return Poll::Ready(End::Now);
                    }
                    self.care.deadline.set(now + settings.drain_idle_timeout.0);
                    return Poll::Ready(End::Gently);
                }
                (Some(since), _) => (since + idle_timeout).min(now + settings.http2_ping_interval.0),
                (None, Some(asked)) if now >= asked + settings.http2_ping_timeout.0 => return Poll::Ready(End::Now),
                (None, Some(asked)) => asked + settings.http2_ping_timeout.0,
                (None, None) => self.ask(now),
            };
            self.care.deadline.set(due);
        }
    }

    /// Asks a client that has streams open whether it is still there; gives when to look again.
    fn ask(&mut self, now: Instant) -> Instant {
        let settings = &self.worker.shared.settings;
        let due = self.care.since + settings.http2_ping_interval.0;
        if now < due {
            return due;
        }
        let sent = self.care.pings.as_mut().map(|pings| pings.send_ping(Ping::opaque()));
        if matches!(sent, Some(Ok(()))) {
            self.care.asked = Some(now);
            now + settings.http2_ping_timeout.0
        } else {
            now + settings.http2_ping_interval.0
        }
    }
}
