//! The kind `balancer`: how the load balancer treats servers, clients and connections as a whole.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, FieldProblem, KindConfig, KindGroup};
use tenon_protocol::control::BALANCER_KIND;

use super::checks::{Problems, certificates_of};

/// The load balancer of this cluster. There is one object of this kind, `main`; without it all defaults hold. A change takes
/// effect at once, without a connection being dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BalancerConfig {
    /// Which of the servers that can take a request gets it.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// Servers that are not treated like all others. One that is not listed takes requests, with weight 1.
    #[serde(default)]
    pub servers: Vec<ServerConfig>,
    /// Whether requests that come over HTTP are sent to the same address over HTTPS.
    #[serde(default)]
    pub redirect_to_https: RedirectToHttps,
    /// How long browsers are to use nothing but HTTPS (`Strict-Transport-Security`, in answers over HTTPS). Without it they are
    /// told nothing.
    pub hsts_max_age: Option<DurationText>,
    /// Open client connections at most. Without it the setting `connections_max` of the component holds.
    pub connections_max: Option<u64>,
    /// Open connections from one address at most. Without it there is no such limit.
    pub connections_per_address_max: Option<u64>,
    /// Requests that all servers together have at once at most; more wait. Without it there is no such limit.
    pub in_flight_max: Option<u64>,
    /// Requests that one server has at once at most; more go to another one or wait. Without it there is no such limit.
    pub in_flight_per_server_max: Option<u64>,
    /// Requests that wait at most because of `in_flight_max` or `in_flight_per_server_max`; more are answered with 503.
    #[serde(default = "queue_max")]
    pub queue_max: u64,
    /// How long a request waits at most before it is answered with 503.
    #[serde(default = "queue_timeout")]
    pub queue_timeout: DurationText,
    /// Bytes of a request body at most; more are answered with 413. Without it the setting `body_bytes_max` of the component
    /// holds, which is also the most that can be set here.
    pub body_bytes_max: Option<u64>,
    /// Header fields of a request at most, up to 128; more are answered with 431. Without it the setting `headers_max` holds.
    pub headers_max: Option<u64>,
    /// How long the head of a request may take from its first byte to its last. Without it the setting `head_timeout` holds.
    pub head_timeout: Option<DurationText>,
    /// How long a connection between two requests is kept. Without it the setting `idle_timeout` holds.
    pub idle_timeout: Option<DurationText>,
    /// How long a server may take from the end of a request to the head of its answer. Without it the setting
    /// `response_head_timeout` holds.
    pub response_head_timeout: Option<DurationText>,
    /// Addresses and networks of clients that are let in, such as `10.0.0.0/8`. Connections from all others are closed at once, and
    /// requests of theirs that come through a trusted proxy get 403. Empty: all are let in.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Addresses and networks of clients that are not let in, even if `allow` has them.
    #[serde(default)]
    pub deny: Vec<String>,
    /// Addresses and networks of proxies in front of the load balancer, whose `X-Forwarded-*`, `Forwarded` and PROXY headers
    /// are believed; besides those of the setting `trusted`.
    #[serde(default)]
    pub trusted: Vec<String>,
    /// Whether connections begin with a PROXY header (version 1 or 2) that names the client.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
    /// When a server that answers checks but fails requests gets none for a while.
    #[serde(default)]
    pub ejection: EjectionConfig,
    /// A header, such as `X-Request-ID`, in which servers and clients get the id of the request, and from which it is taken if
    /// a trusted proxy sent it. Without it there is only `X-Tenon-Cid`.
    pub request_id_header: Option<String>,
    /// TLS with clients.
    #[serde(default)]
    pub tls: TlsConfig,
}

impl Default for BalancerConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            servers: Vec::new(),
            redirect_to_https: RedirectToHttps::default(),
            hsts_max_age: None,
            connections_max: None,
            connections_per_address_max: None,
            in_flight_max: None,
            in_flight_per_server_max: None,
            queue_max: queue_max(),
            queue_timeout: queue_timeout(),
            body_bytes_max: None,
            headers_max: None,
            head_timeout: None,
            idle_timeout: None,
            response_head_timeout: None,
            allow: Vec::new(),
            deny: Vec::new(),
            trusted: Vec::new(),
            proxy_protocol: ProxyProtocol::default(),
            ejection: EjectionConfig::default(),
            request_id_header: None,
            tls: TlsConfig::default(),
        }
    }
}

/// Which server gets a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// One after the other, each as often as its weight says.
    #[default]
    RoundRobin,
    /// The one that has the fewest requests, measured by its weight.
    LeastInFlight,
}

/// How one server is treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// The server's name, such as `server2`. One that does not exist is no error, so that it can be prepared.
    pub name: String,
    /// Its part of the requests, relative to the others.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub weight: u32,
    /// Whether it gets requests.
    #[serde(default)]
    pub state: OperatorState,
}

/// What an operator says of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorState {
    /// It takes requests.
    #[default]
    In,
    /// It gets no new requests, and finishes those that it has. Upgraded connections stay until they end by themselves.
    Drain,
    /// As `drain`, and upgraded connections are closed.
    Maintenance,
}

/// Whether requests over HTTP are sent to HTTPS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RedirectToHttps {
    /// They are answered.
    #[default]
    Off,
    /// 308, which clients remember.
    Permanent,
    /// 307.
    Temporary,
}

/// Whether connections begin with a PROXY header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// They don't.
    #[default]
    Off,
    /// Those from trusted addresses may.
    OptionalFromTrusted,
    /// Those from trusted addresses must; others are closed.
    RequiredFromTrusted,
}

/// When a server that fails requests gets none for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EjectionConfig {
    /// Attempts that failed (no connection, no answer, half of one) within `window` after which it gets no requests, if they are
    /// half of its answers or more; 0: it always gets some.
    pub failures: u32,
    /// The time in which failures are counted.
    pub window: DurationText,
    /// How long it gets none; longer each time if it fails again at once.
    pub time: DurationText,
    /// How many of all servers may be without requests because of this, in percent; at least one may, if there are two.
    #[schemars(range(max = 100))]
    pub max_percent: u32,
}

impl Default for EjectionConfig {
    fn default() -> Self {
        Self {
            failures: 10,
            window: DurationText::from_secs(10),
            time: DurationText::from_secs(10),
            max_percent: 50,
        }
    }
}

/// TLS with clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The lowest version of TLS that is spoken.
    pub min_version: TlsVersion,
    /// Whether clients are asked for certificates. What a verified one says is handed on in `X-Tenon-Client-Cert-*`, for the
    /// kind `mutual-tls`.
    pub client_certificates: ClientCertificates,
    /// Certificates of the authorities that clients' certificates come from, as PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-tenon-multiline" = true))]
    pub client_ca: Option<String>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// Whether clients are asked for certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClientCertificates {
    /// They aren't.
    #[default]
    None,
    /// They are asked; who has none is let in, and one that is not valid ends the connection.
    Optional,
    /// Only who has a valid one is let in.
    Required,
}

const fn one() -> u32 {
    1
}

const fn queue_max() -> u64 {
    1_000
}

const fn queue_timeout() -> DurationText {
    DurationText::from_secs(5)
}

const HOUR: Duration = Duration::from_hours(1);
const TWO_YEARS: Duration = Duration::from_hours(24 * 730);

impl BalancerConfig {
    /// The name of the only object of this kind.
    pub const MAIN: &'static str = "main";
}

impl KindConfig for BalancerConfig {
    const NAME: &'static str = BALANCER_KIND;
    const TITLE: &'static str = "Load balancer";
    const GROUP: KindGroup = KindGroup::LoadBalancer;
    const ONLY_NAME: Option<&'static str> = Some(Self::MAIN);

    fn check(&self) -> Vec<FieldProblem> {
        let mut problems = Problems::default();
        self.check_servers(&mut problems);
        for (field, limit) in [
            ("connections_max", self.connections_max),
            ("connections_per_address_max", self.connections_per_address_max),
            ("in_flight_max", self.in_flight_max),
            ("in_flight_per_server_max", self.in_flight_per_server_max),
        ] {
            problems.add_if(limit == Some(0), field, "at least 1; leave it out for no such limit");
        }
        problems.add_if(
            self.headers_max.is_some_and(|max| !(1..=128).contains(&max)),
            "headers_max",
            "1 to 128",
        );
        problems.add_if(self.queue_max > 100_000, "queue_max", "at most 100000");
        problems.duration("queue_timeout", Some(self.queue_timeout), HOUR);
        problems.duration("head_timeout", self.head_timeout, HOUR);
        problems.duration("idle_timeout", self.idle_timeout, HOUR);
        problems.duration("response_head_timeout", self.response_head_timeout, HOUR);
        problems.add_if(
            self.hsts_max_age.is_some_and(|age| age.0 > TWO_YEARS),
            "hsts_max_age",
            "at most 730d",
        );
        problems.networks("allow", &self.allow);
        problems.networks("deny", &self.deny);
        problems.networks("trusted", &self.trusted);
        if let Some(name) = &self.request_id_header {
            problems.header_to_set("request_id_header", name);
        }
        self.check_ejection(&mut problems);
        self.check_tls(&mut problems);
        problems.into()
    }
}

impl BalancerConfig {
    fn check_servers(&self, problems: &mut Problems) {
        for (index, server) in self.servers.iter().enumerate() {
            let at = |field: &str| format!("servers[{index}].{field}");
            problems.add_if(
                server.name.trim().is_empty(),
                at("name"),
                "name a server, such as server1",
            );
            let is_second = self.servers[..index].iter().any(|other| other.name == server.name);
            problems.add_if(is_second, at("name"), "this server is listed twice");
            problems.add_if(!(1..=100).contains(&server.weight), at("weight"), "1 to 100");
        }
    }

    fn check_ejection(&self, problems: &mut Problems) {
        let ejection = &self.ejection;
        problems.add_if(
            ejection.failures > 10_000,
            "ejection.failures",
            "at most 10000; 0 for off",
        );
        problems.duration("ejection.window", Some(ejection.window), HOUR);
        problems.duration("ejection.time", Some(ejection.time), HOUR);
        problems.add_if(ejection.max_percent > 100, "ejection.max_percent", "0 to 100");
    }

    fn check_tls(&self, problems: &mut Problems) {
        let tls = &self.tls;
        match &tls.client_ca {
            Some(pem) => {
                if let Err(message) = certificates_of(pem) {
                    problems.add("tls.client_ca", message);
                }
            }
            None => problems.add_if(
                tls.client_certificates != ClientCertificates::None,
                "tls.client_ca",
                "clients' certificates can be verified only with the certificates of their authorities",
            ),
        }
    }
}
