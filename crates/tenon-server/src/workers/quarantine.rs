//! Which service keeps killing workers.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::service::ServiceEntry;

const WINDOW: Duration = Duration::from_mins(1);

/// The workers' deaths of the last minute, with what they ran.
#[derive(Debug, Default)]
pub(crate) struct Deaths(VecDeque<Death>);

#[derive(Debug)]
struct Death {
    at: Instant,
    /// What the worker ran, and how many calls of it any worker had answered by then.
    ran: Vec<(Arc<ServiceEntry>, u64)>,
}

impl Deaths {
    /// Notes a death; `ran` has each service once. Says which service to quarantine: the one to be blamed for the most of
    /// `limit` deaths or more. One that ran alone in any of them is blamed for all it was in; any other one only for those
    /// at which nobody ran that answered less in between, because one that answers is not the one that kills.
    pub(crate) fn note(&mut self, now: Instant, ran: &[Arc<ServiceEntry>], limit: usize) -> Option<Arc<ServiceEntry>> {
        while self
            .0
            .front()
            .is_some_and(|death| now.duration_since(death.at) > WINDOW)
        {
            self.0.pop_front();
        }
        if self.0.len() >= 1000 {
            self.0.pop_front();
        }
        self.0.push_back(Death {
            at: now,
            ran: ran
                .iter()
                .map(|service| (service.clone(), service.completed()))
                .collect(),
        });
        let answered = self.answered();
        let of = |service: &Arc<ServiceEntry>| answered.get(&Arc::as_ptr(service)).copied();
        ran.iter()
            .filter(|service| service.quarantine().is_none())
            .map(|service| (self.blame(service, of), service))
            .filter(|((_, deaths), _)| *deaths >= limit)
            .min_by_key(|((was_alone, deaths), service)| (!was_alone, usize::MAX - deaths, of(service)))
            .map(|(_, service)| service.clone())
    }

    /// Whether a service ran alone when a worker died, and for how many deaths it is to be blamed. `answered` says how many
    /// calls a service answered in between.
    fn blame(
        &self,
        service: &Arc<ServiceEntry>,
        answered: impl Fn(&Arc<ServiceEntry>) -> Option<u64>,
    ) -> (bool, usize) {
        let deaths = || self.0.iter().filter(|death| death.has(service));
        if deaths().any(|death| death.ran.len() == 1) {
            return (true, deaths().count());
        }
        let own = answered(service);
        let is_likeliest = |death: &&Death| death.ran.iter().all(|(other, _)| answered(other) >= own);
        (false, deaths().filter(is_likeliest).count())
    }

    /// How many calls of each service were answered since the first death at which it ran.
    fn answered(&self) -> HashMap<*const ServiceEntry, u64> {
        let mut answered = HashMap::new();
        for (service, completed) in self.0.iter().flat_map(|death| &death.ran) {
            answered
                .entry(Arc::as_ptr(service))
                .or_insert_with(|| service.completed() - completed);
        }
        answered
    }
}

impl Death {
    fn has(&self, service: &Arc<ServiceEntry>) -> bool {
        self.ran.iter().any(|(other, _)| Arc::ptr_eq(other, service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Arc<ServiceEntry> {
        let service = serde_json::from_value(serde_json::json!({ "name": name })).unwrap();
        Arc::new(ServiceEntry::new(0, &service))
    }

    #[tokio::test]
    async fn the_service_that_never_answers_is_the_one() {
        let (guilty, bystander) = (service("guilty"), service("bystander"));
        let mut deaths = Deaths::default();
        let now = Instant::now();
        for _ in 0..4 {
            assert!(deaths.note(now, &[bystander.clone(), guilty.clone()], 5).is_none());
            bystander.learn(Duration::from_millis(1));
        }
        let found = deaths.note(now, &[bystander.clone(), guilty.clone()], 5).unwrap();
        assert_eq!(found.name, "guilty");
    }

    #[tokio::test]
    async fn a_neighbour_of_several_that_kill_is_not_blamed_for_all() {
        let bystander = service("bystander");
        let mut deaths = Deaths::default();
        let now = Instant::now();
        for number in 0..12 {
            let guilty = service(&format!("guilty{}", number % 6));
            assert!(deaths.note(now, &[bystander.clone(), guilty], 5).is_none(), "{number}");
            bystander.learn(Duration::from_millis(1));
        }
    }

    #[tokio::test]
    async fn who_ran_alone_is_blamed_before_who_answers_less() {
        let (guilty, slow) = (service("guilty"), service("slow"));
        let mut deaths = Deaths::default();
        let now = Instant::now();
        for _ in 0..4 {
            assert!(deaths.note(now, &[slow.clone(), guilty.clone()], 5).is_none());
            guilty.learn(Duration::from_millis(1));
        }
        let found = deaths.note(now, std::slice::from_ref(&guilty), 5).unwrap();
        assert_eq!(found.name, "guilty");
    }

    #[tokio::test]
    async fn deaths_further_apart_do_not_count() {
        let guilty = service("guilty");
        let mut deaths = Deaths::default();
        let start = Instant::now();
        for n in 0..10 {
            let found = deaths.note(start + Duration::from_secs(16) * n, std::slice::from_ref(&guilty), 5);
            assert!(found.is_none(), "{n}");
        }
    }
}
