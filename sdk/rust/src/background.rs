//! Calls that go on without the one that made them: they are durable as soon as they are accepted, and survive any process.

use std::future::IntoFuture;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::context::{Context, Payload};
use crate::{HostError, millis};

impl Context {
    /// Invokes a service without waiting for its answer. What `.await` gives is the correlation id under which it runs, once the
    /// call is on disk: it will be run even if this server dies.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use serde_json::json;
    /// async fn place_order(ctx: Context, order: serde_json::Value) -> Result<String, Error> {
    ///     Ok(ctx.invoke_async("billing.charge", &order).callback("orders.charged").await?)
    /// }
    /// ```
    pub fn invoke_async(&self, service: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Background {
        Background::new(self, "invoke-async", service.into(), payload)
    }

    /// Invokes a service in the background and, while it fails, again: up to `repeats` times with `delay` in between. The callback
    /// hears of the end, good or bad.
    pub fn retry_async(
        &self,
        service: impl Into<String>,
        payload: &(impl Serialize + ?Sized),
        repeats: u32,
        delay: Duration,
    ) -> Background {
        let mut background = Background::new(self, "retry-async", service.into(), payload);
        background.set("repeats", repeats);
        background.set("delay_ms", millis(delay));
        background
    }

    /// Invokes several services at once in the background; whoever is named with [`FanOut::on_final`] hears of the end of all,
    /// whoever is named with [`FanOut::on_target`] of each.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use serde_json::json;
    /// async fn quote(ctx: Context, order: serde_json::Value) -> Result<String, Error> {
    ///     let cid = ctx
    ///         .fan_out()
    ///         .target("supplier.one", &order)
    ///         .target("supplier.two", &order)
    ///         .on_final("quotes.compare")
    ///         .await?;
    ///     Ok(cid)
    /// }
    /// ```
    pub fn fan_out(&self) -> FanOut {
        FanOut {
            context: self.clone(),
            targets: Vec::new(),
            payloads: Vec::new(),
            on_target: Vec::new(),
            on_final: Vec::new(),
            cid: None,
            failed: None,
        }
    }

    /// Invokes several services at once in the background; `on_target` hears of the end of each. What is to be waited for here and
    /// now needs no more than [`Context::invoke`] and `tokio::join!`.
    pub fn parallel(&self, on_target: impl Into<String>) -> FanOut {
        self.fan_out().on_target(on_target)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Accepted {
    cid: String,
}

/// A call about to go to the background; `.await` sends it and gives its correlation id.
#[derive(Debug)]
#[must_use = "nothing is sent before `.await`"]
pub struct Background {
    context: Context,
    request: Map<String, Value>,
    callbacks: Vec<Value>,
    payload: Result<Payload, HostError>,
}

impl Background {
    fn new(context: &Context, op: &str, service: String, payload: &(impl Serialize + ?Sized)) -> Self {
        let mut background = Self {
            context: context.clone(),
            request: Map::new(),
            callbacks: Vec::new(),
            payload: Payload::of(payload, &format!("the payload for {service}")),
        };
        background.set("op", op);
        background.set("service", service);
        background
    }

    fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.request.insert(name.to_owned(), value.into());
    }

    /// A service that is told how the call ended; each of several is.
    pub fn callback(mut self, service: impl Into<String>) -> Self {
        self.callbacks.push(Value::String(service.into()));
        self
    }

    /// How long the call may take once it runs.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.set("timeout_ms", millis(timeout));
        self
    }

    /// Runs it under this correlation id.
    pub fn cid(mut self, cid: impl Into<String>) -> Self {
        self.set("cid", cid.into());
        self
    }

    /// Something of the caller's own that the callbacks get back.
    pub fn context(mut self, context: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_value(context) {
            Ok(value) => self.set("context", value),
            Err(source) => {
                let what = "the context for the callbacks".to_owned();
                self.payload = Err(HostError::Encode { what, source });
            }
        }
        self
    }
}

impl IntoFuture for Background {
    type Output = Result<String, HostError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(mut self) -> Self::IntoFuture {
        async move {
            if !self.callbacks.is_empty() {
                self.request.insert("callback".to_owned(), Value::Array(self.callbacks));
            }
            let answer = self.context.ask(&self.request, self.payload?).await?;
            Ok(answer.described::<Accepted>()?.cid)
        }
        .boxed()
    }
}

/// Several calls about to go to the background; `.await` sends them and gives their correlation id.
#[derive(Debug)]
#[must_use = "nothing is sent before `.await`"]
pub struct FanOut {
    context: Context,
    targets: Vec<String>,
    payloads: Vec<Box<RawValue>>,
    on_target: Vec<String>,
    on_final: Vec<String>,
    cid: Option<String>,
    failed: Option<HostError>,
}

impl FanOut {
    /// A service to invoke.
    pub fn target(mut self, service: impl Into<String>, payload: &(impl Serialize + ?Sized)) -> Self {
        let service = service.into();
        match serde_json::value::to_raw_value(payload) {
            Ok(payload) => self.payloads.push(payload),
            Err(source) => {
                let what = format!("the payload for {service}");
                self.failed = Some(HostError::Encode { what, source });
            }
        }
        self.targets.push(service);
        self
    }

    /// A service that is told of the end of each target.
    pub fn on_target(mut self, service: impl Into<String>) -> Self {
        self.on_target.push(service.into());
        self
    }

    /// A service that is told once all targets have ended.
    pub fn on_final(mut self, service: impl Into<String>) -> Self {
        self.on_final.push(service.into());
        self
    }

    /// Runs them under this correlation id.
    pub fn cid(mut self, cid: impl Into<String>) -> Self {
        self.cid = Some(cid.into());
        self
    }
}

#[derive(Serialize)]
struct FanOutRequest<'a> {
    op: &'static str,
    targets: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    on_target: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    on_final: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<&'a str>,
}

impl IntoFuture for FanOut {
    type Output = Result<String, HostError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            if let Some(failed) = self.failed {
                return Err(failed);
            }
            let payload = Payload::of(&self.payloads, "the payloads")?;
            let request = FanOutRequest {
                op: "fan-out",
                targets: &self.targets,
                on_target: &self.on_target,
                on_final: &self.on_final,
                cid: self.cid.as_deref(),
            };
            let answer = self.context.ask(&request, payload).await?;
            Ok(answer.described::<Accepted>()?.cid)
        }
        .boxed()
    }
}
