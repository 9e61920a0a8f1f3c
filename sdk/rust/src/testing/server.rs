//! Plays the server for a worker in a test: the other end of its socket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};
use tenon_protocol::worker::{
    ChunkFrame, Hello, HostCallFrame, HostReturnFrame, Limits, LogLine, Message, Metric, ReplyFrame, RequestFrame,
    STREAM_WINDOW_BYTES, chunk_cost, decode, encode,
};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use super::TestAnswer;
use super::platform::{Answered, Platform, of_reply, payload, refused, text};
use crate::link::lock;

/// How long a caller in a test waits if the test does not say.
const PATIENCE: Duration = Duration::from_mins(1);

/// The server of a test.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) platform: Platform,
    services: Vec<String>,
    socket: UnixStream,
    writing: tokio::sync::Mutex<()>,
    limits: Limits,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
    credit: Mutex<HashMap<u64, usize>>,
    has_credit: Notify,
    logs: Mutex<Vec<LogLine>>,
    metrics: Mutex<Vec<Metric>>,
    config: Mutex<Map<String, Value>>,
    config_version: AtomicU64,
}

/// Somebody who waits for an answer, and what came of it.
#[derive(Debug)]
struct Waiting {
    done: Option<oneshot::Sender<Finished>>,
    reply: Option<ReplyFrame>,
    streamed: BytesMut,
}

/// A reply with all of its body.
#[derive(Debug)]
struct Finished {
    reply: ReplyFrame,
    is_cut_off: bool,
}

/// A call that a test makes.
#[derive(Debug)]
pub(super) struct Called {
    pub(super) service: String,
    pub(super) metadata: Value,
    pub(super) body: Bytes,
    pub(super) is_json: bool,
    pub(super) pieces: Option<Vec<Bytes>>,
    pub(super) timeout: Option<Duration>,
    pub(super) cancel_after: Option<Duration>,
}

impl Server {
    pub(super) fn new(socket: UnixStream, hello: &Hello) -> Arc<Self> {
        Arc::new(Self {
            platform: Platform::default(),
            services: hello.services.iter().map(|service| service.name.clone()).collect(),
            socket,
            writing: tokio::sync::Mutex::default(),
            limits: Limits::default(),
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            credit: Mutex::default(),
            has_credit: Notify::new(),
            logs: Mutex::default(),
            metrics: Mutex::default(),
            config: Mutex::default(),
            config_version: AtomicU64::new(0),
        })
    }

    pub(super) fn logs(&self) -> Vec<LogLine> {
        lock(&self.logs).clone()
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        lock(&self.metrics).clone()
    }

    pub(super) async fn set_config(&self, file: &str, sections: Value) {
        lock(&self.config).insert(file.to_owned(), sections);
        let version = self.config_version.fetch_add(1, Ordering::Relaxed) + 1;
        let body = json!({"version": version, "files": &*lock(&self.config)});
        self.send(Message::Config(body.to_string().into())).await;
    }

    async fn send(&self, message: Message) {
        let mut bytes = BytesMut::new();
        encode(&message.into_frame(), &mut bytes, &self.limits).expect("what a test sends is within the limits");
        let _whole = self.writing.lock().await;
        while !bytes.is_empty() {
            if self.socket.writable().await.is_err() {
                return;
            }
            match self.socket.try_write(&bytes) {
                Ok(count) => bytes.advance(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Calls a service and waits for the answer.
    pub(super) async fn call(self: &Arc<Self>, called: Called) -> TestAnswer {
        let cancel_after = called.cancel_after;
        let Some((id, answer)) = self.begin(called).await else {
            return TestAnswer {
                status: 404,
                failure: Some("the worker has no such service".to_owned()),
                ..TestAnswer::default()
            };
        };
        let mut answer = std::pin::pin!(answer);
        if let Some(delay) = cancel_after {
            tokio::select! {
                finished = &mut answer => return as_answer(finished.ok()),
                () = tokio::time::sleep(delay) => self.send(Message::Cancel { id }).await,
            }
        }
        as_answer(answer.await.ok())
    }

    async fn begin(self: &Arc<Self>, called: Called) -> Option<(u64, oneshot::Receiver<Finished>)> {
        let index = self.services.iter().position(|name| *name == called.service)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        let waiting = Waiting {
            done: Some(done),
            reply: None,
            streamed: BytesMut::new(),
        };
        lock(&self.waiting).insert(id, waiting);
        lock(&self.credit).insert(id, STREAM_WINDOW_BYTES);
        let request = RequestFrame {
            id,
            service: u16::try_from(index).unwrap_or(u16::MAX),
            deadline_ns: deadline_ns(called.timeout.unwrap_or(PATIENCE)),
            cid: Bytes::from(format!("test-{id}")),
            metadata: called.metadata.to_string().into(),
            body_is_json: called.is_json,
            is_stream: called.pieces.is_some(),
            body: called.body,
        };
        self.send(Message::Request(request)).await;
        if let Some(pieces) = called.pieces {
            tokio::spawn(self.clone().send_pieces(id, pieces));
        }
        Some((id, answer))
    }

    async fn send_pieces(self: Arc<Self>, id: u64, pieces: Vec<Bytes>) {
        let count = pieces.len();
        for (index, body) in pieces.into_iter().enumerate() {
            while !self.take_credit(id, chunk_cost(body.len())) {
                self.has_credit.notified().await;
            }
            let is_last = index + 1 == count;
            let chunk = ChunkFrame {
                id,
                is_last,
                is_error: false,
                status: 0,
                body,
            };
            self.send(Message::Chunk(chunk)).await;
        }
    }

    fn take_credit(&self, id: u64, cost: usize) -> bool {
        let mut credit = lock(&self.credit);
        match credit.get_mut(&id) {
            Some(left) if *left >= cost => {
                *left -= cost;
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Reads what the worker sends, until it ends.
    pub(super) async fn read(self: Arc<Self>) {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = decode(&mut buffer, &self.limits).expect("the worker keeps to the protocol") {
                let message = Message::from_frame(frame).expect("the worker keeps to the protocol");
                self.handle(message).await;
            }
            if self.socket.readable().await.is_err() {
                return;
            }
            let mut chunk = (&mut buffer).limit(64 << 10);
            match self.socket.try_read_buf(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn handle(self: &Arc<Self>, message: Message) {
        match message {
            Message::Reply(reply) if reply.is_stream => {
                if let Some(waiting) = lock(&self.waiting).get_mut(&reply.id) {
                    waiting.reply = Some(reply);
                }
            }
            Message::Reply(reply) => self.finish(reply, false),
            Message::Chunk(chunk) => self.take_chunk(chunk).await,
            Message::Credit { id, bytes } => {
                if let Some(left) = lock(&self.credit).get_mut(&id) {
                    *left += bytes as usize;
                }
                self.has_credit.notify_waiters();
                self.has_credit.notify_one();
            }
            Message::HostCall(call) => {
                tokio::spawn(self.clone().answer(call));
            }
            Message::Log(line) => lock(&self.logs).push(line),
            Message::Metric(metric) => lock(&self.metrics).push(metric),
            _ => {}
        }
    }

    async fn take_chunk(&self, chunk: ChunkFrame) {
        let (id, cost) = (chunk.id, chunk.cost());
        let finished = {
            let mut all = lock(&self.waiting);
            let Some(waiting) = all.get_mut(&id) else {
                return;
            };
            if !chunk.is_error {
                waiting.streamed.extend_from_slice(&chunk.body);
            }
            if chunk.ends() {
                let body = waiting.streamed.split().freeze();
                waiting.reply.take().map(|reply| ReplyFrame { body, ..reply })
            } else {
                None
            }
        };
        if let Some(reply) = finished {
            self.finish(reply, chunk.is_error);
        } else if cost > 0 {
            let bytes = u32::try_from(cost).unwrap_or(u32::MAX);
            self.send(Message::Credit { id, bytes }).await;
        }
    }

    fn finish(&self, reply: ReplyFrame, is_cut_off: bool) {
        lock(&self.credit).remove(&reply.id);
        let waiting = lock(&self.waiting).remove(&reply.id);
        if let Some(done) = waiting.and_then(|waiting| waiting.done) {
            let _ = done.send(Finished { reply, is_cut_off });
        }
    }

    async fn answer(self: Arc<Self>, call: HostCallFrame) {
        let answered = if text(&call.request, "op") == "invoke" {
            self.invoke(&call).await
        } else {
            self.platform.act(&call)
        };
        let tail = if answered.tail.is_null() {
            Bytes::new()
        } else {
            answered.tail.to_string().into()
        };
        self.send(Message::HostReturn(HostReturnFrame {
            id: call.id,
            call: call.call,
            code: answered.code,
            tail,
            body_is_json: false,
            body: answered.body,
        }))
        .await;
    }

    async fn invoke(self: &Arc<Self>, call: &HostCallFrame) -> Answered {
        let service = text(&call.request, "service");
        if let Some(answered) = self.platform.invoke_stub(&service, payload(&call.body)) {
            return answered;
        }
        let called = Called {
            metadata: json!({"channel": "invoke"}),
            body: call.body.clone(),
            is_json: call.body_is_json,
            pieces: None,
            timeout: None,
            cancel_after: None,
            service: service.clone(),
        };
        match self.begin(called).await {
            Some((_, answer)) => match answer.await {
                Ok(finished) => of_reply(&finished.reply),
                Err(_) => refused(502, "WorkerDied", "the worker ended"),
            },
            None => refused(404, "NotFound", &format!("no service is called '{service}'")),
        }
    }
}

fn as_answer(finished: Option<Finished>) -> TestAnswer {
    let Some(Finished { reply, is_cut_off }) = finished else {
        return TestAnswer {
            status: 502,
            failure: Some("the worker ended".to_owned()),
            ..TestAnswer::default()
        };
    };
    if reply.is_error {
        let raised = reply.raised().unwrap_or_default();
        return TestAnswer {
            status: 500,
            failure: Some(format!("{}: {}\n{}", raised.kind, raised.message, raised.traceback)),
            ..TestAnswer::default()
        };
    }
    let head = reply.head().unwrap_or_default();
    let mut headers = Vec::new();
    for (name, value) in head.headers {
        match value {
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                headers.extend(texts.map(|text| (name.clone(), text.to_owned())));
            }
            value => headers.push((name, value.as_str().unwrap_or_default().to_owned())),
        }
    }
    TestAnswer {
        status: reply.status,
        content_type: head.content_type.unwrap_or_default(),
        headers,
        body: reply.body,
        failure: None,
        is_cut_off,
    }
}

/// As servers count.
fn deadline_ns(timeout: Duration) -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let now_ns = seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0);
    now_ns.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
}
