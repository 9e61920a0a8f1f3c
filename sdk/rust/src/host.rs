//! Host calls: how a service asks the platform, and what comes back.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tenon_protocol::worker::{FLAG_JSON, Frame, Kind};

use crate::HostError;
use crate::context::{Context, Payload};
use crate::error::type_name;
use crate::link::{HostAnswer, Link};

/// What the platform refused, as the tail of its answer says it.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Refusal {
    error: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Context {
    /// Asks the platform and waits for its answer.
    pub(crate) async fn ask<T: Serialize>(&self, request: &T, payload: Payload) -> Result<HostAnswer, HostError> {
        let call = self.call();
        if call.is_cancelled() {
            return Err(HostError::Cancelled);
        }
        let tail = serde_json::to_vec(request).map_err(|source| HostError::Encode {
            what: "what is asked of the platform".to_owned(),
            source,
        })?;
        let link = &call.link;
        let (number, answer) = link.expect();
        let waiting = Waiting { link, number };
        let frame = Frame {
            flags: if payload.is_json { FLAG_JSON } else { 0 },
            call: number,
            tail: tail.into(),
            body: payload.body,
            ..Frame::bare(Kind::HostCall, call.id)
        };
        link.send(&frame).await.map_err(|violation| HostError::Refused {
            status: 413,
            kind: "TooLarge".to_owned(),
            message: format!("what was to be sent is too large: {violation}"),
        })?;
        let answer = answer.await.map_err(|_| HostError::Disconnected)?;
        drop(waiting);
        check(answer)
    }

    /// Tells the platform something whose answer nobody needs. Fails silently: this is for what is dropped.
    pub(crate) fn tell<T: Serialize>(&self, request: &T) {
        let call = self.call();
        let (number, _) = call.link.expect();
        call.link.forget(number);
        let frame = Frame {
            call: number,
            tail: serde_json::to_vec(request).unwrap_or_default().into(),
            ..Frame::bare(Kind::HostCall, call.id)
        };
        let _ = call.link.push(&frame);
    }
}

/// Somebody who waits for an answer, and may stop doing so.
struct Waiting<'a> {
    link: &'a Link,
    number: u32,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.link.forget(self.number);
    }
}

fn check(answer: HostAnswer) -> Result<HostAnswer, HostError> {
    if answer.code == 0 {
        return Ok(answer);
    }
    let refusal: Refusal = serde_json::from_slice(&answer.tail).unwrap_or_default();
    let message = if refusal.error.is_empty() {
        format!("the platform answered with status {}", answer.code)
    } else {
        refusal.error
    };
    Err(match answer.code {
        504 | 408 => HostError::TimedOut(message),
        410 if refusal.kind == "Cancelled" => HostError::Cancelled,
        status => HostError::Refused {
            status,
            kind: refusal.kind,
            message,
        },
    })
}

impl HostAnswer {
    /// What the platform says of its answer.
    pub(crate) fn described<T: DeserializeOwned + Default>(&self) -> Result<T, HostError> {
        if self.tail.is_empty() {
            return Ok(T::default());
        }
        Self::read(&self.tail)
    }

    /// A result that is in the description, or in the body where it may be large.
    pub(crate) fn result<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        if !self.body.is_empty() {
            return Self::read(&self.body);
        }
        let mut described: Value = if self.tail.is_empty() {
            Value::Null
        } else {
            Self::read(&self.tail)?
        };
        let result = described.get_mut("result").map(Value::take).unwrap_or_default();
        serde_json::from_value(result).map_err(|source| Self::wrong::<T>(source))
    }

    fn read<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, HostError> {
        serde_json::from_slice(bytes).map_err(|source| Self::wrong::<T>(source))
    }

    fn wrong<T>(source: serde_json::Error) -> HostError {
        HostError::Decode {
            what: "the platform's answer".to_owned(),
            expected: type_name::<T>(),
            source,
        }
    }
}
