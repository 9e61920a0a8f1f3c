//! Workers that break the protocol: each is ended, and nobody else notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tenon_model::DurationText;
use tokio::time::{Duration, Instant, timeout};

use super::tests::{Bench, bench_of, service_call};
use crate::call::{ServiceCall, ServiceError};

/// A service that writes to its worker's socket what it is told to: a Python expression.
const SERVICES: &str = r"
import random, time
from tenon import Service
from tenon.protocol import PREFIX

def frame(kind, flags=0, code=0, call=0, id=0, tail=b'', body=b''):
    return PREFIX.pack(16 + len(tail), len(body), kind, flags, code, call, id) + tail + body

def noise(seed, id):
    chance = random.Random(seed)
    data = bytearray()
    for _ in range(30):
        kind = chance.choice([1, 2, 8, 9, 11, 12, 13, 13, 12, chance.randrange(256)])
        number = chance.choice([id, id, 0, chance.getrandbits(64)])
        body = chance.choice([b'', b'{}', b'x' * chance.randrange(3000)])
        data += frame(kind, chance.randrange(16), chance.randrange(700), chance.getrandbits(chance.choice([4, 20, 32])), number, b'', body)
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data) + b'\\xff' * 40

class Echo(Service):
    name = 'test.echo'
    idempotent = True
    def handle(self):
        self.response.payload = self.request.payload

class Evil(Service):
    name = 'test.evil'
    streams = True
    def handle(self):
        data = eval(self.request.payload, {'frame': frame, 'noise': noise, 'id': self.request._id})
        self.request._host._connection._sock.sendall(data)
        time.sleep(30)
";

/// What breaks the protocol, and what is said of it.
const VIOLATIONS: &[(&str, &str)] = &[
    ("frame(200)", "unknown kind 200"),
    ("b'\\x0f' + bytes(30)", "fewer than 16"),
    ("b'\\xff' * 30", "a header of 4294967295 bytes"),
    (
        "b'\\x10\\0\\0\\0\\xff\\xff\\xff\\xff\\x01'",
        "a body of 4294967295 bytes",
    ),
    ("frame(0, id=1, tail=bytes(10))", "direction"),
    ("frame(3, id=id)", "direction"),
    ("frame(10, body=b'{}')", "direction"),
    ("frame(7, body=b'{\"protocol\": 1, \"pid\": 1}')", "direction"),
    ("frame(2, id=id, tail=b'nonsense')", "HostCall frame whose tail"),
    ("frame(9, body=b'nonsense')", "Log frame whose body"),
    ("frame(11, body=b'{\"name\": 1}')", "Metric frame whose body"),
    ("frame(1, 2, 500, id=id, body=b'nonsense')", "Reply frame whose body"),
    ("frame(1, 0, 200, id=id, tail=b'nonsense')", "Reply frame whose tail"),
    (
        "frame(1, 10, 500, id=id, body=b'{\"type\": \"A\"}')",
        "does not go on in chunks",
    ),
    ("frame(1, 8, id=id) + frame(1, 8, id=id)", "second one"),
    ("frame(1, 8, id=id) + frame(1, 0, id=id)", "second one"),
    ("frame(12, id=id, body=b'x')", "no answer has begun"),
    ("frame(1, 8, id=id) + frame(12, id=id)", "Chunk frame whose length"),
    (
        "frame(1, 8, id=id) + frame(12, id=id, body=bytes(65537))",
        "Chunk frame whose length",
    ),
    (
        "frame(1, 8, id=id) + 100 * frame(12, id=id, body=bytes(65536))",
        "beyond the credit",
    ),
    (
        "frame(1, 8, id=id) + 9000 * frame(12, id=id, body=b'x')",
        "beyond the credit",
    ),
    ("200 * frame(1, id=77)", "too many are for none"),
    ("200 * frame(12, 4, id=77)", "too many are for none"),
    ("200 * frame(2, call=1, id=77, tail=b'{}')", "too many are for none"),
];

async fn bench(workers: usize) -> Bench {
    bench_of(SERVICES, |settings| {
        settings.workers = workers;
        settings.restart_delay_max = DurationText::from_millis(100);
        settings.quarantine_deaths = 1000;
        settings.bystander_retries_max = 1000;
    })
    .await
}

/// Calls a healthy service until told to stop, and gives how many calls were answered and what became of the others.
async fn keep_calling(bench: Arc<Bench>, stop: Arc<AtomicBool>) -> (u32, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        match bench.invoke("test.echo", json!({"a": 1})).await {
            Ok(answer) if answer == json!({"a": 1}) => answered += 1,
            other => failed.push(format!("{other:?}")),
        }
    }
    (answered, failed)
}

/// Waits for a worker, and gives its process id.
async fn ready(bench: &Bench) -> u32 {
    let started = Instant::now();
    loop {
        if let Some(worker) = bench.pool.status().first() {
            return worker.pid;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no worker comes up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Has a service send something, and gives how the worker ended.
async fn misbehave(bench: &Bench, expression: &str) -> String {
    let call = ServiceCall {
        deadline: Instant::now() + Duration::from_secs(25),
        ..service_call("test.evil", &json!(expression))
    };
    match bench.answer(call).await {
        Err(ServiceError::WorkerDied { cause }) => cause,
        // It answered first, which was no violation yet.
        Ok(answer) => match answer.body_stream.map(|stream| stream.take()) {
            Some(Some(mut pieces)) => {
                let end = async {
                    while let Some(piece) = pieces.recv().await {
                        if let Err(error) = piece {
                            return error.to_string();
                        }
                    }
                    "whole".to_owned()
                };
                timeout(Duration::from_secs(25), end).await.expect("an end")
            }
            _ => "answered".to_owned(),
        },
        Err(other) => other.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_breaks_the_protocol_is_ended_and_its_neighbours_go_on() {
    let (evil, healthy) = (bench(1).await, Arc::new(bench(1).await));
    let stop = Arc::new(AtomicBool::new(false));
    let calling = tokio::spawn(keep_calling(healthy.clone(), stop.clone()));
    let pid = healthy.pool.status()[0].pid;
    for (expression, expected) in VIOLATIONS {
        let before = ready(&evil).await;
        let cause = misbehave(&evil, expression).await;
        assert!(cause.contains(expected) || cause == "answered", "{expression}: {cause}");
        let started = Instant::now();
        while ready(&evil).await == before {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{expression}: the worker lives on"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let (answered, failed) = calling.await.unwrap();
    assert!(answered > 0);
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(healthy.pool.status()[0].pid, pid);
    evil.pool.kill().await;
    healthy.pool.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_worker_sends_the_group_recovers_and_a_call_is_at_worst_told_that_its_worker_ended() {
    let bench = Arc::new(bench(2).await);
    let stop = Arc::new(AtomicBool::new(false));
    let calling = tokio::spawn(keep_calling(bench.clone(), stop.clone()));
    for seed in 0..12 {
        // Answered, cut off or died: it must end, and soon.
        misbehave(&bench, &format!("noise({seed}, id)")).await;
    }
    stop.store(true, Ordering::SeqCst);
    let (answered, failed) = calling.await.unwrap();
    assert!(answered > 0);
    assert!(failed.iter().all(|error| error.contains("WorkerDied")), "{failed:?}");
    let (mut in_a_row, started) = (0, Instant::now());
    while in_a_row < 20 {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the group does not recover"
        );
        let answer = bench.invoke("test.echo", json!({"a": 1})).await;
        in_a_row = if answer.is_ok() { in_a_row + 1 } else { 0 };
    }
    bench.pool.kill().await;
}
