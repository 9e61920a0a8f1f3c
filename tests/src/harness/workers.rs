//! The processes of Python workers.

use std::collections::HashMap;

/// Process ids and worker groups of the Python workers that a server has: it started them itself, or has them forked.
pub fn workers_of(server: u32) -> Vec<(u32, String)> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let known: HashMap<u32, Process> = pids.filter_map(|pid| Some((pid, Process::read(pid)?))).collect();
    let is_below = |process: &Process| {
        let grandparent = known.get(&process.parent).map(|parent| parent.parent);
        process.parent == server || grandparent == Some(server)
    };
    let running = known.iter().filter(|(_, process)| is_below(process));
    running
        .filter_map(|(pid, process)| Some((*pid, process.name.strip_prefix("tenon-")?.to_owned())))
        .collect()
}

struct Process {
    name: String,
    parent: u32,
}

impl Process {
    /// What a process is; none if it has ended.
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let (state, parent) = (fields.next()?, fields.next()?.parse().ok()?);
        let name = name.to_owned();
        (state != "Z").then_some(Self { name, parent })
    }
}
