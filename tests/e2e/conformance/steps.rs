//! The steps of a case: a request, and the answer that must come.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::Case;
use super::expect;
use crate::harness::{Answer, Cluster};

/// Paths that begin with this are not below the case's own channel.
const ABSOLUTE: &str = "/conformance/";
const PAUSE: Duration = Duration::from_millis(25);

/// Runs the steps of a case in their order; what is wrong if one fails.
pub(super) fn run(cluster: &Cluster, case: &Case) -> Result<(), String> {
    for (index, step) in case.steps().iter().enumerate() {
        let patience = step
            .get("within")
            .map_or(Duration::ZERO, |within| seconds(case, within));
        let started = Instant::now();
        loop {
            let answer = send(cluster, case, &step["request"]);
            let Err(wrong) = expect::check(&answer, &step["answer"]) else {
                break;
            };
            if started.elapsed() >= patience {
                let shown: String = answer.body.chars().take(600).collect();
                return Err(format!(
                    "{}, step {}: {wrong}\n  {} {shown}",
                    case.name,
                    index + 1,
                    answer.status
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(())
}

/// A whole number of seconds, as `20s`.
fn seconds(case: &Case, within: &Value) -> Duration {
    let text = within.as_str().unwrap_or_default().trim_end_matches('s');
    let seconds = text
        .parse()
        .unwrap_or_else(|_| panic!("{}: within {within}", case.name));
    Duration::from_secs(seconds)
}

fn send(cluster: &Cluster, case: &Case, request: &Value) -> Answer {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let path = match text("path").unwrap_or_default() {
        absolute if absolute.starts_with(ABSOLUTE) => absolute.to_owned(),
        below => format!("{}{below}", case.path()),
    };
    let query = text("query").map(|query| format!("?{query}")).unwrap_or_default();
    let body = body(case, request);
    let method = text("method").unwrap_or(if body.is_some() { "POST" } else { "GET" });
    let mut client = cluster.client.clone();
    if request.get("json").is_some() {
        client = client.with_header("content-type", "application/json");
    }
    for (name, value) in request.get("headers").and_then(Value::as_object).into_iter().flatten() {
        client = client.with_header(name, value.as_str().unwrap_or_default());
    }
    let answer = client.send(method, &cluster.url(&format!("{path}{query}")), body.as_deref());
    answer.unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

/// The body of a request: `json`, `text`, `hex`, or `repeat: {text, times}`.
fn body(case: &Case, request: &Value) -> Option<Vec<u8>> {
    if let Some(json) = request.get("json") {
        return Some(json.to_string().into_bytes());
    }
    if let Some(hex) = request.get("hex").and_then(Value::as_str) {
        let bytes = hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
        return Some(
            bytes
                .collect::<Result<_, _>>()
                .unwrap_or_else(|error| panic!("{}: {error}", case.name)),
        );
    }
    if let Some(repeat) = request.get("repeat") {
        let part = |name: &str| repeat.get(name).and_then(Value::as_str).unwrap_or_default();
        let times = repeat["times"]
            .as_u64()
            .and_then(|times| usize::try_from(times).ok())
            .unwrap_or_default();
        let (before, text, after) = (part("before"), part("text"), part("after"));
        return Some(format!("{before}{}{after}", text.repeat(times)).into_bytes());
    }
    request
        .get("text")
        .and_then(Value::as_str)
        .map(|text| text.as_bytes().to_vec())
}
