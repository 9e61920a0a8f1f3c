//! PROXY headers (versions 1 and 2), by which a proxy that passes on bytes says whose they are.
//!
//! [`parse`] is strict: what is not exactly a header as the specification has it is an error, as it would otherwise decide
//! whom a request is from. [`receive`] takes a header from a connection and not one byte more.

#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A header, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whose the bytes behind it are; none if they are the proxy's own, or of somebody without an address.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) bytes: usize,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Header(Header),
    /// The beginning of a header: more bytes are needed.
    Part,
    /// Something else.
    Other,
}

/// Bytes that begin like a header and are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the PROXY header is malformed: {0}")]
pub(crate) struct Malformed(&'static str);

/// A header is at most this long, with all that it may carry beside addresses.
pub(crate) const HEADER_BYTES_MAX: usize = 2048;

/// Between two looks at a header that came in part, which hardly ever happens.
const PAUSE: Duration = Duration::from_millis(5);

/// Says what the first bytes of a connection are.
pub(crate) fn parse(bytes: &[u8]) -> Result<Found, Malformed> {
    if begins(bytes, v2::SIGNATURE) {
        v2::parse(bytes)
    } else if begins(bytes, v1::SIGNATURE) {
        v1::parse(bytes)
    } else {
        Ok(Found::Other)
    }
}

/// Whether bytes are a beginning of a signature, or begin with it.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    let length = bytes.len().min(signature.len());
    length > 0 && bytes[..length] == signature[..length]
}

/// Takes the header from the beginning of a connection. None if there is none, and none is `required`.
pub(crate) async fn receive(stream: &mut TcpStream, required: bool, timeout: Duration) -> io::Result<Option<Header>> {
    let due = Instant::now() + timeout;
    let received = tokio::time::timeout_at(due, receive_header(stream, required)).await;
    received.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn receive_header(stream: &mut TcpStream, required: bool) -> io::Result<Option<Header>> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut bytes = [0; HEADER_BYTES_MAX];
    loop {
        let length = stream.peek(&mut bytes).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&bytes[..length]).map_err(|error| invalid(error.to_string()))? {
            Found::Header(header) => {
                stream.read_exact(&mut bytes[..header.bytes]).await?;
                return Ok(Some(header));
            }
            Found::Other if required => return Err(invalid("a PROXY header is required".to_owned())),
            Found::Other => return Ok(None),
            Found::Part if length == bytes.len() => return Err(invalid("the PROXY header is too long".to_owned())),
            Found::Part => tokio::time::sleep(PAUSE).await,
        }
    }
}
