//! Bytes both ways between a client and a server that agreed on another protocol, until both are done or silent.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::buffer::Buffer;
use super::deadline::Deadline;
use super::stream::ServerStream;

/// One direction.
struct Half<'a> {
    buffer: &'a mut Buffer,
    ended: bool,
    closed: bool,
    /// Whether the stream may hold back bytes that were written to it.
    unflushed: bool,
}

impl Half<'_> {
    /// Moves what can be moved; ready once the end of the stream was passed on.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        moved: &mut bool,
    ) -> Poll<std::io::Result<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        while !self.closed {
            if !self.buffer.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
                }
                self.buffer.consume(count);
                self.unflushed = true;
                *moved = true;
            } else if self.unflushed {
                ready!(Pin::new(&mut *to).poll_flush(cx))?;
                self.unflushed = false;
            } else if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.closed = true;
            } else {
                self.ended = ready!(self.buffer.poll_fill(cx, from))? == 0;
                *moved = true;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Runs the tunnel to its end; what was read already goes first.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    client: (&mut S, &mut Buffer),
    server: (&mut ServerStream, &mut Buffer),
    deadline: &mut Deadline,
    idle: Duration,
) {
    let ((client, client_buffer), (server, server_buffer)) = (client, server);
    let mut up = Half {
        buffer: client_buffer,
        ended: false,
        closed: false,
        unflushed: false,
    };
    let mut down = Half {
        buffer: server_buffer,
        ended: false,
        closed: false,
        unflushed: false,
    };
    deadline.set(Instant::now() + idle);
    poll_fn(|cx| {
        let mut moved = false;
        let up_done = up.poll(cx, client, server, &mut moved);
        let down_done = down.poll(cx, server, client, &mut moved);
        match (up_done, down_done) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) | (Poll::Ready(_), Poll::Ready(_)) => {
                return Poll::Ready(());
            }
            _ => {}
        }
        if moved {
            deadline.set(Instant::now() + idle);
        }
        deadline.poll(cx)
    })
    .await;
}
