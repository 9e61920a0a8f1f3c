//! Follows a chunked body through the bytes that carry it, and refuses syntax that two readers could read differently.

use super::fields::{Field, field};
use super::refusal::Refusal;

/// Where in a chunked body the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What was understood of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fed {
    /// Bytes that belong to the body.
    pub(crate) consumed: usize,
    /// Bytes of those, from the beginning, that can be passed on now. Trailers are held back until they were checked.
    pub(crate) pass: usize,
}

/// Follows one chunked body.
#[derive(Debug)]
pub(crate) struct ChunkScan {
    state: State,
    digits: u32,
    extension_bytes: usize,
    rest: u64,
    payload: u64,
    /// The trailer section so far, with the empty line at its end.
    trailers: Vec<u8>,
    trailers_held: bool,
}

const SIZE_DIGITS_MAX: u32 = 15;
const EXTENSION_BYTES_MAX: usize = 256;
const TRAILERS_BYTES_MAX: usize = 8 * 1024;
const TRAILERS_MAX: usize = 32;

impl ChunkScan {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Size,
            digits: 0,
            extension_bytes: 0,
            rest: 0,
            payload: 0,
            trailers: Vec::new(),
            trailers_held: false,
        }
    }

    /// Whether the body has ended.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of payload announced so far.
    pub(crate) const fn payload(&self) -> u64 {
        self.payload
    }

    /// The trailer section, if it was held back: to be sent once the body is done.
    pub(crate) fn take_held(&mut self) -> Vec<u8> {
        if self.trailers_held && self.is_done() {
            self.trailers_held = false;
            std::mem::take(&mut self.trailers)
        } else {
            Vec::new()
        }
    }

    /// The trailer section with the empty line at its end, once the body is done and unless it was taken.
    pub(crate) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Follows more bytes; gives each run of payload to `payload`.
    pub(crate) fn feed(&mut self, input: &[u8], mut payload: impl FnMut(&[u8])) -> Result<Fed, Refusal> {
        let mut at = 0;
        let mut trailers_from = (self.state == State::Trailers).then_some(0);
        while at < input.len() && self.state != State::Done {
            let byte = input[at];
            match self.state {
                State::Data => {
                    let run = usize::try_from(self.rest).unwrap_or(usize::MAX).min(input.len() - at);
                    payload(&input[at..at + run]);
                    self.rest -= run as u64;
                    at += run;
                    if self.rest == 0 {
                        self.state = State::DataCr;
                    }
                    continue;
                }
                State::Trailers => self.trailer(byte)?,
                _ => self.line(byte)?,
            }
            at += 1;
            if self.state == State::Trailers && trailers_from.is_none() {
                trailers_from = Some(at);
            }
        }
        let pass = match trailers_from {
            // Whole and checked: it goes on with the rest.
            Some(_) if self.is_done() && !self.trailers_held => at,
            Some(from) => {
                self.trailers_held = true;
                from
            }
            None => at,
        };
        Ok(Fed { consumed: at, pass })
    }

    /// One byte of a size line or of the line end behind a chunk.
    fn line(&mut self, byte: u8) -> Result<(), Refusal> {
        const WRONG: Refusal = Refusal::Malformed("the chunks of the body are malformed");
        match (self.state, byte) {
            (State::Size, digit) if digit.is_ascii_hexdigit() => {
                self.digits += 1;
                if self.digits > SIZE_DIGITS_MAX {
                    return Err(WRONG);
                }
                let value = char::from(digit).to_digit(16).unwrap_or_default();
                self.rest = self.rest * 16 + u64::from(value);
            }
            (State::Size, b';') if self.digits > 0 => self.state = State::Extension,
            (State::Size, b'\r') if self.digits > 0 => self.state = State::SizeEnd,
            (State::Extension, b'\r') => self.state = State::SizeEnd,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(WRONG);
                }
            }
            (State::SizeEnd, b'\n') => {
                self.payload = self.payload.saturating_add(self.rest);
                self.state = if self.rest == 0 { State::Trailers } else { State::Data };
                self.digits = 0;
                self.extension_bytes = 0;
            }
            (State::DataCr, b'\r') => self.state = State::DataLf,
            (State::DataLf, b'\n') => self.state = State::Size,
            _ => return Err(WRONG),
        }
        Ok(())
    }

    /// One byte of the trailer section.
    fn trailer(&mut self, byte: u8) -> Result<(), Refusal> {
        const WRONG: Refusal = Refusal::Malformed("the trailers of the body are malformed");
        let after_cr = self.trailers.last() == Some(&b'\r');
        if (byte == b'\n') != after_cr {
            return Err(WRONG);
        }
        self.trailers.push(byte);
        if self.trailers.len() > TRAILERS_BYTES_MAX {
            return Err(Refusal::HeadTooLarge);
        }
        if byte == b'\n' && (self.trailers.len() == 2 || self.trailers.ends_with(b"\r\n\r\n")) {
            self.check_trailers()?;
            self.state = State::Done;
        }
        Ok(())
    }

    fn check_trailers(&self) -> Result<(), Refusal> {
        const WRONG: Refusal = Refusal::Malformed("the trailers of the body are malformed");
        if self.trailers.len() == 2 {
            return Ok(());
        }
        let mut headers = [httparse::EMPTY_HEADER; TRAILERS_MAX];
        let Ok(httparse::Status::Complete((length, trailers))) = httparse::parse_headers(&self.trailers, &mut headers)
        else {
            return Err(WRONG);
        };
        let passable = trailers
            .iter()
            .all(|trailer| field(trailer.name.as_bytes()) == Field::Other);
        if length == self.trailers.len() && passable {
            Ok(())
        } else {
            Err(WRONG)
        }
    }
}
