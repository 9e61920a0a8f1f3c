//! `outgoing`: a service calls an outgoing connection. Its credentials stay in the server.

use serde_json::{Value, json};
use tenon_connectors::{OutgoingCall, OutgoingError};
use tokio::time::Instant;

use super::{Host, HostFailure, HostResult, text};
use crate::call::{HostCall, HostReturn};

impl Host {
    /// One operation of one connection.
    pub(super) async fn outgoing(&self, call: HostCall) -> HostResult {
        let field = |name: &str| text(&call.request, name).unwrap_or_default().to_owned();
        let (kind, name) = (field("kind"), field("name"));
        let found = self.snapshot.load().outgoing(&kind, &name);
        let connection = found.map_err(|message| HostFailure::new(404, "NotFound", message))?;
        let started = Instant::now();
        let result = connection
            .call(OutgoingCall {
                operation: field("operation"),
                arguments: call.request.get("arguments").cloned().unwrap_or(Value::Null),
                body: call.body,
                cid: call.cid.as_str().to_owned(),
                deadline: Some(call.deadline),
            })
            .await;
        self.metrics
            .outgoing_called(&kind, &name, started.elapsed(), result.as_ref().err());
        match result {
            Ok(reply) => Ok(HostReturn {
                code: 0,
                tail: json!({ "result": reply.result }),
                body_is_json: false,
                body: reply.body,
            }),
            Err(error) => {
                tracing::warn!(cid = %call.cid, service = %call.service, connection = %name, %error,
                    "the outgoing connection '{name}' failed");
                let (code, kind) = status_of(&error);
                Err(HostFailure::new(code, kind, format!("{name}: {error}")))
            }
        }
    }
}

fn status_of(error: &OutgoingError) -> (u16, &'static str) {
    match error {
        OutgoingError::Unavailable(_) => (503, "ServiceUnavailable"),
        OutgoingError::Timeout(_) => (504, "Timeout"),
        OutgoingError::Refused(_) => (502, "Refused"),
        OutgoingError::Invalid(_) => (400, "BadRequest"),
        OutgoingError::Failed(_) => (502, "Failed"),
    }
}
