//! A real PostgreSQL server of a test's own, in a temporary directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

pub(super) struct PostgresServer {
    binaries: PathBuf,
    directory: TempDir,
    port: u16,
    is_tls: bool,
    child: Option<Child>,
}

impl PostgresServer {
    /// A database directory and a port; nothing runs yet. The user is `billing`, its password `hunter2`.
    pub(super) async fn prepare_at_free_port() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let binaries = binaries();
        let directory = tempfile::Builder::new().prefix("tenon-pg").tempdir().unwrap();
        let data = directory.path().join("data");
        let binaries_of_task = binaries.clone();
        let to = data.clone();
        tokio::task::spawn_blocking(move || copy_tree(&template(&binaries_of_task), &to))
            .await
            .unwrap();
        give_to_postgres(directory.path());
        Self {
            binaries,
            directory,
            port,
            is_tls: false,
            child: None,
        }
    }

    pub(super) fn url(&self, query: &str) -> String {
        // By name, because that is what certificates are for.
        format!("postgresql://billing@localhost:{}/postgres{query}", self.port)
    }

    /// Gives it a certificate for `localhost`; what comes back is the file of the authority that vouches for it.
    pub(super) fn enable_tls(&mut self) -> String {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let data = self.data();
        fs::write(data.join("server.crt"), certificate.pem()).unwrap();
        fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
        fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        give_to_postgres(&data);
        self.is_tls = true;
        let ca_file = self.directory.path().join("ca.pem");
        fs::write(&ca_file, ca_certificate.pem()).unwrap();
        ca_file.display().to_string()
    }

    pub(super) async fn start_and_wait(&mut self) {
        let mut command = as_postgres(&self.binaries.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-k").arg(self.directory.path());
        command.args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1"]);
        for setting in [
            "fsync=off",
            "logging_collector=off",
            "max_connections=30",
            "shared_buffers=16MB",
        ] {
            command.args(["-c", setting]);
        }
        if self.is_tls {
            command.args(["-c", "ssl=on"]);
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .unwrap();
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let config = format!(
            "host=127.0.0.1 port={} user=billing password=hunter2 dbname=postgres",
            self.port
        );
        let answers = async {
            while tokio_postgres::connect(&config, NoTls).await.is_err() {
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        let result = tokio::time::timeout(Duration::from_mins(1), answers).await;
        let log = || fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        assert!(result.is_ok(), "PostgreSQL does not answer: {}", log());
    }

    /// Ends it at once, as a crash would; it recovers at the next start.
    pub(super) fn crash(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_child(&child);
            let _ = kill_process(pid, Signal::QUIT);
            let _ = child.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Where `initdb` and `postgres` are.
fn binaries() -> PathBuf {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let by_pg_config = Command::new("pg_config").arg("--bindir").output().ok();
    let by_pg_config = by_pg_config.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    let candidates = in_path
        .unwrap_or_default()
        .into_iter()
        .chain(by_pg_config)
        .chain(versions.into_iter().rev());
    candidates
        .filter(|directory| directory.join("initdb").is_file() && directory.join("postgres").is_file())
        // A link leads to the directory that has the server's other files beside it.
        .find_map(|directory| {
            fs::canonicalize(directory.join("postgres"))
                .ok()?
                .parent()
                .map(Path::to_owned)
        })
        .expect("this test needs a PostgreSQL server: apt-get update && apt-get install -y postgresql")
}

/// A fresh database directory that is copied for each server. `initdb` takes seconds, so it stays in the directory for
/// temporary files for the next run of the tests.
fn template(binaries: &Path) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let version = binaries
        .to_string_lossy()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let kept = std::env::temp_dir().join(format!("tenon-test-database{version}"));
    if kept.is_dir() {
        return kept;
    }
    let directory = tempfile::Builder::new().prefix("tenon-pg").tempdir().unwrap();
    let password_file = directory.path().join("password");
    fs::write(&password_file, "hunter2\n").unwrap();
    give_to_postgres(directory.path());
    let data = directory.path().join("data");
    let mut command = as_postgres(&binaries.join("initdb"));
    command.arg("-D").arg(&data).arg("--pwfile").arg(&password_file);
    command.args([
        "-U",
        "billing",
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
        "--wal-segsize=1",
    ]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "initdb failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Another process may have been faster; then its directory is as good.
    if fs::rename(&data, &kept).is_err() {
        assert!(kept.is_dir(), "{} can't be made", kept.display());
    }
    kept
}

/// PostgreSQL refuses to run as root, so root runs it as the user that its package made.
fn as_postgres(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = postgres_user() {
        command.uid(user).gid(group);
    }
    command
}

fn postgres_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users
        .lines()
        .find_map(|line| line.strip_prefix("postgres:"))
        .expect("root needs the user postgres: apt-get update && apt-get install -y postgresql");
    let mut fields = line.split(':').skip(1).map(|field| field.parse().unwrap());
    fields.next().zip(fields.next())
}

fn give_to_postgres(path: &Path) {
    let Some((user, group)) = postgres_user() else { return };
    chown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give_to_postgres(&entry.unwrap().path());
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
