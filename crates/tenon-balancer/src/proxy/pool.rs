//! Connections to servers that wait for their next request; one pool per thread.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::stream::ServerStream;
use crate::upstream::Upstream;

/// A connection to a server.
#[derive(Debug)]
pub(crate) struct ServerConnection {
    pub(crate) stream: ServerStream,
    pub(crate) upstream: Arc<Upstream>,
    /// Whether it carried a request before, so that it may have grown stale.
    pub(crate) reused: bool,
}

#[derive(Debug)]
struct Idle {
    stream: ServerStream,
    since: Instant,
}

/// Idle connections by server.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    servers: Vec<(u64, Vec<Idle>)>,
}

/// A connection that was idle for longer is asked of the kernel before it is used again.
const TRUSTED_QUIET: Duration = Duration::from_secs(1);

impl Pool {
    /// The connection used last, if it is still good. `careful` is for requests that must not be lost.
    pub(crate) fn take(&mut self, upstream: &Arc<Upstream>, careful: bool, now: Instant) -> Option<ServerConnection> {
        let (_, idle) = self.servers.iter_mut().find(|(id, _)| *id == upstream.id)?;
        while let Some(Idle { stream, since }) = idle.pop() {
            let ask_kernel = careful || now.saturating_duration_since(since) > TRUSTED_QUIET;
            if stream.seems_quiet() && (!ask_kernel || stream.is_quiet()) {
                return Some(ServerConnection {
                    stream,
                    upstream: Arc::clone(upstream),
                    reused: true,
                });
            }
        }
        None
    }

    /// Keeps a connection for its next request.
    pub(crate) fn put(&mut self, connection: ServerConnection, idle_max: usize, now: Instant) {
        let id = connection.upstream.id;
        let index = self
            .servers
            .iter()
            .position(|(known, _)| *known == id)
            .unwrap_or_else(|| {
                self.servers.push((id, Vec::new()));
                self.servers.len() - 1
            });
        let idle = &mut self.servers[index].1;
        if idle.len() < idle_max {
            idle.push(Idle {
                stream: connection.stream,
                since: now,
            });
        }
    }

    /// Closes what hung up, said something unasked, is idle for too long, or goes to a server that gets nothing.
    pub(crate) fn sweep(&mut self, wanted: &[u64], timeout: Duration, now: Instant) {
        self.servers.retain_mut(|(id, idle)| {
            idle.retain(|idle| now.saturating_duration_since(idle.since) < timeout && idle.stream.seems_quiet());
            wanted.contains(id)
        });
    }
}
