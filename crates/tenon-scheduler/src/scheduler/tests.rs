//! Schedulers on a real store with the real clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tenon_model::{Clock, InstanceId, ObjectKey, SystemClock, SystemRandom};
use tenon_protocol::control::RunSummary;
use tenon_store::{ObjectChange, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Scheduler, SchedulerDeps, SchedulerHandle};
use crate::settings::Settings;
use crate::summary::summaries;

const PATIENCE: Duration = Duration::from_secs(20);

fn store_in(dir: &Path) -> Store {
    Store::sqlite_in(dir, Arc::new(SystemClock), Arc::new(SystemRandom)).unwrap()
}

async fn put(store: &Store, name: &str, mut body: Value) {
    body["service"] = json!("work");
    let change = ObjectChange::Put {
        key: ObjectKey::new("job", name.parse().unwrap()),
        body,
        manifest: None,
        if_version: None,
    };
    store.write_objects(vec![change], "test").await.unwrap();
}

struct Running {
    handle: SchedulerHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(store: &Store, name: &str) -> Running {
    let deps = SchedulerDeps {
        store: store.clone(),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        instance: InstanceId::from_text(name),
    };
    let scheduler = Scheduler::new(deps, Settings::default());
    let handle = scheduler.handle();
    let stop = CancellationToken::new();
    let task = tokio::spawn(scheduler.run(stop.clone()));
    Running { handle, stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// Waits until something is so, and says what was waited for if it never is.
async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"))
}

async fn runs_of(store: &Store, job: &str, count: usize) -> Vec<RunSummary> {
    until(&format!("{count} runs of {job}"), async || {
        let runs = store.runs(job, None, 100).await.unwrap();
        (runs.len() >= count).then_some(runs)
    })
    .await
}

#[tokio::test]
async fn jobs_are_planned_when_they_are_due_and_follow_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path());
    let running = start(&store, "one");
    until("it leads", async || running.handle.status().leader.then_some(())).await;
    // A job that comes while the scheduler sleeps wakes it.
    put(&store, "ticks", json!({"every": "1s", "overlap": "queue"})).await;
    let runs = runs_of(&store, "ticks", 3).await;
    let instants: Vec<i64> = runs.iter().map(|run| run.planned_at.as_millis()).collect();
    assert!(
        instants.windows(2).all(|pair| pair[0] - pair[1] == 1000),
        "{instants:?}"
    );
    assert!(instants.iter().all(|instant| instant % 1000 == 0));
    assert!(runs[0].planned_at <= SystemClock.now());
    let status = running.handle.status();
    assert_eq!((status.jobs, status.next[0].job.as_str()), (1, "ticks"));

    let objects = store.objects().await.unwrap().objects;
    let summary = summaries(&store, &objects).await.unwrap().remove(0);
    assert_eq!((summary.schedule.as_str(), summary.enabled), ("every 1s", true));
    assert!(summary.next_at.is_some() && summary.last_run.is_some());

    put(&store, "ticks", json!({"every": "1s", "enabled": false})).await;
    until("the plan ends", async || {
        running.handle.status().next.is_empty().then_some(())
    })
    .await;
    let key = ObjectKey::new("job", "ticks".parse().unwrap());
    let delete = ObjectChange::Delete { key, if_version: None };
    store.write_objects(vec![delete], "test").await.unwrap();
    until("the cursor goes", async || {
        store.job_cursors().await.unwrap().is_empty().then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn one_leads_and_another_takes_over_at_once_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path());
    put(&store, "ticks", json!({"every": "1s", "overlap": "queue"})).await;
    let first = start(&store, "first");
    until("the first leads", async || first.handle.status().leader.then_some(())).await;
    let second = start(&store, "second");
    runs_of(&store, "ticks", 2).await;
    assert!(!second.handle.status().leader);
    first.stop().await;
    until("the second leads", async || second.handle.status().leader.then_some(())).await;
    let count = store.runs("ticks", None, 100).await.unwrap().len();
    runs_of(&store, "ticks", count + 2).await;
    let ledger = store.job_ledger("ticks").await.unwrap();
    assert_eq!((ledger.duplicates, ledger.lost), (0, 0));
    let runs = store.runs("ticks", None, 100).await.unwrap();
    let gaps: Vec<i64> = runs
        .windows(2)
        .map(|pair| pair[0].planned_at.as_millis() - pair[1].planned_at.as_millis())
        .collect();
    assert!(gaps.iter().all(|gap| *gap == 1000), "{gaps:?}");
    second.stop().await;
}

#[tokio::test]
async fn a_job_that_can_t_be_read_disturbs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path());
    put(&store, "broken", json!({"every": "${OFTEN}"})).await;
    put(&store, "ticks", json!({"every": "1s"})).await;
    let running = start(&store, "one");
    runs_of(&store, "ticks", 1).await;
    assert_eq!(running.handle.status().jobs, 1);
    let objects = store.objects().await.unwrap().objects;
    assert_eq!(summaries(&store, &objects).await.unwrap()[0].schedule, "can't be read");
    running.stop().await;
}
