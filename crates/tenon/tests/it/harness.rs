//! Environments of tests: made with the real command, on ports of their own, stopped when the test ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything takes that works, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The next ports to try; tests of one process share it, and those of others are found out by trying.
static PORT_BASE: AtomicU16 = AtomicU16::new(0);

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Answer {
    /// The answer as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The answer of a command that must have worked.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// What the command said was wrong, with this code, without the paths of this test.
    #[track_caller]
    pub(crate) fn refused(self, code: i32, directory: &Path) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let root = directory.display().to_string();
        self.err.replace(&root, "DIR").trim_end().to_owned()
    }
}

/// Runs `tenon` with these arguments, away from any environment.
pub(crate) fn tenon(arguments: &[&str]) -> Answer {
    tenon_in(Path::new("/"), arguments)
}

/// Runs `tenon` in a directory.
pub(crate) fn tenon_in(directory: &Path, arguments: &[&str]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_tenon"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("TENON_ENV")
        .env_remove("TENON_OUTPUT")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    answer(&output)
}

fn answer(output: &Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Ports that nobody uses now.
pub(crate) fn port_base() -> u16 {
    let process = u16::try_from(std::process::id() % 150).unwrap() * 100;
    loop {
        let offset = (process + PORT_BASE.fetch_add(100, Ordering::Relaxed)) % 15_000;
        let base = 12_000 + offset;
        let free = |port: u16| std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
        if (base..base + 5).all(free) && free(base + 10) && free(base + 60) {
            return base;
        }
    }
}

/// An environment of a test.
#[derive(Debug)]
pub(crate) struct TestEnvironment {
    /// Removed with its content when the test ends.
    parent: Option<tempfile::TempDir>,
    pub(crate) root: PathBuf,
    pub(crate) port_base: u16,
}

impl TestEnvironment {
    /// A new environment.
    pub(crate) fn create() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("q");
        let mut environment = Self::create_at(&root);
        environment.parent = Some(parent);
        environment
    }

    /// A new environment in this directory.
    pub(crate) fn create_at(root: &Path) -> Self {
        let base = loop {
            let base = port_base();
            let text = base.to_string();
            let answer = tenon(&["quickstart", "create", root.to_str().unwrap(), "--port-base", &text]);
            // Somebody else took one of the ports in the meantime.
            if answer.code != 40 {
                answer.ok();
                break base;
            }
        };
        Self {
            parent: None,
            root: root.to_owned(),
            port_base: base,
        }
    }

    /// The same environment, with a supervisor that is less patient.
    pub(crate) fn with_hang_timeout(self, text: &str) -> Self {
        let file = self.root.join("environment.toml");
        let settings = std::fs::read_to_string(&file).unwrap();
        let changed = settings.replace("hang_timeout = \"10s\"", &format!("hang_timeout = \"{text}\""));
        assert_ne!(settings, changed);
        std::fs::write(&file, changed).unwrap();
        self
    }

    /// Runs `tenon COMMAND` on the environment, or on this component of it.
    pub(crate) fn run(&self, command: &str, component: &str) -> Answer {
        let path = self.path(component);
        tenon(&[command, path.to_str().unwrap()])
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        if below.is_empty() {
            self.root.clone()
        } else {
            self.root.join(below)
        }
    }

    /// What `tenon status` says of a component.
    pub(crate) fn status(&self, component: &str) -> Value {
        let path = self.path(component);
        let answer = tenon(&["status", path.to_str().unwrap(), "--output", "json"]).ok();
        answer.json()["components"][0].clone()
    }

    /// The process id of a component; none if it does not run.
    pub(crate) fn pid(&self, component: &str) -> Option<i64> {
        self.status(component)["pid"].as_i64()
    }

    /// The process id of the supervisor, as its file says.
    pub(crate) fn supervisor(&self) -> Option<i64> {
        let text = std::fs::read_to_string(self.root.join("run/supervisor.pid")).ok()?;
        text.trim().parse().ok()
    }

    /// Waits until this holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} never came: {}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the component is ready with another process than this one.
    #[track_caller]
    pub(crate) fn until_replaced(&self, component: &str, old: i64) -> i64 {
        self.until("a new process", || {
            let status = self.status(component);
            status["ready"] == true && status["pid"] != old
        });
        self.pid(component).unwrap()
    }

    fn logs(&self) -> String {
        let answer = tenon(&["logs", self.root.to_str().unwrap(), "-n", "30"]);
        format!("{}{}", answer.out, answer.err)
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        tenon(&["stop", self.root.to_str().unwrap()]);
        drop(self.parent.take());
    }
}

/// Where the sockets of an environment lie whose path is too long for them.
pub(crate) fn short_directory(root: &Path) -> PathBuf {
    let digest = ring::digest::digest(&ring::digest::SHA256, root.as_os_str().as_encoded_bytes());
    let head = digest.as_ref().first_chunk().unwrap();
    PathBuf::from(format!("/tmp/tenon-{:016x}", u64::from_be_bytes(*head)))
}

/// Sends a signal to a process.
pub(crate) fn signal(pid: i64, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Whether a process runs.
pub(crate) fn is_alive(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z'))
}
