//! The one path from "somebody calls a service" to "here is the answer".
//!
//! Channels, jobs, other services and the control API all come through [`Invoker::invoke`]. What a service asks of the
//! platform while it runs comes back through [`HostCalls`], which the invoker also implements: a service that invokes another
//! one is a call like any other, one level deeper, with the same correlation id, deadline and deployment.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tenon_connectors::{OutgoingCall, OutgoingError};
use tokio::time::Instant;

use crate::call::{CallSource, HostCall, HostCalls, HostReturn, ServiceAnswer, ServiceCall, ServiceError};
use crate::metrics::Metrics;
use crate::services::Services;
use crate::settings::InvokeSettings;
use crate::snapshot::SnapshotCell;

/// Calls services. One per server.
pub(crate) struct Invoker {
    services: OnceLock<Services>,
    snapshot: Arc<SnapshotCell>,
    metrics: Arc<Metrics>,
    settings: InvokeSettings,
}

impl Invoker {
    /// An invoker that can serve host calls at once, and call services once they are [attached](Self::attach).
    pub(crate) fn new(snapshot: Arc<SnapshotCell>, metrics: Arc<Metrics>, settings: InvokeSettings) -> Arc<Self> {
        Arc::new(Self {
            services: OnceLock::new(),
            snapshot,
            metrics,
            settings,
        })
    }

    /// Tells the invoker where services run. Workers need the invoker to be made, and the invoker needs them to call.
    pub(crate) fn attach(&self, services: Services) {
        // A second attachment would be a mistake in start-up code; the first one stays in force.
        let _ = self.services.set(services);
    }

    /// Calls a service and waits for its answer, until the call's deadline at most.
    pub(crate) async fn invoke(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceError> {
        let caller = Caller::of(&call);
        let started = Instant::now();
        let result = self.dispatch(call).await;
        self.metrics
            .service_called(&caller.service, started.elapsed(), result.as_ref().err());
        if let Err(error) = &result {
            caller.log(error);
        }
        result
    }

    /// How long a service may take if its caller says nothing.
    pub(crate) fn default_timeout(&self) -> Duration {
        self.settings.timeout.0
    }

    async fn dispatch(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceError> {
        if call.depth > self.settings.depth_max {
            return Err(ServiceError::TooDeep(self.settings.depth_max));
        }
        let services = self
            .services
            .get()
            .ok_or_else(|| ServiceError::Unavailable("the server is starting".to_owned()))?;
        services.call(call).await
    }

    /// A service invokes another one.
    async fn invoke_for(&self, call: HostCall) -> HostReturn {
        let Some(service) = call.request.get("service").and_then(Value::as_str) else {
            return refusal(400, "BadRequest", "'service' is missing in the call");
        };
        if service == call.service {
            return refusal(400, "BadRequest", "a service can't invoke itself");
        }
        let asked = call
            .request
            .get("timeout_ms")
            .and_then(Value::as_u64)
            .filter(|millis| *millis > 0);
        let deadline = asked.map_or(call.deadline, |millis| {
            call.deadline.min(Instant::now() + Duration::from_millis(millis))
        });
        let invoked = ServiceCall {
            cid: call.cid,
            service: service.to_owned(),
            source: CallSource::Service(call.service),
            http: None,
            caller: None,
            data_format: "json",
            merged_params: Map::new(),
            message_wins: false,
            body_is_json: call.body_is_json,
            body_stream: None,
            body: call.body,
            deadline,
            deployment: Some(call.deployment),
            depth: call.depth + 1,
            idempotent: false,
        };
        match self.invoke(invoked).await {
            Ok(answer) => HostReturn {
                code: 0,
                tail: json!({
                    "status": answer.status,
                    "content_type": answer.content_type,
                    "is_json": answer.body_is_json,
                }),
                body_is_json: answer.body_is_json,
                body: answer.body,
            },
            Err(error) => host_failure(&error),
        }
    }

    /// A service calls an outgoing connection.
    async fn call_outgoing(&self, call: HostCall) -> HostReturn {
        let text = |field: &str| {
            call.request
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (kind, name) = (text("kind"), text("name"));
        let connection = match self.snapshot.load().outgoing(&kind, &name) {
            Ok(connection) => connection,
            Err(message) => return refusal(404, "NotFound", &message),
        };
        let started = Instant::now();
        let result = connection
            .call(OutgoingCall {
                operation: text("operation"),
                arguments: call.request.get("arguments").cloned().unwrap_or(Value::Null),
                body: call.body,
                cid: call.cid.as_str().to_owned(),
                deadline: Some(call.deadline),
            })
            .await;
        self.metrics
            .outgoing_called(&kind, &name, started.elapsed(), result.as_ref().err());
        match result {
            Ok(reply) => HostReturn {
                code: 0,
                tail: json!({ "result": reply.result }),
                body_is_json: false,
                body: reply.body,
            },
            Err(error) => {
                tracing::warn!(cid = %call.cid, service = %call.service, connection = %name, %error,
                    "the outgoing connection '{name}' failed");
                let (code, kind) = outgoing_status(&error);
                refusal(code, kind, &format!("{name}: {error}"))
            }
        }
    }
}

impl fmt::Debug for Invoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invoker")
    }
}

#[async_trait]
impl HostCalls for Invoker {
    async fn host_call(&self, call: HostCall) -> HostReturn {
        match call.request.get("op").and_then(Value::as_str) {
            Some("invoke") => self.invoke_for(call).await,
            Some("outgoing") => self.call_outgoing(call).await,
            other => refusal(
                400,
                "BadRequest",
                &format!("a server of this version has no operation '{}'", other.unwrap_or("")),
            ),
        }
    }
}

/// What the log says of a call that failed.
struct Caller {
    cid: String,
    service: String,
    source: CallSource,
}

impl Caller {
    fn of(call: &ServiceCall) -> Self {
        Self {
            cid: call.cid.as_str().to_owned(),
            service: call.service.clone(),
            source: call.source.clone(),
        }
    }

    fn log(&self, error: &ServiceError) {
        let Self { cid, service, source } = self;
        let (source_type, source_name) = (source.channel_type(), source.name());
        match error {
            ServiceError::Raised { traceback, .. } => {
                tracing::error!(
                    cid,
                    service,
                    source_type,
                    source_name,
                    "the service '{service}' failed: {error}\n{traceback}"
                );
            }
            ServiceError::Busy { .. } | ServiceError::Timeout | ServiceError::Unavailable(_) => {
                tracing::warn!(
                    cid,
                    service,
                    source_type,
                    source_name,
                    "the service '{service}' was not answered: {error}"
                );
            }
            _ => tracing::error!(
                cid,
                service,
                source_type,
                source_name,
                "the service '{service}' was not run to its end: {error}"
            ),
        }
    }
}

fn refusal(code: u16, kind: &str, message: &str) -> HostReturn {
    HostReturn {
        code,
        tail: json!({ "error": message, "type": kind }),
        body_is_json: false,
        body: Bytes::new(),
    }
}

/// How a failed call looks to the service that made it.
fn host_failure(error: &ServiceError) -> HostReturn {
    let (code, kind) = match error {
        ServiceError::NotFound(_) => (404, "NotFound"),
        ServiceError::Busy { .. } | ServiceError::Unavailable(_) | ServiceError::Quarantined(_) => {
            (503, "ServiceUnavailable")
        }
        ServiceError::Timeout => (504, "Timeout"),
        ServiceError::WorkerDied { .. } => (502, "WorkerDied"),
        ServiceError::Raised { .. } | ServiceError::TooDeep(_) => (500, "InternalServerError"),
    };
    refusal(code, kind, &error.to_string())
}

fn outgoing_status(error: &OutgoingError) -> (u16, &'static str) {
    match error {
        OutgoingError::Unavailable(_) => (503, "ServiceUnavailable"),
        OutgoingError::Timeout(_) => (504, "Timeout"),
        OutgoingError::Refused(_) => (502, "Refused"),
        OutgoingError::Invalid(_) => (400, "BadRequest"),
        OutgoingError::Failed(_) => (502, "Failed"),
    }
}
