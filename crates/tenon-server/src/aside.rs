//! Work that takes longer than requests may wait: done beside the runtime, which has as little as one thread.

/// How many bytes of JSON are at most read or written on the runtime: less than a millisecond's work.
pub(crate) const JSON_BYTES_MAX: usize = 64 * 1024;

/// Does work that only computes on a thread of its own, so that requests go on meanwhile. The work may use the runtime.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only the end of the runtime cancels such work, and that ends whoever waits here too.
            Err(_) => std::future::pending().await,
        },
    }
}
