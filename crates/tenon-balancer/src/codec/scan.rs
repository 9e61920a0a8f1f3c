//! Finds the end of a head as its bytes arrive. Knows lines only; what they say is read by others.

use memchr::memchr;

use super::refusal::Refusal;

/// Follows a head line by line; refuses a line that does not end with CR LF as soon as it is seen.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    scanned: usize,
    line_start: usize,
    lines: usize,
    skipped: usize,
}

impl HeadScan {
    /// Looks at the bytes from the head's beginning; all that were given before must be given again.
    ///
    /// Gives where the head ends. The result depends on the bytes only, not on how they were split.
    pub(crate) fn advance(&mut self, bytes: &[u8], line_max: usize, head_max: usize) -> Result<Option<usize>, Refusal> {
        loop {
            let (limit, too_long) = if self.lines == 0 {
                (self.skipped + line_max.min(head_max), Refusal::TargetTooLong)
            } else {
                (head_max, Refusal::HeadTooLarge)
            };
            let window = &bytes[..bytes.len().min(limit)];
            let Some(at) = window.get(self.scanned..).and_then(|rest| memchr(b'\n', rest)) else {
                self.scanned = self.scanned.max(window.len());
                return if bytes.len() >= limit { Err(too_long) } else { Ok(None) };
            };
            let line_feed = self.scanned + at;
            if line_feed == self.line_start || bytes[line_feed - 1] != b'\r' {
                return Err(Refusal::Malformed("a line of the head does not end with CR LF"));
            }
            let empty = line_feed - 1 == self.line_start;
            self.scanned = line_feed + 1;
            self.line_start = self.scanned;
            if !empty {
                self.lines += 1;
            } else if self.lines > 0 {
                return Ok(Some(self.scanned));
            } else if self.skipped == 0 {
                // Some clients send one empty line after a body.
                self.skipped = self.scanned;
            } else {
                return Err(Refusal::Malformed("there are empty lines before the request line"));
            }
        }
    }

    /// Bytes of an empty line before the head, which are not part of it.
    pub(crate) const fn skipped(&self) -> usize {
        self.skipped
    }
}
