//! The load balancers that are compared, each in front of a recorder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::Signal;
use tempfile::TempDir;

use super::recorder::Recorder;
use crate::harness::{Client, PATIENCE, send_signal, wait_for};
use crate::proxies::{self, Proxy, free_port, program, spawn};

/// A load balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Ours.
    Tenon,
    /// `HAProxy` with nothing but addresses and time limits.
    HaProxy,
    /// `HAProxy` as `deploy/haproxy/servers.cfg` sets it up.
    HaProxyDeployed,
    /// nginx as `deploy/nginx/servers.conf` sets it up.
    Nginx,
}

impl Kind {
    /// All of them, ours first.
    pub const ALL: [Self; 4] = [Self::Tenon, Self::HaProxy, Self::HaProxyDeployed, Self::Nginx];

    /// What a table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tenon => "Tenon",
            Self::HaProxy => "HAProxy 2.6",
            Self::HaProxyDeployed => "HAProxy, deploy/",
            Self::Nginx => "nginx 1.22",
        }
    }
}

/// `HAProxy` as its manual begins.
const PLAIN: &str = "
global
    maxconn 4000
defaults
    mode http
    timeout http-request 10s
    timeout client 60s
    timeout connect 2s
    timeout server 60s
frontend public
    bind 127.0.0.1:PUBLIC
    default_backend servers
backend servers
    server server1 127.0.0.1:RECORDER
";

/// One that runs, and what reaches the server behind it.
#[derive(Debug)]
pub struct Target {
    /// Which one.
    pub kind: Kind,
    /// Its port on the loopback address.
    pub port: u16,
    /// The server.
    pub recorder: Recorder,
    _running: Running,
}

/// Ends what runs.
#[derive(Debug)]
#[expect(dead_code, reason = "what is in it ends when it is dropped")]
enum Running {
    Deployed(Proxy),
    Plain(Process, TempDir),
}

#[derive(Debug)]
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            send_signal(self.0.id(), Signal::KILL);
        }
        // It has ended, or does so now.
        let _ = self.0.wait();
    }
}

impl Target {
    /// Starts it and waits until it serves.
    ///
    /// # Panics
    ///
    /// If its program is missing or does not start.
    pub fn start(kind: Kind) -> Self {
        let recorder = Recorder::start();
        let (port, running) = match kind {
            Kind::Tenon => {
                let port = free_port();
                let mut command = Command::new(balance());
                command.args([format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", recorder.port())]);
                (port, plain(&mut command))
            }
            Kind::HaProxy => {
                let folder = folder();
                let (port, file) = (free_port(), folder.path().join("haproxy.cfg"));
                let text = PLAIN.replace("PUBLIC", &port.to_string());
                let text = text.replace("RECORDER", &recorder.port().to_string());
                fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                let process = spawn(
                    &folder,
                    Command::new(program("haproxy")).arg("-db").arg("-f").arg(&file),
                );
                (port, Running::Plain(Process(process), folder))
            }
            Kind::HaProxyDeployed => deployed(proxies::Kind::HaProxy, &recorder),
            Kind::Nginx => deployed(proxies::Kind::Nginx, &recorder),
        };
        let client = Client::new();
        wait_for(&format!("{} serves", kind.name()), PATIENCE, || {
            let answer = client.get(&format!("http://127.0.0.1:{port}/tenon/ping")).ok()?;
            (answer.status == 200).then_some(())
        });
        Self {
            kind,
            port,
            recorder,
            _running: running,
        }
    }
}

fn deployed(kind: proxies::Kind, recorder: &Recorder) -> (u16, Running) {
    let address = format!("127.0.0.1:{}", recorder.port());
    let addresses = [("192.0.2.11:17010", address.clone()), ("192.0.2.11:17011", address)];
    let proxy = Proxy::start(kind, "servers", &addresses);
    (proxy.port, Running::Deployed(proxy))
}

fn plain(command: &mut Command) -> Running {
    let folder = folder();
    Running::Plain(Process(spawn(&folder, command)), folder)
}

fn folder() -> TempDir {
    TempDir::with_prefix("tenon-security-").unwrap_or_else(|error| panic!("no temporary directory: {error}"))
}

/// Our load balancer without a cluster: an example, which lies beside the binary under test.
fn balance() -> PathBuf {
    let named = std::env::var_os("TENON_BINARY").map(PathBuf::from);
    let folder = named.as_deref().and_then(Path::parent).map(Path::to_owned);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug"));
    let balance = folder.join("examples/balance");
    assert!(
        balance.is_file(),
        "{} is missing; 'cargo build --package tenon-balancer --examples' makes it",
        balance.display()
    );
    balance
}
