//! What every role with a control address does alike: health for probes and for the supervisor, metrics, the listener.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tenon_control::{ControlListener, ControlSettings, Health, MetricsText, health_routes, serve_probes};
use tenon_model::Role;
use tenon_protocol::control::{HealthCheck, HealthReport};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::RoleContext;

/// How often the supervisor is told how the component is, if that changed.
const TELL: Duration = Duration::from_millis(100);

/// How a component is: the conditions of its role.
pub(super) struct Vitals {
    name: String,
    role: Role,
    stop: CancellationToken,
    checks: Box<dyn Fn() -> Vec<HealthCheck> + Send + Sync>,
}

impl fmt::Debug for Vitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vitals")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Vitals {
    /// The vitals of this component, by these conditions, until `stop`.
    pub(super) fn new(
        context: &RoleContext,
        stop: &CancellationToken,
        checks: impl Fn() -> Vec<HealthCheck> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: context.settings.name.clone(),
            role: context.settings.role,
            stop: stop.clone(),
            checks: Box::new(checks),
        })
    }

    /// Why the component is not ready; empty if it is.
    pub(super) fn reason(&self) -> String {
        reason(&self.report())
    }

    /// Tells the supervisor how the component is, until `stop`.
    pub(super) async fn tell(self: Arc<Self>, context: RoleContext, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TELL);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => {
                    context.supervisor.set_condition(false, "it stops");
                    return;
                }
            }
            let report = self.report();
            context.supervisor.set_condition(report.ready, reason(&report));
        }
    }
}

impl Health for Vitals {
    fn report(&self) -> HealthReport {
        let mut checks = (self.checks)();
        let stops = self.stop.is_cancelled();
        checks.push(check("draining", !stops, if stops { "it stops" } else { "" }));
        HealthReport {
            name: self.name.clone(),
            role: self.role,
            ready: checks.iter().all(|check| check.ok),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            in_flight: 0,
            checks,
        }
    }
}

fn reason(report: &HealthReport) -> String {
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.detail.as_str())
        .collect();
    failed.join("; ")
}

/// A condition of being ready.
pub(super) fn check(name: &str, ok: bool, detail: impl Into<String>) -> HealthCheck {
    HealthCheck {
        name: name.to_owned(),
        ok,
        detail: detail.into(),
    }
}

/// Serves the component's control address and the one for probes until `stop`; of each it does what the component has.
pub(super) async fn serve(
    context: &RoleContext,
    vitals: Arc<Vitals>,
    registry: Registry,
    settings: ControlSettings,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let addresses = &context.settings.addresses;
    let metrics: MetricsText = Arc::new(move || {
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            Err(error) => format!("# metrics can't be written: {error}\n"),
        }
    });
    let router: Router = health_routes(vitals, metrics);
    let control = match addresses.control {
        Some(address) => {
            let listener = bind(address, "control").await?;
            Some(ControlListener::new(
                listener,
                &context.identity,
                router.clone(),
                settings,
            )?)
        }
        None => None,
    };
    let probes = match addresses.probes {
        Some(address) => Some(bind(address, "probes").await?),
        None => None,
    };
    let control = async {
        if let Some(control) = control {
            control.run(stop.clone()).await;
        }
    };
    let probes = async {
        if let Some(probes) = probes {
            serve_probes(probes, router, stop.clone()).await;
        }
    };
    tokio::join!(control, probes, stop.cancelled());
    Ok(())
}

async fn bind(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address} ({what})"))
}
