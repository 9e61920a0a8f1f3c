//! What the load balancer tells the cluster of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use tenon_model::{InstanceId, Timestamp};
use tenon_protocol::control::{
    BalancedServer, BalancedState, BalancerReport, BalancerTraffic, RuleCount, ServedCertificate,
};

use crate::acme::AcmeState;
use crate::balancer::Handle;
use crate::counters::Counters;
use crate::kinds::OperatorState;
use crate::status::{ServerStatus, sum};
use crate::tls::CertificateStatus;
use crate::upstream::{Endpoint, Health, ServerState};

impl Handle {
    /// How the load balancer is, for the cluster to show: numbers since its start, under this name and life of the process.
    pub fn report(&self, name: &str, instance: &InstanceId, now: Timestamp) -> BalancerReport {
        let configuration = self.shared.configuration.load();
        let rules = self.shared.shaping.rules();
        BalancerReport {
            name: name.to_owned(),
            instance: instance.clone(),
            revision: configuration.revision,
            algorithm: text_of(configuration.balancer.algorithm),
            traffic: self.traffic(),
            servers: self
                .status()
                .servers
                .into_iter()
                .map(|server| balanced(server, now))
                .collect(),
            certificates: self
                .shared
                .tls
                .status()
                .iter()
                .map(|certificate| served(certificate, self.shared.acme.state(&certificate.name)))
                .collect(),
            rules: rules
                .into_iter()
                .map(|rule| RuleCount {
                    name: rule.name,
                    hits: rule.hits,
                    refused: rule.refused,
                    queued: rule.queued as u64,
                })
                .collect(),
            problems: configuration.problems.clone(),
        }
    }

    fn traffic(&self) -> BalancerTraffic {
        let shared = &self.shared;
        let total = |counter: fn(&Counters) -> &AtomicU64| sum(self, counter);
        let status = self.status();
        BalancerTraffic {
            connections: status.connections as u64,
            tls_connections: shared.tls_open.load(Ordering::Relaxed) as u64,
            h2_connections: shared.h2_open.load(Ordering::Relaxed) as u64,
            tls_failures: total(|all| &all.tls_failures),
            requests: status.requests,
            errors: total(|all| &all.classes[5]),
            refused: status.refused,
            queued: self.queued() as u64,
            retries: status.retries,
            unknown: status.unknown,
            not_sent: status.not_sent,
        }
    }
}

fn balanced(server: ServerStatus, now: Timestamp) -> BalancedServer {
    BalancedServer {
        state: state_of(&server),
        name: server.name,
        address: match server.endpoint {
            Endpoint::Unix(path) => path.display().to_string(),
            Endpoint::Tcp(address) | Endpoint::Tls { address, .. } => address,
        },
        weight: server.weight,
        health: text_of(server.health),
        in_flight: server.in_flight as u64,
        requests: server.requests,
        failures: server.failures,
        latency_p50_ms: server.latency_p50.map(|latency| latency.as_secs_f64() * 1e3),
        latency_p99_ms: server.latency_p99.map(|latency| latency.as_secs_f64() * 1e3),
        ejected_until: server.ejected_for.map(|time| now.plus(time)),
    }
}

/// What is the matter with a server, the most lasting thing first.
fn state_of(server: &ServerStatus) -> BalancedState {
    match (server.wanted, server.state, server.health) {
        (OperatorState::Maintenance, ..) => BalancedState::Maintenance,
        (OperatorState::Drain, ..) | (_, ServerState::Draining, _) => BalancedState::Drain,
        (.., Health::Dead) => BalancedState::Dead,
        _ if server.ejected_for.is_some() => BalancedState::Ejected,
        (_, ServerState::Ready, Health::Ready) => BalancedState::In,
        _ => BalancedState::NotReady,
    }
}

fn served(certificate: &CertificateStatus, ordered: AcmeState) -> ServedCertificate {
    let facts = certificate.facts.as_ref();
    let problems = certificate.error.clone().into_iter().chain([ordered.problem]);
    let problems: Vec<String> = problems.filter(|problem| !problem.is_empty()).collect();
    ServedCertificate {
        name: certificate.name.clone(),
        hosts: facts.map(|facts| facts.hosts.clone()).unwrap_or_default(),
        is_default: certificate.is_default,
        not_before: facts.map(|facts| facts.not_before),
        not_after: facts.map(|facts| facts.not_after),
        fingerprint: facts.map(|facts| facts.fingerprint.clone()).unwrap_or_default(),
        next_order: ordered.next,
        problem: problems.join("; "),
    }
}

/// The word that stands for a value in JSON.
fn text_of(value: impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
