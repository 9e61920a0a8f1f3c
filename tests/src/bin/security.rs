//! `cargo xtask security`: what our load balancer, HAProxy and nginx do with ambiguous requests and with slow clients.

use std::time::Duration;

use anyhow::bail;
use tenon_tests::security::{Case, Ending, Expected, Kind, Seen, Slowness, Target, cases, send, watch};

/// Longer than any of the time limits that are waited for, but for those that nobody has.
const PATIENCE: Duration = Duration::from_secs(100);

fn main() -> anyhow::Result<()> {
    let targets = Kind::ALL.map(Target::start);
    let wrong = requests(&targets);
    slow_clients(&targets);
    if !wrong.is_empty() {
        bail!("not as it should be:\n{}", wrong.join("\n"));
    }
    Ok(())
}

/// Prints what each made of each request; gives what is wrong with ours.
fn requests(targets: &[Target; 4]) -> Vec<String> {
    let cases = cases();
    let seen: Vec<Vec<Seen>> = std::thread::scope(|scope| {
        let sending: Vec<_> = targets
            .iter()
            .map(|target| scope.spawn(|| cases.iter().map(|case| send(target, &case.bytes)).collect()))
            .collect();
        let results = sending.into_iter().filter_map(|results| results.join().ok());
        results.collect()
    });
    let mut wrong = Vec::new();
    let mut group = "";
    for (number, case) in cases.iter().enumerate() {
        if case.group != group {
            group = case.group;
            say(&format!("\n**{group}**\n\n{}", header()));
        }
        let row: Vec<&Seen> = seen.iter().map(|results| &results[number]).collect();
        let shown: Vec<String> = row.iter().map(|seen| seen.show()).collect();
        say(&format!("| {} | {} |", case.name, shown.join(" | ")));
        wrong.extend(judge(case, row[0], &row[1..]));
    }
    wrong
}

/// What is wrong: another answer than expected, or a laxer one than another load balancer gives, without a reason.
fn judge(case: &Case, ours: &Seen, others: &[&Seen]) -> Option<String> {
    let is_as_expected = match case.expected {
        Expected::Refused(status) => ours.statuses == [status] && ours.is_refused(),
        Expected::Served(count) => ours.statuses == vec![200; count] && ours.requests.len() == count,
    };
    let is_laxer = !ours.is_refused() && others.iter().any(|other| other.is_refused()) && case.why.is_empty();
    let fault = match () {
        () if !is_as_expected => "not as expected",
        () if !ours.doubts.is_empty() => "something is left to doubt",
        () if is_laxer => "laxer than another one",
        () => return None,
    };
    Some(format!("{}: {}: {fault}: {ours:?}", case.group, case.name))
}

fn slow_clients(targets: &[Target; 4]) {
    say(&format!(
        "\n**slow clients**, for at most {} s\n\n{}",
        PATIENCE.as_secs(),
        header()
    ));
    let endings: Vec<Vec<Ending>> = std::thread::scope(|scope| {
        let watching: Vec<Vec<_>> = Slowness::ALL
            .iter()
            .map(|slowness| {
                let watched = targets
                    .iter()
                    .map(|target| scope.spawn(|| watch(target.port, *slowness, PATIENCE)));
                watched.collect()
            })
            .collect();
        let rows = watching.into_iter();
        rows.map(|row| row.into_iter().filter_map(|ending| ending.join().ok()).collect())
            .collect()
    });
    for (slowness, row) in Slowness::ALL.iter().zip(endings) {
        let shown: Vec<String> = row.iter().map(Ending::show).collect();
        say(&format!("| {} | {} |", slowness.name(), shown.join(" | ")));
    }
}

fn header() -> String {
    let names = Kind::ALL.map(Kind::name);
    format!("| | {} |\n|{}", names.join(" | "), "---|".repeat(names.len() + 1))
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn say(text: &str) {
    println!("{text}");
}
