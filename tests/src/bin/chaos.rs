//! `cargo xtask chaos`: scenarios of failures and changes under load, and a table of how every request ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, ValueEnum};
use rand::Rng;
use tenon_tests::chaos::{Outcome, Pace, Scenario, report, run};
use tokio_util::sync::CancellationToken;

/// Does things to clusters of the real binary while requests run, and prints how every request ended.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos")]
struct Options {
    /// Only scenarios whose name contains one of these; without it, all of them.
    #[arg(long = "scenario", value_name = "NAME")]
    scenarios: Vec<String>,
    /// For how many seconds things are done to each cluster.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// What chance depends on; drawn and printed without it.
    #[arg(long)]
    seed: Option<u64>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Where a line for every request, what was done when, and the cluster's logs are left, in a folder for each scenario.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Lists the scenarios and does nothing.
    #[arg(long)]
    list: bool,
    /// Uses the release build of the binary.
    #[arg(long)]
    release: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
    Markdown,
}

fn main() -> ExitCode {
    match run_all(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run_all(options: &Options) -> anyhow::Result<()> {
    let mut scenarios = Scenario::all();
    if !options.scenarios.is_empty() {
        scenarios.retain(|scenario| options.scenarios.iter().any(|name| scenario.name.contains(name)));
    }
    if options.list || scenarios.is_empty() {
        let names: Vec<String> = Scenario::all().into_iter().map(|scenario| scenario.name).collect();
        say(&names.join("\n"));
        return Ok(());
    }
    let pace = Pace {
        during: Duration::from_secs(options.seconds),
        calm: Duration::from_secs((options.seconds / 4).clamp(2, 15)),
        rate: options.rate,
        seed: options.seed.unwrap_or_else(|| rand::rng().random_range(1..1_000_000)),
    };
    tell(&format!("seed {}", pace.seed));
    let interrupted = watch_for_interrupt()?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut broken = 0;
    for scenario in &scenarios {
        if interrupted.is_cancelled() {
            break;
        }
        let kept = options.keep.as_ref().map(|folder| folder.join(&scenario.name));
        let is_over = || interrupted.is_cancelled();
        let ran = catch_unwind(AssertUnwindSafe(|| run(scenario, pace, &is_over, kept.as_deref())));
        match ran {
            Ok(Ok(outcome)) => {
                tell(&show(&outcome));
                outcomes.push(outcome);
            }
            Ok(Err(error)) => {
                broken += 1;
                tell(&format!("{} could not be run: {error:#}", scenario.name));
            }
            // The message was printed where it panicked.
            Err(_) => {
                broken += 1;
                tell(&format!("{} could not be run", scenario.name));
            }
        }
    }
    say(&match options.output {
        Output::Table => report::table(&outcomes),
        Output::Json => format!("{:#}", report::json(&outcomes)),
        Output::Markdown => report::markdown(&outcomes),
    });
    let bad = outcomes.iter().filter(|outcome| !outcome.is_good()).count();
    if bad + broken > 0 {
        bail!("{bad} scenarios with failures, {broken} that could not be run");
    }
    Ok(())
}

/// Cancelled at the first Ctrl-C, so that clusters are taken down; a second one ends the program.
fn watch_for_interrupt() -> anyhow::Result<CancellationToken> {
    let interrupted = CancellationToken::new();
    let token = interrupted.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if tokio::signal::ctrl_c().await.is_ok() {
                tell("the clusters are taken down");
                token.cancel();
            }
        });
    });
    Ok(interrupted)
}

fn show(outcome: &Outcome) -> String {
    let undone = outcome.undone.iter().map(|what| format!("\n  not done: {what}"));
    let reasons = outcome.reasons.iter().map(|reason| format!("\n  {reason}"));
    format!(
        "{}\n{}{}",
        report::table(std::slice::from_ref(outcome)),
        undone.collect::<String>(),
        reasons.collect::<String>().trim_start_matches('\n'),
    )
}

/// The result, for whoever reads or parses it.
#[expect(clippy::print_stdout, reason = "the command talks to a person")]
fn say(text: &str) {
    println!("{text}");
}

/// What happens meanwhile.
#[expect(clippy::print_stderr, reason = "the command talks to a person")]
fn tell(text: &str) {
    eprintln!("{text}");
}
