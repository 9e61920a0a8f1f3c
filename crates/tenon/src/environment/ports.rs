//! Which ports a cluster uses, and whether they can be had.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// The most servers that one environment may have: their ports lie below each other's.
pub(crate) const SERVERS_MAX: u16 = 49;

/// What the user said about ports and addresses. Kept in `environment.toml` for components that are added later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PortOptions {
    /// The address of the load balancer and, if given, of everything else too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bind: Option<IpAddr>,
    /// The load balancer's HTTP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_port: Option<u16>,
    /// The dashboard's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dashboard_port: Option<u16>,
    /// The first of all ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port_base: Option<u16>,
}

impl PortOptions {
    /// These options, but for those that `other` has.
    pub(crate) fn overridden(&self, other: &Self) -> Self {
        Self {
            bind: other.bind.or(self.bind),
            http_port: other.http_port.or(self.http_port),
            dashboard_port: other.dashboard_port.or(self.dashboard_port),
            port_base: other.port_base.or(self.port_base),
        }
    }
}

/// The addresses of every component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortPlan {
    /// The load balancer's HTTP.
    pub(crate) http: SocketAddr,
    /// The load balancer's HTTPS.
    pub(crate) https: SocketAddr,
    /// The load balancer's control address.
    pub(crate) balancer_control: SocketAddr,
    /// The dashboard.
    pub(crate) dashboard: SocketAddr,
    /// The scheduler's control address.
    pub(crate) scheduler_control: SocketAddr,
    /// Each server's data and control address.
    pub(crate) servers: Vec<(SocketAddr, SocketAddr)>,
}

impl PortPlan {
    /// Lays out the ports of a cluster.
    pub(crate) fn new(options: &PortOptions, servers: u16) -> Result<Self, Failure> {
        let outside = options.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let inside = options.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let port = |default: u16, offset: u16| match options.port_base {
            Some(base) => base.checked_add(offset).ok_or_else(|| too_high(base)),
            None => Ok(default),
        };
        let http = options.http_port.map_or_else(|| port(11223, 0), Ok)?;
        let https = match (options.port_base, options.http_port) {
            (None, Some(http)) => http.checked_add(1).ok_or_else(|| too_high(http))?,
            _ => port(11224, 1)?,
        };
        let (data, control) = (port(17010, 10)?, port(17510, 60)?);
        let server = |index: u16| {
            let at = |first: u16| {
                let port = first.checked_add(index).ok_or_else(|| too_high(first))?;
                Ok::<_, Failure>(SocketAddr::new(inside, port))
            };
            Ok::<_, Failure>((at(data)?, at(control)?))
        };
        Ok(Self {
            http: SocketAddr::new(outside, http),
            https: SocketAddr::new(outside, https),
            balancer_control: SocketAddr::new(inside, port(11229, 4)?),
            dashboard: SocketAddr::new(inside, options.dashboard_port.map_or_else(|| port(8183, 2), Ok)?),
            scheduler_control: SocketAddr::new(inside, port(31530, 3)?),
            servers: (0..servers).map(server).collect::<Result<_, _>>()?,
        })
    }

    /// The addresses that will be listened on, with what for.
    pub(crate) fn uses(&self, dashboard: bool, balancer: bool, scheduler: bool) -> Vec<(String, SocketAddr)> {
        let mut uses = Vec::new();
        if dashboard {
            uses.push(("the dashboard".to_owned(), self.dashboard));
        }
        if balancer {
            uses.push(("the load balancer (HTTP)".to_owned(), self.http));
            uses.push(("the load balancer (HTTPS)".to_owned(), self.https));
            uses.push(("the load balancer (control)".to_owned(), self.balancer_control));
        }
        if scheduler {
            uses.push(("the scheduler (control)".to_owned(), self.scheduler_control));
        }
        for (index, (data, control)) in self.servers.iter().enumerate() {
            uses.push((format!("server{} (data)", index + 1), *data));
            uses.push((format!("server{} (control)", index + 1), *control));
        }
        uses
    }
}

fn too_high(port: u16) -> Failure {
    Failure::new(
        Exit::Port,
        format!("the ports that follow {port} do not fit below 65536"),
        "choose a lower one",
    )
}

/// Refuses ports that are used twice, that the system gives to outgoing connections, or that somebody listens on.
pub(crate) fn check(uses: &[(String, SocketAddr)], ephemeral: Option<(u16, u16)>) -> Result<(), Failure> {
    const CHOOSE: &str = "choose others with --port-base, --http-port or --dashboard-port";
    for (index, (what, address)) in uses.iter().enumerate() {
        let port = address.port();
        if let Some((other, _)) = uses[..index].iter().find(|(_, used)| used.port() == port) {
            let message = format!("port {port} would be used by {other} and by {what}");
            return Err(Failure::new(Exit::Port, message, CHOOSE));
        }
        if port == 0 {
            let message = format!("port 0 can't be used for {what}");
            return Err(Failure::new(Exit::Port, message, CHOOSE));
        }
        if let Some((low, high)) = ephemeral
            && (low..=high).contains(&port)
        {
            let message = format!(
                "port {port} for {what} lies in the range that the system uses for outgoing connections ({low} to {high}), so it could be taken at any time"
            );
            return Err(Failure::new(Exit::Port, message, CHOOSE));
        }
    }
    for (what, address) in uses {
        if let Err(error) = TcpListener::bind(address) {
            let port = address.port();
            let message = match error.kind() {
                ErrorKind::AddrInUse => format!("port {port} for {what} is in use"),
                ErrorKind::PermissionDenied => format!("port {port} for {what} may not be used by this user"),
                ErrorKind::AddrNotAvailable => {
                    format!("{} is no address of this host, so {what} can't use it", address.ip())
                }
                _ => format!("{address} for {what} can't be used: {error}"),
            };
            return Err(Failure::new(Exit::Port, message, CHOOSE));
        }
    }
    Ok(())
}

/// The ports that the system gives to outgoing connections.
pub(crate) fn ephemeral_range() -> Option<(u16, u16)> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Some((low, high)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_follow_the_table_of_the_design() {
        let plan = PortPlan::new(&PortOptions::default(), 2).unwrap();
        let ports: Vec<u16> = plan
            .uses(true, true, true)
            .iter()
            .map(|(_, address)| address.port())
            .collect();
        assert_eq!(ports, [8183, 11223, 11224, 11229, 31530, 17010, 17510, 17011, 17511]);
        assert!(plan.http.ip().is_unspecified() && plan.dashboard.ip().is_loopback());
        let options = PortOptions {
            port_base: Some(20000),
            ..PortOptions::default()
        };
        let plan = PortPlan::new(&options, SERVERS_MAX).unwrap();
        let ports: Vec<u16> = plan
            .uses(true, true, true)
            .iter()
            .map(|(_, address)| address.port())
            .collect();
        assert_eq!(ports[..7], [20002, 20000, 20001, 20004, 20003, 20010, 20060]);
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
    }

    #[test]
    fn ports_that_can_not_be_had_are_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let one = |address| [("the dashboard".to_owned(), address)];
        let message = |uses: &[(String, SocketAddr)], range| check(uses, range).unwrap_err().to_string();
        assert!(message(&one(address), None).contains("in use"));
        let range = Some((address.port(), address.port()));
        assert!(message(&one(address), range).contains("outgoing connections"));
        let twice = [one(address)[0].clone(), ("server1".to_owned(), address)];
        assert!(message(&twice, None).contains("the dashboard and by server1"));
        let options = PortOptions {
            port_base: Some(65500),
            ..PortOptions::default()
        };
        assert!(PortPlan::new(&options, 2).is_err());
    }
}
