//! The threads that read, each with a connection of its own; they never wait for the writer, nor it for them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rusqlite::Connection;
use tenon_model::{Clock, Timestamp};
use tokio::sync::{mpsc, oneshot};

use super::connection::{Db, DbError, DbResult, open_reader, statements};
use super::lock::StoreLock;
use super::{answers, background, deployments, leases, locks, objects, runs, secrets, users};
use crate::engine::{Reply, Request};
use crate::error::StoreError;

statements! {
    BEGIN = "BEGIN";
    END = "COMMIT";
}

/// A request that reads, and who waits for the answer.
#[derive(Debug)]
pub(super) struct ReadJob {
    /// What to read.
    pub(super) request: Request,
    /// Who is told.
    pub(super) answer: oneshot::Sender<Result<Reply, StoreError>>,
}

/// What a read may use.
pub(super) struct ReadContext<'a> {
    /// The connection, at one state of the file.
    pub(super) db: &'a Connection,
    /// The time.
    pub(super) now: Timestamp,
}

/// Starts the threads; they end when the sender of the queue is dropped.
pub(super) fn start(
    path: &Path,
    count: usize,
    queue: mpsc::Receiver<ReadJob>,
    clock: &Arc<dyn Clock>,
    lock: &Arc<StoreLock>,
) -> DbResult<()> {
    let queue = Arc::new(Mutex::new(queue));
    for number in 1..=count.max(1) {
        let connection = open_reader(path)?;
        let (queue, clock, lock) = (Arc::clone(&queue), Arc::clone(clock), Arc::clone(lock));
        thread::Builder::new()
            .name(format!("store-reader-{number}"))
            .spawn(move || {
                while let Some(job) = next(&queue) {
                    let answer = read_at_one_state(&connection, clock.now(), &job.request);
                    let _ = job.answer.send(answer.map_err(DbError::into_store_error));
                }
                drop(connection);
                drop(lock);
            })
            .map_err(|error| StoreError::Storage(format!("can't start a thread: {error}")))?;
    }
    Ok(())
}

/// The thread that has the queue's lock waits for the next request; the others wait for the lock.
fn next(queue: &Mutex<mpsc::Receiver<ReadJob>>) -> Option<ReadJob> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.blocking_recv()
}

fn read_at_one_state(connection: &Connection, now: Timestamp, request: &Request) -> DbResult<Reply> {
    connection.run(BEGIN, [])?;
    let reply = read(&ReadContext { db: connection, now }, request);
    connection.run(END, [])?;
    reply
}

fn read(context: &ReadContext<'_>, request: &Request) -> DbResult<Reply> {
    Ok(match request {
        Request::Objects(request) => objects::read(context, request)?.into(),
        Request::Deployments(request) => deployments::read(context, request)?.into(),
        Request::Runs(request) => runs::read(context, request)?.into(),
        Request::Leases(request) => leases::read(context, request)?.into(),
        Request::Users(request) => users::read(context, request)?.into(),
        Request::Secrets(request) => secrets::read(context, request)?.into(),
        Request::Locks(request) => locks::read(context, request)?.into(),
        Request::Background(request) => background::read(context, request)?.into(),
        Request::Answers(request) => answers::read(context, request)?.into(),
        Request::Members(_) | Request::Now | Request::Cache(_) | Request::Quotas(_) | Request::Reports(_) => {
            return Err(not_a_read());
        }
    })
}

/// The error of a request that came to the wrong place.
pub(super) fn not_a_read() -> DbError {
    StoreError::Invalid("the request does not read".to_owned()).into()
}
