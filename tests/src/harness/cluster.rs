//! An environment of the real binary, created, started and taken down by the test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::ports::PortRange;
use super::wait_for;

/// How long a cluster may take for what a test waits for: generous, because tests share two cores.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a test wants of its cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How many servers.
    pub servers: u32,
    /// Further arguments of `quickstart create`.
    pub create: Vec<String>,
    /// Environment variables of the components.
    pub environment: Vec<(String, String)>,
    /// Whether it is started after it was created.
    pub start: bool,
    /// The folder in which its temporary directory is made, if not the system's.
    pub folder: Option<PathBuf>,
    /// The binary, if not the one that all tests are of.
    pub binary: Option<PathBuf>,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            servers: 1,
            create: Vec::new(),
            environment: Vec::new(),
            start: true,
            folder: None,
            binary: None,
        }
    }
}

/// A cluster of the test's own. Dropping it stops it; if the test failed, its logs are printed first.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    ports: PortRange,
    environment: Vec<(String, String)>,
    binary: PathBuf,
    /// A client for the cluster's addresses.
    pub client: Client,
}

impl Cluster {
    /// A running cluster with one server.
    pub fn start() -> Self {
        Self::with(ClusterOptions::default())
    }

    /// A cluster as the options say.
    pub fn with(options: ClusterOptions) -> Self {
        // Without one, the end of the cluster would panic too.
        let binary = options.binary.unwrap_or_else(binary);
        let parent = options.folder.unwrap_or_else(std::env::temp_dir);
        let folder = TempDir::with_prefix_in("tenon-e2e-", parent).expect("a temporary directory can be made");
        let cluster = Self {
            folder,
            ports: PortRange::take(),
            environment: options.environment,
            binary,
            client: Client::new(),
        };
        let (servers, base) = (options.servers.to_string(), cluster.ports.base.to_string());
        let mut create = cluster.command(&["quickstart", "create"]);
        create
            .arg(cluster.path())
            .args(["--servers", &servers, "--port-base", &base])
            .args(&options.create);
        let output = create.output().expect("the binary can be run");
        assert!(output.status.success(), "quickstart create failed: {}", text(&output));
        if options.start {
            cluster.start_all();
        }
        cluster
    }

    /// Starts every component and waits until all are ready.
    pub fn start_all(&self) {
        self.tenon_ok(&["start"]);
    }

    /// The environment's directory.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("env")
    }

    /// The load balancer's port.
    pub fn port(&self) -> u16 {
        self.ports.base
    }

    /// An address of the load balancer.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.base)
    }

    /// An address of the dashboard.
    pub fn dashboard_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.base + 2)
    }

    /// An address of a server's own data port; servers count from 1.
    pub fn server_url(&self, server: u16, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports.base + 9 + server)
    }

    /// Runs a command of the binary on this environment.
    pub fn tenon(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        command
            .env("TENON_ENV", self.path())
            .output()
            .expect("the binary can be run")
    }

    /// Runs a command that must succeed, and returns what it prints.
    #[track_caller]
    pub fn tenon_ok(&self, arguments: &[&str]) -> String {
        let output = self.tenon(arguments);
        assert!(output.status.success(), "tenon {arguments:?} failed: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a command that prints JSON.
    #[track_caller]
    pub fn tenon_json(&self, arguments: &[&str]) -> Value {
        let printed = self.tenon_ok(&[arguments, &["--output", "json"]].concat());
        serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// A component's entry in `tenon status`.
    #[track_caller]
    pub fn component(&self, name: &str) -> Value {
        let status = self.tenon_json(&["status"]);
        let components = status["components"].as_array().expect("status lists components");
        let found = components.iter().find(|component| component["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not in {status}")).clone()
    }

    /// A component's process id.
    #[track_caller]
    pub fn pid(&self, name: &str) -> u32 {
        let component = self.component(name);
        let pid = component["pid"]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} does not run: {component}"));
        u32::try_from(pid).expect("process ids are small")
    }

    /// Sends a signal to a component.
    #[track_caller]
    pub fn signal(&self, name: &str, signal: Signal) {
        send_signal(self.pid(name), signal);
    }

    /// Waits until every component is ready.
    #[track_caller]
    pub fn wait_ready(&self) {
        wait_for("every component is ready", PATIENCE, || {
            let status = self.tenon_json(&["status"]);
            let components = status["components"].as_array()?.clone();
            components
                .iter()
                .all(|component| component["ready"] == true)
                .then_some(())
        });
    }

    /// Writes a file into `services/`.
    pub fn write_service(&self, path: &str, content: &str) {
        write_whole(&self.path().join("services").join(path), content);
    }

    /// Removes a file from `services/`.
    pub fn remove_service(&self, path: &str) {
        std::fs::remove_file(self.path().join("services").join(path)).expect("the service's file is there");
    }

    /// Writes a file into `manifests/`.
    pub fn write_manifest(&self, path: &str, content: &str) {
        write_whole(&self.path().join("manifests").join(path), content);
    }

    /// Applies a manifest and waits until all servers serve it.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let path = self.folder.path().join("apply.yaml");
        std::fs::write(&path, manifest).expect("the test's directory can be written");
        self.tenon_ok(&["apply", "-f", &path.to_string_lossy()]);
    }

    /// Deploys files in one step with `tenon deploy` and returns the deployment; every live server serves it then.
    #[track_caller]
    pub fn deploy(&self, files: &[(&str, &str)]) -> Value {
        let folder = self.scratch("deploy");
        let _ = std::fs::remove_dir_all(&folder);
        for (path, content) in files {
            write_whole(&folder.join(path), content);
        }
        self.tenon_json(&["deploy", &folder.to_string_lossy()])
    }

    /// Sets a secret of the cluster.
    #[track_caller]
    pub fn set_secret(&self, name: &str, value: &str) {
        let file = self.scratch("secret");
        std::fs::write(&file, value).expect("the test's directory can be written");
        self.tenon_ok(&["secret", "set", name, "--file", &file.to_string_lossy()]);
    }

    /// Waits until the address answers with this status, and returns the answer.
    #[track_caller]
    pub fn wait_for_status(&self, url: &str, status: u16) -> Answer {
        wait_for(&format!("{url} answers {status}"), PATIENCE, || {
            let answer = self.client.get(url).ok()?;
            (answer.status == status).then_some(answer)
        })
    }

    /// What a component has logged.
    pub fn log(&self, name: &str) -> String {
        let file = self.path().join(name).join("logs").join(format!("{name}.log"));
        std::fs::read_to_string(file).unwrap_or_default()
    }

    /// The files that all components log to.
    pub fn logs(&self) -> Vec<PathBuf> {
        let files = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = files(self.path());
        let logs = folders.flat_map(|folder| files(folder.path().join("logs")));
        logs.map(|log| log.path()).collect()
    }

    /// A file beside the environment, for the test's own use.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(std::process::Stdio::null());
        command
            .env_remove("TENON_ENV")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn print_logs(&self) {
        for log in self.logs() {
            let content = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = content.lines().collect();
            let tail = lines[lines.len().saturating_sub(60)..].join("\n");
            println!("--- {}\n{tail}", log.display());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        self.tenon(&["stop"]);
    }
}

/// Sends a signal to a process.
#[track_caller]
pub fn send_signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("process ids are small and positive");
    kill_process(pid, signal).expect("the process is there");
}

/// Whether a process runs; one that has ended and is not yet taken away does not.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// The binary under test.
pub fn binary() -> PathBuf {
    let from_environment = std::env::var_os("TENON_BINARY").map(PathBuf::from);
    let binary = from_environment.unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("tests/ lies in the repository")
            .join("target/debug/tenon")
    });
    assert!(
        binary.is_file(),
        "{} is missing; run the tests with 'cargo xtask test'",
        binary.display()
    );
    binary
}

/// Writes beside the target and renames, as editors do.
fn write_whole(path: &Path, content: &str) {
    let folder = path.parent().expect("a file has a folder");
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let temporary = folder.join(format!(
        ".{}.new",
        path.file_name().expect("a file has a name").to_string_lossy()
    ));
    std::fs::write(&temporary, content).expect("the file can be written");
    std::fs::rename(&temporary, path).expect("the file can be renamed");
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
