//! A PostgreSQL server of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::wait_for;

/// A PostgreSQL server on a free loopback port, with the superuser `postgres` and no password.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a database and starts its server.
    pub fn start() -> Self {
        let folder = TempDir::with_prefix("tenon-pg-").expect("a temporary directory can be made");
        let port = free_port();
        let mut postgres = Self {
            folder,
            port,
            server: None,
        };
        postgres.give_to_its_user();
        let data = postgres.data();
        let made = as_postgres(&bin("initdb"))
            .args(["--auth=trust", "--username=postgres", "--no-sync", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .expect("initdb can be run");
        assert!(made.success(), "initdb failed");
        postgres.start_again();
        postgres
    }

    /// Starts the server after [`stop`](Self::stop), on the same port with the same data.
    pub fn start_again(&mut self) {
        let server = as_postgres(&bin("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k"])
            .arg(self.folder.path())
            .args(["-c", "fsync=off"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postgres can be started");
        self.server = Some(server);
        wait_for("PostgreSQL takes connections", Duration::from_secs(30), || {
            self.try_sql("SELECT 1").ok()
        });
    }

    /// Ends the server at once.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // SIGQUIT is PostgreSQL's immediate shutdown, which also ends its children.
            let pid = rustix::process::Pid::from_child(&server);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
            let _ = server.wait();
        }
    }

    /// The address as `sql-outgoing` takes it, for the database `postgres`.
    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Runs statements and returns what `psql` prints, unaligned.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        self.try_sql(statements)
            .unwrap_or_else(|error| panic!("{statements}: {error}"))
    }

    fn try_sql(&self, statements: &str) -> Result<String, String> {
        let output = Command::new(bin("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-v",
                "ON_ERROR_STOP=1",
                "-qAt",
                "-p",
            ])
            .args([&self.port.to_string(), "-c", statements])
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// PostgreSQL refuses to run as root, so its folder belongs to its own user.
    fn give_to_its_user(&self) {
        if rustix::process::geteuid().is_root() {
            let given = Command::new("chown").arg("postgres").arg(self.folder.path()).status();
            assert!(
                given.is_ok_and(|status| status.success()),
                "the user postgres is missing; install postgresql"
            );
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn as_postgres(program: &Path) -> Command {
    if rustix::process::geteuid().is_root() {
        // `setpriv` replaces itself with the program, so the child's pid is the program's.
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn bin(program: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(program))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
        .pop()
        .unwrap_or_else(|| panic!("{program} is missing; run: sudo apt-get install -y postgresql"))
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}
