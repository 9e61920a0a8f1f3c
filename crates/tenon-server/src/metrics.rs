//! Every metric of a server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tenon_connectors::OutgoingError;

use tenon_protocol::worker::Metric;

use crate::call::ServiceError;
use crate::service_metrics::ServiceMetrics;

/// The metrics of a server, and their registry.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    calls: Family<CallLabels, Counter>,
    call_seconds: Family<ServiceLabels, Histogram>,
    /// Of services that answered: what counts their calls, found without labels that would have to be made for each.
    answered: RwLock<HashMap<String, (Histogram, Counter)>>,
    outgoing_calls: Family<OutgoingLabels, Counter>,
    outgoing_seconds: Family<ConnectionLabels, Histogram>,
    of_services: Mutex<ServiceMetrics>,
    left_out: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServiceLabels {
    service: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConnectionLabels {
    kind: String,
    connection: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutgoingLabels {
    kind: String,
    connection: String,
    outcome: &'static str,
}

const SECONDS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

impl Metrics {
    /// Metrics of a server, and so many series at most of what its services measure.
    pub(crate) fn new(series_max: usize) -> Self {
        // What services measure stands beside it, under its own names.
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("tenon");
        let left_out = Counter::default();
        registry.register(
            "service_measurements_left_out",
            "Measurements of services that were left out: of wrong kind, or of too many series",
            left_out.clone(),
        );
        let calls = Family::default();
        let call_seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        let outgoing_calls = Family::default();
        let outgoing_seconds = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> Histogram);
        registry.register("service_calls", "Calls of services by how they ended", calls.clone());
        registry.register(
            "service_call_duration_seconds",
            "How long services took",
            call_seconds.clone(),
        );
        registry.register(
            "outgoing_calls",
            "Calls of outgoing connections by how they ended",
            outgoing_calls.clone(),
        );
        registry.register(
            "outgoing_call_duration_seconds",
            "How long outgoing connections took",
            outgoing_seconds.clone(),
        );
        Self {
            registry: Mutex::new(root),
            of_services: Mutex::new(ServiceMetrics::new(series_max)),
            left_out,
            calls,
            call_seconds,
            answered: RwLock::default(),
            outgoing_calls,
            outgoing_seconds,
        }
    }
}

impl Metrics {
    /// Counts a call of a service. Names that no service has are counted as one, so that callers can't make metrics.
    pub(crate) fn service_called(&self, service: &str, duration: Duration, error: Option<&ServiceError>) {
        let answered = self.answered.read().unwrap_or_else(PoisonError::into_inner);
        if error.is_none()
            && let Some((seconds, calls)) = answered.get(service)
        {
            seconds.observe(duration.as_secs_f64());
            calls.inc();
            return;
        }
        drop(answered);
        let outcome = match error {
            None => "ok",
            Some(ServiceError::NotFound(_)) => "not-found",
            Some(ServiceError::Busy { .. }) => "busy",
            Some(ServiceError::Timeout) => "timeout",
            Some(ServiceError::WorkerDied { .. }) => "worker-died",
            Some(ServiceError::Raised { .. }) => "error",
            Some(ServiceError::Quarantined(_)) => "quarantined",
            Some(ServiceError::Unavailable(_)) => "unavailable",
            Some(ServiceError::Body(_)) => "body",
            Some(ServiceError::TooDeep(_)) => "too-deep",
        };
        let known = !matches!(error, Some(ServiceError::NotFound(_)));
        let service = if known { service.to_owned() } else { String::new() };
        let labels = ServiceLabels {
            service: service.clone(),
        };
        let seconds = self.call_seconds.get_or_create(&labels).clone();
        seconds.observe(duration.as_secs_f64());
        let labels = CallLabels { service, outcome };
        let calls = self.calls.get_or_create(&labels).clone();
        calls.inc();
        if error.is_none() {
            let mut answered = self.answered.write().unwrap_or_else(PoisonError::into_inner);
            answered.insert(labels.service, (seconds, calls));
        }
    }

    /// Counts a call of an outgoing connection.
    pub(crate) fn outgoing_called(&self, kind: &str, name: &str, duration: Duration, error: Option<&OutgoingError>) {
        let (kind, connection) = (kind.to_owned(), name.to_owned());
        let outcome = error.map_or("ok", OutgoingError::code);
        self.outgoing_seconds
            .get_or_create(&ConnectionLabels {
                kind: kind.clone(),
                connection: connection.clone(),
            })
            .observe(duration.as_secs_f64());
        self.outgoing_calls
            .get_or_create(&OutgoingLabels {
                kind,
                connection,
                outcome,
            })
            .inc();
    }

    /// Takes what a service measured.
    pub(crate) fn service_metric(&self, metric: &Metric) {
        let mut of_services = self.of_services.lock().unwrap_or_else(PoisonError::into_inner);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        if !of_services.take(metric, &mut registry) {
            self.left_out.inc();
        }
    }

    /// All metrics in the Prometheus text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
