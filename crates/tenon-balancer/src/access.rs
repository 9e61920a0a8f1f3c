//! The access log: written by a thread of its own, so that a request never waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::codec::TraceId;

/// One request, as the log shows it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) cid: String,
    pub(crate) peer: String,
    /// Method and target.
    pub(crate) line: String,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) micros: u64,
    pub(crate) server: String,
    /// From choosing the server that answered to the head of its answer; none if none did.
    pub(crate) server_micros: Option<u64>,
    pub(crate) retries: u32,
    /// What the client speaks.
    pub(crate) protocol: &'static str,
    /// The version of TLS; empty without.
    pub(crate) tls: &'static str,
    /// The rule that refused it.
    pub(crate) rule: Option<Arc<str>>,
    /// The trace that it belongs to.
    pub(crate) trace: Option<TraceId>,
}

/// Entries of one thread that wait for their batch to fill up.
#[derive(Debug)]
pub(crate) struct AccessLog {
    batch: Mutex<Vec<Entry>>,
    batches: SyncSender<Vec<Entry>>,
    dropped: Arc<AtomicU64>,
}

const BATCH: usize = 256;

/// Starts the thread that writes; it ends when all logs made by the function are gone.
pub(crate) fn start(queue_max: usize) -> std::io::Result<(impl Fn() -> AccessLog, Arc<AtomicU64>, JoinHandle<()>)> {
    let (batches, receiver) = sync_channel(queue_max.div_ceil(BATCH).max(1));
    let writer = std::thread::Builder::new()
        .name("access-log".into())
        .spawn(move || write_all(&receiver))?;
    let dropped = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&dropped);
    let make = move || AccessLog {
        batch: Mutex::default(),
        batches: batches.clone(),
        dropped: Arc::clone(&count),
    };
    Ok((make, dropped, writer))
}

impl AccessLog {
    pub(crate) fn add(&self, entry: Entry) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        batch.push(entry);
        if batch.len() >= BATCH {
            self.send(std::mem::take(&mut *batch));
        }
    }

    /// Hands on what has gathered.
    pub(crate) fn flush(&self) {
        let mut batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner);
        if !batch.is_empty() {
            self.send(std::mem::take(&mut *batch));
        }
    }

    fn send(&self, batch: Vec<Entry>) {
        let count = batch.len() as u64;
        if self.batches.try_send(batch).is_err() {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

fn write_all(receiver: &Receiver<Vec<Entry>>) {
    for entry in receiver.iter().flatten() {
        tracing::info!(
            target: "access",
            cid = %entry.cid,
            peer = %entry.peer,
            status = entry.status,
            bytes = entry.bytes,
            micros = entry.micros,
            server = %entry.server,
            server_micros = entry.server_micros,
            retries = entry.retries,
            protocol = entry.protocol,
            tls = entry.tls,
            rule = entry.rule.as_deref(),
            trace = entry.trace.as_ref().map(TraceId::as_str),
            "{}",
            entry.line,
        );
    }
}
