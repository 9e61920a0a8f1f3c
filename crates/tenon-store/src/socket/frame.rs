//! Frames of the store's socket: `u32 length | u8 kind | u64 id | body`, little endian; the length counts what follows it,
//! the body is `MessagePack` with named fields.

use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tenon_model::InstanceId;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::error::StoreError;

/// The version of the protocol. Both ends must have the same: they are of one binary, but for a moment of an upgrade.
pub(super) const PROTOCOL: u32 = 1;

/// Length, kind and id.
const HEADER_BYTES: usize = 13;
/// What of the header the length counts.
const COUNTED_HEADER_BYTES: usize = 9;

/// How many bytes are at most read or written as `MessagePack` on the runtime: about a millisecond's work. What is longer, such
/// as all objects, is done beside it, so that whatever else runs there goes on.
const ON_RUNTIME_BYTES_MAX: usize = 64 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// Client to store, the first frame: [`Hello`].
    Hello,
    /// Store to client: the hello was taken.
    Welcome,
    /// Store to client: the hello was not taken; why, as a [`StoreError`].
    Refused,
    /// Client to store: a [`crate::Call`].
    Call,
    /// Store to client, with the call's id: its result.
    Answer,
    /// Store to client: an [`crate::Event`].
    Event,
}

impl FrameKind {
    const ALL: [FrameKind; 6] = [
        FrameKind::Hello,
        FrameKind::Welcome,
        FrameKind::Refused,
        FrameKind::Call,
        FrameKind::Answer,
        FrameKind::Event,
    ];

    const fn code(self) -> u8 {
        match self {
            FrameKind::Hello => 1,
            FrameKind::Welcome => 2,
            FrameKind::Refused => 3,
            FrameKind::Call => 4,
            FrameKind::Answer => 5,
            FrameKind::Event => 6,
        }
    }
}

/// Who connects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The version of the protocol that the client speaks.
    pub(super) protocol: u32,
    /// The client's name, such as `server1`.
    pub(super) name: String,
    /// The life of the client's process.
    pub(super) instance: InstanceId,
}

/// A frame that was read.
#[derive(Debug)]
pub(super) struct Frame {
    /// What it is.
    pub(super) kind: FrameKind,
    /// The number of the call that it belongs to; 0 if to none.
    pub(super) id: u64,
    body: Vec<u8>,
}

impl Frame {
    /// What the frame says.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        rmp_serde::from_slice(&self.body)
            .map_err(|error| StoreError::Protocol(format!("a frame of kind {:?}: {error}", self.kind)))
    }

    /// Whether what it says takes long to decode.
    pub(super) fn is_long(&self) -> bool {
        self.body.len() > ON_RUNTIME_BYTES_MAX
    }

    /// Reads the next frame; none if the other side closed the connection between two frames.
    pub(super) async fn read(
        stream: &mut (impl AsyncRead + Unpin),
        max_bytes: usize,
    ) -> Result<Option<Self>, StoreError> {
        let lost = |error: io::Error| StoreError::Protocol(format!("the connection was lost: {error}"));
        let mut header = [0_u8; HEADER_BYTES];
        let first = stream.read(&mut header).await.map_err(lost)?;
        if first == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut header[first..]).await.map_err(lost)?;
        let [l0, l1, l2, l3, code, id @ ..] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length < COUNTED_HEADER_BYTES || length > max_bytes {
            return Err(StoreError::Protocol(format!(
                "a frame of {length} bytes; at most {max_bytes} are taken"
            )));
        }
        let kind = FrameKind::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or_else(|| StoreError::Protocol(format!("a frame of the unknown kind {code}")))?;
        // Memory is taken as the bytes come, not because a length was announced.
        let body_bytes = length - COUNTED_HEADER_BYTES;
        let mut body = Vec::with_capacity(body_bytes.min(64 * 1024));
        let read = stream
            .take(body_bytes as u64)
            .read_to_end(&mut body)
            .await
            .map_err(lost)?;
        if read < body_bytes {
            return Err(StoreError::Protocol(
                "the connection was lost within a frame".to_owned(),
            ));
        }
        Ok(Some(Self {
            kind,
            id: u64::from_le_bytes(id),
            body,
        }))
    }
}

/// The bytes of a frame; an error if they are more than the other side takes.
pub(super) fn encode<T: Serialize>(kind: FrameKind, id: u64, body: &T, max_bytes: usize) -> Result<Bytes, StoreError> {
    let mut bytes = vec![0_u8; HEADER_BYTES];
    rmp_serde::encode::write_named(&mut bytes, body)
        .map_err(|error| StoreError::Invalid(format!("can't be sent to the store: {error}")))?;
    finish(kind, id, bytes, max_bytes)
}

/// The same for what may be long: then it is encoded beside the runtime.
pub(super) async fn encode_any<T: Serialize + Send + 'static>(
    kind: FrameKind,
    id: u64,
    body: T,
    max_bytes: usize,
) -> Result<Bytes, StoreError> {
    let mut short = Short(vec![0_u8; HEADER_BYTES]);
    if rmp_serde::encode::write_named(&mut short, &body).is_ok() {
        return finish(kind, id, short.0, max_bytes);
    }
    tokio::task::spawn_blocking(move || encode(kind, id, &body, max_bytes))
        .await
        .unwrap_or_else(|error| Err(StoreError::Protocol(format!("a frame could not be encoded: {error}"))))
}

/// Takes what is short only.
struct Short(Vec<u8>);

impl io::Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > ON_RUNTIME_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills in the header.
fn finish(kind: FrameKind, id: u64, mut bytes: Vec<u8>, max_bytes: usize) -> Result<Bytes, StoreError> {
    let length = bytes.len() - HEADER_BYTES + COUNTED_HEADER_BYTES;
    if length > max_bytes {
        return Err(StoreError::Invalid(format!(
            "{length} bytes are too many for one call of the store; at most {max_bytes} are taken"
        )));
    }
    let length = u32::try_from(length)
        .map_err(|_| StoreError::Invalid("a call of more than 4 GiB".to_owned()))?
        .to_le_bytes();
    bytes[..4].copy_from_slice(&length);
    bytes[4] = kind.code();
    bytes[5..HEADER_BYTES].copy_from_slice(&id.to_le_bytes());
    Ok(Bytes::from(bytes))
}
