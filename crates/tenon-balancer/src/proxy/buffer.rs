//! A buffer that is filled at its end and emptied at its beginning.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that were read and not used yet.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity],
            start: 0,
            end: 0,
        }
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(crate) const fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    /// Makes room for `capacity` bytes in all.
    pub(crate) fn reserve(&mut self, capacity: usize) {
        if self.bytes.len() < capacity {
            self.bytes.resize(capacity, 0);
        }
    }

    /// Gives memory back once the buffer is empty.
    pub(crate) fn shrink(&mut self, capacity: usize) {
        if self.is_empty() && self.bytes.len() > capacity {
            self.bytes = vec![0; capacity];
        }
    }

    /// Gives all memory away; what was read is lost.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.clear();
        std::mem::take(&mut self.bytes)
    }

    /// Uses this memory.
    pub(crate) fn adopt(&mut self, bytes: Vec<u8>) {
        self.clear();
        self.bytes = bytes;
    }

    /// Reads once; 0 is the end of the stream. There must be room.
    pub(crate) fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
    ) -> Poll<io::Result<usize>> {
        if self.end == self.bytes.len() && self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut space = ReadBuf::new(&mut self.bytes[self.end..]);
        if space.remaining() == 0 {
            return Poll::Ready(Err(io::Error::other("a buffer is full")));
        }
        ready!(Pin::new(from).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        Poll::Ready(Ok(count))
    }
}
