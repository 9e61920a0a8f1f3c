//! HAProxy, nginx and traefik with the configuration in `deploy/`, whose addresses are replaced by those of the test.
//!
//! Whatever goes wrong in here panics: it is the end of the test.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "the end of a test is a panic, and its output is for a person"
)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::harness::{Client, PATIENCE, send_signal, wait_for};

/// A load balancer that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// HAProxy 2.6 of Debian 12.
    HaProxy,
    /// nginx 1.22 of Debian 12.
    Nginx,
    /// Traefik 3, which Debian does not have.
    Traefik,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HaProxy, Self::Nginx, Self::Traefik];

    fn folder(self) -> &'static str {
        match self {
            Self::HaProxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Traefik => "traefik",
        }
    }

    fn file(self, setup: &str) -> PathBuf {
        let suffix = match self {
            Self::HaProxy => "cfg",
            Self::Nginx => "conf",
            Self::Traefik => "yaml",
        };
        deploy().join(self.folder()).join(format!("{setup}.{suffix}"))
    }
}

/// A running one; dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    /// Which one.
    pub kind: Kind,
    /// Its port on the loopback address.
    pub port: u16,
    process: Child,
    folder: TempDir,
}

impl Proxy {
    /// Starts it, and waits until it serves, with the file `deploy/KIND/SETUP.*`, in which each address of the pairs is replaced by the other one.
    pub fn start(kind: Kind, setup: &str, addresses: &[(&str, String)]) -> Self {
        // Somebody else may take the port before it does.
        (0..5)
            .find_map(|_| Self::try_start(kind, setup, addresses))
            .unwrap_or_else(|| panic!("{kind:?} does not start with {setup}"))
    }

    fn try_start(kind: Kind, setup: &str, addresses: &[(&str, String)]) -> Option<Self> {
        let folder = TempDir::with_prefix("tenon-proxy-").expect("a temporary directory can be made");
        let port = free_port();
        let public = ("192.0.2.1:80", format!("127.0.0.1:{port}"));
        let all: Vec<(&str, String)> = addresses.iter().cloned().chain([public]).collect();
        let tested = folder.path().join("tenon.yaml");
        let text = fs::read_to_string(kind.file(setup)).expect("deploy/ has this set-up");
        let process = match kind {
            Kind::HaProxy => {
                fs::write(&tested, filled(&text, &all)).expect("the configuration can be written");
                spawn(
                    &folder,
                    Command::new(program("haproxy")).arg("-db").arg("-f").arg(&tested),
                )
            }
            Kind::Nginx => {
                fs::write(&tested, filled(&text, &all)).expect("the configuration can be written");
                let main = nginx_main(folder.path(), &tested);
                let error_log = folder.path().join("error.log");
                spawn(
                    &folder,
                    Command::new(program("nginx"))
                        .arg("-e")
                        .arg(error_log)
                        .arg("-c")
                        .arg(main),
                )
            }
            Kind::Traefik => {
                fs::write(&tested, filled(&text, addresses)).expect("the configuration can be written");
                let main = folder.path().join("traefik.yaml");
                let text = fs::read_to_string(deploy().join("traefik/traefik.yaml")).expect("deploy/ has it");
                let tested = tested.to_string_lossy().into_owned();
                let text = filled(&text, &all[all.len() - 1..]).replace("/etc/traefik/tenon.yaml", &tested);
                fs::write(&main, text).expect("the configuration can be written");
                spawn(
                    &folder,
                    Command::new(traefik()).arg(format!("--configFile={}", main.display())),
                )
            }
        };
        let mut proxy = Self {
            kind,
            port,
            process,
            folder,
        };
        let client = Client::new();
        let serves = wait_for(&format!("{} serves", kind.folder()), PATIENCE, || {
            let ended = !matches!(proxy.process.try_wait(), Ok(None));
            let answer = client.get(&proxy.url("/tenon/ping"));
            (ended || answer.is_ok_and(|answer| answer.status == 200)).then_some(!ended)
        });
        if !serves {
            println!("{kind:?} ended:\n{}", proxy.said());
        }
        serves.then_some(proxy)
    }

    /// What it has printed and logged.
    fn said(&self) -> String {
        let files = ["output", "error.log"].map(|name| self.folder.path().join(name));
        files.map(|file| fs::read_to_string(file).unwrap_or_default()).concat()
    }

    /// An address of it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- {:?}\n{}", self.kind, self.said());
        }
        if matches!(self.process.try_wait(), Ok(None)) {
            // Of nginx the first process ends the others.
            send_signal(self.process.id(), Signal::TERM);
        }
        for _ in 0..250 {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port on the loopback address that nobody listens on.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn deploy() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the repository").join("deploy")
}

/// The text with every address replaced; each must be in it, and none of those for documentation may be left.
fn filled(text: &str, addresses: &[(&str, String)]) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut text: String = lines.flat_map(|line| [line, "\n"]).collect();
    for (from, to) in addresses {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    assert!(!text.contains("192.0.2."), "an address was not replaced in {text}");
    text
}

/// What stands around a file of `conf.d/`, with everything that nginx writes in a folder of the test.
fn nginx_main(folder: &Path, tested: &Path) -> PathBuf {
    let main = folder.join("nginx.conf");
    let shown = folder.display();
    let text = format!(
        "worker_processes 1;\ndaemon off;\npid {shown}/pid;\nevents {{ worker_connections 1024; }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {shown}/body;\nproxy_temp_path {shown}/proxy;\n\
         fastcgi_temp_path {shown}/fastcgi;\nuwsgi_temp_path {shown}/uwsgi;\nscgi_temp_path {shown}/scgi;\n\
         include {};\n}}\n",
        tested.display()
    );
    fs::write(&main, text).expect("the configuration can be written");
    main
}

pub(crate) fn spawn(folder: &TempDir, command: &mut Command) -> Child {
    let output = fs::File::create(folder.path().join("output")).expect("the test's directory can be written");
    let errors = output.try_clone().expect("a file can be shared");
    command
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; 'cargo xtask test' installs it"))
}

/// Debian keeps the programs of servers out of some users' search path.
pub(crate) fn program(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.is_file() { sbin } else { name.into() }
}

/// Where `cargo xtask test` puts traefik, which Debian does not have.
fn traefik() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = tests.parent().expect("tests/ lies in the repository");
    repository.join("target/traefik/bin/traefik")
}
