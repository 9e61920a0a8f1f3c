//! The one path from "somebody calls a service" to "here is the answer".
//!
//! Channels, jobs, background calls, other services and the control API all come through [`Invoker::invoke`]. What a service
//! asks of the platform while it runs comes back through [`crate::host`]: a service that invokes another one is a call like any
//! other, one level deeper, with the same correlation id, deadline and deployment.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tenon_model::CorrelationId;
use tokio::time::Instant;

use crate::call::{CallSource, ServiceAnswer, ServiceCall, ServiceError};
use crate::metrics::Metrics;
use crate::services::Services;
use crate::settings::InvokeSettings;

/// Calls services. One per server.
pub(crate) struct Invoker {
    services: OnceLock<Services>,
    metrics: Arc<Metrics>,
    settings: InvokeSettings,
}

impl Invoker {
    /// An invoker that can call services once they are [attached](Self::attach).
    pub(crate) fn new(metrics: Arc<Metrics>, settings: InvokeSettings) -> Arc<Self> {
        Arc::new(Self {
            services: OnceLock::new(),
            metrics,
            settings,
        })
    }

    /// Tells the invoker where services run. What they are made of needs the invoker, and the invoker needs them to call.
    pub(crate) fn attach(&self, services: Services) {
        // A second attachment would be a mistake in start-up code; the first one stays in force.
        let _ = self.services.set(services);
    }

    /// Calls a service and waits for its answer, until the call's deadline at most.
    pub(crate) async fn invoke(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceError> {
        let caller = Caller::of(&call);
        let started = Instant::now();
        // Only channels can pass on an answer in pieces.
        let must_be_whole = !matches!(call.source, CallSource::Channel(_));
        let mut result = self.dispatch(call).await;
        if must_be_whole && let Ok(answer) = result {
            result = Box::pin(self.whole(answer)).await;
        }
        self.metrics
            .service_called(&caller.service, started.elapsed(), result.as_ref().err());
        if let Err(error) = &result {
            caller.log(error);
        }
        result
    }

    /// The HTTP methods that a service answers, if it has a handler for each.
    pub(crate) fn http_methods(&self, service: &str) -> Option<Vec<String>> {
        self.services.get()?.http_methods(service)
    }

    /// The number of the deployment that every call of this service would go to; none while a canary gets some of them.
    pub(crate) fn deployment_of(&self, service: &str) -> Option<u64> {
        self.services.get()?.deployment_of(service)
    }

    async fn whole(&self, mut answer: ServiceAnswer) -> Result<ServiceAnswer, ServiceError> {
        if let Some(stream) = answer.body_stream.take() {
            answer.body = stream.gather(answer.body, self.settings.gathered_bytes_max).await?;
        }
        Ok(answer)
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
}

impl fmt::Debug for Invoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invoker")
    }
}

/// What the log says of a call that failed.
struct Caller {
    cid: CorrelationId,
    service: String,
    source: CallSource,
}

impl Caller {
    fn of(call: &ServiceCall) -> Self {
        Self {
            cid: call.cid.clone(),
            service: call.service.clone(),
            source: call.source.clone(),
        }
    }

    fn log(&self, error: &ServiceError) {
        let Self { cid, service, source } = self;
        let cid = cid.as_str();
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
