//! The engine that keeps everything in one SQLite file.
//!
//! One thread writes (`writer`), a few read (`readers`); members are kept in memory (`members`). Every statement is named
//! with `statements!` in the file of the thing that it is about.

mod answers;
mod background;
mod connection;
mod counters;
mod deployments;
mod leases;
mod lock;
mod locks;
mod members;
mod objects;
mod operations;
mod readers;
mod runs;
mod schema;
mod secrets;
#[cfg(test)]
mod tests;
mod users;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use tenon_model::{Clock, Timestamp};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::connection::{DbError, DbResult};
use self::lock::StoreLock;
use self::members::Members;
use self::readers::ReadJob;
use self::writer::{Job, Work, Writer};
use crate::engine::{Call, Engine, Event, Reply, Request, RequestClass};
use crate::error::StoreError;
use crate::members::{MemberReply, MemberRequest};
use crate::memory::{Cache, Quotas, Reports};
use crate::settings::SqliteSettings;

/// The name of the file in its directory.
const FILE: &str = "state.db";

/// An engine on `state.db` of a directory. At most one process, and one engine in it, has the directory open: a lock says so.
#[derive(Debug)]
pub struct SqliteEngine {
    writes: mpsc::Sender<Job>,
    reads: mpsc::Sender<ReadJob>,
    members: Members,
    cache: Cache,
    quotas: Quotas,
    reports: Reports,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<Event>,
    failure: watch::Receiver<Option<StoreError>>,
    connected: watch::Sender<bool>,
}

impl SqliteEngine {
    /// Opens the directory, making it and the file if there are none, and waits for the lock as long as the settings say.
    /// Blocks.
    pub fn open(dir: &Path, settings: SqliteSettings, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir)
            .map_err(|error| StoreError::Storage(format!("can't make {}: {error}", dir.display())))?;
        let lock = Arc::new(StoreLock::acquire(dir, settings.lock_wait.0)?);
        let path = dir.join(FILE);
        Self::open_file(&path, settings, clock, &lock).map_err(|error| match error {
            DbError::Sqlite(error) => StoreError::Storage(format!("{}: {error}", path.display())),
            DbError::Store(error) => error,
        })
    }

    fn open_file(
        path: &Path,
        settings: SqliteSettings,
        clock: Arc<dyn Clock>,
        lock: &Arc<StoreLock>,
    ) -> DbResult<Self> {
        let connection = connection::open_writer(path)?;
        schema::migrate(&connection, path)?;
        runs::extend_claims(&connection, &settings, clock.now())?;
        background::extend_claims(&connection, &settings, clock.now())?;
        let members = Members::load(&connection, settings.member_timeout.0, clock.now())?;
        let (writes, write_queue) = mpsc::channel(settings.write_queue_max.max(1));
        let (reads, read_queue) = mpsc::channel(settings.read_queue_max.max(1));
        let cache = Cache::new(settings.cache.clone());
        let quotas = Quotas::new(settings.quota_keys_max);
        let (failed, failure) = watch::channel(None);
        let events = broadcast::Sender::new(settings.events_max.max(1));
        readers::start(path, settings.readers, read_queue, &clock, lock)?;
        start_writer(Writer {
            connection,
            queue: write_queue,
            settings,
            clock: Arc::clone(&clock),
            events: events.clone(),
            failure: failed,
            trimmed_at: Timestamp::default(),
            lock: Arc::clone(lock),
        })?;
        Ok(Self {
            writes,
            reads,
            members,
            cache,
            quotas,
            reports: Reports::default(),
            clock,
            events,
            failure,
            connected: watch::Sender::new(true),
        })
    }

    async fn write(&self, work: Work) -> Result<Reply, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job { work, answer };
        if self.writes.send(job).await.is_err() {
            return Err(self.failure_now());
        }
        answered.await.unwrap_or_else(|_| Err(self.failure_now()))
    }

    async fn read(&self, request: Request) -> Result<Reply, StoreError> {
        let (answer, answered) = oneshot::channel();
        if self.reads.send(ReadJob { request, answer }).await.is_err() {
            return Err(self.failure_now());
        }
        answered.await.unwrap_or_else(|_| Err(self.failure_now()))
    }

    async fn answer_from_memory(&self, request: Request) -> Result<Reply, StoreError> {
        let now = self.clock.now();
        match request {
            Request::Now => Ok(Reply::Now(now)),
            Request::Members(MemberRequest::Heartbeat(member)) => {
                if let Some(member) = self.members.hear(*member, now) {
                    // What is new of a member outlives a restart of the store; that it spoke does not need to.
                    self.write(Work::KeepMember { member, dead: false }).await?;
                }
                Ok(MemberReply::Heard(now).into())
            }
            Request::Members(MemberRequest::Lost { name, instance }) => {
                if let Some(member) = self.members.lose(&name, &instance) {
                    self.write(Work::KeepMember { member, dead: true }).await?;
                }
                Ok(MemberReply::Done.into())
            }
            Request::Cache(request) => self.cache.answer(request, now).map(Into::into),
            Request::Quotas(request) => self.quotas.answer(request, now).map(Into::into),
            Request::Reports(request) => self.reports.answer(request, now).map(Into::into),
            Request::Members(MemberRequest::List) => Ok(MemberReply::List(self.members.list(now)).into()),
            _ => Err(StoreError::Invalid(
                "the request is not answered from memory".to_owned(),
            )),
        }
    }

    fn failure_now(&self) -> StoreError {
        let failure = self.failure.borrow().clone();
        failure.unwrap_or_else(|| StoreError::Fatal("a thread of the engine ended".to_owned()))
    }
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn execute(&self, call: Call) -> Result<Reply, StoreError> {
        match call.request.class() {
            RequestClass::Memory => self.answer_from_memory(call.request).await,
            RequestClass::Read => self.read(call.request).await,
            RequestClass::Write => {
                let forgotten = match &call.request {
                    Request::Members(MemberRequest::Forget { name }) => Some(name.clone()),
                    _ => None,
                };
                let reply = self.write(Work::Call(call)).await?;
                if let Some(name) = forgotten {
                    self.members.forget(&name);
                }
                Ok(reply)
            }
        }
    }

    fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    fn connected(&self) -> watch::Receiver<bool> {
        self.connected.subscribe()
    }

    async fn maintain(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let judged = self.members.judge(now);
        if judged.news {
            let _ = self.events.send(Event::Members);
        }
        for member in judged.dead {
            // What it had is given to others.
            self.write(Work::KeepMember {
                member: Box::new(member),
                dead: true,
            })
            .await?;
        }
        self.cache.tidy(now);
        self.write(Work::Maintain).await.map(|_| ())
    }

    async fn failed(&self) -> StoreError {
        let mut failure = self.failure.clone();
        // The sender goes only with the writer's thread; without a reason given, that is a failure too.
        let _ = failure.wait_for(Option::is_some).await;
        self.failure_now()
    }
}

fn start_writer(writer: Writer) -> DbResult<()> {
    thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run())
        .map(|_| ())
        .map_err(|error| StoreError::Storage(format!("can't start a thread: {error}")).into())
}
