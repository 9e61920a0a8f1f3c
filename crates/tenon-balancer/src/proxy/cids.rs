//! Correlation ids and traces of requests.

use tenon_model::Random;

const CID_BYTES: usize = 12;

/// A correlation id as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cid([u8; CID_BYTES * 2]);

impl Cid {
    /// Stands where there is no request yet.
    pub(crate) const NONE: Self = Self([b'0'; CID_BYTES * 2]);

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a correlation id is made of hexadecimal digits")
    }
}

/// The value of a `traceparent` that begins a trace (W3C Trace Context, version 00).
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewTrace([u8; 55]);

impl NewTrace {
    /// Of 48 random digits.
    fn new(first: &Cid, second: &Cid) -> Self {
        // That it is to be recorded is what services would decide that begin a trace themselves.
        let mut text = *b"00-................................-................-01";
        text[3..27].copy_from_slice(&first.0);
        text[27..35].copy_from_slice(&second.0[..8]);
        text[36..52].copy_from_slice(&second.0[8..]);
        Self(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is made of hexadecimal digits and dashes")
    }
}

/// Randomness for correlation ids, taken many at a time.
#[derive(Debug)]
pub(super) struct Cids {
    bytes: [u8; CID_BYTES * 32],
    used: usize,
}

impl Default for Cids {
    fn default() -> Self {
        Self {
            bytes: [0; CID_BYTES * 32],
            used: CID_BYTES * 32,
        }
    }
}

impl Cids {
    /// A new correlation id.
    pub(super) fn next(&mut self, random: &dyn Random) -> Cid {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if self.used == self.bytes.len() {
            random.fill(&mut self.bytes);
            self.used = 0;
        }
        let bytes = &self.bytes[self.used..self.used + CID_BYTES];
        self.used += CID_BYTES;
        let mut text = [0; CID_BYTES * 2];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Cid(text)
    }

    /// A new trace.
    pub(super) fn new_trace(&mut self, random: &dyn Random) -> NewTrace {
        let (first, second) = (self.next(random), self.next(random));
        NewTrace::new(&first, &second)
    }
}
