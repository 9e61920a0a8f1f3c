//! What a background call is about, and what follows from its end.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenon_model::Timestamp;
use tenon_store::{BackgroundOutcome, ClaimedBackground, NewBackground};

use crate::call::{ServiceAnswer, ServiceError};

/// How services see that they were called in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackgroundKind {
    /// Another service asked for it.
    InvokeAsync,
    /// It is told how a background call ended.
    Callback,
    /// Another service asked for it, again if it fails.
    InvokeRetry,
    /// It is told how such a call ended.
    RetryCallback,
    /// One of several that were asked for together.
    FanOut,
    /// It is told how one of several ended.
    OnTarget,
    /// It is told how all of several ended.
    OnFinal,
}

impl BackgroundKind {
    /// What a service sees as the type of its channel.
    pub(crate) fn channel_type(self) -> &'static str {
        match self {
            BackgroundKind::InvokeAsync => "invoke-async",
            BackgroundKind::Callback => "invoke-async-callback",
            BackgroundKind::InvokeRetry => "invoke-retry",
            BackgroundKind::RetryCallback => "invoke-retry-callback",
            BackgroundKind::FanOut => "fanout-call",
            BackgroundKind::OnTarget => "fanout-on-target",
            BackgroundKind::OnFinal => "fanout-on-final",
        }
    }
}

/// What the store keeps of a background call beside its payload, without reading it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub(crate) enum Step {
    /// A service is called.
    Call(CallStep),
    /// Others have ended, and that is told.
    Join(JoinStep),
}

/// A service is called.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CallStep {
    /// How the service sees it.
    pub(crate) kind: BackgroundKind,
    /// The service that asked for it.
    pub(crate) by: String,
    /// Whether the payload is JSON.
    pub(crate) is_json: bool,
    /// How long an attempt may take.
    pub(crate) timeout_ms: u64,
    /// The services that are told how it ended.
    pub(crate) tell: Vec<String>,
    /// What they get along.
    pub(crate) context: Value,
    /// How often it is made again if it fails.
    pub(crate) repeats: u32,
    /// The pause before that.
    pub(crate) delay_ms: u64,
}

/// Others have ended, and that is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JoinStep {
    /// The service that asked for them.
    pub(crate) by: String,
    /// The services that are told.
    pub(crate) tell: Vec<String>,
    /// How long each of these may take.
    pub(crate) timeout_ms: u64,
}

impl Step {
    /// A call to be kept.
    pub(crate) fn into_new(
        self,
        cid: String,
        service: String,
        payload: Bytes,
    ) -> Result<NewBackground, serde_json::Error> {
        Ok(NewBackground {
            cid,
            service,
            step: serde_json::to_value(self)?,
            payload,
            delay_ms: 0,
        })
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct Ended {
    is_ok: bool,
    data: Value,
    /// Empty if it went well.
    pub(crate) error: String,
    /// Why making it again may help.
    pub(crate) passing: Option<Passing>,
}

/// A reason for which a service was not run to its end, and that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    /// Nothing was run: no worker had room, or none was there.
    NotBegun,
    /// The worker died. It may have been for another call's sake.
    WorkerDied,
}

impl Ended {
    /// How it ended according to the invoke path. An answer with a status of 400 and above counts as an error.
    pub(crate) fn of(result: Result<ServiceAnswer, ServiceError>) -> Self {
        match result {
            Ok(answer) if answer.status < 400 => Self {
                is_ok: true,
                data: data_of(&answer),
                error: String::new(),
                passing: None,
            },
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let error = format!("the service answered with status {}: {text}", answer.status);
                Self {
                    data: data_of(&answer),
                    ..Self::failed(error)
                }
            }
            Err(error) => {
                let passing = match error {
                    ServiceError::Busy { .. } | ServiceError::Unavailable(_) => Some(Passing::NotBegun),
                    ServiceError::WorkerDied { .. } => Some(Passing::WorkerDied),
                    _ => None,
                };
                Self {
                    passing,
                    ..Self::failed(error.to_string())
                }
            }
        }
    }

    /// It failed.
    pub(crate) fn failed(error: String) -> Self {
        Self {
            is_ok: false,
            data: Value::Null,
            error,
            passing: None,
        }
    }

    /// Whether it went well.
    pub(crate) fn is_ok(&self) -> bool {
        self.is_ok
    }
}

fn data_of(answer: &ServiceAnswer) -> Value {
    if answer.body.is_empty() {
        return Value::Null;
    }
    let json = answer
        .body_is_json
        .then(|| serde_json::from_slice(&answer.body).ok())
        .flatten();
    json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&answer.body).into_owned()))
}

/// How a call ended, as the store keeps it, and the calls that follow.
pub(crate) fn end_of_call(
    call: &ClaimedBackground,
    step: &CallStep,
    ended: Ended,
    now: Timestamp,
) -> Result<(BackgroundOutcome, Vec<NewBackground>), serde_json::Error> {
    let end = json!({
        "service": call.service,
        "is_ok": ended.is_ok,
        "data": ended.data,
        "error": ended.error,
        "cid": call.cid,
        "req_ts_utc": call.put_at,
        "resp_ts_utc": now,
    });
    let (kind, phase) = match step.kind {
        BackgroundKind::FanOut => (BackgroundKind::OnTarget, "on-target"),
        BackgroundKind::InvokeRetry => (BackgroundKind::RetryCallback, "callback"),
        _ => (BackgroundKind::Callback, "callback"),
    };
    let mut message = end.clone();
    message["context"] = step.context.clone();
    message["phase"] = phase.into();
    message["source"] = step.by.clone().into();
    let next = tell(kind, &step.tell, &call.cid, &call.service, step.timeout_ms, &message)?;
    let outcome = BackgroundOutcome {
        is_ok: ended.is_ok,
        end,
        error: ended.error,
    };
    Ok((outcome, next))
}

/// How the end of several calls is told.
pub(crate) fn end_of_join(
    call: &ClaimedBackground,
    step: &JoinStep,
    now: Timestamp,
) -> Result<(BackgroundOutcome, Vec<NewBackground>), serde_json::Error> {
    let data: Vec<&Value> = call.ends.iter().map(|outcome| &outcome.end).collect();
    let message = json!({
        "phase": "on-final",
        "source": step.by,
        "cid": call.cid,
        "req_ts_utc": call.put_at,
        "resp_ts_utc": now,
        "data": data,
    });
    let kind = BackgroundKind::OnFinal;
    let next = tell(kind, &step.tell, &call.cid, &step.by, step.timeout_ms, &message)?;
    let outcome = BackgroundOutcome {
        is_ok: true,
        end: Value::Null,
        error: String::new(),
    };
    Ok((outcome, next))
}

fn tell(
    kind: BackgroundKind,
    services: &[String],
    cid: &str,
    by: &str,
    timeout_ms: u64,
    message: &Value,
) -> Result<Vec<NewBackground>, serde_json::Error> {
    let payload = Bytes::from(serde_json::to_vec(message)?);
    let calls = services.iter().map(|service| {
        let step = CallStep {
            kind,
            by: by.to_owned(),
            is_json: true,
            timeout_ms,
            tell: Vec::new(),
            context: Value::Null,
            repeats: 0,
            delay_ms: 0,
        };
        Step::Call(step).into_new(cid.to_owned(), service.clone(), payload.clone())
    });
    calls.collect()
}
