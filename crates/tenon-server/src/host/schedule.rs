//! `schedule-onetime`: a job that runs a service once and then removes itself.

use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tenon_model::{CorrelationId, KindConfig, ObjectName, Timestamp};
use tenon_protocol::control::ManifestObject;
use tenon_scheduler::{JobConfig, literal_payload};

use super::{Host, HostFailure, HostResult, described, millis, needed, text};
use crate::call::HostCall;
use crate::object_writer::WriteError;

impl Host {
    /// Writes the job. Its name is the one that is given, or made of the prefix or the service's name.
    pub(super) async fn schedule_onetime(&self, call: HostCall) -> HostResult {
        let request = &call.request;
        let service = needed(request, "service")?;
        let name = text(request, "name").map_or_else(
            || {
                let unique = CorrelationId::generate(&*self.secrets.random);
                format!("{}.{unique}", text(request, "prefix").unwrap_or(service))
            },
            str::to_owned,
        );
        let name: ObjectName = name
            .parse()
            .map_err(|error| HostFailure::bad_request(format!("the job's name: {error}")))?;
        let now = self.store.now().await?;
        let at = match text(request, "at") {
            None => now.plus(millis(request, "after_ms").unwrap_or(Duration::ZERO)),
            Some(text) => Timestamp::from_str(text)
                .map_err(|error| {
                    HostFailure::bad_request(format!("'{text}' is no instant as RFC 3339 has them: {error}"))
                })?
                // What lies back is run now.
                .max(now),
        };
        let mut body = json!({
            "service": service,
            "at": at.to_string(),
            "delete_after_run": true,
        });
        if !call.body.is_empty() {
            let payload = payload_of(&call)?;
            body["payload"] = literal_payload(&payload);
        }
        let job = ManifestObject {
            kind: JobConfig::NAME.to_owned(),
            name: name.clone(),
            body,
            manifest: None,
        };
        let writer = self
            .writer
            .get()
            .ok_or_else(|| HostFailure::new(503, "ServiceUnavailable", "the server is starting"))?;
        let written = writer.put(job, None, &call.service).await;
        match written {
            Ok(_) => Ok(described(json!({ "name": name }))),
            Err(WriteError::Store(error)) => Err(error.into()),
            Err(error) => Err(HostFailure::bad_request(error.to_string())),
        }
    }
}

fn payload_of(call: &HostCall) -> Result<Value, HostFailure> {
    if call.body_is_json {
        return serde_json::from_slice(&call.body)
            .map_err(|error| HostFailure::bad_request(format!("the payload is no JSON: {error}")));
    }
    let text = String::from_utf8(call.body.to_vec());
    text.map(Value::String)
        .map_err(|_| HostFailure::bad_request("the payload of a job has to be JSON or text"))
}
