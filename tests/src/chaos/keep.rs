//! What is left of a scenario for whoever looks into it: every request, what was done when, and the cluster's logs.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::json;

use super::run::Done;
use super::subject::Subject;
use crate::load::Ledger;

/// Writes all of it into a folder, which may be there already. Times are seconds since 1970, as clocks of logs can be compared with.
pub(super) fn keep(folder: &Path, subject: &Subject, ledger: &Ledger, done: &[Done]) -> anyhow::Result<()> {
    let context = || format!("cannot keep what happened in {}", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    write_requests(&folder.join("requests.jsonl"), ledger, &subject.recorded()).with_context(context)?;
    let acts = done.iter().map(|done| {
        let act = format!("{:?}", done.act);
        let line = json!({"act": act, "from": seconds(done.from), "to": seconds(done.to), "error": done.error});
        format!("{line}\n")
    });
    std::fs::write(folder.join("acts.jsonl"), acts.collect::<String>()).with_context(context)?;
    for log in subject.cluster.logs() {
        if let Some(name) = log.file_name() {
            std::fs::copy(&log, folder.join(name)).with_context(context)?;
        }
    }
    Ok(())
}

fn write_requests(path: &Path, ledger: &Ledger, recorded: &BTreeMap<u64, u32>) -> std::io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    for entry in ledger.entries().iter() {
        let line = json!({
            "id": entry.id,
            "kind": format!("{:?}", entry.kind),
            "via": format!("{:?}", entry.via),
            "due": seconds(entry.due),
            "ended": seconds(entry.ended),
            "repeats": entry.repeats,
            "end": format!("{:?}", entry.end),
            "why": entry.why,
            "cid": entry.cid,
            "done": entry.kind.is_recorded().then(|| recorded.get(&entry.id).unwrap_or(&0)),
        });
        writeln!(file, "{line}")?;
    }
    file.flush()
}

/// A moment of the past on the wall clock, to a millisecond.
fn seconds(moment: Instant) -> f64 {
    let at = SystemTime::now() - moment.elapsed();
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    (seconds * 1_000.0).round() / 1_000.0
}
