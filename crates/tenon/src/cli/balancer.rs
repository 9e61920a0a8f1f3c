//! `tenon balancer`.

use std::fmt::Write as _;

use clap::Subcommand;
use tenon_model::{Clock as _, SystemClock, Timestamp};
use tenon_protocol::control::{BalancerReport, BalancerState, ListBalancers, NoParams, Nothing};

use super::Global;
use super::control::Cluster;
use super::output::{or_dash, table};

/// Shows the load balancer of a cluster.
#[derive(Debug, Subcommand)]
pub(super) enum Balancer {
    /// Show how the load balancer treats servers, its rules with their hits, and its certificates
    Status,
    /// List the certificates that the load balancer shows to clients
    Certificates,
}

/// A report that is older than this is of a load balancer that does not run.
const STALE_MS: u64 = 5_000;
/// From so many days before it ends, a certificate is said to end soon.
const SOON_DAYS: i64 = 30;

impl Balancer {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let cluster = Cluster::of(global)?;
        let output = global.output();
        let page = cluster.call::<ListBalancers>(&NoParams {}, &Nothing {})?;
        if output.is_json() {
            return output.json(&page);
        }
        if page.items.is_empty() {
            return output.text("this cluster has no load balancer of its own that runs");
        }
        let now = SystemClock.now();
        let show = |state: &BalancerState| match self {
            Balancer::Status => status(state, now),
            Balancer::Certificates => certificates(&state.report, now),
        };
        let parts: Vec<String> = page.items.iter().map(show).collect();
        output.text(&parts.join("\n\n"))
    }
}

fn status(state: &BalancerState, now: Timestamp) -> String {
    let report = &state.report;
    let traffic = &report.traffic;
    let mut text = format!("{} · {}", report.name, report.algorithm);
    if state.age_ms > STALE_MS {
        // Writing to a string can't fail.
        let _ = write!(text, " · last heard of {} s ago", state.age_ms / 1000);
    }
    let _ = write!(
        text,
        "\n{} connections ({} TLS, {} HTTP/2) · {} requests · {} errors · {} refused · {} retried · {} waiting",
        traffic.connections,
        traffic.tls_connections,
        traffic.h2_connections,
        traffic.requests,
        traffic.errors,
        traffic.refused,
        traffic.retries,
        traffic.queued,
    );
    for part in [
        servers(report),
        rules(report),
        certificates(report, now),
        problems(report),
    ] {
        if !part.is_empty() {
            let _ = write!(text, "\n\n{}", part.trim_end());
        }
    }
    text
}

fn servers(report: &BalancerReport) -> String {
    let header = [
        "server",
        "state",
        "weight",
        "in flight",
        "requests",
        "failures",
        "p50",
        "p99",
    ];
    let milliseconds = |latency: Option<f64>| or_dash(latency.map(|latency| format!("{latency:.1} ms")));
    let rows = report.servers.iter().map(|server| {
        vec![
            server.name.clone(),
            word(server.state),
            server.weight.to_string(),
            server.in_flight.to_string(),
            server.requests.to_string(),
            server.failures.to_string(),
            milliseconds(server.latency_p50_ms),
            milliseconds(server.latency_p99_ms),
        ]
    });
    table(&header, rows.collect())
}

fn rules(report: &BalancerReport) -> String {
    let rows = report.rules.iter().map(|rule| {
        vec![
            rule.name.clone(),
            rule.hits.to_string(),
            rule.refused.to_string(),
            rule.queued.to_string(),
        ]
    });
    unless_empty(&["rule", "hits", "refused", "waiting"], rows.collect())
}

fn certificates(report: &BalancerReport, now: Timestamp) -> String {
    let rows = report.certificates.iter().map(|certificate| {
        vec![
            certificate.name.clone(),
            certificate.hosts.join(", "),
            if certificate.is_default { "yes" } else { "" }.to_owned(),
            or_dash(certificate.not_after),
            or_dash(certificate.not_after.map(|end| left(end, now))),
            or_dash(certificate.next_order),
            certificate.problem.clone(),
        ]
    });
    unless_empty(
        &[
            "certificate",
            "hosts",
            "default",
            "ends",
            "left",
            "next order",
            "problem",
        ],
        rows.collect(),
    )
}

fn problems(report: &BalancerReport) -> String {
    let rows = report
        .problems
        .iter()
        .map(|problem| vec![format!("{}/{}", problem.kind, problem.name), problem.message.clone()]);
    unless_empty(&["not used as it is now", "because"], rows.collect())
}

fn unless_empty(header: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        table(header, rows)
    }
}

/// How long a certificate is valid still.
fn left(end: Timestamp, now: Timestamp) -> String {
    let days = (end.as_millis() - now.as_millis()).div_euclid(86_400_000);
    match days {
        ..0 => "it has ended".to_owned(),
        0..SOON_DAYS => format!("{days} days: renew it"),
        _ => format!("{days} days"),
    }
}

/// The word that stands for a value in JSON.
fn word(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_says_so() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let in_days = |days: i64| Timestamp::from_millis(now.as_millis() + days * 86_400_000);
        assert_eq!(left(in_days(90), now), "90 days");
        assert_eq!(left(in_days(29), now), "29 days: renew it");
        assert_eq!(left(in_days(-1), now), "it has ended");
    }
}
