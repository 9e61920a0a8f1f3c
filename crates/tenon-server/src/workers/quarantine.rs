//! Which service keeps killing workers.

use std::collections::VecDeque;
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
    /// Notes a death; `ran` has each service once. Says which service to quarantine: the one that was running at the most of
    /// `limit` deaths or more; of several, the one that answered the least in between, because one that answers is not the
    /// one that kills.
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
        ran.iter()
            .filter(|service| service.quarantine().is_none())
            .filter_map(|service| {
                let answered: Vec<u64> = self
                    .0
                    .iter()
                    .flat_map(|death| &death.ran)
                    .filter(|(other, _)| Arc::ptr_eq(other, service))
                    .map(|(_, completed)| *completed)
                    .collect();
                let first = *answered.first()?;
                (answered.len() >= limit).then(|| (answered.len(), service.completed() - first, service))
            })
            .min_by_key(|(deaths, answered, _)| (usize::MAX - deaths, *answered))
            .map(|(_, _, service)| service.clone())
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
