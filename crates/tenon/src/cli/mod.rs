//! The command line: a file per command. Each says what it takes and does it; nothing here knows how.

mod balancer;
mod cert;
mod completions;
mod component;
mod control;
mod create;
mod deploy;
mod deployment;
mod deployment_archive;
mod job;
mod logs;
mod manifests;
mod objects;
mod openapi;
mod output;
mod quickstart;
mod restart;
mod secret;
mod server;
mod service;
mod start;
mod status;
mod stop;
mod supervise;
mod version;
mod wait;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::environment::Target;
use crate::failure::{Exit, Failure};
use output::{Format, Output};

/// An integration platform and API server: services in Python behind REST channels and schedules, run as a cluster.
#[derive(Debug, Parser)]
#[command(name = "tenon", version, max_term_width = 120, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The environment; without it, the one that the current directory lies in
    #[arg(long, global = true, env = "TENON_ENV", value_name = "DIR")]
    env: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, env = "TENON_OUTPUT")]
    output: Format,
}

impl Global {
    /// Where results go.
    fn output(&self) -> Output {
        Output::new(self.output)
    }

    /// What the command is about.
    fn target(&self, path: Option<&std::path::Path>) -> anyhow::Result<Target> {
        Target::find(path, self.env.as_deref())
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a cluster: all components in one directory
    #[command(subcommand)]
    Quickstart(quickstart::Quickstart),
    /// Make the components of a cluster one by one
    #[command(subcommand)]
    Create(create::Create),
    /// Start an environment or a component
    Start(start::Start),
    /// Stop an environment or a component
    Stop(stop::Stop),
    /// Restart an environment, one component after the other, or a component
    Restart(restart::Restart),
    /// Show how the components are
    Status(status::Status),
    /// Wait until an environment or a component is ready
    Wait(wait::Wait),
    /// Show the logs of an environment or a component
    Logs(logs::Logs),
    /// Add, remove and drain servers of a cluster that runs
    #[command(subcommand)]
    Server(server::Server),
    /// Show the load balancer: servers, rules, certificates
    #[command(subcommand)]
    Balancer(balancer::Balancer),
    /// List, show and invoke services
    #[command(subcommand)]
    Service(service::Service),
    /// Deploy files with services to every server
    Deploy(deploy::Deploy),
    /// List, show, roll back and export deployments
    #[command(subcommand)]
    Deployment(deployment::Deployment),
    /// Check manifests without a cluster
    Validate(manifests::Validate),
    /// Show what applying manifests would change
    Plan(manifests::PlanCommand),
    /// Apply manifests: all of it or nothing
    Apply(manifests::Apply),
    /// Print every object as a manifest
    Export(manifests::Export),
    /// List kinds, or objects of a kind, or print an object
    Get(objects::Get),
    /// Show everything about an object, or what the fields of a kind mean
    Describe(objects::Describe),
    /// Delete an object
    Delete(objects::Delete),
    /// List and try outgoing connections
    #[command(subcommand)]
    Outgoing(objects::Outgoing),
    /// List and run jobs, and show what became of them
    #[command(subcommand)]
    Job(job::Job),
    /// Set, list and delete secrets
    #[command(subcommand)]
    Secret(secret::Secret),
    /// Issue certificates for components on other hosts
    #[command(subcommand)]
    Cert(cert::Cert),
    /// Print the OpenAPI document of the channels
    Openapi(openapi::OpenApi),
    /// Print a script that completes commands in a shell
    Completions(completions::Completions),
    /// Print the version
    Version(version::Version),
    /// Supervise an environment (`tenon start` does this)
    #[command(hide = true)]
    Supervise(supervise::Supervise),
    /// Run one component in this process (the supervisor does this)
    #[command(hide = true)]
    Component(component::Component),
}

/// Reads the command line; ends the process with help or an error if it is not right.
pub(crate) fn parse() -> CommandLine {
    CommandLine::parse()
}

/// Does what the command line says.
pub(crate) fn run(line: CommandLine) -> anyhow::Result<()> {
    let global = &line.global;
    match line.command {
        Command::Quickstart(command) => command.run(global),
        Command::Create(command) => command.run(global),
        Command::Start(command) => command.run(global),
        Command::Stop(command) => command.run(global),
        Command::Restart(command) => command.run(global),
        Command::Status(command) => command.run(global),
        Command::Wait(command) => command.run(global),
        Command::Logs(command) => command.run(global),
        Command::Server(command) => command.run(global),
        Command::Balancer(command) => command.run(global),
        Command::Service(command) => command.run(global),
        Command::Deploy(command) => command.run(global),
        Command::Deployment(command) => command.run(global),
        Command::Validate(command) => command.run(global),
        Command::Plan(command) => command.run(global),
        Command::Apply(command) => command.run(global),
        Command::Export(command) => command.run(global),
        Command::Get(command) => command.run(global),
        Command::Describe(command) => command.run(global),
        Command::Delete(command) => command.run(global),
        Command::Outgoing(command) => command.run(global),
        Command::Job(command) => command.run(global),
        Command::Secret(command) => command.run(global),
        Command::Cert(command) => command.run(global),
        Command::Openapi(command) => command.run(global),
        Command::Completions(command) => command.run(global),
        Command::Version(command) => command.run(global),
        Command::Supervise(command) => command.run(),
        Command::Component(command) => command.run(global),
    }
}

/// Tells the user what went wrong, and the shell with which code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let closed = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(closed) {
        // Whoever read the output has seen enough.
        return ExitCode::SUCCESS;
    }
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
    let exit = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map_or(Exit::Failed, |failure| failure.exit);
    ExitCode::from(exit.code())
}
