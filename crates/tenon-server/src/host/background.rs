//! `invoke-async`, `retry-async` and `fan-out`: services are called without anybody waiting. The answer comes when the calls are
//! on disk.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tenon_model::CorrelationId;
use tenon_store::NewBackground;

use super::{Host, HostFailure, HostResult, described, millis, names, needed, text};
use crate::background::{BackgroundKind, CallStep, JoinStep, Step};
use crate::call::HostCall;

/// How often a background call can be repeated at most.
const REPEATS_MAX: u64 = 100_000;

impl Host {
    /// One service, and then those that are told of its end.
    pub(super) async fn invoke_async(&self, call: HostCall) -> HostResult {
        let step = self.step(&call, BackgroundKind::InvokeAsync, names(&call.request, "callback")?);
        self.put_one(call, step).await
    }

    /// One service, again if it fails, and then those that are told of its end.
    pub(super) async fn retry_async(&self, call: HostCall) -> HostResult {
        let repeats = call.request.get("repeats").and_then(Value::as_u64).unwrap_or(0);
        let step = CallStep {
            repeats: u32::try_from(repeats.min(REPEATS_MAX)).unwrap_or(u32::MAX),
            delay_ms: call.request.get("delay_ms").and_then(Value::as_u64).unwrap_or(0),
            ..self.step(&call, BackgroundKind::InvokeRetry, names(&call.request, "callback")?)
        };
        self.put_one(call, step).await
    }

    /// Several services at once, each with those that are told of its end, and then those that are told of all.
    pub(super) async fn fan_out(&self, call: HostCall) -> HostResult {
        let targets = names(&call.request, "targets")?;
        let wrong = || HostFailure::bad_request("the body has to be a JSON list with one payload for each target");
        let payloads: Vec<Value> = serde_json::from_slice(&call.body).map_err(|_| wrong())?;
        if payloads.len() != targets.len() || targets.is_empty() {
            return Err(wrong());
        }
        let on_target = names(&call.request, "on_target")?;
        let on_final = names(&call.request, "on_final")?;
        let mut calls = Vec::with_capacity(targets.len());
        for (target, payload) in targets.into_iter().zip(payloads) {
            let step = CallStep {
                is_json: !payload.is_null(),
                ..self.step(&call, BackgroundKind::FanOut, on_target.clone())
            };
            let body = if payload.is_null() {
                Bytes::new()
            } else {
                Bytes::from(payload.to_string())
            };
            calls.push(new_call(Step::Call(step), self.new_cid(), target, body)?);
        }
        let cid = self.cid_of(&call);
        let then = if on_final.is_empty() {
            None
        } else {
            let timeout_ms = self.timeout_ms(&call);
            let join = Step::Join(JoinStep {
                by: call.service.clone(),
                tell: on_final,
                timeout_ms,
            });
            Some(new_call(join, cid.clone(), call.service.clone(), Bytes::new())?)
        };
        self.background.put(calls, then).await?;
        Ok(described(json!({ "cid": cid })))
    }

    async fn put_one(&self, call: HostCall, step: CallStep) -> HostResult {
        let service = needed(&call.request, "service")?.to_owned();
        let cid = self.cid_of(&call);
        let new = new_call(Step::Call(step), cid.clone(), service, call.body)?;
        self.background.put(vec![new], None).await?;
        Ok(described(json!({ "cid": cid })))
    }

    fn step(&self, call: &HostCall, kind: BackgroundKind, tell: Vec<String>) -> CallStep {
        CallStep {
            kind,
            by: call.service.clone(),
            is_json: call.body_is_json,
            timeout_ms: self.timeout_ms(call),
            tell,
            context: call.request.get("context").cloned().unwrap_or(Value::Null),
            repeats: 0,
            delay_ms: 0,
        }
    }

    fn timeout_ms(&self, call: &HostCall) -> u64 {
        let asked = millis(&call.request, "timeout_ms").filter(|asked| *asked > Duration::ZERO);
        let timeout = asked.unwrap_or(self.background.default_timeout());
        u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)
    }

    fn cid_of(&self, call: &HostCall) -> String {
        text(&call.request, "cid").map_or_else(|| self.new_cid(), str::to_owned)
    }

    fn new_cid(&self) -> String {
        CorrelationId::generate(&*self.secrets.random).as_str().to_owned()
    }
}

fn new_call(step: Step, cid: String, service: String, payload: Bytes) -> Result<NewBackground, HostFailure> {
    step.into_new(cid, service, payload)
        .map_err(|error| HostFailure::bad_request(format!("the call can't be kept: {error}")))
}
