//! What `environment.toml` and each `component.toml` say.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tenon_model::{DurationText, Role};

use super::layering;
use super::ports::PortOptions;
use crate::failure::{Exit, Failure};

/// `environment.toml`: what all components of this host have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentSettings {
    /// Which cluster the components belong to.
    pub(crate) cluster: ClusterSettings,
    /// Where everything durable is; none if that is on another host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreLocation>,
    /// The ports that components get that are added later.
    #[serde(default)]
    pub(crate) ports: PortOptions,
    /// How the supervisor looks after the components.
    #[serde(default)]
    pub(crate) supervisor: SupervisorSettings,
    /// How components log, where they do not say it themselves.
    #[serde(default)]
    pub(crate) log: LogSettings,
}

/// The cluster's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterSettings {
    /// Its name, for people.
    pub(crate) name: String,
    /// Its id: two clusters of one name are two clusters.
    pub(crate) id: String,
}

/// Where everything durable is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreLocation {
    /// `sqlite:` and a directory, relative to the environment.
    pub(crate) url: String,
}

/// How the supervisor looks after the components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SupervisorSettings {
    /// A component that says nothing for so long hangs, and is killed and started again.
    pub(crate) hang_timeout: DurationText,
    /// How long a component may take to stop before it is killed.
    pub(crate) stop_timeout: DurationText,
    /// How long to wait before a component that died is started again, the first time; doubled each time.
    pub(crate) restart_delay_min: DurationText,
    /// How long to wait at most.
    pub(crate) restart_delay_max: DurationText,
    /// How long to wait at most if it had been ready: it can start, and clients wait for it.
    pub(crate) restart_delay_ready_max: DurationText,
    /// A component that ran for so long begins at the shortest delay again.
    pub(crate) restart_reset: DurationText,
}

impl Default for SupervisorSettings {
    fn default() -> Self {
        Self {
            hang_timeout: DurationText::from_secs(10),
            stop_timeout: DurationText::from_secs(30),
            restart_delay_min: DurationText::from_millis(100),
            restart_delay_max: DurationText::from_secs(10),
            restart_delay_ready_max: DurationText::from_secs(1),
            restart_reset: DurationText::from_secs(30),
        }
    }
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// `text` or `json`.
    pub(crate) format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`) or a filter such as `info,tenon_server=debug`.
    pub(crate) level: String,
    /// `file` or `stderr` (for containers, whose runtime collects what is printed).
    pub(crate) to: LogTarget,
    /// A log file of this size is set aside and a new one begun.
    pub(crate) size_bytes_max: u64,
    /// How many files that were set aside are kept.
    pub(crate) files_max: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            to: LogTarget::File,
            size_bytes_max: 10 * 1024 * 1024,
            files_max: 5,
        }
    }
}

/// What a line of a log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Where a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogTarget {
    /// The component's file in `logs/`.
    File,
    /// Standard error.
    Stderr,
}

/// `component.toml`: what one component needs to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComponentSettings {
    /// Its name, which is its directory's.
    pub(crate) name: String,
    /// What it is.
    pub(crate) role: Role,
    /// Control addresses of servers, for a role that learns the cluster from them (load balancer, dashboard).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) servers: Vec<SocketAddr>,
    /// The Python that runs services (servers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) python: Option<PathBuf>,
    /// Where it listens.
    #[serde(default)]
    pub(crate) addresses: Addresses,
    /// Threads of its runtime; half the machine's cores, at least one, if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<usize>,
    /// How it logs; what `environment.toml` says if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<LogSettings>,
    /// The role's own limits; the crate of the role describes and checks them.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub(crate) limits: toml::Table,
}

/// Where a component listens. Which of these a role has is in the table of ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Addresses {
    /// Load balancer: HTTP for clients. Dashboard: HTTP for browsers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<SocketAddr>,
    /// Load balancer: HTTPS for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) https: Option<SocketAddr>,
    /// Server: requests over TCP, for external load balancers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<SocketAddr>,
    /// The control protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) control: Option<SocketAddr>,
    /// Health and metrics over plain HTTP (`/livez`, `/readyz`, `/metrics`), for probes that can't do TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) probes: Option<SocketAddr>,
    /// The address by which other hosts reach this component, if it listens on all addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advertised: Option<IpAddr>,
}

impl Addresses {
    /// The address that others are told to reach this component at, for one that it listens on.
    pub(crate) fn as_told(&self, address: SocketAddr) -> SocketAddr {
        match self.advertised {
            Some(advertised) if address.ip().is_unspecified() => SocketAddr::new(advertised, address.port()),
            _ => address,
        }
    }
}

impl EnvironmentSettings {
    /// Reads `environment.toml`, with what environment variables override.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        layering::read(file, &layering::from_variables("environment", variables()))
    }
}

impl ComponentSettings {
    /// Reads a component's settings, with what environment variables and then flags override.
    pub(crate) fn read(file: &Path, name: &str, flags: &[String]) -> anyhow::Result<Self> {
        let mut overrides = layering::from_variables(name, variables());
        for flag in flags {
            overrides.push(layering::from_flag(flag)?);
        }
        let settings: Self = layering::read(file, &overrides)?;
        if settings.name != name {
            let (file, found) = (file.display(), &settings.name);
            return Err(Failure::new(
                Exit::Settings,
                format!("{file} says that its component is called '{found}', but its directory is '{name}'"),
                "a component's name is its directory's",
            )
            .into());
        }
        Ok(settings)
    }

    /// The role's own limits, as the crate of the role describes them.
    pub(crate) fn limits<T: serde::de::DeserializeOwned>(&self) -> anyhow::Result<T> {
        self.limits.clone().try_into().map_err(|error: toml::de::Error| {
            Failure::new(
                Exit::Settings,
                format!("[limits] of {} is wrong: {}", self.name, error.message()),
                "",
            )
            .into()
        })
    }

    /// The address at which others reach the component: a load balancer's, a dashboard's or a server's.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        let address = self.addresses.http.or(self.addresses.data)?;
        Some(self.addresses.as_told(address))
    }

    /// The control address, as others are told it.
    pub(crate) fn control_address(&self) -> Option<SocketAddr> {
        Some(self.addresses.as_told(self.addresses.control?))
    }

    /// Every port that the component listens on.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let addresses = &self.addresses;
        let all = [
            addresses.http,
            addresses.https,
            addresses.data,
            addresses.control,
            addresses.probes,
        ];
        all.into_iter().flatten().map(|address| address.port()).collect()
    }

    /// The listening sockets that the supervisor holds for the component, so that its restart refuses no connection.
    pub(crate) fn public_sockets(&self) -> Vec<(&'static str, SocketAddr)> {
        if !matches!(self.role, Role::LoadBalancer | Role::Dashboard) {
            return Vec::new();
        }
        [("http", self.addresses.http), ("https", self.addresses.https)]
            .into_iter()
            .filter_map(|(name, address)| Some((name, address?)))
            .collect()
    }
}

fn variables() -> impl Iterator<Item = (String, String)> {
    // Names that are no text can't be ours; values that are no text are no settings.
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}
