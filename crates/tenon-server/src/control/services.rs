//! Services: what is deployed, and invoking it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;
use tenon_model::{CorrelationId, Problem, Role};
use tenon_protocol::control::{
    GetService, InvokeReply, InvokeService, ListServices, Page, RelayInvoke, RelayReply, ServiceSummary,
};

use super::Api;
use super::endpoint::{ApiCall, Routes, page_of};
use crate::call::{CallSource, ServiceCall, ServiceError};
use crate::host::status_of_failure;

const INVOKE_MAX: Duration = Duration::from_secs(50);

pub(super) fn add(routes: &mut Routes) {
    routes.add::<ListServices, _, _>(list);
    routes.add::<GetService, _, _>(get);
    routes.add::<InvokeService, _, _>(invoke);
    routes.add::<RelayInvoke, _, _>(relay);
}

async fn list(call: ApiCall<ListServices>) -> Result<Page<ServiceSummary>, Problem> {
    let services = summaries(&call.api);
    Ok(page_of(
        services.into_iter(),
        |service| service.name.clone(),
        call.params.after.as_deref(),
        call.params.limit,
    ))
}

async fn get(call: ApiCall<GetService>) -> Result<ServiceSummary, Problem> {
    let name = &call.params.name;
    summaries(&call.api)
        .into_iter()
        .find(|service| service.name == *name)
        .ok_or_else(|| no_service(name))
}

/// The services of the live deployment with the channels that call them, by name.
fn summaries(api: &Api) -> Vec<ServiceSummary> {
    let mut channels = api.snapshot.load().channels_by_service();
    let mut services = api.services.list();
    for service in &mut services {
        service.channels = channels.remove(&service.name).unwrap_or_default();
    }
    services.sort_by(|a, b| a.name.cmp(&b.name));
    services
}

async fn invoke(call: ApiCall<InvokeService>) -> Result<InvokeReply, Problem> {
    let asked = call
        .body
        .timeout_ms
        .map_or(call.api.invoker.default_timeout(), Duration::from_millis);
    let body = match &call.body.payload {
        Value::Null => Bytes::new(),
        payload => Bytes::from(payload.to_string()),
    };
    let started = Instant::now();
    let source = CallSource::Control(call.caller.name);
    let deadline = tokio::time::Instant::now() + asked.min(INVOKE_MAX);
    let invoked = ServiceCall::new(call.cid.clone(), &call.params.name, source, deadline).with_payload(body, true);
    let result = call.api.invoker.invoke(invoked).await;
    let answer = result.map_err(|error| invoke_problem(&call.params.name, &error))?;
    let payload = if answer.body_is_json {
        serde_json::from_slice(&answer.body).ok()
    } else {
        None
    };
    let text = payload
        .is_none()
        .then(|| String::from_utf8_lossy(&answer.body).into_owned());
    let default_type = if payload.is_some() {
        "application/json"
    } else {
        "text/plain"
    };
    Ok(InvokeReply {
        status: answer.status,
        content_type: answer.content_type.unwrap_or_else(|| default_type.to_owned()),
        payload,
        text,
        cid: call.cid.as_str().to_owned(),
        duration_ms: started.elapsed().as_secs_f64() * 1000.0,
        deployment: answer.deployment,
    })
}

/// A service of another server calls a service here.
async fn relay(call: ApiCall<RelayInvoke>) -> Result<RelayReply, Problem> {
    if call.caller.role != Role::Server {
        return Err(Problem::new(
            403,
            "forbidden",
            "only servers call services of each other",
        ));
    }
    let asked = &call.body;
    let body = STANDARD
        .decode(&asked.body)
        .map_err(|_| Problem::new(400, "invalid-body", "the payload is not in base64"))?;
    let timeout = Duration::from_millis(asked.timeout_ms).min(INVOKE_MAX);
    let cid = CorrelationId::from_text(asked.cid.clone());
    let source = CallSource::Service(asked.by.clone());
    let deadline = tokio::time::Instant::now() + timeout;
    let invoked = ServiceCall {
        depth: asked.depth,
        ..ServiceCall::new(cid, &call.params.name, source, deadline).with_payload(body.into(), asked.is_json)
    };
    let result = call.api.invoker.invoke(invoked).await;
    Ok(match result {
        Ok(answer) => RelayReply {
            status: answer.status,
            content_type: answer.content_type,
            body: STANDARD.encode(&answer.body),
            is_json: answer.body_is_json,
            ..RelayReply::default()
        },
        Err(error) => {
            let (code, kind) = status_of_failure(&error);
            RelayReply {
                code,
                kind: kind.to_owned(),
                error: error.to_string(),
                ..RelayReply::default()
            }
        }
    })
}

/// Who invokes a service through the control API may see what it raised.
fn invoke_problem(name: &str, error: &ServiceError) -> Problem {
    match error {
        ServiceError::NotFound(_) => no_service(name),
        ServiceError::Busy { .. } => Problem::new(503, "too-busy", error.to_string()),
        ServiceError::Timeout => Problem::new(504, "timeout", error.to_string()),
        ServiceError::WorkerDied { .. } => Problem::new(502, "worker-died", error.to_string()),
        ServiceError::Raised { traceback, .. } => Problem::new(500, "service-failed", format!("{error}\n{traceback}")),
        ServiceError::Quarantined(_) => Problem::new(503, "service-quarantined", error.to_string()),
        ServiceError::Unavailable(_) => Problem::new(503, "unavailable", error.to_string()),
        ServiceError::Body(_) => Problem::new(413, "body-too-large", error.to_string()),
        ServiceError::TooDeep(_) => Problem::new(500, "invoked-too-deep", error.to_string()),
    }
}

fn no_service(name: &str) -> Problem {
    Problem::new(
        404,
        "not-found",
        format!("no service is called '{name}'; 'tenon service list' shows those deployed"),
    )
}
