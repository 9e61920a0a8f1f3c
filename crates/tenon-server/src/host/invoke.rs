//! `invoke`: a service calls another one and waits for its answer.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::peers::Relayed;
use super::{Host, HostFailure, HostResult, millis, needed, text};
use crate::call::{CallSource, HostCall, HostReturn, ServiceCall};

impl Host {
    /// A call like any other, one level deeper, with the same correlation id, deadline and deployment.
    pub(super) async fn invoke(&self, call: HostCall) -> HostResult {
        let service = needed(&call.request, "service")?.to_owned();
        let deadline = deadline_of(&call);
        if let Some(server) = text(&call.request, "server").filter(|server| *server != self.peers.own_name()) {
            let relayed = Relayed::of(&call, service, deadline);
            return self.peers.invoke(server, &relayed).await;
        }
        if service == call.service && text(&call.request, "server").is_none() {
            return Err(HostFailure::bad_request("a service can't invoke itself"));
        }
        let source = CallSource::Service(call.service);
        let invoked = ServiceCall {
            deployment: call.deployment,
            depth: call.depth + 1,
            ..ServiceCall::new(call.cid, service, source, deadline).with_payload(call.body, call.body_is_json)
        };
        let answer = self.invoker.invoke(invoked).await?;
        Ok(HostReturn {
            code: 0,
            tail: json!({
                "status": answer.status,
                "content_type": answer.content_type,
                "is_json": answer.body_is_json,
            }),
            body_is_json: answer.body_is_json,
            body: answer.body,
        })
    }
}

/// When the caller stops waiting, or the service that it is for.
pub(super) fn deadline_of(call: &HostCall) -> Instant {
    let asked = millis(&call.request, "timeout_ms").filter(|asked| *asked > Duration::ZERO);
    asked.map_or(call.deadline, |asked| call.deadline.min(Instant::now() + asked))
}
