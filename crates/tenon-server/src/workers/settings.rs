//! Limits of the workers of a group.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;
use tenon_protocol::worker::Limits;

/// How workers are started, fed and ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// The Python interpreter: a path, or a name looked up in `PATH`.
    pub python: String,
    /// Worker processes of the group; 0 means as many as the machine has cores, at least 2 and at most 8.
    pub workers: usize,
    /// Whether Python workers are forked from a process that has imported what all of them need, which makes them start sooner
    /// and share memory. Otherwise each is started by itself, as it is if it can't be forked.
    pub fork_workers: bool,
    /// How many synchronous calls a worker can run at once.
    pub threads: u32,
    /// The user that workers run as, by name; empty for the server's own. Only a server that runs as root can choose.
    pub worker_user: String,
    /// How long one file may take to import before it is refused; zero for no limit.
    pub import_timeout: DurationText,
    /// How long a worker may take from its start to its hello.
    pub hello_timeout: DurationText,
    /// Calls that wait for a worker; more are refused with 503.
    pub queue_calls_max: usize,
    /// How long a call may wait for a worker before it is refused with 503.
    pub queue_age_max: DurationText,
    /// Calls of services that answer quickly which one worker is given at once.
    pub in_flight_max: u32,
    /// Calls of `async def` services which one worker is given at once.
    pub in_flight_async_max: u32,
    /// The largest body of a request, an answer or a host call.
    pub body_bytes_max: usize,
    /// How long a cancelled call may go on before its worker is replaced.
    pub cancel_grace: DurationText,
    /// How long a replaced worker may finish its other calls.
    pub drain_timeout: DurationText,
    /// How long a worker has between SIGTERM and SIGKILL.
    pub term_grace: DurationText,
    /// How often a worker is asked for a sign of life.
    pub ping_every: DurationText,
    /// A worker that gave no sign of life for this long is killed.
    pub ping_timeout: DurationText,
    /// The first and the longest wait before a worker that died young is started anew.
    pub restart_delay_min: DurationText,
    /// The longest such wait.
    pub restart_delay_max: DurationText,
    /// So many deaths of workers within a minute quarantine the service that they ran.
    pub quarantine_deaths: usize,
    /// How often an idempotent call is run again whose worker died while it also ran another service, one that answers less
    /// often and is therefore the likelier cause. A call that is the likeliest cause itself is run again once.
    pub bystander_retries_max: u32,
    /// A worker that uses more memory than this is replaced as soon as it has finished what it runs; 0 for no limit. Pages that
    /// it shares with others count in part.
    pub memory_bytes_max: u64,
    /// A worker that uses more memory than this, in percent of `memory_bytes_max`, is killed at once; 0 for no such limit.
    pub memory_kill_percent: u64,
    /// The address space of a worker, as a limit that the operating system holds; 0 for none. Threads and libraries reserve
    /// far more of it than they use.
    pub address_space_bytes_max: u64,
    /// A worker is replaced after so many calls; 0 for no limit.
    pub calls_max: u64,
    /// A worker is replaced when it is this old; zero for no limit.
    pub lifetime: DurationText,
    /// How far `calls_max` and `lifetime` of one worker may be from the setting, in percent, so that not all end together.
    pub recycle_jitter_percent: u32,
    /// Host calls that one worker may have open.
    pub host_calls_max: usize,
    /// Lines per second of a worker's standard output and error that reach the log.
    pub output_lines_per_second: u32,
    /// How long such a line may be; the rest is cut off.
    pub output_line_bytes: usize,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            python: "python3".to_owned(),
            workers: 0,
            fork_workers: true,
            threads: 64,
            worker_user: String::new(),
            import_timeout: DurationText::from_secs(10),
            hello_timeout: DurationText::from_secs(50),
            queue_calls_max: 1000,
            queue_age_max: DurationText::from_secs(10),
            in_flight_max: 16,
            in_flight_async_max: 1000,
            body_bytes_max: 64 << 20,
            cancel_grace: DurationText::from_secs(5),
            drain_timeout: DurationText::from_secs(30),
            term_grace: DurationText::from_secs(5),
            ping_every: DurationText::from_secs(1),
            ping_timeout: DurationText::from_secs(10),
            restart_delay_min: DurationText::from_millis(100),
            restart_delay_max: DurationText::from_secs(10),
            quarantine_deaths: 5,
            bystander_retries_max: 5,
            memory_bytes_max: 512 << 20,
            memory_kill_percent: 200,
            address_space_bytes_max: 0,
            calls_max: 0,
            lifetime: DurationText::from_secs(0),
            recycle_jitter_percent: 10,
            host_calls_max: 1000,
            output_lines_per_second: 1000,
            output_line_bytes: 16 << 10,
        }
    }
}

impl WorkerSettings {
    /// How many workers a group has.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8),
            workers => workers,
        }
    }

    /// Limits of the frames.
    pub(crate) fn frame_limits(&self) -> Limits {
        Limits {
            body_bytes: self.body_bytes_max,
            ..Limits::default()
        }
    }

    /// How long to wait before another start after so many early deaths in a row.
    pub(crate) fn restart_delay(&self, early_deaths: u32) -> Duration {
        if early_deaths == 0 {
            return Duration::ZERO;
        }
        let factor = 1_u32 << (early_deaths - 1).min(16);
        (self.restart_delay_min.0 * factor).min(self.restart_delay_max.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_delayed_more_with_each_early_death() {
        let settings = WorkerSettings::default();
        let delays: Vec<_> = [0, 1, 2, 7, 8, 99]
            .map(|deaths| settings.restart_delay(deaths).as_millis())
            .into();
        assert_eq!(delays, [0, 100, 200, 6400, 10_000, 10_000]);
    }
}
