//! `tenon start`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use tenon_model::{DurationText, Role};

use super::output::Output;
use super::{Global, supervise, wait};
use crate::environment::desired::{self, Desired};
use crate::environment::{Environment, Target, demo};
use crate::failure::fail;
use crate::supervisor::client;
use crate::supervisor::link::Message;

/// How long an environment that is being stopped is waited for.
const STOPPING: Duration = Duration::from_mins(1);

/// Starts an environment or a component, and waits until it is ready.
#[derive(Debug, Args)]
pub(super) struct Start {
    /// An environment or one of its components
    path: Option<PathBuf>,
    /// Stay in the foreground and print the logs, for containers and systemd
    #[arg(long)]
    foreground: bool,
    /// How long to wait until everything is ready
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    timeout: DurationText,
}

impl Start {
    pub(super) fn run(&self, global: &Global) -> anyhow::Result<()> {
        let target = global.target(self.path.as_deref())?;
        if self.foreground {
            return start_in_foreground(target);
        }
        start_and_wait(global, &target, self.timeout.0, false)
    }
}

fn start_in_foreground(target: Target) -> anyhow::Result<()> {
    if client::is_supervised(&target.environment) {
        fail!(
            AlreadyRunning,
            format!("{} runs already", target.environment.layout().root().display()),
            "look at it with `tenon status`"
        );
    }
    want(&target)?;
    supervise::run(target.environment, true)
}

/// Starts what the target says and waits until it is ready. With `run_is_fine` it is no error that everything runs.
pub(super) fn start_and_wait(
    global: &Global,
    target: &Target,
    timeout: Duration,
    run_is_fine: bool,
) -> anyhow::Result<()> {
    let (environment, output) = (&target.environment, global.output());
    let began = Instant::now();
    if client::is_supervised(environment) {
        if runs_already(target)? {
            if run_is_fine {
                return Ok(());
            }
            fail!(
                AlreadyRunning,
                format!("{} runs already{}", target.path().display(), stopped_by_name(target)?),
                "look at it with `tenon status`"
            );
        }
        order_start(target)?;
    } else {
        want(target)?;
        client::start_supervisor(environment)?;
    }
    wait::until_ready(target, timeout, Some(output))?;
    if output.is_json() {
        return output.json(&serde_json::json!({ "started": true, "milliseconds": began.elapsed().as_millis() }));
    }
    let mut lines = vec![format!("Ready after {:.1} s", began.elapsed().as_secs_f64())];
    if target.component.is_none() {
        lines.extend(addresses(environment)?);
        lines.extend(try_it(environment)?);
        let stopped = stopped_by_name(target)?;
        if !stopped.is_empty() {
            lines.push(stopped.trim_start_matches("; ").to_owned());
        }
    }
    output.text(&lines.join("\n"))
}

/// Whether there is nothing to start.
fn runs_already(target: &Target) -> anyhow::Result<bool> {
    let reports = client::reports(&target.environment)?;
    let layout = target.environment.layout();
    Ok(reports.iter().all(|report| match &target.component {
        Some(name) => *name != report.name || report.wanted,
        None => report.wanted || desired::of_component(layout, &report.name) == Desired::Stopped,
    }))
}

/// Tells the supervisor to start. One that is just ending is waited for, and replaced.
fn order_start(target: &Target) -> anyhow::Result<()> {
    let environment = &target.environment;
    let components = target.component.iter().cloned().collect();
    let Err(error) = client::ask(environment, &Message::Start { components }) else {
        return Ok(());
    };
    if desired::of_environment(environment.layout()) == Desired::Running {
        return Err(error);
    }
    let deadline = Instant::now() + STOPPING;
    while client::is_supervised(environment) {
        if Instant::now() > deadline {
            fail!(
                AlreadyRunning,
                "the environment is being stopped, and does not end",
                "look at it with `tenon status`"
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    want(target)?;
    client::start_supervisor(environment)
}

/// Keeps on disk what is to run, for the supervisor that is started next.
fn want(target: &Target) -> anyhow::Result<()> {
    let layout = target.environment.layout();
    let names: Vec<String> = target.environment.components()?.into_iter().map(|c| c.name).collect();
    let of = |name: &String| desired::of_component(layout, name);
    let all_stopped = names.iter().all(|name| of(name) == Desired::Stopped);
    for name in &names {
        let desired = match &target.component {
            Some(wanted) if wanted == name => Desired::Running,
            // Only that one was asked for; the others wait for the environment.
            Some(_) if of(name) == Desired::Running => Desired::Idle,
            Some(_) => of(name),
            // Starting an environment in which everything was stopped by name would do nothing.
            None if of(name) != Desired::Stopped || all_stopped => Desired::Running,
            None => Desired::Stopped,
        };
        desired::set_component(layout, name, desired)?;
    }
    desired::set_environment(layout, Desired::Running)
}

fn stopped_by_name(target: &Target) -> anyhow::Result<String> {
    if target.component.is_some() {
        return Ok(String::new());
    }
    let layout = target.environment.layout();
    let names: Vec<String> = target.environment.components()?.into_iter().map(|c| c.name).collect();
    let stopped: Vec<String> = names
        .into_iter()
        .filter(|name| desired::of_component(layout, name) == Desired::Stopped)
        .collect();
    Ok(match stopped.first() {
        None => String::new(),
        Some(first) => format!(
            "; stopped by name, and left so: {} (start with `tenon start {}`)",
            stopped.join(", "),
            layout.component(first).display()
        ),
    })
}

/// The addresses that people use, as lines.
pub(super) fn addresses(environment: &Environment) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for component in environment.components()? {
        if let Some(address) = component.addresses.http {
            let title = match component.role {
                Role::Dashboard => "dashboard",
                _ => "load balancer",
            };
            lines.push(format!("  {title:<15} http://{}", reachable(address)));
        }
    }
    Ok(lines)
}

/// A line that shows how to call the demo, if it is there.
fn try_it(environment: &Environment) -> anyhow::Result<Option<String>> {
    let components = environment.components()?;
    let balancer = components.iter().find(|component| component.role == Role::LoadBalancer);
    let address = balancer.and_then(|balancer| balancer.addresses.http);
    let has_demo = environment.layout().manifests().join("demo.yaml").is_file();
    Ok(address.filter(|_| has_demo).map(|address| {
        format!(
            "Try it with: curl 'http://{}{}?name=Ada'",
            reachable(address),
            demo::PATH
        )
    }))
}

/// The address as a client on this host uses it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Tells people how far starting has come: a line for each component that has become ready.
#[derive(Debug)]
pub(super) struct Progress {
    output: Option<Output>,
    began: Instant,
    told: Vec<String>,
}

impl Progress {
    pub(super) fn new(output: Option<Output>) -> Self {
        Self {
            output,
            began: Instant::now(),
            told: Vec::new(),
        }
    }

    /// This component is ready.
    pub(super) fn ready(&mut self, name: &str) {
        if self.told.iter().any(|told| told == name) {
            return;
        }
        self.told.push(name.to_owned());
        if let Some(output) = self.output {
            output.note(&format!(
                "  {name:<15} ready after {:.1} s",
                self.began.elapsed().as_secs_f64()
            ));
        }
    }
}
