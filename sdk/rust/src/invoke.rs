//! One service invokes another, and waits for its answer.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::{Context, Payload};
use crate::error::{Problem, reason};
use crate::input::decode;
use crate::{HostError, millis};

impl Context {
    /// Invokes a service and waits for its answer, read as the type that is asked for.
    ///
    /// The service runs in any worker, of this language or another one, in the same deployment and under the same correlation
    /// id. If it answers with 400 or above that is [`HostError::Answered`], which `?` passes on to this call's own caller.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use serde::Deserialize;
    /// # use serde_json::json;
    /// # use std::time::Duration;
    /// # #[derive(Deserialize, schemars::JsonSchema)] struct User { city: String }
    /// async fn city_of(ctx: Context, name: String) -> Result<String, Error> {
    ///     let user: User = ctx.invoke("crm.get-user", &json!({"name": name})).timeout(Duration::from_secs(2)).await?;
    ///     Ok(user.city)
    /// }
    /// ```
    pub fn invoke<T>(&self, service: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Invoke<T> {
        let service = service.into();
        Invoke {
            context: self.clone(),
            payload: Payload::of(payload, &format!("the payload for {service}")),
            service,
            timeout: None,
            server: None,
            retries: Retries::default(),
            answer: PhantomData,
        }
    }

    /// Invokes a service on every server of the cluster and waits for all the answers, by the servers' names.
    pub async fn invoke_all<T: DeserializeOwned>(
        &self,
        service: impl Into<String>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<BTreeMap<String, Result<T, String>>, HostError> {
        #[derive(Deserialize)]
        struct Answered {
            is_ok: bool,
            #[serde(default)]
            data: Value,
            #[serde(default)]
            error: Value,
        }
        let service = service.into();
        let request = InvokeRequest {
            op: "invoke-all",
            service: &service,
            timeout_ms: None,
            server: None,
        };
        let payload = Payload::of(payload, &format!("the payload for {service}"))?;
        let answer = self.ask(&request, payload).await?;
        let by_server: BTreeMap<String, Answered> = answer.result()?;
        let read = |(server, answered): (String, Answered)| {
            let result = if answered.is_ok {
                serde_json::from_value(answered.data).map_err(|error| error.to_string())
            } else {
                Err(answered
                    .error
                    .as_str()
                    .map_or_else(|| answered.error.to_string(), str::to_owned))
            };
            (server, result)
        };
        Ok(by_server.into_iter().map(read).collect())
    }
}

#[derive(Serialize)]
struct InvokeRequest<'a> {
    op: &'static str,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<&'a str>,
}

/// How often something is tried again.
#[derive(Debug, Clone, Copy, Default)]
struct Retries {
    repeats: u32,
    delay: Duration,
}

/// A service about to be invoked; `.await` does it. Made by [`Context::invoke`].
#[derive(Debug)]
#[must_use = "nothing is invoked before `.await`"]
pub struct Invoke<T> {
    context: Context,
    service: String,
    payload: Result<Payload, HostError>,
    timeout: Option<Duration>,
    server: Option<String>,
    retries: Retries,
    answer: PhantomData<fn() -> T>,
}

impl<T> Invoke<T> {
    /// How long to wait, if the caller's own deadline is not sooner.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs it on the server of this name instead of any.
    pub fn on_server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Tries again, up to `repeats` times with `delay` in between, while the service fails or can't be reached. Answers below 500
    /// are no failures. What is to survive this call, see [`Context::retry_async`].
    pub fn retry(mut self, repeats: u32, delay: Duration) -> Self {
        self.retries = Retries { repeats, delay };
        self
    }

    /// Sends bytes as they are in place of JSON.
    pub fn raw(mut self, bytes: impl Into<Bytes>) -> Self {
        self.payload = Ok(Payload {
            body: bytes.into(),
            is_json: false,
        });
        self
    }

    /// Invokes the service and gives its answer as it is, whatever the status.
    pub async fn answer(self) -> Result<Answer, HostError> {
        let Payload { body, is_json } = self.payload?;
        let request = InvokeRequest {
            op: "invoke",
            service: &self.service,
            timeout_ms: self.timeout.map(millis),
            server: self.server.as_deref(),
        };
        let mut left = self.retries.repeats;
        loop {
            let payload = Payload {
                body: body.clone(),
                is_json,
            };
            let result = self.context.ask(&request, payload).await.and_then(|answer| {
                let described: Described = answer.described()?;
                Ok(Answer {
                    status: if described.status == 0 { 200 } else { described.status },
                    is_json: described.is_json || answer.is_json,
                    content_type: described.content_type.unwrap_or_default(),
                    body: answer.body,
                })
            });
            let status = match &result {
                Ok(answer) => answer.status,
                Err(error) => error.status(),
            };
            if left == 0 || status < 500 {
                return result;
            }
            left -= 1;
            tokio::time::sleep(self.retries.delay).await;
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    status: u16,
    content_type: Option<String>,
    is_json: bool,
}

impl<T: DeserializeOwned + 'static> IntoFuture for Invoke<T> {
    type Output = Result<T, HostError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let service = self.service.clone();
            let answer = self.answer().await?.success()?;
            let is_json = answer.is_json || answer.content_type.starts_with("application/json");
            decode(&answer.body, is_json, || format!("the answer of {service}"))
        }
        .boxed()
    }
}

/// What an invoked service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its media type; empty for JSON and for no body.
    pub content_type: String,
    /// Whether the body is JSON.
    pub is_json: bool,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The answer if its status is below 400, else what went wrong.
    pub fn success(self) -> Result<Self, HostError> {
        if self.status < 400 {
            return Ok(self);
        }
        let read = if self.content_type.starts_with(Problem::CONTENT_TYPE) || self.is_json {
            serde_json::from_slice::<Problem>(&self.body).ok()
        } else {
            None
        };
        let mut problem = read.unwrap_or_else(|| Problem {
            kind: String::new(),
            title: reason(self.status).to_owned(),
            status: self.status,
            detail: String::new(),
            cid: String::new(),
            errors: Vec::new(),
        });
        problem.status = self.status;
        Err(HostError::Answered(problem))
    }
}
