//! The pool with real Python workers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tenon_model::{CorrelationId, DurationText};
use tenon_protocol::worker::Metric;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};

use super::*;
use crate::call::{CallSource, HostCall, HostCalls, HostReturn, ServiceAnswer, ServiceCall, ServiceError};

const SERVICES: &str = r"
import os, time, signal
from tenon import Service

class Echo(Service):
    name = 'test.echo'
    def handle(self):
        self.response.payload = {'got': self.request.payload, 'pid': os.getpid(), 'cid': self.cid}

class Exit(Service):
    name = 'test.exit'
    def handle(self):
        os._exit(3)

class Sleep(Service):
    name = 'test.sleep'
    def handle(self):
        time.sleep(self.request.payload['seconds'])
        self.response.payload = {'pid': os.getpid()}

class Loop(Service):
    name = 'test.loop'
    def handle(self):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass

class Raise(Service):
    name = 'test.raise'
    def handle(self):
        raise ValueError('no such thing')

class Flood(Service):
    name = 'test.flood'
    def handle(self):
        for n in range(40):
            print('x' * 100_000)
        self.response.payload = {'done': True}

class Invoke(Service):
    name = 'test.invoke'
    def handle(self):
        self.response.payload = self.invoke('other.service', {'a': 1})

class Once(Service):
    name = 'test.once'
    def handle(self):
        marker = self.request.payload['marker']
        if not os.path.exists(marker):
            open(marker, 'w').close()
            os._exit(4)
        self.response.payload = {'pid': os.getpid()}

class Big(Service):
    name = 'test.big'
    def handle(self):
        self.response.payload = {'size': len(self.request.payload['text']), 'text': self.request.payload['text']}

class Grow(Service):
    name = 'test.grow'
    kept = []
    def handle(self):
        self.kept.append(b'x' * (self.request.payload['mib'] << 20))
        time.sleep(self.request.payload.get('seconds', 0))
        self.response.payload = {'pid': os.getpid()}

class Async(Service):
    name = 'test.async'
    async def handle(self):
        import asyncio
        await asyncio.sleep(0.05)
        self.response.payload = {'ok': True}
";

/// Answers every host call with what was asked.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    calls: AtomicUsize,
    /// The calls that asked for something and have ended.
    pub(crate) ended: Mutex<Vec<u64>>,
    /// What services measured.
    pub(crate) metrics: Mutex<Vec<Metric>>,
    /// The user configuration.
    pub(crate) configuration: Mutex<Option<Bytes>>,
}

#[async_trait]
impl HostCalls for Mirror {
    async fn host_call(&self, call: HostCall) -> HostReturn {
        self.calls.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        let body = json!({ "asked": call.request["service"], "depth": call.depth, "cid": call.cid.as_str() });
        HostReturn {
            code: 0,
            tail: json!({ "status": 200, "content_type": "application/json" }),
            body_is_json: true,
            body: Bytes::from(body.to_string()),
        }
    }

    fn call_ended(&self, call_id: u64) {
        self.ended.lock().unwrap().push(call_id);
    }

    fn configuration(&self) -> Option<Bytes> {
        self.configuration.lock().unwrap().clone()
    }

    fn metric(&self, metric: Metric) {
        self.metrics.lock().unwrap().push(metric);
    }
}

pub(crate) fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/python/tenon_worker.py")
}

pub(crate) struct Bench {
    pub(crate) pool: Pool,
    dir: tempfile::TempDir,
    zygotes: Zygotes,
    pub(crate) host: std::sync::Arc<Mirror>,
}

async fn bench(change: impl FnOnce(&mut WorkerSettings)) -> Bench {
    bench_of(SERVICES, change).await
}

/// A pool of two workers that have these services.
pub(crate) async fn bench_of(services: &str, change: impl FnOnce(&mut WorkerSettings)) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("services.py"), services).unwrap();
    let mut settings = WorkerSettings {
        workers: 2,
        ping_every: DurationText::from_millis(200),
        ping_timeout: DurationText::from_secs(2),
        cancel_grace: DurationText::from_millis(500),
        term_grace: DurationText::from_secs(1),
        ..WorkerSettings::default()
    };
    change(&mut settings);
    let host = std::sync::Arc::new(Mirror::default());
    let zygotes = Zygotes::new(&sdk(), None, &settings);
    let parts = PoolParts {
        deployment: 7,
        spec: WorkerSpec {
            group: "default".to_owned(),
            root: dir.path().to_owned(),
            program: WorkerProgram::Python {
                interpreter: settings.python.clone(),
                entry: sdk(),
                zygote: settings.fork_workers.then(|| zygotes.of(&settings.python)),
            },
            variables: Vec::new(),
            user: None,
        },
        settings,
        host: host.clone(),
    };
    let wanted = parts.settings.worker_count();
    let pool = Pool::start(parts, None).await.unwrap();
    let started = Instant::now();
    while pool.ready_workers() < wanted {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "only the first worker came up"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Bench {
        pool,
        dir,
        zygotes,
        host,
    }
}

pub(crate) fn service_call(service: &str, payload: &Value) -> ServiceCall {
    ServiceCall {
        cid: CorrelationId::from_text("0123456789abcdef01234567"),
        service: service.to_owned(),
        source: CallSource::Channel("tests".to_owned()),
        http: None,
        caller: None,
        data_format: "json",
        merged_params: Map::new(),
        message_wins: false,
        body: Bytes::from(payload.to_string()),
        body_is_json: true,
        body_stream: None,
        deadline: Instant::now() + Duration::from_secs(20),
        deployment: None,
        depth: 0,
        idempotent: false,
    }
}

impl Bench {
    async fn call(&self, call: ServiceCall) -> Result<Value, ServiceError> {
        self.answer(call).await.map(|answer| json_of(&answer))
    }

    pub(crate) async fn answer(&self, call: ServiceCall) -> Result<ServiceAnswer, ServiceError> {
        let service = self.pool.service(&call.service).unwrap().clone();
        let answer = self.pool.submit(&service, call).expect("the pool is open");
        timeout(Duration::from_secs(30), answer)
            .await
            .expect("an answer")
            .unwrap()
    }

    pub(crate) async fn invoke(&self, service: &str, payload: Value) -> Result<Value, ServiceError> {
        self.call(service_call(service, &payload)).await
    }

    fn pids(&self) -> Vec<u32> {
        self.pool.status().iter().map(|worker| worker.pid).collect()
    }

    /// Waits until the pool has two workers, none of them one of `gone`.
    async fn replaced(&self, gone: &[u32]) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            let pids = self.pids();
            if self.pool.ready_workers() == 2 && !pids.iter().any(|pid| gone.contains(pid)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{gone:?} were not replaced: {:?}", self.pool.status());
    }
}

fn json_of(answer: &ServiceAnswer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_are_answered_and_exceptions_told() {
    let bench = bench(|_| {}).await;
    let answer = bench.invoke("test.echo", json!({"name": "Zoë"})).await.unwrap();
    assert_eq!(answer["got"], json!({"name": "Zoë"}));
    assert_eq!(answer["cid"], "0123456789abcdef01234567");
    let error = bench.invoke("test.raise", json!({})).await.unwrap_err();
    let ServiceError::Raised {
        kind,
        message,
        traceback,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((kind.as_str(), message.as_str()), ("ValueError", "no such thing"));
    assert!(traceback.contains("raise ValueError"), "{traceback}");
    let answer = bench.invoke("test.async", json!({})).await.unwrap();
    assert_eq!(answer["ok"], true);
    let text = "ü".repeat(2 << 20);
    let answer = bench.invoke("test.big", json!({"text": text})).await.unwrap();
    assert_eq!(
        (answer["size"].as_u64(), answer["text"].as_str()),
        (Some(2 << 20), Some(text.as_str()))
    );
    bench.pool.drain().await;
    assert_eq!(bench.pids(), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_floods_standard_output_disturbs_nobody() {
    let bench = bench(|_| {}).await;
    let answer = bench.invoke("test.flood", json!({})).await.unwrap();
    assert_eq!(answer["done"], true);
    bench.invoke("test.echo", json!(1)).await.unwrap();
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_calls_reach_the_platform_and_return() {
    let bench = bench(|_| {}).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let service = bench.pool.service("test.invoke").unwrap().clone();
        let answer = bench
            .pool
            .submit(&service, service_call("test.invoke", &json!({})))
            .unwrap();
        calls.spawn(answer);
    }
    while let Some(answer) = calls.join_next().await {
        let answer = json_of(&answer.unwrap().unwrap().unwrap());
        assert_eq!(
            (answer["asked"].as_str(), answer["depth"].as_u64()),
            (Some("other.service"), Some(0))
        );
    }
    assert_eq!(bench.host.calls.load(Ordering::SeqCst), 40);
    let ended: HashSet<u64> = bench.host.ended.lock().unwrap().iter().copied().collect();
    assert_eq!(
        ended.len(),
        40,
        "each call that asked for something is reported once when it ends"
    );
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_exits_fails_its_call_and_is_replaced() {
    let bench = bench(|_| {}).await;
    let before = bench.pids();
    let error = bench.invoke("test.exit", json!({})).await.unwrap_err();
    let ServiceError::WorkerDied { cause } = error else {
        panic!("{error:?}");
    };
    assert_eq!(cause, "exit code 3");
    // The other worker goes on meanwhile.
    let answer = bench.invoke("test.echo", json!({})).await.unwrap();
    assert!(before.contains(&u32::try_from(answer["pid"].as_u64().unwrap()).unwrap()));
    let started = Instant::now();
    while bench.pool.ready_workers() < 2 {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotent_call_is_run_again_when_its_worker_dies() {
    let bench = bench(|_| {}).await;
    let marker = bench.dir.path().join("marker");
    let mut call = service_call("test.once", &json!({ "marker": marker }));
    call.idempotent = true;
    assert!(bench.call(call).await.unwrap()["pid"].is_u64());
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_only_happened_to_be_there_is_answered() {
    let bench = bench(|settings| settings.workers = 1).await;
    // A service that has answered before is not taken for the cause.
    bench.invoke("test.sleep", json!({"seconds": 0})).await.unwrap();
    let call = |service: &str| ServiceCall {
        idempotent: true,
        ..service_call(service, &json!({"seconds": 0.5}))
    };
    let (slept, ended) = tokio::join!(bench.call(call("test.sleep")), bench.call(call("test.exit")));
    let error = ended.unwrap_err();
    assert!(matches!(error, ServiceError::WorkerDied { .. }), "{error:?}");
    assert!(slept.unwrap()["pid"].is_u64());
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_keeps_killing_workers_is_quarantined() {
    let bench = bench(|settings| settings.restart_delay_max = DurationText::from_millis(100)).await;
    for _ in 0..5 {
        let error = bench.invoke("test.exit", json!({})).await.unwrap_err();
        assert!(matches!(error, ServiceError::WorkerDied { .. }), "{error:?}");
    }
    let error = bench.invoke("test.exit", json!({})).await.unwrap_err();
    assert!(
        matches!(&error, ServiceError::Quarantined(reason) if reason.contains("exit code 3")),
        "{error:?}"
    );
    bench.invoke("test.echo", json!({})).await.unwrap();
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_is_killed_and_replaced() {
    let bench = bench(|_| {}).await;
    let stopped = bench.pids()[0];
    process::signal(stopped, rustix::process::Signal::STOP);
    bench.replaced(&[stopped]).await;
    bench.invoke("test.echo", json!({})).await.unwrap();
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_loop_times_out_and_its_worker_is_replaced() {
    let bench = bench(|_| {}).await;
    let mut call = service_call("test.loop", &json!({}));
    call.deadline = Instant::now() + Duration::from_millis(300);
    let before = bench.pids();
    let started = Instant::now();
    let error = bench.call(call).await.unwrap_err();
    assert!(matches!(error, ServiceError::Timeout), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for _ in 0..20 {
        bench.invoke("test.echo", json!({})).await.unwrap();
    }
    let started = Instant::now();
    loop {
        let kept = bench.pids().iter().filter(|pid| before.contains(pid)).count();
        if kept == 1 && bench.pool.ready_workers() == 2 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", bench.pool.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_do_not_stop_stay_with_one_worker_and_others_avoid_it() {
    let bench = bench(|settings| settings.cancel_grace = DurationText::from_secs(60)).await;
    // A worker that is busy may come to a call too late and answers that; then nothing more runs in it.
    let endless = || async {
        let mut call = service_call("test.loop", &json!({}));
        call.deadline = Instant::now() + Duration::from_millis(300);
        match bench.answer(call).await {
            Err(ServiceError::Timeout) => {}
            answered => assert_eq!(answered.unwrap().status, 504),
        }
    };
    endless().await;
    let known = bench.pool.service("test.loop").unwrap();
    let started = Instant::now();
    while !known.overruns() {
        assert!(started.elapsed() < Duration::from_secs(20), "nobody noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let in_flight = || bench.pool.status().iter().map(|worker| worker.in_flight).sum::<usize>();
    while in_flight() < 4 {
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", bench.pool.status());
        endless().await;
    }
    let mut workers = bench.pool.status();
    workers.sort_by_key(|worker| worker.in_flight);
    assert_eq!([workers[0].in_flight, workers[1].in_flight], [0, 4]);
    for _ in 0..5 {
        let echoed = bench.invoke("test.echo", json!({})).await.unwrap();
        assert_eq!(echoed["pid"], workers[0].pid);
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_and_blocking_services_run_side_by_side() {
    let bench = bench(|settings| settings.queue_calls_max = 10).await;
    let service = bench.pool.service("test.sleep").unwrap().clone();
    let mut waiting = JoinSet::new();
    let started = Instant::now();
    for _ in 0..200 {
        let answer = bench
            .pool
            .submit(&service, service_call("test.sleep", &json!({"seconds": 0.3})))
            .unwrap();
        waiting.spawn(answer);
    }
    let (mut answered, mut refused) = (0, 0);
    while let Some(result) = waiting.join_next().await {
        match result.unwrap().unwrap() {
            Ok(_) => answered += 1,
            Err(ServiceError::Busy { retry_after }) => {
                assert!(retry_after > Duration::ZERO);
                refused += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(answered + refused, 200);
    // 16 for each of the two workers before the service is known to block, and 10 in the queue.
    assert!(answered >= 32 + 10, "{answered}");
    assert!(refused >= 100, "{refused}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_leave_leave_nothing_behind() {
    let bench = bench(|_| {}).await;
    let service = bench.pool.service("test.sleep").unwrap().clone();
    for _ in 0..20 {
        drop(
            bench
                .pool
                .submit(&service, service_call("test.sleep", &json!({"seconds": 0.2})))
                .unwrap(),
        );
    }
    let started = Instant::now();
    while bench.pool.status().iter().any(|worker| worker.in_flight > 0) {
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", bench.pool.status());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.invoke("test.echo", json!({})).await.unwrap();
    bench.pool.kill().await;
}

/// The process that started another one.
fn parent_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_outlive_the_process_that_forked_them() {
    let bench = bench(|_| {}).await;
    let pids = bench.pids();
    let zygote = parent_of(pids[0]);
    assert_ne!(zygote, std::process::id());
    assert_eq!(zygote, parent_of(pids[1]));
    process::signal(zygote, rustix::process::Signal::KILL);
    bench.invoke("test.echo", json!({})).await.unwrap();
    // Nobody tells how they end any more, and yet they are replaced.
    for pid in &pids {
        process::signal(*pid, rustix::process::Signal::KILL);
    }
    bench.replaced(&pids).await;
    bench.invoke("test.echo", json!({})).await.unwrap();
    let next = parent_of(bench.pids()[0]);
    assert_ne!(next, zygote);
    bench.pool.kill().await;
    bench.zygotes.end().await;
    assert!(!Path::new(&format!("/proc/{next}")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_replaced_although_the_process_that_forked_them_stands_still() {
    let bench = bench(|_| {}).await;
    let pids = bench.pids();
    let zygote = parent_of(pids[0]);
    process::signal(zygote, rustix::process::Signal::STOP);
    bench.invoke("test.echo", json!({})).await.unwrap();
    for pid in &pids {
        process::signal(*pid, rustix::process::Signal::KILL);
    }
    bench.replaced(&pids).await;
    bench.invoke("test.echo", json!({})).await.unwrap();
    assert_ne!(parent_of(bench.pids()[0]), zygote);
    bench.pool.kill().await;
    bench.zygotes.end().await;
    assert!(!Path::new(&format!("/proc/{zygote}")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_are_started_one_by_one_where_they_are_not_to_be_forked() {
    let bench = bench(|settings| settings.fork_workers = false).await;
    let pids = bench.pids();
    assert!(pids.iter().all(|pid| parent_of(*pid) == std::process::id()));
    let error = bench.invoke("test.exit", json!({})).await.unwrap_err();
    assert!(
        matches!(&error, ServiceError::WorkerDied { cause } if cause == "exit code 3"),
        "{error:?}"
    );
    bench.invoke("test.echo", json!({})).await.unwrap();
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_can_not_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("bad.py"),
        "import os\nprint('last words', flush=True)\nos._exit(9)\n",
    )
    .unwrap();
    let spec = |interpreter: &str| WorkerSpec {
        group: "default".to_owned(),
        root: dir.path().to_owned(),
        program: WorkerProgram::Python {
            interpreter: interpreter.to_owned(),
            entry: sdk(),
            zygote: None,
        },
        variables: Vec::new(),
        user: None,
    };
    let tasks = tokio_util::task::TaskTracker::new();
    let settings = WorkerSettings::default();
    let error = ReadyWorker::start(&spec("python3"), "w".to_owned(), &settings, &tasks)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("exit code 9"), "{error}");
    assert!(error.output().contains("last words"), "{:?}", error.output());
    let error = ReadyWorker::start(&spec("no-such-python"), "w".to_owned(), &settings, &tasks)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no-such-python"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_ran_enough_calls_are_replaced_and_no_call_fails() {
    let bench = bench(|settings| {
        settings.calls_max = 40;
        settings.ping_every = DurationText::from_millis(50);
    })
    .await;
    let mut pids = std::collections::BTreeSet::new();
    let started = Instant::now();
    while pids.len() < 6 {
        assert!(started.elapsed() < Duration::from_secs(20), "{pids:?}");
        let answer = bench.call(service_call("test.echo", &json!({}))).await.unwrap();
        pids.insert(answer["pid"].as_u64().unwrap());
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_worker_is_replaced_after_its_last_call_however_long_that_takes() {
    let bench = bench(|settings| {
        settings.workers = 1;
        settings.lifetime = DurationText::from_millis(300);
        settings.drain_timeout = DurationText::from_millis(50);
        settings.ping_every = DurationText::from_millis(50);
    })
    .await;
    let long = bench.call(service_call("test.sleep", &json!({ "seconds": 2 })));
    let others = async {
        let mut pids = std::collections::BTreeSet::new();
        let started = Instant::now();
        while pids.len() < 3 {
            assert!(started.elapsed() < Duration::from_secs(20), "{pids:?}");
            let answer = bench.call(service_call("test.echo", &json!({}))).await.unwrap();
            pids.insert(answer["pid"].as_u64().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (long, ()) = tokio::join!(long, others);
    assert!(long.is_ok(), "{long:?}");
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_grows_is_replaced_and_one_that_grows_far_is_killed() {
    let bench = bench(|settings| {
        settings.memory_bytes_max = 100 << 20;
        settings.memory_kill_percent = 300;
        settings.ping_every = DurationText::from_millis(50);
    })
    .await;
    let grown = service_call("test.grow", &json!({ "mib": 120 }));
    let grown = bench.call(grown).await.unwrap()["pid"].clone();
    let started = Instant::now();
    while bench.pool.status().iter().any(|worker| json!(worker.pid) == grown) {
        assert!(started.elapsed() < Duration::from_secs(20));
        bench.call(service_call("test.echo", &json!({}))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let far = bench
        .call(service_call("test.grow", &json!({ "mib": 400, "seconds": 20 })))
        .await;
    let Err(ServiceError::WorkerDied { cause }) = far else {
        panic!("{far:?}");
    };
    assert!(cause.contains("bytes of memory"), "{cause}");
    bench.pool.kill().await;
}
