//! What is done to a cluster, each ending when everything is ready again.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::certificate;
use super::part::Part;
use super::subject::Subject;
use crate::load::Weather;

/// How long a paused process stands still: less than anybody may take for its death.
const PAUSE: Duration = Duration::from_millis(1_500);

/// How long a server is set aside, or is there in addition.
const ASIDE: Duration = Duration::from_secs(2);

/// How long a disk is full.
const FULL: Duration = Duration::from_secs(4);

/// How long the cluster may take until all is ready again.
const RECOVERY: Duration = Duration::from_mins(2);

/// One thing that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// `kill -9`.
    Kill(Part),
    /// `kill -STOP`, and it is left to the supervisor to notice.
    Stop(Part),
    /// `kill -STOP`, and `-CONT` before anybody takes it for dead.
    Pause(Part),
    /// `tenon restart` of a component.
    Restart(Part),
    /// `tenon restart` of everything, one component after the other.
    RestartAll,
    /// `tenon deploy` of another version of the service.
    Deploy,
    /// `tenon deployment rollback` to the version before.
    RollBack,
    /// `tenon apply` of one more channel, and of a change to the one that requests come through.
    Apply,
    /// `tenon server drain`, and `--back` after a while.
    Drain,
    /// `tenon server add`, and `tenon server remove` of the same after a while.
    AddAndRemove,
    /// Another certificate for HTTPS, in the files that the load balancer watches.
    SwapCertificate,
    /// The disk of the environment has no free byte for some seconds.
    FillDisk,
}

impl Act {
    /// Does it, and waits until all is ready.
    pub fn run(self, subject: &mut Subject, weather: &Weather) -> anyhow::Result<()> {
        match self {
            Self::Kill(part) => return replace(part, Signal::KILL, subject, weather),
            // A supervisor that stands still is noticed by nobody, and nobody needs it.
            Self::Stop(Part::Supervisor) => pause(Part::Supervisor, 2 * PAUSE, subject),
            Self::Stop(part) => return replace(part, Signal::STOP, subject, weather),
            Self::Pause(part) => pause(part, PAUSE, subject),
            Self::Restart(part) => {
                let path = subject.cluster.path().join(part.name());
                order(subject, &["restart", &path.to_string_lossy()])?;
            }
            Self::RestartAll => order(subject, &["restart"])?,
            Self::Deploy => subject.deploy_next()?,
            Self::RollBack => subject.roll_back()?,
            Self::Apply => subject.apply_next()?,
            Self::Drain => {
                order(subject, &["server", "drain", "server2"])?;
                std::thread::sleep(ASIDE);
                order(subject, &["server", "drain", "server2", "--back"])?;
            }
            Self::AddAndRemove => {
                order(subject, &["server", "add", "server3"])?;
                std::thread::sleep(ASIDE);
                order(subject, &["server", "remove", "server3"])?;
            }
            Self::SwapCertificate => certificate::swap(&subject.cluster.path(), subject.https_port())?,
            Self::FillDisk => fill_disk(&subject.cluster.path())?,
        }
        wait_ready(subject)
    }
}

/// Ends processes, and waits until others are in their place.
fn replace(part: Part, signal: Signal, subject: &Subject, weather: &Weather) -> anyhow::Result<()> {
    let before = part.processes(&subject.cluster);
    let victims = part.victims(&before);
    if victims.is_empty() {
        bail!("{} does not run", part.name());
    }
    if let Some(dying) = part.dying() {
        weather.begin(dying);
    }
    send(victims, signal);
    let is_replaced = || {
        let now = part.processes(&subject.cluster);
        now.len() >= before.len() && !now.iter().any(|pid| victims.contains(pid))
    };
    wait(subject, || is_replaced() && is_ready(subject))?;
    weather.clear();
    Ok(())
}

fn pause(part: Part, time: Duration, subject: &Subject) {
    let pids = part.processes(&subject.cluster);
    let victims = part.victims(&pids);
    send(victims, Signal::STOP);
    std::thread::sleep(time);
    send(victims, Signal::CONT);
}

/// Sends a signal to processes, of which a worker may have ended by itself meanwhile.
fn send(pids: &[u32], signal: Signal) {
    let pids = pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
    for pid in pids {
        let _ = kill_process(pid, signal);
    }
}

/// Leaves no free byte on the disk of this folder for a while.
fn fill_disk(folder: &Path) -> anyhow::Result<()> {
    let ballast = folder.join("ballast");
    let mut file = std::fs::File::create(&ballast)?;
    let block = vec![0; 64 * 1024];
    // What is left in the end is less than the smallest block.
    for size in [block.len(), 4096, 512, 1] {
        while std::io::Write::write_all(&mut file, &block[..size]).is_ok() {}
    }
    std::thread::sleep(FULL);
    drop(file);
    std::fs::remove_file(&ballast).context("the ballast can't be taken away")
}

/// Runs a command of the binary.
pub(super) fn order(subject: &Subject, arguments: &[&str]) -> anyhow::Result<()> {
    let output = subject.cluster.tenon(arguments);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("tenon {arguments:?} ended with {}: {}", output.status, said.trim());
    }
    Ok(())
}

fn wait_ready(subject: &Subject) -> anyhow::Result<()> {
    wait(subject, || is_ready(subject))
}

fn wait(subject: &Subject, is_there: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !is_there() {
        if started.elapsed() > RECOVERY {
            bail!(
                "not all is ready after {RECOVERY:?}: {}",
                subject.cluster.tenon_ok(&["status"])
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn is_ready(subject: &Subject) -> bool {
    let status = subject.cluster.tenon_json(&["status"]);
    let components = status["components"].as_array();
    components.is_some_and(|all| !all.is_empty() && all.iter().all(|component| component["ready"] == true))
}
