//! Jobs as the control API shows them.

use tenon_model::{KindConfig, Object};
use tenon_protocol::control::JobSummary;
use tenon_store::{Store, StoreError};

use crate::config::JobConfig;
use crate::job::Job;
use crate::planner::CursorState;

/// The jobs among these objects, with their next instants and last runs.
pub async fn summaries(store: &Store, objects: &[Object]) -> Result<Vec<JobSummary>, StoreError> {
    let jobs: Vec<&Object> = objects.iter().filter(|object| object.kind == JobConfig::NAME).collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let cursors = store.job_cursors().await?;
    let mut last_runs = store.last_runs().await?;
    let now = store.now().await?;
    let summary = |object: &Object| {
        let name = object.name.to_string();
        let last_run = last_runs.remove(&name);
        let Ok(job) = Job::read(object) else {
            let service = object.body.get("service").and_then(|service| service.as_str());
            return JobSummary {
                service: service.unwrap_or_default().to_owned(),
                schedule: "can't be read".to_owned(),
                enabled: false,
                next_at: None,
                last_run,
                name,
            };
        };
        let planned = cursors
            .get(&name)
            .filter(|cursor| CursorState::of(cursor, &job).is_some());
        JobSummary {
            service: job.config.service.clone(),
            schedule: job.schedule.words().to_owned(),
            enabled: job.config.enabled,
            // What no scheduler has seen yet is planned from now on.
            next_at: match planned {
                Some(cursor) => cursor.next_at,
                None if job.config.enabled => job.schedule.next_after(now),
                None => None,
            },
            last_run,
            name,
        }
    };
    Ok(jobs.into_iter().map(summary).collect())
}
