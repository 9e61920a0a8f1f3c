//! Jobs that services schedule.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::context::{Context, Payload};
use crate::{HostError, millis};

impl Context {
    /// Has a service run once, later. The job is an object of the cluster like any other, and removes itself after its run.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use std::time::Duration;
    /// # use serde_json::json;
    /// async fn remind(ctx: Context, order: u64) -> Result<String, Error> {
    ///     let payload = json!({"order": order});
    ///     Ok(ctx.schedule("orders.remind", &payload).after(Duration::from_hours(1)).prefix("remind").await?)
    /// }
    /// ```
    pub fn schedule(&self, service: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Schedule {
        let service = service.into();
        Schedule {
            context: self.clone(),
            payload: Payload::of(payload, &format!("the payload for {service}")),
            request: ScheduleRequest {
                op: "schedule-onetime",
                service,
                name: None,
                prefix: None,
                at: None,
                after_ms: None,
            },
        }
    }
}

/// A job about to be scheduled; `.await` does it and gives the job's name. Made by [`Context::schedule`].
#[derive(Debug)]
#[must_use = "nothing is scheduled before `.await`"]
pub struct Schedule {
    context: Context,
    request: ScheduleRequest,
    payload: Result<Payload, HostError>,
}

#[derive(Debug, Serialize)]
struct ScheduleRequest {
    op: &'static str,
    service: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Scheduled {
    name: String,
}

impl Schedule {
    /// Runs it so long from now; at once if nothing is said.
    pub fn after(mut self, delay: Duration) -> Self {
        self.request.after_ms = Some(millis(delay));
        self.request.at = None;
        self
    }

    /// Runs it at an instant as RFC 3339 has it: `2027-01-31T06:00:00Z`.
    pub fn at(mut self, instant: impl Into<String>) -> Self {
        self.request.at = Some(instant.into());
        self.request.after_ms = None;
        self
    }

    /// Names the job. Without a name it gets one of its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.request.name = Some(name.into());
        self
    }

    /// What the name that it gets begins with.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.request.prefix = Some(prefix.into());
        self
    }
}

impl IntoFuture for Schedule {
    type Output = Result<String, HostError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        if self.request.at.is_none() && self.request.after_ms.is_none() {
            self.request.after_ms = Some(0);
        }
        async move {
            let answer = self.context.ask(&self.request, self.payload?).await?;
            Ok(answer.described::<Scheduled>()?.name)
        }
        .boxed()
    }
}
