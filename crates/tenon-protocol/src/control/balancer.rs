//! Load balancers: what they are told, and what they tell.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tenon_model::{Access, InstanceId, Revision, Timestamp};

use super::endpoint::{NoParams, Nothing, Page, endpoint};

endpoint! {
    /// What a load balancer does, secrets included; waits for a change if asked to. Only for load balancers, known by certificate.
    GetBalancerConfiguration = "getBalancerConfiguration" Get "/v1/balancer-configuration" None, (ConfigurationQuery, Nothing) -> BalancerConfiguration;
    /// The load balancers of the cluster as each described itself last.
    ListBalancers = "listBalancers" Get "/v1/balancers" Some(Access::Viewer), (NoParams, Nothing) -> Page<BalancerState>;
    /// A load balancer says how it is; only of itself, known by its certificate.
    ReportBalancer = "reportBalancer" Put "/v1/balancers/{name}" None, (BalancerPath, BalancerReport) -> Nothing;
}

/// The kind of the object that configures load balancers as a whole.
pub const BALANCER_KIND: &str = "balancer";
/// The kind of certificates that load balancers show to clients.
pub const BALANCER_CERTIFICATE_KIND: &str = "balancer-certificate";
/// The kind of rules of load balancers.
pub const BALANCER_RULE_KIND: &str = "balancer-rule";

/// Which load balancer is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BalancerPath {
    /// Its name.
    pub name: String,
}

/// Whether to wait for a change of the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigurationQuery {
    /// The `cursor` of the last answer: wait until the configuration differs from that. None: answer at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How long to wait at most, in milliseconds; 25,000 if not given and never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// What a load balancer does: objects of its kinds with references resolved and secrets opened.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BalancerConfiguration {
    /// What to send as `after` to wait for the next change.
    pub cursor: u64,
    /// The revision of the objects that this is of.
    pub revision: Revision,
    /// The object `balancer/main`; none if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balancer: Option<ConfigurationPart>,
    /// Objects of the kind `balancer-certificate`, by name.
    pub certificates: Vec<ConfigurationPart>,
    /// Objects of the kind `balancer-rule`, by name.
    pub rules: Vec<ConfigurationPart>,
}

/// One object of a configuration.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigurationPart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// Its fields, ready for use: with defaults, references resolved, secrets opened. Null if `problem` says why they can't be.
    pub body: Value,
    /// Why it can't be used; empty if it can. A load balancer goes on with what it knew of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

impl fmt::Debug for ConfigurationPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are private keys in the body.
        f.debug_struct("ConfigurationPart")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

/// A load balancer as it described itself last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BalancerState {
    /// How long ago that was, in milliseconds; one that runs does it once a second.
    pub age_ms: u64,
    /// What it said.
    pub report: BalancerReport,
}

/// How a load balancer is. Numbers are counted since its process began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BalancerReport {
    /// Its name.
    pub name: String,
    /// This life of its process.
    pub instance: InstanceId,
    /// The revision of the objects that it has in force; 0 before it has any.
    pub revision: Revision,
    /// Which server gets a request: `round-robin` or `least-in-flight`.
    pub algorithm: String,
    /// Client connections and requests.
    pub traffic: BalancerTraffic,
    /// Each server.
    pub servers: Vec<BalancedServer>,
    /// Each certificate.
    pub certificates: Vec<ServedCertificate>,
    /// Each rule in force, in the order in which they are looked at.
    pub rules: Vec<RuleCount>,
    /// Parts of the configuration that can't be used; what was known of them before stays in force.
    pub problems: Vec<ConfigurationProblem>,
}

/// What goes through a load balancer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BalancerTraffic {
    /// Client connections open now.
    pub connections: u64,
    /// Those of them that speak TLS.
    pub tls_connections: u64,
    /// Those of them that speak HTTP/2.
    pub h2_connections: u64,
    /// TLS handshakes that failed.
    pub tls_failures: u64,
    /// Requests answered, whoever answered them.
    pub requests: u64,
    /// Requests answered with 500 to 599.
    pub errors: u64,
    /// Requests refused before a server saw them.
    pub refused: u64,
    /// Requests that wait for a server now.
    pub queued: u64,
    /// Attempts beyond the first.
    pub retries: u64,
    /// Requests that a server got and did not answer.
    pub unknown: u64,
    /// Requests that no server could take in time.
    pub not_sent: u64,
}

/// Whether a server gets requests, all things considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BalancedState {
    /// It gets requests.
    In,
    /// It gets none now: it says itself that it is not ready, or it has not been asked yet.
    NotReady,
    /// It gets no new ones: the operator, or the server itself as it ends, wants it so.
    Drain,
    /// It gets none: the operator wants it so.
    Maintenance,
    /// It gets none for a while, because it failed too many.
    Ejected,
    /// It does not answer.
    Dead,
}

/// A server as a load balancer sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BalancedServer {
    /// Its name.
    pub name: String,
    /// Where it is reached: a path of a Unix socket, or `host:port`.
    pub address: String,
    /// Whether it gets requests.
    pub state: BalancedState,
    /// Its part of the requests, relative to the others.
    pub weight: u32,
    /// What checks of its readiness found: `unknown`, `ready`, `not-ready`, `suspect` or `dead`.
    pub health: String,
    /// Requests that it has now.
    pub in_flight: u64,
    /// Requests that it got.
    pub requests: u64,
    /// Attempts that it failed: no connection, no answer, or half of one.
    pub failures: u64,
    /// Half of the requests of the last minute took at most so many milliseconds; none if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<f64>,
    /// Of a hundred requests of the last minute, 99 took at most so many milliseconds; none if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_p99_ms: Option<f64>,
    /// Until when it is ejected; none if it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ejected_until: Option<Timestamp>,
}

/// A certificate that a load balancer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedCertificate {
    /// The name of its object; `default` for the one that the environment came with.
    pub name: String,
    /// Hosts that it is shown for.
    pub hosts: Vec<String>,
    /// Whether it is shown where none is for the host.
    pub is_default: bool,
    /// It is not valid before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// It is not valid after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// SHA-256 of it, in hexadecimal; empty if it could not be read.
    pub fingerprint: String,
    /// When the load balancer orders it from its authority next; none if it orders none, or does so now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_order: Option<Timestamp>,
    /// Why the newest version of it can't be used, or why there is none; empty if all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// What a rule did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCount {
    /// The name of its object.
    pub name: String,
    /// Requests that matched.
    pub hits: u64,
    /// Those of them that it refused.
    pub refused: u64,
    /// Those that wait because of it now.
    pub queued: u64,
}

/// A part of the configuration that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigurationProblem {
    /// The kind of the object.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub message: String,
}
