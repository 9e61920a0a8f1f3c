//! The server's end of a worker's socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::task::TaskTracker;

/// Bodies up to this size are copied behind their header, so that one plain write does for all that is pending.
const COPY_BYTES_MAX: usize = 16 << 10;

/// How many parts are handed to the system at once.
const PARTS_MAX: usize = 32;

/// Memory that is kept for the frames to come once all that was pending is written.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Writes frames from any task. Those of all tasks that are ready at one moment go out together: writing each by itself would
/// cost more than most frames do otherwise.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: OwnedWriteHalf,
    pending: Mutex<Pending>,
}

/// What is still to be written.
#[derive(Debug, Default)]
struct Pending {
    /// What comes first, up to the last body that is not copied.
    parts: VecDeque<Bytes>,
    /// What comes after that.
    last: BytesMut,
}

impl Connection {
    /// The end that writes, and what the task that reads has.
    pub(crate) fn new(stream: UnixStream) -> (Arc<Self>, OwnedReadHalf) {
        let (read, write) = stream.into_split();
        let connection = Self {
            stream: write,
            pending: Mutex::default(),
        };
        (Arc::new(connection), read)
    }

    /// The socket.
    pub(crate) fn stream(&self) -> &UnixStream {
        self.stream.as_ref()
    }

    /// Sends a header and its body, unless the worker is gone, which its reader notices.
    pub(crate) fn send(self: &Arc<Self>, head: &[u8], body: &Bytes, tasks: &TaskTracker) {
        let mut pending = self.lock();
        let must_flush = pending.is_empty();
        pending.push(head, body);
        drop(pending);
        if must_flush {
            tasks.spawn(self.clone().flush());
        }
    }

    /// Sends what is pending once the tasks that are ready have run, and ends when nothing is left or the worker is gone.
    async fn flush(self: Arc<Self>) {
        tokio::task::yield_now().await;
        loop {
            if self.write_pending() {
                return;
            }
            if self.stream.writable().await.is_err() {
                return;
            }
        }
    }

    /// Writes what the socket takes; true if nothing is left to write.
    fn write_pending(&self) -> bool {
        let mut pending = self.lock();
        while !pending.is_empty() {
            match pending.write_to(&self.stream) {
                Ok(written) => pending.forget(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => *pending = Pending::default(),
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.last.is_empty()
    }

    fn push(&mut self, head: &[u8], body: &Bytes) {
        self.last.extend_from_slice(head);
        if body.len() <= COPY_BYTES_MAX {
            self.last.extend_from_slice(body);
        } else {
            let last = self.last.split().freeze();
            self.parts.extend([last, body.clone()]);
        }
    }

    fn write_to(&self, stream: &OwnedWriteHalf) -> io::Result<usize> {
        if self.parts.is_empty() {
            return stream.try_write(&self.last);
        }
        let mut slices = [IoSlice::new(&[]); PARTS_MAX];
        let parts = self.parts.iter().map(|part| &part[..]).chain([&self.last[..]]);
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
        }
        stream.try_write_vectored(&slices)
    }

    fn forget(&mut self, mut written: usize) {
        while let Some(front) = self.parts.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.parts.pop_front();
        }
        self.last.advance(written);
        if self.last.is_empty() && self.last.capacity() > KEPT_BYTES_MAX {
            self.last = BytesMut::new();
        }
    }
}
