//! The one thread that writes: it takes whatever waits, does it in one transaction, and answers everybody after one flush.
//!
//! It never waits for more to come; while a group is flushed the next one gathers by itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use tenon_model::{Clock, Member, Revision, Timestamp};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::connection::{Db, DbError, DbResult, statements};
use super::lock::StoreLock;
use super::{answers, background, deployments, leases, locks, members, objects, operations, runs, secrets, users};
use crate::engine::{Call, Event, Reply, Request};
use crate::error::StoreError;
use crate::settings::SqliteSettings;

statements! {
    BEGIN = "BEGIN IMMEDIATE";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";
    SAVEPOINT = "SAVEPOINT call";
    KEEP_CALL = "RELEASE call";
    UNDO_CALL = "ROLLBACK TO call";
}

/// How often what is large is looked through for what is too old.
const TRIM_EVERY_MS: i64 = 60_000;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// A request that changes something.
    Call(Call),
    /// Keeps what a member said of itself.
    KeepMember {
        /// The member.
        member: Box<Member>,
        /// Whether its connection has ended.
        dead: bool,
    },
    /// Drops what is too old, and announces what became due.
    Maintain,
}

/// Work, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    /// What to do.
    pub(super) work: Work,
    /// Who is told; a reply that fits nothing for work that is no call.
    pub(super) answer: oneshot::Sender<Result<Reply, StoreError>>,
}

/// What a write may use.
pub(super) struct WriteContext<'a> {
    /// The connection, within a transaction.
    pub(super) db: &'a Connection,
    /// The time, the same for the whole call.
    pub(super) now: Timestamp,
    /// The limits.
    pub(super) settings: &'a SqliteSettings,
    /// What to announce once it is on disk.
    pub(super) changes: Changes,
}

/// What a write changed, for those who listen.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The revision of the objects, if they changed.
    pub(super) objects: Option<Revision>,
    /// What else changed.
    pub(super) others: BTreeSet<Change>,
}

/// What is announced without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// See [`Event::Background`].
    Background,
    /// See [`Event::Deployments`].
    Deployments,
    /// See [`Event::Jobs`].
    Jobs,
    /// See [`Event::Locks`].
    Locks,
    /// See [`Event::Members`].
    Members,
    /// See [`Event::Runs`].
    Runs,
    /// See [`Event::Secrets`].
    Secrets,
}

impl Changes {
    /// Something changed.
    pub(super) fn add(&mut self, change: Change) {
        self.others.insert(change);
    }

    fn merge(&mut self, other: Changes) {
        self.objects = self.objects.max(other.objects);
        self.others.extend(other.others);
    }

    fn announce(self, events: &broadcast::Sender<Event>) {
        // Nobody listening is no failure.
        if let Some(revision) = self.objects {
            let _ = events.send(Event::Objects(revision));
        }
        for change in self.others {
            let _ = events.send(match change {
                Change::Background => Event::Background,
                Change::Deployments => Event::Deployments,
                Change::Jobs => Event::Jobs,
                Change::Locks => Event::Locks,
                Change::Members => Event::Members,
                Change::Runs => Event::Runs,
                Change::Secrets => Event::Secrets,
            });
        }
    }
}

/// The writer's state; it lives in its thread.
pub(super) struct Writer {
    /// The only connection that writes.
    pub(super) connection: Connection,
    /// What waits.
    pub(super) queue: mpsc::Receiver<Job>,
    /// The limits.
    pub(super) settings: SqliteSettings,
    /// The clock that judges.
    pub(super) clock: Arc<dyn Clock>,
    /// Who listens.
    pub(super) events: broadcast::Sender<Event>,
    /// Where it says that it failed for good.
    pub(super) failure: watch::Sender<Option<StoreError>>,
    /// When what is large was last looked through.
    pub(super) trimmed_at: Timestamp,
    /// Kept until the file is closed.
    pub(super) lock: Arc<StoreLock>,
}

impl Writer {
    /// Writes until the engine is dropped or a commit fails.
    pub(super) fn run(mut self) {
        let mut jobs = Vec::new();
        while self.queue.blocking_recv_many(&mut jobs, self.settings.group_calls_max) > 0 {
            if let Err(error) = self.write_group(&mut jobs) {
                self.failure.send_replace(Some(error));
                break;
            }
        }
        let Self { connection, lock, .. } = self;
        drop(connection);
        drop(lock);
    }

    /// Does what waits in one transaction. An error means that nobody can know what is on disk.
    fn write_group(&mut self, jobs: &mut Vec<Job>) -> Result<(), StoreError> {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut changes = Changes::default();
        let written = self.write_transaction(jobs, &mut answers, &mut changes);
        match written {
            Ok(()) => {
                for (job, answer) in jobs.drain(..).zip(answers) {
                    // Who no longer waits repeats the call under its operation id if it matters.
                    let _ = job.answer.send(answer);
                }
                changes.announce(&self.events);
                Ok(())
            }
            Err(error) if is_disk_full(&error) => {
                // Nothing was written, so nothing is in doubt: undo, say so and go on.
                if !self.connection.is_autocommit() {
                    self.connection
                        .run(ROLLBACK, [])
                        .map_err(|error| StoreError::Fatal(error.to_string()))?;
                }
                for job in jobs.drain(..) {
                    let _ = job.answer.send(Err(StoreError::Storage("the disk is full".to_owned())));
                }
                Ok(())
            }
            Err(error) => {
                let fatal = StoreError::Fatal(error.to_string());
                for job in jobs.drain(..) {
                    let _ = job.answer.send(Err(fatal.clone()));
                }
                Err(fatal)
            }
        }
    }

    fn write_transaction(
        &mut self,
        jobs: &[Job],
        answers: &mut Vec<Result<Reply, StoreError>>,
        changes: &mut Changes,
    ) -> DbResult<()> {
        self.connection.run(BEGIN, [])?;
        for job in jobs {
            answers.push(self.write_one(&job.work, changes)?);
        }
        self.connection.run(COMMIT, [])?;
        Ok(())
    }

    /// Does one job or leaves no trace of it. The inner result is the caller's, the outer one the transaction's.
    fn write_one(&mut self, work: &Work, changes: &mut Changes) -> DbResult<Result<Reply, StoreError>> {
        let db = &self.connection;
        db.run(SAVEPOINT, [])?;
        let mut context = WriteContext {
            db,
            now: self.clock.now(),
            settings: &self.settings,
            changes: Changes::default(),
        };
        let done = match work {
            Work::Call(call) => write_call(&mut context, call),
            Work::KeepMember { member, dead } => members::keep(&mut context, member, *dead).map(|()| NO_REPLY),
            Work::Maintain => maintain(&mut context, &mut self.trimmed_at).map(|()| NO_REPLY),
        };
        match done {
            Ok(reply) => {
                db.run(KEEP_CALL, [])?;
                changes.merge(context.changes);
                Ok(Ok(reply))
            }
            Err(error) => {
                // Some failures of SQLite undo the whole transaction by themselves; then nobody's work is there.
                if db.is_autocommit() || is_disk_full(&error) || is_io_failure(&error) {
                    return Err(error);
                }
                db.run(UNDO_CALL, [])?;
                db.run(KEEP_CALL, [])?;
                Ok(Err(error.into_store_error()))
            }
        }
    }
}

/// What work that is no call answers with.
const NO_REPLY: Reply = Reply::Now(Timestamp::from_millis(0));

fn write_call(context: &mut WriteContext<'_>, call: &Call) -> DbResult<Reply> {
    if let Some(id) = &call.operation
        && let Some(reply) = operations::find(context.db, id)?
    {
        return Ok(reply);
    }
    let reply = match &call.request {
        Request::Objects(request) => objects::write(context, request)?.into(),
        Request::Deployments(request) => deployments::write(context, request)?.into(),
        Request::Runs(request) => runs::write(context, request)?.into(),
        Request::Members(request) => members::write(context, request)?.into(),
        Request::Leases(request) => leases::write(context, request)?.into(),
        Request::Users(request) => users::write(context, request)?.into(),
        Request::Secrets(request) => secrets::write(context, request)?.into(),
        Request::Locks(request) => locks::write(context, request)?.into(),
        Request::Background(request) => background::write(context, request)?.into(),
        Request::Answers(request) => answers::write(context, request)?.into(),
        Request::Now | Request::Cache(_) | Request::Quotas(_) | Request::Reports(_) => return Err(not_a_write()),
    };
    if let Some(id) = &call.operation {
        operations::keep(context.db, id, &reply, context.now)?;
    }
    Ok(reply)
}

/// The error of a request that came to the wrong place.
pub(super) fn not_a_write() -> DbError {
    StoreError::Invalid("the request does not write".to_owned()).into()
}

fn maintain(context: &mut WriteContext<'_>, trimmed_at: &mut Timestamp) -> DbResult<()> {
    runs::announce_due(context)?;
    background::announce_due(context)?;
    locks::announce_free(context)?;
    operations::trim(context.db, context.settings, context.now)?;
    let elapsed_ms = context.now.as_millis() - trimmed_at.as_millis();
    if (0..TRIM_EVERY_MS).contains(&elapsed_ms) {
        return Ok(());
    }
    *trimmed_at = context.now;
    objects::trim(context)?;
    deployments::trim(context)?;
    runs::trim(context)?;
    background::trim(context)?;
    answers::trim(context)?;
    users::trim(context)
}

fn is_disk_full(error: &DbError) -> bool {
    has_code(error, rusqlite::ErrorCode::DiskFull)
}

fn is_io_failure(error: &DbError) -> bool {
    has_code(error, rusqlite::ErrorCode::SystemIoFailure) || has_code(error, rusqlite::ErrorCode::DatabaseCorrupt)
}

fn has_code(error: &DbError, code: rusqlite::ErrorCode) -> bool {
    matches!(error, DbError::Sqlite(error) if error.sqlite_error_code() == Some(code))
}
