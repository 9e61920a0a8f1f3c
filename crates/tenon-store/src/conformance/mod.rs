//! The behaviours that every engine must have, one function each.
//!
//! An engine's tests make a [`Subject`] for each of [`BEHAVIOURS`] and run it: [`failures`] does. A behaviour may fail by an
//! error or by a panic of an assertion.

mod answers;
mod background;
mod cache;
mod canaries;
mod deployments;
mod leases;
mod locks;
mod members;
mod objects;
mod operations;
mod quotas;
mod reports;
mod runs;
mod runs_ended;
mod secrets;
mod simulation;
#[cfg(test)]
mod tests;
mod users;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tenon_model::{DurationText, InstanceId, ManualClock, Timestamp};
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, Event, Events, Store};
use crate::error::StoreError;
use crate::settings::{CacheSettings, SqliteSettings};

/// When the clock of a subject starts.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The limits that the behaviours are written for.
pub fn settings() -> SqliteSettings {
    SqliteSettings {
        deployments_kept: 3,
        object_log_max: 20,
        waiting_runs_max: 50,
        lost_attempts_max: 3,
        member_timeout: DurationText::from_secs(5),
        answers_max: 20,
        background_open_max: 50,
        background_failed_max: 5,
        quota_keys_max: 50,
        cache: CacheSettings {
            bytes_max: 10_000,
            entries_max: 4,
            key_max_bytes: 100,
            value_max_bytes: 8_500,
            answer_max_bytes: 10_000,
        },
        ..SqliteSettings::default()
    }
}

/// An engine of its own, empty, to be tried.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The handle through which it is tried.
    pub store: Store,
    /// The engine that has the data, maintained by the behaviours that need it; the same as the handle's, or behind it.
    pub engine: Arc<dyn Engine>,
    /// The engine's clock, at [`START`].
    pub clock: Arc<ManualClock>,
    /// What must live as long as the subject.
    pub keep: Arc<dyn Keep>,
}

/// Anything that a subject needs to keep: a directory, a server.
pub trait Keep: Send + Sync + fmt::Debug {}

impl<T: Send + Sync + fmt::Debug> Keep for T {}

/// A behaviour under way.
pub type Trial = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// What an engine must do.
pub struct Behaviour {
    /// Its name: file and function.
    pub name: &'static str,
    /// Tries it.
    pub run: fn(Subject) -> Trial,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! behaviours {
    ($($file:ident: $($name:ident),+;)+) => {
        /// Every behaviour.
        pub const BEHAVIOURS: &[Behaviour] = &[$($(
            Behaviour {
                name: concat!(stringify!($file), "::", stringify!($name)),
                run: |subject| Box::pin($file::$name(subject)),
            },
        )+)+];
    };
}

behaviours! {
    objects: a_write_makes_one_revision, writes_are_all_or_nothing, versions_guard_writes,
        a_delta_tells_what_changed, a_log_that_was_trimmed_says_so, changes_are_recorded, changes_are_announced,
        removing_nothing_is_an_error;
    deployments: numbers_grow_and_one_is_live, each_group_has_its_own, an_older_one_does_not_overtake,
        a_refused_one_keeps_its_reasons,
        files_come_back_as_they_were, old_ones_are_pruned, imports_are_remembered, paging_goes_backwards;
    canaries: one_runs_beside_the_live_one, the_first_decision_counts, servers_add_up;
    runs: plans_are_fenced_by_the_lease, plans_are_fenced_by_the_cursor, an_instant_has_one_run,
        a_run_is_given_to_one_server, runs_wait_until_they_are_due, an_open_run_makes_the_next_one_skip,
        queued_runs_follow_each_other, allowed_runs_overlap, a_replaced_run_is_ended_first,
        manual_runs_stand_beside_the_schedule, too_many_waiting_runs_are_skipped, a_removed_job_skips_what_waits,
        runs_are_announced;
    runs_ended: an_attempt_ends_a_run, a_failed_attempt_is_retried_later, a_run_of_a_dead_server_is_run_again,
        a_run_of_a_dead_server_is_lost_if_it_says_so, a_run_that_kills_servers_is_given_up, renewed_claims_live_on,
        only_the_latest_attempt_ends_a_run, a_late_attempt_counts_if_no_other_began, long_texts_are_cut,
        retention_keeps_the_account;
    members: silence_is_death, a_lost_connection_is_death, only_the_present_life_can_be_lost,
        members_are_announced, a_forgotten_member_comes_back;
    leases: one_holds_it, epochs_grow_when_it_changes_hands, an_ended_lease_is_not_renewed, a_released_lease_is_free;
    locks: one_call_holds_it, tokens_only_grow, the_server_that_waited_goes_first,
        a_dead_server_s_locks_are_free_at_once;
    answers: a_request_is_carried_out_once, a_key_of_the_dead_becomes_free, no_more_answers_are_kept_than_allowed;
    background: a_call_is_given_to_one_server, who_puts_a_call_can_have_it_at_once, what_follows_is_put_with_the_end,
        one_waits_for_others, a_claim_ends_by_time, a_dead_server_s_calls_are_free_at_once, a_call_can_be_put_back,
        failed_calls_are_kept_for_a_while, too_many_open_calls_are_refused;
    cache: values_are_kept_until_they_end, keys_are_chosen, numbers_are_added_to, what_is_used_least_is_evicted;
    quotas: a_bucket_fills_steadily, a_window_begins_with_its_unit, keys_are_bounded;
    reports: the_last_word_of_each_is_kept_for_a_while, who_spoke_longest_ago_makes_room;
    users: users_are_kept, sessions_end, a_new_password_ends_sessions;
    secrets: secrets_are_kept_sealed;
    operations: a_repeated_write_is_done_once, an_error_is_not_remembered, many_writers_lose_nothing;
    simulation: the_ledger_is_right_when_servers_and_schedulers_die;
}

/// Tries every behaviour on a subject of its own; the names of those that failed.
pub async fn failures<F, S>(mut new_subject: F) -> Vec<&'static str>
where
    F: FnMut() -> S,
    S: Future<Output = Subject>,
{
    let tasks = TaskTracker::new();
    let mut failed = Vec::new();
    for behaviour in BEHAVIOURS {
        let subject = new_subject().await;
        // A task of its own, so that a panic is that behaviour's alone.
        let result = tasks.spawn((behaviour.run)(subject)).await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(behaviour = behaviour.name, %error, "a behaviour failed");
                failed.push(behaviour.name);
            }
            Err(panic) => {
                tracing::error!(behaviour = behaviour.name, %panic, "a behaviour failed");
                failed.push(behaviour.name);
            }
        }
    }
    failed
}

impl Subject {
    fn advance_ms(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }
}

/// Waits for an event, letting others pass.
async fn wait_for(events: &mut Events, wanted: impl Fn(Event) -> bool + Send) -> Result<(), StoreError> {
    let arrives = async {
        while let Some(event) = events.recv().await {
            if wanted(event) {
                return true;
            }
        }
        false
    };
    match tokio::time::timeout(Duration::from_secs(10), arrives).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(StoreError::Protocol("an event did not come".to_owned())),
    }
}

fn instance(text: &str) -> InstanceId {
    InstanceId::from_text(text)
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}
