//! Members: in memory, with what they said of themselves kept in the file so that a restart of the store knows them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use tenon_model::{InstanceId, Member, MemberState, Timestamp};

use super::connection::{Db, DbResult, json_column, statements, to_json};
use super::writer::{Change, WriteContext, not_a_write};
use super::{background, locks};
use crate::members::{MemberReply, MemberRequest};

statements! {
    LOAD = "SELECT body, dead FROM members";
    KEEP = "INSERT INTO members(name, body, dead) VALUES(?1, ?2, ?3) \
        ON CONFLICT(name) DO UPDATE SET body = excluded.body, dead = excluded.dead";
    FORGET = "DELETE FROM members WHERE name = ?1";
}

/// What is known of a member.
#[derive(Debug, Clone)]
struct Known {
    member: Member,
    /// Its connection has ended.
    lost: bool,
    /// It was dead when that was last looked at.
    judged_dead: bool,
}

/// What was found out about members.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Whether somebody died or came back since the last time.
    pub(super) news: bool,
    /// Who died.
    pub(super) dead: Vec<Member>,
}

/// All members.
#[derive(Debug)]
pub(super) struct Members {
    timeout: Duration,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Members {
    /// The members of before. Those that were alive get the usual time to say that they still are.
    pub(super) fn load(db: &Connection, timeout: Duration, now: Timestamp) -> DbResult<Self> {
        let rows: Vec<(Member, bool)> = db.all(LOAD, [], |row| Ok((json_column(row, 0)?, row.get(1)?)))?;
        let known = rows
            .into_iter()
            .map(|(mut member, lost)| {
                if !lost {
                    member.seen_at = now;
                }
                let name = member.name.clone();
                let known = Known {
                    member,
                    lost,
                    judged_dead: lost,
                };
                (name, known)
            })
            .collect();
        Ok(Self {
            timeout,
            known: Mutex::new(known),
        })
    }

    /// Takes a heartbeat. Returns the member if there is something new about it.
    pub(super) fn hear(&self, mut member: Member, now: Timestamp) -> Option<Box<Member>> {
        member.seen_at = now;
        let mut known = self.lock();
        let news = known.get(&member.name).is_none_or(|before| {
            before.lost
                || before.judged_dead
                || self.is_silent(&before.member, now)
                || !same_news(&before.member, &member)
        });
        let entry = Known {
            member: member.clone(),
            lost: false,
            judged_dead: false,
        };
        known.insert(member.name.clone(), entry);
        news.then(|| Box::new(member))
    }

    /// Marks this life of a member as ended. Returns the member if that is news.
    pub(super) fn lose(&self, name: &str, instance: &InstanceId) -> Option<Box<Member>> {
        let mut known = self.lock();
        let entry = known.get_mut(name)?;
        if entry.lost || entry.member.instance != *instance {
            return None;
        }
        entry.lost = true;
        entry.judged_dead = true;
        Some(Box::new(entry.member.clone()))
    }

    /// Forgets a member.
    pub(super) fn forget(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Every member as it is now.
    pub(super) fn list(&self, now: Timestamp) -> Vec<Member> {
        let known = self.lock();
        let members = known.values().map(|entry| {
            let mut member = entry.member.clone();
            if entry.lost || self.is_silent(&member, now) {
                member.state = MemberState::Dead;
            }
            member
        });
        members.collect()
    }

    /// Looks who died by silence.
    pub(super) fn judge(&self, now: Timestamp) -> Judged {
        let mut known = self.lock();
        let mut judged = Judged::default();
        for entry in known.values_mut() {
            let dead = entry.lost || self.is_silent(&entry.member, now);
            judged.news |= dead != entry.judged_dead;
            if dead && !entry.judged_dead {
                judged.dead.push(entry.member.clone());
            }
            entry.judged_dead = dead;
        }
        judged
    }

    fn is_silent(&self, member: &Member, now: Timestamp) -> bool {
        now.since(member.seen_at) > self.timeout
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two heartbeats say the same but for what always changes.
fn same_news(before: &Member, after: &Member) -> bool {
    let mut after = after.clone();
    after.seen_at = before.seen_at;
    after.memory_bytes = before.memory_bytes;
    *before == after
}

/// Keeps what a member said of itself. What a life had that is over is given to others.
pub(super) fn keep(context: &mut WriteContext<'_>, member: &Member, dead: bool) -> DbResult<()> {
    context.db.run(KEEP, params![member.name, to_json(member)?, dead])?;
    background::free_of_dead(context, &member.name, &member.instance, dead)?;
    locks::free_of_dead(context, &member.name, &member.instance, dead)?;
    context.changes.add(Change::Members);
    Ok(())
}

/// Does a write.
pub(super) fn write(context: &mut WriteContext<'_>, request: &MemberRequest) -> DbResult<MemberReply> {
    let MemberRequest::Forget { name } = request else {
        return Err(not_a_write());
    };
    if context.db.run(FORGET, [name])? > 0 {
        context.changes.add(Change::Members);
    }
    Ok(MemberReply::Done)
}
