//! Bodies in chunks, and what else frames carry, between a pool and real Python workers.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout};

use super::tests::{Bench, bench_of, service_call};
use crate::body::{BodyError, BodyPieces, BodyStream};
use crate::call::{ServiceAnswer, ServiceCall, ServiceError};

const SERVICES: &str = r"
import os, time
from tenon import Service

STATE = {'made': 0, 'closed': 0}

class Count(Service):
    name = 'test.count'
    def handle(self):
        wanted = self.request.payload['pieces']
        def pieces():
            try:
                for _ in range(wanted):
                    STATE['made'] += 1
                    yield bytes(50_000)
            finally:
                STATE['closed'] += 1
        return pieces()

class State(Service):
    name = 'test.state'
    def handle(self):
        self.response.payload = STATE

class Dies(Service):
    name = 'test.dies'
    def handle(self):
        yield b'first'
        if self.request.payload.get('raises'):
            raise ValueError('half way')
        os._exit(7)

class Sum(Service):
    name = 'test.sum'
    streams = True
    def handle(self):
        self.response.payload = {'total': sum(len(piece) for piece in self.request.stream)}

class Slow(Service):
    name = 'test.slow'
    streams = True
    def handle(self):
        first = next(self.request.stream)
        while not os.path.exists(str(first, 'utf-8')):
            time.sleep(0.01)
        self.response.payload = {'rest': len(self.request.stream.read())}

class Copy(Service):
    name = 'test.copy'
    streams = True
    async def handle(self):
        async for piece in self.request.stream:
            yield piece

class Configured(Service):
    name = 'test.configured'
    timeout_seconds = 0.2
    def handle(self):
        time.sleep(self.request.payload)
        self.response.payload = str(self.request._host.configuration[0], 'utf-8')

class Measure(Service):
    name = 'test.measure'
    def handle(self):
        self.request._host.metric({'name': 'orders', 'kind': 'counter', 'value': 2, 'labels': {'a': 'b'}, 'service': self.name})
";

async fn bench() -> Bench {
    bench_of(SERVICES, |settings| settings.workers = 1).await
}

fn pieces_of(answer: &ServiceAnswer) -> BodyPieces {
    let stream = answer.body_stream.as_ref().expect("an answer in pieces");
    stream.take().expect("nobody has read it")
}

async fn next(pieces: &mut BodyPieces) -> Option<Result<Bytes, BodyError>> {
    timeout(Duration::from_secs(20), pieces.recv()).await.expect("a piece")
}

/// Reads to the end, and gives how much that was.
async fn read(pieces: &mut BodyPieces) -> Result<usize, BodyError> {
    let mut total = 0;
    while let Some(piece) = next(pieces).await {
        total += piece?.len();
    }
    Ok(total)
}

async fn wait_for_state(bench: &Bench, wanted: impl Fn(&Value) -> bool) {
    let started = Instant::now();
    loop {
        let state = bench.invoke("test.state", json!({})).await.unwrap();
        if wanted(&state) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{state}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn streaming_call(service: &str, room: usize) -> (ServiceCall, mpsc::Sender<Result<Bytes, BodyError>>) {
    let (sender, pieces) = mpsc::channel(room);
    let call = ServiceCall {
        body: Bytes::new(),
        body_is_json: false,
        body_stream: Some(BodyStream::new(pieces)),
        ..service_call(service, &json!({}))
    };
    (call, sender)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_the_service_down_and_gets_everything() {
    let bench = bench().await;
    let answer = bench
        .answer(service_call("test.count", &json!({"pieces": 400})))
        .await
        .unwrap();
    // What fits into the window, what waits for its reader, and the one that waits for credit.
    wait_for_state(&bench, |state| state["made"].as_u64() >= Some(6)).await;
    for _ in 0..10 {
        bench.invoke("test.state", json!({})).await.unwrap();
    }
    let state = bench.invoke("test.state", json!({})).await.unwrap();
    assert!(state["made"].as_u64() <= Some(10), "{state}");
    assert_eq!(read(&mut pieces_of(&answer)).await, Ok(20_000_000));
    wait_for_state(&bench, |state| state["closed"] == 1).await;
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_leaves_closes_the_generator() {
    let bench = bench().await;
    let answer = bench
        .answer(service_call("test.count", &json!({"pieces": 1_000_000})))
        .await
        .unwrap();
    let mut pieces = pieces_of(&answer);
    next(&mut pieces).await.unwrap().unwrap();
    drop(pieces);
    wait_for_state(&bench, |state| state["closed"] == 1).await;
    let answer = bench
        .answer(service_call("test.count", &json!({"pieces": 1_000_000})))
        .await
        .unwrap();
    drop(answer);
    wait_for_state(&bench, |state| state["closed"] == 2).await;
    let started = Instant::now();
    while bench.pool.status()[0].in_flight > 0 {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_too_soon_is_not_taken_for_whole() {
    let bench = bench().await;
    for (payload, expected) in [(json!({"raises": true}), "half way"), (json!({}), "exit code 7")] {
        let answer = bench.answer(service_call("test.dies", &payload)).await.unwrap();
        let error = read(&mut pieces_of(&answer)).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_counts_until_the_last_piece() {
    let bench = bench().await;
    let mut call = service_call("test.count", &json!({"pieces": 1_000_000}));
    call.deadline = Instant::now() + Duration::from_secs(1);
    let answer = bench.answer(call).await.unwrap();
    let mut pieces = pieces_of(&answer);
    tokio::time::sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let error = read(&mut pieces).await.unwrap_err();
    assert!(error.to_string().contains("the deadline passed"), "{error}");
    wait_for_state(&bench, |state| state["closed"] == 1).await;
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_ends_is_cut_off() {
    let bench = bench().await;
    let answer = bench
        .answer(service_call("test.count", &json!({"pieces": 1_000_000})))
        .await
        .unwrap();
    bench.pool.kill().await;
    assert!(read(&mut pieces_of(&answer)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_any_size_is_read_in_pieces() {
    let bench = bench().await;
    let (call, sender) = streaming_call("test.sum", 1);
    let sending = tokio::spawn(async move {
        for number in 0..300_usize {
            sender.send(Ok(Bytes::from(vec![1; number * 700]))).await.unwrap();
        }
    });
    let answer = bench.answer(call).await.unwrap();
    sending.await.unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap()["total"],
        700 * 299 * 300 / 2
    );
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_service_slows_its_client_down() {
    let bench = bench().await;
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("go");
    let (call, sender) = streaming_call("test.slow", 1);
    let answer = tokio::spawn({
        let service = bench.pool.service("test.slow").unwrap().clone();
        bench.pool.submit(&service, call).unwrap()
    });
    sender
        .send(Ok(Bytes::from(marker.to_str().unwrap().to_owned())))
        .await
        .unwrap();
    let mut sent = 0;
    // The service reads no more: what it does not read is not taken for long.
    while timeout(
        Duration::from_millis(500),
        sender.send(Ok(Bytes::from(vec![2; 10_000]))),
    )
    .await
    .is_ok()
    {
        sent += 1;
        assert!(sent < 100, "{sent} pieces were taken and not read");
    }
    std::fs::write(&marker, "").unwrap();
    drop(sender);
    let answer = timeout(Duration::from_secs(20), answer)
        .await
        .unwrap()
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&answer.body).unwrap()["rest"],
        sent * 10_000
    );
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_cut_off_is_not_taken_for_whole() {
    let bench = bench().await;
    let (call, sender) = streaming_call("test.sum", 2);
    sender.send(Ok(Bytes::from_static(b"abc"))).await.unwrap();
    sender.send(Err(BodyError::TooLarge(10))).await.unwrap();
    let answer = bench.answer(call).await.unwrap();
    assert_eq!(answer.status, 413);
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_and_answer_flow_at_the_same_time() {
    let bench = bench().await;
    let (call, sender) = streaming_call("test.copy", 1);
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    let answer = bench.answer(call).await.unwrap();
    let mut pieces = pieces_of(&answer);
    assert_eq!(next(&mut pieces).await.unwrap().unwrap(), "first");
    for _ in 0..20 {
        sender.send(Ok(Bytes::from(vec![7; 60_000]))).await.unwrap();
        assert_eq!(next(&mut pieces).await.unwrap().unwrap().len(), 60_000);
    }
    drop(sender);
    assert!(next(&mut pieces).await.is_none());
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_has_the_configuration_and_its_changes() {
    let bench = bench().await;
    let configured = || async {
        let answer = bench.answer(service_call("test.configured", &json!(0))).await.unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    assert_eq!(configured().await, "");
    *bench.host.configuration.lock().unwrap() = Some(Bytes::from_static(b"{\"version\":1}"));
    bench.pool.configure();
    assert_eq!(configured().await, "{\"version\":1}");
    let pid = bench.pool.status()[0].pid;
    super::process::signal(pid, rustix::process::Signal::KILL);
    let started = Instant::now();
    while bench.pool.status().first().is_none_or(|worker| worker.pid == pid) {
        assert!(started.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(configured().await, "{\"version\":1}");
    bench.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_says_how_long_it_may_take_and_what_it_measured() {
    let bench = bench().await;
    let error = bench.invoke("test.configured", json!(3)).await.unwrap_err();
    assert!(matches!(error, ServiceError::Timeout), "{error:?}");
    bench.answer(service_call("test.measure", &json!({}))).await.unwrap();
    let measured = bench.host.metrics.lock().unwrap().clone();
    assert_eq!(measured.len(), 1);
    assert_eq!(
        (measured[0].name.as_str(), measured[0].labels["a"].as_str()),
        ("orders", "b")
    );
    bench.pool.kill().await;
}
