//! `/livez`, `/readyz` and `/metrics`: the only paths of a control address that need no certificate.

use std::fmt;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tenon_protocol::control::HealthReport;

/// A component that can say how it is.
pub trait Health: Send + Sync + 'static {
    /// Every condition of being ready, as of now. Must not block.
    fn report(&self) -> HealthReport;
}

/// A component's metrics in the Prometheus text format.
pub type MetricsText = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct HealthState {
    health: Arc<dyn Health>,
    metrics: MetricsText,
}

impl fmt::Debug for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HealthState")
    }
}

/// The health paths: `/livez` (the process turns), `/readyz` (it takes work; `?verbose` tells each condition) and `/metrics`.
pub fn health_routes(health: Arc<dyn Health>, metrics: MetricsText) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .with_state(HealthState { health, metrics })
}

async fn ready(State(state): State<HealthState>, RawQuery(query): RawQuery) -> Response {
    let report = state.health.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    if verbose {
        return (status, Json(report)).into_response();
    }
    (status, if report.ready { "ok\n" } else { "not ready\n" }).into_response()
}

async fn metrics_text(State(state): State<HealthState>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], (state.metrics)()).into_response()
}
