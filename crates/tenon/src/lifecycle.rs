//! The end of a process: asked first (soft stop), made to end if that takes too long (hard stop).

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that end a process.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen to signals.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals can't be listened to");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }

    /// Cancels `stop` at the first signal; returns at the second, or when `deadline` has passed since `stop` was cancelled.
    /// Whoever runs this beside the work then ends the process as it is.
    pub(crate) async fn guard(mut self, stop: CancellationToken, deadline: Duration) {
        tokio::select! {
            () = self.next() => stop.cancel(),
            () = stop.cancelled() => {}
        }
        tokio::select! {
            () = self.next() => {}
            () = tokio::time::sleep(deadline) => {}
        }
    }

    /// Cancels `stop` at each signal, and never returns.
    pub(crate) async fn forward(mut self, stop: CancellationToken) {
        loop {
            self.next().await;
            stop.cancel();
        }
    }
}
