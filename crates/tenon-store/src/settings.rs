//! The limits and times of the store and of its clients.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

/// Of the engine that keeps everything in SQLite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SqliteSettings {
    /// How long to wait for another process that has the files open; zero refuses at once.
    pub lock_wait: DurationText,
    /// How many writes may wait for the writer.
    pub write_queue_max: usize,
    /// How many writes share one commit at most.
    pub group_calls_max: usize,
    /// How many reads may wait for a reader.
    pub read_queue_max: usize,
    /// How many reads are done at the same time.
    pub readers: usize,
    /// How many events a receiver may be behind.
    pub events_max: usize,
    /// How long the id of a write is remembered, so that repeating it does nothing.
    pub operations_kept: DurationText,
    /// How many ids of writes are remembered; those of the last minute always are.
    pub operations_max: u64,
    /// A member not heard of for longer is dead.
    pub member_timeout: DurationText,
    /// How many changes of objects the log keeps; who missed more loads everything.
    pub object_log_max: u64,
    /// How many entries the record of changes keeps.
    pub audit_max: u64,
    /// How many deployments are kept besides those that are live.
    pub deployments_kept: u64,
    /// How long runs are kept.
    pub runs_kept: DurationText,
    /// How many runs are kept.
    pub runs_max: u64,
    /// How many runs of one job may wait; more are skipped, with the reason.
    pub waiting_runs_max: u64,
    /// How often a run is begun again because its server died, before it counts as lost.
    pub lost_attempts_max: u32,
    /// How long after a start of the store claims of before live on at least, since nobody could renew them meanwhile.
    pub claim_grace: DurationText,
    /// How many answers are kept for idempotency keys; those that end first go first.
    pub answers_max: u64,
    /// How many background calls may be open (wait, or are being run); more are refused.
    pub background_open_max: u64,
    /// How long background calls that failed are kept for people to see.
    pub background_failed_kept: DurationText,
    /// How many background calls that failed are kept.
    pub background_failed_max: u64,
    /// How many locks may be held or waited for.
    pub locks_max: u64,
    /// How many quotas are kept count of; of more, those that are whole again soonest begin anew.
    pub quota_keys_max: usize,
    /// Of the cache.
    pub cache: CacheSettings,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            lock_wait: DurationText::from_secs(10),
            write_queue_max: 4096,
            group_calls_max: 1024,
            read_queue_max: 4096,
            readers: 2,
            events_max: 1024,
            operations_kept: DurationText::from_secs(600),
            operations_max: 100_000,
            member_timeout: DurationText::from_secs(5),
            object_log_max: 10_000,
            audit_max: 100_000,
            deployments_kept: 100,
            runs_kept: DurationText::from_secs(30 * 86_400),
            runs_max: 1_000_000,
            waiting_runs_max: 1_000,
            lost_attempts_max: 10,
            claim_grace: DurationText::from_secs(10),
            answers_max: 200_000,
            background_open_max: 100_000,
            background_failed_kept: DurationText::from_secs(7 * 86_400),
            background_failed_max: 10_000,
            locks_max: 100_000,
            quota_keys_max: 100_000,
            cache: CacheSettings::default(),
        }
    }
}

/// Of the cache that services share, in the memory of the process that has the files open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// How large all caches are together; what was not used for longest goes first.
    pub bytes_max: usize,
    /// How many values all caches have together.
    pub entries_max: usize,
    /// How long a key may be.
    pub key_max_bytes: usize,
    /// How large one value may be.
    pub value_max_bytes: usize,
    /// How large values may be together that are asked for at once.
    pub answer_max_bytes: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            bytes_max: 128 * 1024 * 1024,
            entries_max: 500_000,
            key_max_bytes: 4 * 1024,
            value_max_bytes: 16 * 1024 * 1024,
            answer_max_bytes: 32 * 1024 * 1024,
        }
    }
}

/// Of the process that serves the store on its socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SocketSettings {
    /// How many clients may be connected.
    pub connections_max: usize,
    /// How many calls of one client are worked on; its next ones are not read until one is answered.
    pub in_flight_max: usize,
    /// The largest frame taken from a client.
    pub frame_max_bytes: usize,
    /// How long a client may take to say who it is.
    pub hello_timeout: DurationText,
    /// How long a client may take to receive a reply before its connection is closed.
    pub write_timeout: DurationText,
    /// How often the engine is maintained.
    pub maintain_every: DurationText,
    /// How long calls may take to end when the process is told to stop.
    pub stop_timeout: DurationText,
}

impl Default for SocketSettings {
    fn default() -> Self {
        Self {
            connections_max: 256,
            in_flight_max: 256,
            frame_max_bytes: 256 * 1024 * 1024,
            hello_timeout: DurationText::from_secs(5),
            write_timeout: DurationText::from_secs(30),
            maintain_every: DurationText::from_millis(500),
            stop_timeout: DurationText::from_secs(5),
        }
    }
}

/// Of a client of the store's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientSettings {
    /// How long a call may take, over as many connections as that needs.
    pub call_timeout: DurationText,
    /// How many calls may be under way; more wait.
    pub in_flight_max: usize,
    /// The largest frame taken from the store, or sent to it.
    pub frame_max_bytes: usize,
    /// The pause before the first new attempt to connect; it doubles with each.
    pub reconnect_min: DurationText,
    /// The longest pause between attempts to connect.
    pub reconnect_max: DurationText,
    /// How long the store may take to accept a connection.
    pub hello_timeout: DurationText,
    /// How many events a receiver may be behind.
    pub events_max: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            call_timeout: DurationText::from_secs(10),
            in_flight_max: 1024,
            frame_max_bytes: 256 * 1024 * 1024,
            reconnect_min: DurationText(Duration::from_millis(20)),
            reconnect_max: DurationText::from_secs(1),
            hello_timeout: DurationText::from_secs(5),
            events_max: 1024,
        }
    }
}
