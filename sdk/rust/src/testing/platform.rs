//! What services ask of the platform in a test, and what it answers.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tenon_protocol::worker::{HostCallFrame, ReplyFrame};

use super::memory::{Caches, Locks};
use super::stubs::{RestCall, RestStub, ServiceStub, SqlCall, SqlStub};
use crate::link::lock;
use crate::reply::of_error;

/// A call that a service left to be done in the background.
#[derive(Debug, Clone, PartialEq)]
pub struct BackgroundCall {
    /// The service that is to be invoked.
    pub service: String,
    /// With what; null for nothing.
    pub payload: Value,
    /// The services that hear of its end.
    pub callbacks: Vec<String>,
}

/// A job that a service scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduledJob {
    /// Its name.
    pub name: String,
    /// The service that is to run.
    pub service: String,
    /// With what; null for nothing.
    pub payload: Value,
    /// In how many milliseconds; 0 if it was given an instant.
    pub after_ms: u64,
}

/// An answer to a host call.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) code: u16,
    pub(super) tail: Value,
    pub(super) body: Bytes,
}

pub(super) fn ok(tail: Value) -> Answered {
    Answered {
        tail,
        ..Answered::default()
    }
}

pub(super) fn refused(code: u16, kind: &str, error: &str) -> Answered {
    Answered {
        code,
        tail: json!({"error": error, "type": kind}),
        body: Bytes::new(),
    }
}

pub(super) fn text(request: &Map<String, Value>, name: &str) -> String {
    let value = request.get(name).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

pub(super) fn number(request: &Map<String, Value>, name: &str) -> Option<u64> {
    request.get(name).and_then(Value::as_u64)
}

fn texts(request: &Map<String, Value>, name: &str) -> Vec<String> {
    let values = request.get(name).and_then(Value::as_array);
    let texts = values.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// The platform of a test.
#[derive(Default)]
pub(super) struct Platform {
    services: Mutex<HashMap<String, ServiceStub>>,
    rest: Mutex<HashMap<String, RestStub>>,
    sql: Mutex<HashMap<String, SqlStub>>,
    caches: Mutex<Caches>,
    locks: Mutex<Locks>,
    background: Mutex<Vec<BackgroundCall>>,
    jobs: Mutex<Vec<ScheduledJob>>,
}

impl Platform {
    pub(super) fn on_service(&self, name: &str, stub: ServiceStub) {
        lock(&self.services).insert(name.to_owned(), stub);
    }

    pub(super) fn on_rest(&self, name: &str, stub: RestStub) {
        lock(&self.rest).insert(name.to_owned(), stub);
    }

    pub(super) fn on_sql(&self, name: &str, stub: SqlStub) {
        lock(&self.sql).insert(name.to_owned(), stub);
    }

    pub(super) fn background_calls(&self) -> Vec<BackgroundCall> {
        lock(&self.background).clone()
    }

    pub(super) fn jobs(&self) -> Vec<ScheduledJob> {
        lock(&self.jobs).clone()
    }

    /// The answer of a service's stub; none if it has none.
    pub(super) fn invoke_stub(&self, service: &str, payload: Value) -> Option<Answered> {
        let services = lock(&self.services);
        let stub = services.get(service)?;
        Some(match stub(payload) {
            Ok(value) => Answered {
                tail: json!({"status": 200, "content_type": null, "is_json": true}),
                body: value.to_string().into(),
                ..Answered::default()
            },
            Err(error) => of_reply(&of_error(error, 0, "")),
        })
    }

    /// What the platform answers; what it would hand to another service is for its caller.
    pub(super) fn act(&self, call: &HostCallFrame) -> Answered {
        let request = &call.request;
        match text(request, "op").as_str() {
            "outgoing" => self.outgoing(request, &call.body),
            "cache" => lock(&self.caches).act(request, call.body.clone(), call.body_is_json),
            "lock" => lock(&self.locks).act(request),
            "crypto" => crypto(request, &call.body),
            "invoke-async" | "retry-async" => {
                lock(&self.background).push(BackgroundCall {
                    service: text(request, "service"),
                    payload: payload(&call.body),
                    callbacks: texts(request, "callback"),
                });
                ok(json!({"cid": "background"}))
            }
            "fan-out" => {
                let payloads = payload(&call.body);
                let mut callbacks = texts(request, "on_target");
                callbacks.extend(texts(request, "on_final"));
                for (index, service) in texts(request, "targets").into_iter().enumerate() {
                    lock(&self.background).push(BackgroundCall {
                        service,
                        payload: payloads[index].clone(),
                        callbacks: callbacks.clone(),
                    });
                }
                ok(json!({"cid": "background"}))
            }
            "schedule-onetime" => self.schedule(request, &call.body),
            other => refused(400, "BadRequest", &format!("a test has no operation '{other}'")),
        }
    }

    fn schedule(&self, request: &Map<String, Value>, body: &Bytes) -> Answered {
        let mut jobs = lock(&self.jobs);
        let given = text(request, "name");
        let name = if given.is_empty() {
            format!("{}{}", text(request, "prefix"), jobs.len() + 1)
        } else {
            given
        };
        jobs.push(ScheduledJob {
            name: name.clone(),
            service: text(request, "service"),
            payload: payload(body),
            after_ms: number(request, "after_ms").unwrap_or(0),
        });
        ok(json!({"name": name}))
    }

    fn outgoing(&self, request: &Map<String, Value>, body: &Bytes) -> Answered {
        let (name, operation) = (text(request, "name"), text(request, "operation"));
        let arguments = request
            .get("arguments")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let object = |field: &str| {
            arguments
                .get(field)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default()
        };
        let missing = || {
            refused(
                404,
                "NotFound",
                &format!("the test has no outgoing connection '{name}'"),
            )
        };
        if text(request, "kind") == "sql-outgoing" {
            let stubs = lock(&self.sql);
            let Some(stub) = stubs.get(&name) else {
                return missing();
            };
            let called = SqlCall {
                operation: operation.clone(),
                query: text(&arguments, "query"),
                params: object("params"),
            };
            return match stub(called) {
                Ok(Value::Array(rows)) if operation == "one" => ok(json!({"result": rows.first()})),
                Ok(result) => ok(json!({"result": result})),
                Err(error) => refused(502, "Failed", &format!("{name}: {error}")),
            };
        }
        let stubs = lock(&self.rest);
        let Some(stub) = stubs.get(&name) else {
            return missing();
        };
        let called = RestCall {
            method: operation,
            params: object("params"),
            headers: object("headers"),
            body: body.clone(),
        };
        match stub(called).outcome {
            Ok((status, headers, body)) => Answered {
                tail: json!({"result": {"status": status, "reason": "", "headers": headers}}),
                body,
                ..Answered::default()
            },
            Err(reason) => refused(503, "ServiceUnavailable", &format!("{name}: {reason}")),
        }
    }
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Platform")
    }
}

pub(super) fn payload(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// How a service's reply looks to the service that invoked it.
pub(super) fn of_reply(reply: &ReplyFrame) -> Answered {
    if reply.is_error {
        let message = reply.raised().map(|raised| raised.message).unwrap_or_default();
        return refused(500, "InternalServerError", &message);
    }
    let head = reply.head().unwrap_or_default();
    let status = if reply.status == 0 { 200 } else { reply.status };
    Answered {
        tail: json!({"status": status, "content_type": head.content_type, "is_json": reply.body_is_json}),
        body: reply.body.clone(),
        ..Answered::default()
    }
}

/// Neither secret nor slow, as the real one is.
fn crypto(request: &Map<String, Value>, body: &Bytes) -> Answered {
    let sealed = || {
        body.iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    };
    let of_text = |text: String| Answered {
        body: text.into(),
        ..Answered::default()
    };
    match text(request, "action").as_str() {
        "encrypt" => of_text(format!("sealed:{}", sealed())),
        "hash" => of_text(format!("hashed:{}", sealed())),
        "verify" => ok(json!({"matches": text(request, "hash") == format!("hashed:{}", sealed())})),
        _ => match unsealed(body) {
            Some(data) => Answered {
                body: data.into(),
                ..Answered::default()
            },
            None => refused(400, "BadRequest", "this was not encrypted here"),
        },
    }
}

fn unsealed(body: &[u8]) -> Option<Vec<u8>> {
    let digits = std::str::from_utf8(body).ok()?.strip_prefix("sealed:")?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}
