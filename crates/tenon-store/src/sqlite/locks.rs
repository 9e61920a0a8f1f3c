//! Locks of services. A row that nobody holds is only there while somebody waits for it.

use rusqlite::{Row, params};
use tenon_model::InstanceId;

use super::connection::{Db, DbResult, statements, time_column};
use super::counters;
use super::leases::later;
use super::readers::{ReadContext, not_a_read};
use super::writer::{Change, WriteContext, not_a_write};
use crate::error::StoreError;
use crate::locks::{Lock, LockReply, LockRequest, LockTry};

statements! {
    GET = "SELECT server, instance, token, expires_at FROM locks WHERE name = ?1 AND expires_at > ?2";
    WANTED = "SELECT wanted_by FROM locks WHERE name = ?1 AND wanted_until > ?2";
    TAKE = "INSERT INTO locks(name, server, instance, token, expires_at) VALUES(?1, ?2, ?3, ?4, ?5) \
        ON CONFLICT(name) DO UPDATE SET server = excluded.server, instance = excluded.instance, \
        token = excluded.token, expires_at = excluded.expires_at, \
        wanted_by = CASE wanted_by WHEN ?2 THEN '' ELSE wanted_by END";
    WANT = "UPDATE locks SET wanted_by = ?2, wanted_until = ?4 \
        WHERE name = ?1 AND (wanted_by IN ('', ?2) OR wanted_until <= ?3)";
    RENEW = "UPDATE locks SET expires_at = ?4 WHERE name = ?1 AND token = ?2 AND expires_at > ?3 \
        RETURNING server, instance, token, expires_at";
    RELEASE = "UPDATE locks SET expires_at = 0 WHERE name = ?1 AND token = ?2 AND expires_at > ?3";
    RELEASE_OF_DEAD = "UPDATE locks SET expires_at = 0 \
        WHERE server = ?1 AND expires_at > ?2 AND (?3 OR instance <> ?4)";
    FORGET_ONE = "DELETE FROM locks WHERE name = ?1 AND expires_at <= ?2 AND wanted_until <= ?2";
    FORGET = "DELETE FROM locks WHERE expires_at <= ?1 AND wanted_until <= ?1";
    HAS_ENDED = "SELECT 1 FROM locks WHERE expires_at <= ?1 AND wanted_until > ?1 LIMIT 1";
    COUNT = "SELECT count(*) FROM locks";
}

/// The counter that fences come from.
const COUNTER: &str = "lock";

/// How long a lock is kept for the server that waited for it. It asks again at least every second.
const WANTED_MS: u64 = 2_000;

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &LockRequest) -> DbResult<LockReply> {
    match request {
        LockRequest::Acquire {
            name,
            server,
            instance,
            ttl_ms,
            waits,
        } => {
            let wants = Wants { name, server, instance };
            wants.acquire(context, *ttl_ms, *waits).map(LockReply::Try)
        }
        LockRequest::Renew { name, token, ttl_ms } => {
            let expires_at = later(context.now, *ttl_ms).as_millis();
            let params = params![name, token, context.now.as_millis(), expires_at];
            let lock = context.db.one(RENEW, params, |row| lock_of(name, row))?;
            Ok(LockReply::Lock(lock))
        }
        LockRequest::Release { name, token } => {
            let params = params![name, token, context.now.as_millis()];
            let was_held = context.db.run(RELEASE, params)? > 0;
            if was_held && context.db.run(FORGET_ONE, params![name, context.now.as_millis()])? == 0 {
                context.changes.add(Change::Locks);
            }
            Ok(LockReply::Released(was_held))
        }
        LockRequest::Get { .. } => Err(not_a_write()),
    }
}

/// Does a read.
pub(super) fn read(context: &ReadContext<'_>, request: &LockRequest) -> DbResult<LockReply> {
    let LockRequest::Get { name } = request else {
        return Err(not_a_read());
    };
    let params = params![name, context.now.as_millis()];
    Ok(LockReply::Lock(context.db.one(GET, params, |row| lock_of(name, row))?))
}

/// Frees what a server held that died (`dead`), or whose process is another one now.
pub(super) fn free_of_dead(
    context: &mut WriteContext<'_>,
    server: &str,
    instance: &InstanceId,
    dead: bool,
) -> DbResult<()> {
    let params = params![server, context.now.as_millis(), dead, instance.as_str()];
    if context.db.run(RELEASE_OF_DEAD, params)? > 0 {
        announce_free(context)?;
    }
    Ok(())
}

/// Forgets locks that nobody holds or wants, and tells those who wait for one that has ended.
pub(super) fn announce_free(context: &mut WriteContext<'_>) -> DbResult<()> {
    let now = context.now.as_millis();
    context.db.run(FORGET, [now])?;
    if context.db.one(HAS_ENDED, [now], |_| Ok(()))?.is_some() {
        context.changes.add(Change::Locks);
    }
    Ok(())
}

/// Who wants which lock.
struct Wants<'a> {
    name: &'a str,
    server: &'a str,
    instance: &'a InstanceId,
}

impl Wants<'_> {
    fn acquire(&self, context: &mut WriteContext<'_>, ttl_ms: u64, waits: bool) -> DbResult<LockTry> {
        let (db, now) = (context.db, context.now.as_millis());
        let held = db.one(GET, params![self.name, now], |row| lock_of(self.name, row))?;
        let wanted_by: Option<String> = db.one(WANTED, params![self.name, now], |row| row.get(0))?;
        let goes_first = wanted_by.is_none_or(|other| other.is_empty() || other == self.server);
        if held.is_none() && goes_first {
            return self.take(context, ttl_ms).map(LockTry::Given);
        }
        if waits {
            let until = later(context.now, WANTED_MS).as_millis();
            db.run(WANT, params![self.name, self.server, now, until])?;
        }
        let ends_in = held.map_or(WANTED_MS, |lock| {
            u64::try_from(lock.expires_at.since(context.now).as_millis()).unwrap_or(u64::MAX)
        });
        Ok(LockTry::Taken { ends_in_ms: ends_in })
    }

    fn take(&self, context: &mut WriteContext<'_>, ttl_ms: u64) -> DbResult<Lock> {
        let count: u64 = context.db.one(COUNT, [], |row| row.get(0))?.unwrap_or(0);
        if count >= context.settings.locks_max {
            return Err(
                StoreError::Conflict(format!("{count} locks are held or waited for, which is the most")).into(),
            );
        }
        let token = counters::next(context.db, COUNTER)?;
        let expires_at = later(context.now, ttl_ms);
        let params = params![
            self.name,
            self.server,
            self.instance.as_str(),
            token,
            expires_at.as_millis()
        ];
        context.db.run(TAKE, params)?;
        Ok(Lock {
            name: self.name.to_owned(),
            server: self.server.to_owned(),
            instance: self.instance.clone(),
            token,
            expires_at,
        })
    }
}

fn lock_of(name: &str, row: &Row<'_>) -> rusqlite::Result<Lock> {
    Ok(Lock {
        name: name.to_owned(),
        server: row.get(0)?,
        instance: InstanceId::from_text(row.get::<_, String>(1)?),
        token: row.get(2)?,
        expires_at: time_column(row, 3)?,
    })
}
