//! Ends a connection so that its client can still read the last answer.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::buffer::Buffer;

const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Says that nothing more comes, then throws away what the client still sends: closing a socket with unread bytes would
/// reset it, and the client could lose the answer. Bounded in time and bytes.
pub(crate) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let drained = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut buffer = Buffer::new(4096);
        let mut total = 0;
        while total < LINGER_BYTES_MAX {
            match poll_fn(|cx| buffer.poll_fill(cx, stream)).await {
                Ok(0) | Err(_) => return,
                Ok(count) => total += count,
            }
            buffer.clear();
        }
    };
    // Whether the client finished in time makes no difference: the connection is closed either way.
    let _ = tokio::time::timeout(LINGER, drained).await;
}
