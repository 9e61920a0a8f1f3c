//! The server's end of a worker's socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes, BytesMut};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::task::TaskTracker;

/// Bodies up to this size are copied behind their header, so that one plain write does.
const COPY_BYTES_MAX: usize = 16 << 10;

/// How many parts are handed to the system at once.
const PARTS_MAX: usize = 32;

/// Writes frames from any task. Those of all tasks that are ready at one moment go out together: writing each by itself would
/// cost more than most frames do otherwise.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: OwnedWriteHalf,
    pending: Mutex<VecDeque<Bytes>>,
}

impl Connection {
    /// The end that writes, and what the task that reads has.
    pub(crate) fn new(stream: UnixStream) -> (Arc<Self>, OwnedReadHalf) {
        let (read, write) = stream.into_split();
        let connection = Self {
            stream: write,
            pending: Mutex::new(VecDeque::new()),
        };
        (Arc::new(connection), read)
    }

    /// The socket.
    pub(crate) fn stream(&self) -> &UnixStream {
        self.stream.as_ref()
    }

    /// Sends a header and its body, unless the worker is gone, which its reader notices.
    pub(crate) fn send(self: &Arc<Self>, mut head: BytesMut, mut body: Bytes, tasks: &TaskTracker) {
        if body.len() <= COPY_BYTES_MAX {
            head.extend_from_slice(&body);
            body.clear();
        }
        let mut pending = self.lock();
        let must_flush = pending.is_empty();
        pending.push_back(head.freeze());
        if !body.is_empty() {
            pending.push_back(body);
        }
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
            let mut parts = [IoSlice::new(&[]); PARTS_MAX];
            for (slice, part) in parts.iter_mut().zip(pending.iter()) {
                *slice = IoSlice::new(part);
            }
            match self.stream.try_write_vectored(&parts) {
                Ok(written) => forget_written(&mut pending, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => pending.clear(),
            }
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_written(pending: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = pending.front_mut() {
        if written < front.len() {
            front.advance(written);
            return;
        }
        written -= front.len();
        pending.pop_front();
    }
}
