//! One request from choosing a server to its end, with as many attempts as are safe.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::answers::{Failure, Outcome};
use super::buffer::Buffer;
use super::client::ClientStream;
use super::connection::{Connection, Next, Served};
use super::endings::ended;
use super::pool::ServerConnection;
use super::relay::{Relay, RelayError, Relayed};
use super::stream::ServerStream;
use super::tunnel;
use super::upload::Upload;
use crate::codec::{Body, ChunkScan, Refusal, Request};
use crate::counters::count;
use crate::upstream::{InFlight, Pick, Upstream};

/// How the body of a request is sent.
#[derive(Debug, Clone, Copy)]
enum Sending {
    /// It is the first bytes of the client's buffer.
    Buffered(usize),
    /// It is passed on as it comes.
    Streaming,
}

/// What the attempts of one request share.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Servers that failed since the last wait.
    tried: Vec<u64>,
    pub(super) again: u32,
    wait_until: Option<Instant>,
    pub(super) last: Option<Arc<Upstream>>,
    /// When the last server was chosen.
    begun: Option<Instant>,
}

/// Why a body could not be made ready.
enum NotReady {
    Refused(Refusal),
    Gone,
}

impl<S: ClientStream> Connection<S> {
    /// Serves one request by a server.
    pub(super) async fn exchange(&mut self, request: &Request) -> Served {
        self.worker.budget.earn();
        let mut attempts = Attempts {
            tried: Vec::new(),
            again: 0,
            wait_until: None,
            last: None,
            begun: None,
        };
        let sending = match self.make_ready(request).await {
            Ok(sending) => sending,
            Err(NotReady::Refused(refusal)) => return self.answer_refusal(request, refusal, Some(&attempts)).await,
            Err(NotReady::Gone) => return self.cut(&attempts),
        };
        let mut server_buffer = self.worker.buffer();
        let served = self
            .attempt_all(request, sending, &mut attempts, &mut server_buffer)
            .await;
        self.worker.give_back(server_buffer);
        served
    }

    async fn attempt_all(
        &mut self,
        request: &Request,
        sending: Sending,
        attempts: &mut Attempts,
        server_buffer: &mut Buffer,
    ) -> Served {
        loop {
            let (connection, place) = match self.connect(request, attempts).await {
                Ok(connected) => connected,
                Err(failure) => return self.answer_failure(request, failure, Outcome::NotSent, attempts).await,
            };
            let (upstream, reused) = (Arc::clone(&connection.upstream), connection.reused);
            attempts.last = Some(Arc::clone(&upstream));
            let mut upload = match sending {
                Sending::Buffered(bytes) => Upload::buffered(bytes),
                Sending::Streaming => Upload::streaming(request.body, self.body_bytes_max()),
            };
            let (relayed, connection) = self
                .attempt(
                    request,
                    &mut upload,
                    connection,
                    (server_buffer, attempts.begun.unwrap_or_else(Instant::now)),
                )
                .await;
            drop(place);
            let error = match relayed {
                Ok(relayed) => return self.finish(relayed, sending, connection, attempts, server_buffer).await,
                Err(RelayError::Refused(refusal)) => {
                    return self.answer_refusal(request, refusal, Some(attempts)).await;
                }
                Err(RelayError::Cut) => return self.cut(attempts),
                Err(error) => error,
            };
            count(&upstream.failures);
            // A connection that had grown stale says nothing about its server.
            if !(reused && matches!(error, RelayError::Lost)) {
                let now = Instant::now().into_std();
                self.worker.shared.directory.failed(upstream.id, now);
            }
            server_buffer.clear();
            self.out.clear();
            let sent = upload.anything_sent();
            if !self.may_try_again(request, sending, sent, &error, attempts) {
                let (failure, outcome) = ended(sent, &error);
                return self.answer_failure(request, failure, outcome, attempts).await;
            }
            count(&self.worker.counters.retries);
            attempts.again += 1;
            // A connection that had grown stale says little about its server; a new one is made next.
            if matches!(error, RelayError::ServerDead) || (sent && !reused) {
                attempts.tried.push(upstream.id);
            }
            // Servers that die at the same time still take connections while they do, and would use all attempts up.
            if attempts.again > 1 {
                Box::pin(tokio::time::sleep(RETRY_PAUSE * (attempts.again - 1))).await;
            }
        }
    }

    fn may_try_again(
        &self,
        request: &Request,
        sending: Sending,
        sent: bool,
        error: &RelayError,
        attempts: &Attempts,
    ) -> bool {
        if attempts.again >= self.worker.shared.settings.retries_max {
            return false;
        }
        if !sent {
            return true;
        }
        let replayable = request.method.is_idempotent() && matches!(sending, Sending::Buffered(_));
        replayable && matches!(error, RelayError::Lost | RelayError::ServerDead) && self.worker.budget.spend()
    }

    async fn attempt(
        &mut self,
        request: &Request,
        upload: &mut Upload,
        mut connection: ServerConnection,
        (server_buffer, begun): (&mut Buffer, Instant),
    ) -> (Result<Relayed, RelayError>, ServerConnection) {
        let mut relay = Relay {
            client: &mut self.client,
            client_buffer: &mut self.buffer,
            server: &mut connection.stream,
            server_buffer,
            head: &self.head,
            out: &mut self.out,
            deadline: &mut self.deadline,
            settings: &self.worker.shared.settings,
            terms: self.terms.as_deref(),
            head_timeout: self
                .terms
                .as_ref()
                .and_then(|terms| terms.request_timeout)
                .unwrap_or_else(|| self.worker.shared.shaping.limits.response_head_timeout()),
            request: *request,
            begun,
            closing: self.worker.is_closing(),
        };
        let relayed = relay.run(upload, &connection.upstream).await;
        (relayed, connection)
    }

    async fn finish(
        &mut self,
        relayed: Relayed,
        sending: Sending,
        mut connection: ServerConnection,
        attempts: &Attempts,
        server_buffer: &mut Buffer,
    ) -> Served {
        let worker = Arc::clone(&self.worker);
        let settings = &worker.shared.settings;
        if let Sending::Buffered(bytes) = sending {
            self.buffer.consume(bytes);
        }
        connection.upstream.answered(relayed.status, relayed.head_micros);
        let served = |next| Served {
            status: relayed.status,
            bytes: relayed.bytes,
            server: Some(Arc::clone(&connection.upstream)),
            server_micros: Some(relayed.head_micros),
            retries: attempts.again,
            next,
            at: Instant::now(),
        };
        if relayed.upgraded {
            let server = (&mut connection.stream, server_buffer);
            Box::pin(self.tunnel(server, &connection.upstream)).await;
            return served(Next::Close);
        }
        let served = served(match relayed {
            Relayed {
                client_reusable: true, ..
            } => Next::Keep,
            Relayed { upload_cut: true, .. } => Next::Linger,
            _ => Next::Close,
        });
        if relayed.server_reusable {
            worker.pool().put(connection, settings.server_idle_max, served.at);
        }
        served
    }

    /// Carries the bytes of an upgraded connection to its end.
    async fn tunnel(&mut self, server: (&mut ServerStream, &mut Buffer), upstream: &Upstream) {
        count(&self.worker.counters.upgrades);
        let settings = &self.worker.shared.settings;
        self.buffer.reserve(settings.relay_buffer_bytes);
        let client = (&mut self.client, &mut self.buffer);
        let tunnel = tunnel::run(client, server, &mut self.deadline, settings.tunnel_idle_timeout.0);
        tokio::select! {
            () = tunnel => {}
            () = upstream.expelled.notified() => {}
        }
    }

    /// Reads a body that is small enough to be kept, or decides to pass it on as it comes.
    async fn make_ready(&mut self, request: &Request) -> Result<Sending, NotReady> {
        let worker = Arc::clone(&self.worker);
        let settings = &worker.shared.settings;
        match request.body {
            Body::None => Ok(Sending::Buffered(0)),
            Body::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if self.buffer.len() < length {
                    if length > settings.replay_bytes_max || request.expects {
                        self.buffer.reserve(settings.relay_buffer_bytes);
                        return Ok(Sending::Streaming);
                    }
                    self.buffer.reserve(length);
                    self.read_body(length).await?;
                }
                Ok(Sending::Buffered(length))
            }
            Body::Chunked => {
                let mut scan = ChunkScan::new();
                let fed = scan.feed(self.buffer.filled(), |_| {}).map_err(NotReady::Refused)?;
                if scan.payload() > self.body_bytes_max() {
                    return Err(NotReady::Refused(Refusal::BodyTooLarge));
                }
                if scan.is_done() {
                    return Ok(Sending::Buffered(fed.consumed));
                }
                self.buffer.reserve(settings.relay_buffer_bytes);
                Ok(Sending::Streaming)
            }
        }
    }

    async fn read_body(&mut self, length: usize) -> Result<(), NotReady> {
        let worker = Arc::clone(&self.worker);
        let settings = &worker.shared.settings;
        let started = Instant::now();
        let mut received = 0_u64;
        while self.buffer.len() < length {
            let earned = Duration::from_millis(received.saturating_mul(1000) / settings.body_rate_min_bytes.max(1));
            let due = started + settings.body_grace.0 + earned;
            self.deadline
                .set(due.min(Instant::now() + settings.client_stall_timeout.0));
            match self.fill().await {
                None => return Err(NotReady::Refused(Refusal::TooSlow)),
                Some(0) => return Err(NotReady::Gone),
                Some(count) => received += count as u64,
            }
        }
        Ok(())
    }

    /// A connection to a server that was not tried yet; waits for one if there is none.
    async fn connect(
        &self,
        request: &Request,
        attempts: &mut Attempts,
    ) -> Result<(ServerConnection, InFlight), Failure> {
        let settings = &self.worker.shared.settings;
        let careful = !request.method.is_idempotent();
        loop {
            let place = match self.worker.pick(&attempts.tried) {
                Pick::Server(place) => place,
                Pick::Full => match self.worker.wait_for_room(&attempts.tried).await? {
                    Some(place) => place,
                    None => continue,
                },
                Pick::Nobody => {
                    self.wait_for_server(attempts).await?;
                    continue;
                }
            };
            let upstream = Arc::clone(place.upstream());
            let begun = Instant::now();
            attempts.begun = Some(begun);
            // After a failure only a new connection shows whether the server is there.
            if attempts.again == 0 {
                let pooled = self.worker.pool().take(&upstream, careful, begun);
                if let Some(connection) = pooled {
                    return Ok((connection, place));
                }
            }
            count(&self.worker.counters.connects);
            let tls = self.worker.shared.server_tls.as_ref();
            // A box of its own: few requests need a new connection, and TLS takes much room.
            let connecting = ServerStream::connect(&upstream.endpoint, tls, settings.connect_timeout.0);
            match Box::pin(connecting).await {
                Ok(stream) => {
                    let connection = ServerConnection {
                        stream,
                        upstream,
                        reused: false,
                    };
                    return Ok((connection, place));
                }
                Err(error) => {
                    tracing::debug!(server = %upstream.name, %error, "connecting to a server failed");
                    count(&upstream.failures);
                    attempts.tried.push(upstream.id);
                    let (directory, now) = (&self.worker.shared.directory, Instant::now().into_std());
                    directory.failed(upstream.id, now);
                    if is_refusal(&error) {
                        directory.refused(upstream.id, now);
                    }
                }
            }
        }
    }

    /// Waits until something changes about the servers; an error once that has taken too long in all.
    async fn wait_for_server(&self, attempts: &mut Attempts) -> Result<(), Failure> {
        let worker = &self.worker;
        let settings = &worker.shared.settings;
        let until = *attempts
            .wait_until
            .get_or_insert_with(|| Instant::now() + settings.wait_timeout.0);
        if worker.waiting.load(Ordering::Relaxed) >= settings.waiting_max {
            return Err(Failure::QueueFull);
        }
        let mut changes = worker.shared.directory.changes();
        // A server that failed may have come back in the meantime.
        attempts.tried.clear();
        worker.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&worker.waiting);
        let due = if worker.shared.directory.table().has_any() {
            until.min(Instant::now() + RETRY_PAUSE)
        } else {
            until
        };
        // Either a change came or time is up; both are looked at by the caller.
        let _ = tokio::time::timeout_at(due, changes.changed()).await;
        drop(waiting);
        if Instant::now() >= until {
            Err(Failure::NoServer)
        } else {
            Ok(())
        }
    }
}

/// Between two attempts when servers seem alive but none could be reached, or after two that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Counts a waiting request while it lives.
struct Waiting<'a>(&'a std::sync::atomic::AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether nobody listens there, rather than being busy.
fn is_refusal(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::ConnectionReset
    )
}
