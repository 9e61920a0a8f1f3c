//! What a leading scheduler knows, and what it writes. No waiting, no deciding who leads.

use std::collections::BTreeMap;

use tenon_model::{Clock, KindConfig, Object, ObjectKey, Random, Revision, Timestamp};
use tenon_store::{JobCursor, Lease, ObjectChange, PlanStep, Store, StoreError};

use super::status::NextInstant;
use crate::config::JobConfig;
use crate::job::Job;
use crate::planner::{Planner, is_from_the_future};
use crate::settings::Settings;

/// The jobs and how far each is planned, as one reader of the store sees them.
#[derive(Debug)]
pub(crate) struct Leader {
    revision: Revision,
    jobs: BTreeMap<String, Job>,
    /// Jobs that exist but can't be planned; their cursors stay.
    broken: BTreeMap<String, u64>,
    cursors: BTreeMap<String, JobCursor>,
}

impl Leader {
    /// Reads everything.
    pub(crate) async fn load(store: &Store) -> Result<Self, StoreError> {
        let set = store.objects().await?;
        let mut leader = Self {
            revision: set.revision,
            jobs: BTreeMap::new(),
            broken: BTreeMap::new(),
            cursors: store.job_cursors().await?,
        };
        set.objects.iter().for_each(|object| leader.take(object));
        Ok(leader)
    }

    /// Takes over what changed since.
    pub(crate) async fn follow(&mut self, store: &Store) -> Result<(), StoreError> {
        let delta = store.objects_since(self.revision).await?;
        if !delta.complete {
            *self = Self::load(store).await?;
            return Ok(());
        }
        self.revision = delta.revision;
        for key in delta.removed.iter().filter(|key| key.kind == JobConfig::NAME) {
            self.jobs.remove(key.name.as_str());
            self.broken.remove(key.name.as_str());
        }
        delta.changed.iter().for_each(|object| self.take(object));
        Ok(())
    }

    fn take(&mut self, object: &Object) {
        if object.kind != JobConfig::NAME {
            return;
        }
        let name = object.name.to_string();
        match Job::read(object) {
            Ok(job) => {
                self.broken.remove(&name);
                self.jobs.insert(name, job);
            }
            Err(problems) => {
                self.jobs.remove(&name);
                if self.broken.insert(name.clone(), object.version) != Some(object.version) {
                    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                    tracing::error!(
                        job = name,
                        problems = problems.join("; "),
                        "job '{name}' can't be planned"
                    );
                }
            }
        }
    }

    /// Plans everything that is due, in as many transactions as it takes, and forgets cursors of jobs that are gone.
    pub(crate) async fn plan(
        &mut self,
        store: &Store,
        lease: &Lease,
        clock: &dyn Clock,
        random: &dyn Random,
        settings: &Settings,
    ) -> Result<(), StoreError> {
        self.forget_removed(store, lease, clock.now(), settings).await?;
        self.remove_finished(store, settings.batch_max).await?;
        loop {
            let planner = Planner {
                settings,
                random,
                now: clock.now(),
            };
            let steps = self.steps(planner, settings.batch_max);
            if steps.is_empty() {
                return Ok(());
            }
            store.plan_runs(lease, steps.clone()).await?;
            for step in steps {
                self.advance(step);
            }
        }
    }

    /// What is to be written next; at most about `batch_max` runs.
    pub(crate) fn steps(&self, planner: Planner<'_>, batch_max: usize) -> Vec<PlanStep> {
        let mut rows = 0;
        self.jobs
            .values()
            .filter_map(|job| planner.step(job, self.cursors.get(&job.name)))
            .take_while(|step| {
                let fits = rows < batch_max;
                rows += step.runs.len().max(1);
                fits
            })
            .collect()
    }

    fn advance(&mut self, step: PlanStep) {
        let cursor = JobCursor {
            version: step.expected_version + 1,
            next_at: step.next_at,
            watermark: step.watermark,
            state: step.state,
        };
        self.cursors.insert(step.job, cursor);
    }

    /// Removes jobs that are to go after their only run, once that has ended.
    async fn remove_finished(&self, store: &Store, max: usize) -> Result<(), StoreError> {
        let is_planned = |name: &str| self.cursors.get(name).is_some_and(|cursor| cursor.next_at.is_none());
        let jobs = self.jobs.values().filter(|job| job.config.delete_after_run);
        for job in jobs.filter(|job| is_planned(&job.name)).take(max) {
            let runs = store.runs(&job.name, None, 1).await?;
            let has_ended = runs.first().is_some_and(|run| run.ended_at.is_some());
            let since_change = runs.first().is_some_and(|run| run.planned_at >= job.only_instant());
            if !(has_ended && since_change) {
                continue;
            }
            let change = ObjectChange::Delete {
                key: ObjectKey::new(JobConfig::NAME, job.object_name.clone()),
                if_version: Some(job.version),
            };
            match store.write_objects(vec![change], "scheduler").await {
                Ok(_) => tracing::info!(job = job.name, "job '{}' has run and is removed", job.name),
                // Somebody wrote it in between: then it is looked at anew.
                Err(StoreError::VersionConflict { .. } | StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn forget_removed(
        &mut self,
        store: &Store,
        lease: &Lease,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<(), StoreError> {
        let exists = |name: &str| self.jobs.contains_key(name) || self.broken.contains_key(name);
        let mut gone = Vec::new();
        for (name, cursor) in &self.cursors {
            if is_from_the_future(cursor, now, settings) {
                let watermark = cursor.watermark;
                tracing::warn!(job = name, %watermark, %now, "job '{name}' was planned beyond the clock's time; it begins anew");
                gone.push(name.clone());
            } else if !exists(name) {
                gone.push(name.clone());
            }
        }
        for name in gone {
            store.delete_job(lease, &name).await?;
            self.cursors.remove(&name);
        }
        Ok(())
    }

    /// When the next job is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.due().map(|(_, due_at)| due_at).min()
    }

    /// The jobs that are due next.
    pub(crate) fn next_instants(&self, max: usize) -> Vec<NextInstant> {
        let mut next: Vec<(Timestamp, &str)> = self.due().map(|(job, due_at)| (due_at, job)).collect();
        next.sort_unstable();
        next.truncate(max);
        next.into_iter()
            .map(|(due_at, job)| NextInstant {
                job: job.to_owned(),
                due_at,
            })
            .collect()
    }

    pub(crate) fn job_count(&self) -> usize {
        self.jobs.len()
    }

    fn due(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.jobs.values().filter_map(|job| {
            let due_at = Planner::due_at(job, self.cursors.get(&job.name)?)?;
            Some((job.name.as_str(), due_at))
        })
    }
}
