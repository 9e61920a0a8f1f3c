//! The server's end of a worker's socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;

/// Bodies up to this size are copied behind their header, so that one plain write does.
const COPY_BYTES_MAX: usize = 16 << 10;

/// Writes frames from any task; who writes also sends, and only what the socket does not take waits for a task that flushes.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    pending: Mutex<VecDeque<Bytes>>,
}

impl Connection {
    pub(crate) fn new(stream: UnixStream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            pending: Mutex::new(VecDeque::new()),
        })
    }

    /// The socket, for the task that reads.
    pub(crate) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Sends a header and its body. An error means that the worker is gone, which its reader notices as well.
    pub(crate) fn send(self: &Arc<Self>, mut head: BytesMut, mut body: Bytes, tasks: &TaskTracker) -> io::Result<()> {
        if body.len() <= COPY_BYTES_MAX {
            head.extend_from_slice(&body);
            body.clear();
        }
        let mut head = head.freeze();
        let mut pending = self.lock();
        let must_flush = pending.is_empty();
        if must_flush {
            let written = if body.is_empty() {
                self.stream.try_write(&head)
            } else {
                self.stream
                    .try_write_vectored(&[IoSlice::new(&head), IoSlice::new(&body)])
            };
            match written {
                Ok(written) => {
                    let of_head = written.min(head.len());
                    head.advance(of_head);
                    body.advance(written - of_head);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        pending.extend([head, body].into_iter().filter(|part| !part.is_empty()));
        if must_flush && !pending.is_empty() {
            drop(pending);
            tasks.spawn(self.clone().flush());
        }
        Ok(())
    }

    /// Sends what the socket did not take, and ends when nothing is left or the worker is gone.
    async fn flush(self: Arc<Self>) {
        while self.stream.writable().await.is_ok() {
            let mut pending = self.lock();
            loop {
                let Some(front) = pending.front_mut() else {
                    return;
                };
                match self.stream.try_write(front) {
                    Ok(written) => {
                        front.advance(written);
                        if front.is_empty() {
                            pending.pop_front();
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {
                        pending.clear();
                        return;
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
