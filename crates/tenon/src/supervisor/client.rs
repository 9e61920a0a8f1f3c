//! The command line's side of the supervisor: asks it, or does without it when there is none.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use tenon_model::Role;

use super::binary;
use super::link::{Caller, ComponentReport, Message, SupervisorReport};
use super::process::{self, Launcher, Process};
use super::{LOCK, PID, STOP_ORDER};
use crate::environment::desired::{self, Desired};
use crate::environment::settings::ComponentSettings;
use crate::environment::{Environment, locks};
use crate::failure::fail;

/// How long the supervisor may take for an answer.
const ANSWER: Duration = Duration::from_secs(3);

/// How long a new supervisor may take until it answers.
const START: Duration = Duration::from_secs(10);

/// How long the supervisor may take to go on as another binary; on a busy machine components may have to start another one.
const RENEWED: Duration = Duration::from_secs(30);

/// How often to look while waiting.
const LOOK: Duration = Duration::from_millis(20);

/// Whether the environment has a supervisor.
pub(crate) fn is_supervised(environment: &Environment) -> bool {
    locks::is_locked(&environment.layout().run().join(LOCK))
}

/// Asks the supervisor.
pub(crate) fn ask(environment: &Environment, message: &Message) -> anyhow::Result<Message> {
    let path = environment.layout().supervisor_socket();
    let answer = Caller::connect(&path, ANSWER).and_then(|caller| caller.ask(message));
    match answer {
        Ok(Message::Refused { reason }) => anyhow::bail!(reason),
        Ok(answer) => Ok(answer),
        Err(error) => Err(error).context("the supervisor does not answer"),
    }
}

/// How the supervisor is; none if it does not answer.
pub(crate) fn supervisor(environment: &Environment) -> Option<SupervisorReport> {
    match ask(environment, &Message::Status) {
        Ok(Message::Components { supervisor, .. }) => supervisor,
        _ => None,
    }
}

/// Has the supervisor go on as the binary of this process; answers when it has. Components do not notice.
pub(crate) fn renew_supervisor(environment: &Environment) -> anyhow::Result<()> {
    let before = supervisor(environment).map(|report| report.life);
    let program = binary::own_program()?;
    ask(environment, &Message::Renew { program })?;
    let deadline = Instant::now() + RENEWED;
    loop {
        let now = supervisor(environment).map(|report| report.life);
        if now.is_some() && now != before {
            return Ok(());
        }
        if Instant::now() > deadline {
            fail!(
                FailedToStart,
                "the supervisor does not come back as the new binary",
                format!("see {}", environment.layout().supervisor_log().display())
            );
        }
        std::thread::sleep(LOOK);
    }
}

/// How every component is. Works without a supervisor too.
pub(crate) fn reports(environment: &Environment) -> anyhow::Result<Vec<ComponentReport>> {
    if is_supervised(environment)
        && let Ok(Message::Components { components, .. }) = ask(environment, &Message::Status)
    {
        let mut reports = components;
        // One that was made meanwhile is not known to the supervisor before it is started.
        for component in environment.components()? {
            if !reports.iter().any(|report| report.name == component.name) {
                let report = report_without_supervisor(environment, &component);
                reports.push(ComponentReport {
                    wanted: false,
                    ..report
                });
            }
        }
        return Ok(reports);
    }
    let components = environment.components()?;
    Ok(components
        .iter()
        .map(|component| report_without_supervisor(environment, component))
        .collect())
}

fn report_without_supervisor(environment: &Environment, component: &ComponentSettings) -> ComponentReport {
    let layout = environment.layout();
    let process = running_process(environment, &component.name);
    let pid = process.as_ref().map(Process::pid);
    let (uptime_seconds, memory_bytes) = pid.map_or((None, None), process::facts);
    let wanted = desired::of_environment(layout) == Desired::Running
        && desired::of_component(layout, &component.name) == Desired::Running;
    ComponentReport {
        name: component.name.clone(),
        role: component.role,
        pid,
        state: if pid.is_some() { "not-ready" } else { "stopped" }.to_owned(),
        wanted,
        ready: false,
        reason: if pid.is_some() {
            "the supervisor does not answer"
        } else {
            ""
        }
        .to_owned(),
        version: String::new(),
        address: component.address().map(|address| address.to_string()),
        control_address: component.addresses.control.map(|address| address.to_string()),
        uptime_seconds,
        memory_bytes,
        binary: pid.and_then(|pid| binary::of_process(pid, &binary::own_program().unwrap_or_default())),
    }
}

/// The process of a component, if it has one.
fn running_process(environment: &Environment, name: &str) -> Option<Process> {
    let layout = environment.layout();
    let run = layout.component_run(name);
    if !locks::is_locked(&run.join("lock")) {
        return None;
    }
    let pid = locks::read_pid(&run.join("pid"))?;
    process::mentions(pid, &layout.component(name)).then(|| Process::open(pid))?
}

/// Starts the supervisor in the background and waits until it answers.
pub(crate) fn start_supervisor(environment: &Environment) -> anyhow::Result<()> {
    let layout = environment.layout();
    layout.prepare_sockets()?;
    let launcher = Launcher::new(false)?;
    let process = launcher.supervisor(layout.root(), &layout.supervisor_log())?;
    let deadline = Instant::now() + START;
    loop {
        if is_supervised(environment) && ask(environment, &Message::Status).is_ok() {
            return Ok(());
        }
        if process.ended_within(LOOK) && !is_supervised(environment) {
            fail!(
                FailedToStart,
                "the supervisor ended at once",
                format!("see {}", layout.supervisor_log().display())
            );
        }
        if Instant::now() > deadline {
            fail!(
                FailedToStart,
                "the supervisor does not answer",
                format!("see {}", layout.supervisor_log().display())
            );
        }
    }
}

/// Stops a whole environment, telling `progress` who still runs each time that changes.
pub(crate) fn stop_all(environment: &Environment, progress: &mut dyn FnMut(&[String])) -> anyhow::Result<()> {
    // Before anything else, so that no component takes the supervisor's end for an accident.
    desired::set_environment(environment.layout(), Desired::Stopped)?;
    let limits = &environment.settings().supervisor;
    let roles = u32::try_from(STOP_ORDER.len()).unwrap_or(1);
    let deadline = Instant::now() + (limits.stop_timeout.0 + Duration::from_secs(5)) * roles;
    if is_supervised(environment) && ask(environment, &Message::Shutdown).is_ok() {
        while is_supervised(environment) {
            progress(&running(environment)?);
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
    if let Some(process) = supervisor_process(environment) {
        process.signal(Signal::KILL);
        process.ended_within(ANSWER);
    }
    stop_without_supervisor(environment, progress)
}

/// Stops what runs, in the same order as the supervisor does.
fn stop_without_supervisor(environment: &Environment, progress: &mut dyn FnMut(&[String])) -> anyhow::Result<()> {
    let timeout = environment.settings().supervisor.stop_timeout.0;
    let components = environment.components()?;
    for role in STOP_ORDER {
        let processes: Vec<Process> = components
            .iter()
            .filter(|component| component.role == role)
            .filter_map(|component| running_process(environment, &component.name))
            .collect();
        for process in &processes {
            process.signal(Signal::TERM);
            process.signal(Signal::CONT);
        }
        let deadline = Instant::now() + timeout;
        for process in &processes {
            progress(&running(environment)?);
            if !process.ended_within(deadline.saturating_duration_since(Instant::now())) {
                process.signal(Signal::KILL);
                process.ended_within(ANSWER);
            }
        }
    }
    progress(&running(environment)?);
    Ok(())
}

/// The names of the components that have a process, by their locks.
fn running(environment: &Environment) -> anyhow::Result<Vec<String>> {
    let components = environment.components()?;
    let is_up = |component: &ComponentSettings| {
        locks::is_locked(&environment.layout().component_run(&component.name).join("lock"))
    };
    let mut up: Vec<ComponentSettings> = components.into_iter().filter(is_up).collect();
    up.sort_by_key(|component| component.role == Role::Store);
    Ok(up.into_iter().map(|component| component.name).collect())
}

fn supervisor_process(environment: &Environment) -> Option<Process> {
    if !is_supervised(environment) {
        return None;
    }
    let layout = environment.layout();
    let pid = locks::read_pid(&layout.run().join(PID))?;
    process::mentions(pid, layout.root()).then(|| Process::open(pid))?
}
