//! The tasks of one worker: one reads its socket and completes calls, one waits for its end.

use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use rustix::process::Signal;
use serde_json::Value;
use tenon_protocol::worker::{
    Frame, HostCallFrame, HostReturnFrame, Kind, LogLine, Message, ReplyFrame, Violation, decode, encode_host_return,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, timeout};

use super::pool::Inner;
use super::process::{self, Process};
use super::running::Running;
use super::stream::{Download, Frames};
use super::worker::{HostFacts, Worker};
use crate::call::{HostCall, HostReturn, ServiceAnswer, ServiceError};

/// How long a worker that closed its socket may take to exit by itself, and its last words to be read.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Waits for the end of the process, or ends it when asked to. `owner` is the pipe whose end tells the worker that its server
/// is gone.
pub(crate) async fn watch(mut process: Process, owner: OwnedFd, worker: Arc<Worker>, ended: oneshot::Sender<String>) {
    let by_itself: Option<std::io::Result<ExitStatus>> = tokio::select! {
        status = process.wait() => Some(status),
        () = worker.kill.cancelled() => None,
    };
    // Its children go with it, whichever way it ended.
    process::signal(worker.pid, Signal::KILL);
    let status = match by_itself {
        Some(status) => status,
        None => process.end().await,
    };
    drop(owner);
    let mut cause = status.map_or_else(|error| error.to_string(), process::ending);
    if let Some(reason) = worker.kill_reason.get() {
        cause.clone_from(reason);
    }
    // Something that the worker started may still hold the socket: reading must come to its end anyway.
    let _ = rustix::net::shutdown(worker.connection.stream(), rustix::net::Shutdown::Both);
    let _ = ended.send(cause);
}

/// Reads until the worker ends, then looks after what it leaves behind.
pub(crate) async fn read(
    inner: Arc<Inner>,
    worker: Arc<Worker>,
    socket: OwnedReadHalf,
    buffer: BytesMut,
    ended: oneshot::Receiver<String>,
) {
    let violation = read_frames(&inner, &worker, socket, buffer).await.err();
    if let Some(violation) = &violation {
        worker.kill(broken(violation));
    }
    let mut ended = ended;
    let cause = if let Ok(cause) = timeout(LAST_WORDS, &mut ended).await {
        cause
    } else {
        worker.kill("it closed its connection");
        ended.await
    };
    inner.worker_ended(&worker, &cause.unwrap_or_else(|_| "the server stops".to_owned()));
}

fn broken(violation: &Violation) -> String {
    format!("it broke the protocol: {violation}")
}

async fn read_frames(
    inner: &Arc<Inner>,
    worker: &Arc<Worker>,
    mut socket: OwnedReadHalf,
    mut buffer: BytesMut,
) -> Result<(), Violation> {
    let limits = inner.shared.limits;
    loop {
        while let Some(frame) = decode(&mut buffer, &limits)? {
            handle(inner, worker, frame)?;
        }
        if buffer.capacity() - buffer.len() < 4096 {
            buffer.reserve(64 << 10);
        }
        if matches!(socket.read_buf(&mut buffer).await, Ok(0) | Err(_)) {
            return Ok(());
        }
    }
}

fn handle(inner: &Arc<Inner>, worker: &Arc<Worker>, frame: Frame) -> Result<(), Violation> {
    let kind = frame.kind;
    match Message::from_frame(frame)? {
        Message::Reply(reply) if reply.is_stream => begin_answer(inner, worker, &reply),
        Message::Reply(reply) => complete(inner, worker, &reply),
        Message::Chunk(chunk) => {
            let id = chunk.id;
            if worker.take_chunk(chunk)? {
                end(inner, worker, id)?;
                inner.pump_waiting();
            }
            Ok(())
        }
        Message::Credit { id, bytes } => worker.grant(id, bytes),
        Message::HostCall(call) => begin_host_call(inner, worker, call),
        Message::Ping { .. } => {
            *worker
                .ping_sent
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            worker.suspect.store(false, Ordering::Relaxed);
            Ok(())
        }
        Message::Log(line) => {
            log_line(&worker.name, &line);
            Ok(())
        }
        Message::Metric(metric) => {
            inner.host.metric(metric);
            Ok(())
        }
        _ => Err(Violation::Malformed {
            kind,
            part: "direction",
            source: None,
        }),
    }
}

fn complete(inner: &Arc<Inner>, worker: &Worker, reply: &ReplyFrame) -> Result<(), Violation> {
    let Some(mut running) = end(inner, worker, reply.id)? else {
        return Ok(());
    };
    let answer = if running.download.is_some() {
        Err(Violation::Malformed {
            kind: Kind::Reply,
            part: "number: it is the second one of its request",
            source: None,
        })
    } else {
        answer(inner, reply)
    };
    inner.pump_waiting();
    match answer {
        Ok(answer) => running.work.finish(answer),
        Err(violation) => {
            running.fail(&broken(&violation));
            return Err(violation);
        }
    }
    Ok(())
}

/// A call has ended; none if the worker does not have it.
fn end(inner: &Inner, worker: &Worker, id: u64) -> Result<Option<Running>, Violation> {
    let Some(running) = worker.complete(id, &inner.shared) else {
        worker.stray(Kind::Reply)?;
        return Ok(None);
    };
    running.work.service.learn(running.busy(Instant::now()));
    if let Some(call_id) = running.call_id() {
        inner.host.call_ended(call_id);
    }
    Ok(Some(running))
}

/// An answer has begun whose rest comes in chunks.
fn begin_answer(inner: &Arc<Inner>, worker: &Worker, reply: &ReplyFrame) -> Result<(), Violation> {
    let mut answer = answer(inner, reply)?;
    let Ok(answered) = &mut answer else {
        return Err(Violation::Malformed {
            kind: Kind::Reply,
            part: "flags: an exception does not go on in chunks",
            source: None,
        });
    };
    let frames = Frames::new(reply.id, &worker.connection, &inner.shared);
    let (download, body, passing) = Download::new(frames, inner.ended.clone());
    answered.body_stream = Some(body);
    if let Some(caller) = worker.begin_answer(reply.id, download)? {
        inner.shared.tasks.spawn(passing);
        let _ = caller.send(answer);
    }
    Ok(())
}

fn answer(inner: &Inner, reply: &ReplyFrame) -> Result<Result<ServiceAnswer, ServiceError>, Violation> {
    if reply.is_error {
        let raised = reply.raised()?;
        return Ok(Err(ServiceError::Raised {
            kind: raised.kind,
            message: raised.message,
            traceback: raised.traceback,
        }));
    }
    let mut answer = ServiceAnswer {
        status: reply.status,
        content_type: None,
        headers: Vec::new(),
        body: reply.body.clone(),
        body_is_json: reply.body_is_json,
        body_stream: None,
        deployment: inner.shared.deployment,
    };
    if !reply.head.is_empty() {
        let head = reply.head()?;
        answer.content_type = head.content_type;
        for (name, value) in head.headers {
            match value {
                Value::String(value) => answer.headers.push((name, value)),
                Value::Array(values) => {
                    let texts = values.into_iter().filter_map(|value| value.as_str().map(str::to_owned));
                    answer.headers.extend(texts.map(|value| (name.clone(), value)));
                }
                other => answer.headers.push((name, other.to_string())),
            }
        }
    }
    Ok(Ok(answer))
}

fn begin_host_call(inner: &Arc<Inner>, worker: &Arc<Worker>, call: HostCallFrame) -> Result<(), Violation> {
    let (id, number) = (call.id, call.call);
    let Some(facts) = worker.host_call_begins(id) else {
        worker.stray(Kind::HostCall)?;
        send_return(
            inner,
            worker,
            id,
            number,
            refusal(410, "Cancelled", "nobody waits for this call any more"),
        );
        return Ok(());
    };
    if inner.host_calls.fetch_add(1, Ordering::Relaxed) >= inner.shared.settings.host_calls_max {
        inner.host_calls.fetch_sub(1, Ordering::Relaxed);
        worker.host_call_ends(id);
        send_return(
            inner,
            worker,
            id,
            number,
            refusal(503, "Busy", "the worker has too many host calls open"),
        );
        return Ok(());
    }
    let (inner, worker) = (inner.clone(), worker.clone());
    inner.shared.tasks.clone().spawn(async move {
        if inner.queue.waiting(facts.class) > 0 {
            inner.pump(facts.class);
        }
        let answer = tokio::select! {
            answer = ask_host(&inner, facts, call) => answer,
            () = inner.ended.cancelled() => refusal(503, "Unavailable", "the server stops"),
        };
        inner.host_calls.fetch_sub(1, Ordering::Relaxed);
        worker.host_call_ends(id);
        send_return(&inner, &worker, id, number, answer);
    });
    Ok(())
}

async fn ask_host(inner: &Inner, facts: HostFacts, call: HostCallFrame) -> HostReturn {
    if facts.deadline <= Instant::now() {
        return refusal(408, "Timeout", "the call's time is up");
    }
    let host_call = HostCall {
        call_id: facts.call_id,
        cid: facts.cid,
        service: facts.service,
        deployment: facts.deployment,
        depth: facts.depth,
        deadline: facts.deadline,
        request: call.request,
        body_is_json: call.body_is_json,
        body: call.body,
    };
    // The host ends by the deadline; the second that is added is for one that does not.
    let deadline = facts.deadline + Duration::from_secs(1);
    match tokio::time::timeout_at(deadline, inner.host.host_call(host_call)).await {
        Ok(answer) => answer,
        Err(_) => refusal(408, "Timeout", "the call's time is up"),
    }
}

fn refusal(code: u16, kind: &str, text: &str) -> HostReturn {
    HostReturn {
        code,
        tail: serde_json::json!({ "error": text, "type": kind }),
        body_is_json: false,
        body: Bytes::new(),
    }
}

fn send_return(inner: &Inner, worker: &Worker, id: u64, call: u32, answer: HostReturn) {
    let mut frame = HostReturnFrame {
        id,
        call,
        code: answer.code,
        tail: if answer.tail.is_null() {
            Bytes::new()
        } else {
            Bytes::from(answer.tail.to_string())
        },
        body_is_json: answer.body_is_json,
        body: answer.body,
    };
    let mut bytes = BytesMut::with_capacity(64 + frame.tail.len());
    if let Err(violation) = encode_host_return(&frame, &mut bytes, &inner.shared.limits) {
        let problem = refusal(
            413,
            "TooLarge",
            &format!("the answer is too large for a worker: {violation}"),
        );
        frame.code = problem.code;
        frame.tail = Bytes::from(problem.tail.to_string());
        frame.body_is_json = false;
        frame.body = Bytes::new();
        if encode_host_return(&frame, &mut bytes, &inner.shared.limits).is_err() {
            return;
        }
    }
    worker.connection.send(&bytes, &frame.body, &inner.shared.tasks);
}

/// A line that a service logs, as a line of ours.
pub(crate) fn log_line(worker: &str, line: &LogLine) {
    let LogLine { logger, message, .. } = line;
    let cid = line.cid.as_deref().unwrap_or_default();
    let service = line.service.as_deref().unwrap_or_default();
    match line.level.to_ascii_lowercase().as_str() {
        "debug" => tracing::debug!(target: "tenon::service", worker, cid, service, logger, "{message}"),
        "warning" | "warn" => tracing::warn!(target: "tenon::service", worker, cid, service, logger, "{message}"),
        "error" | "critical" => tracing::error!(target: "tenon::service", worker, cid, service, logger, "{message}"),
        _ => tracing::info!(target: "tenon::service", worker, cid, service, logger, "{message}"),
    }
}
