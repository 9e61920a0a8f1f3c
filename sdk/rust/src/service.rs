//! Services: handlers with a name, and what the platform knows of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tenon_protocol::worker::WorkerService;

use crate::call::Call;
use crate::context::Context;
use crate::error::{Error, type_name};
use crate::input::{Input, Source};
use crate::reply::{Output, Reply};

type Run = Arc<dyn Fn(Context) -> BoxFuture<'static, Result<Reply, Error>> + Send + Sync>;

/// HTTP methods in the order in which `Allow` lists them.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A function that answers calls: `async fn(Context, I) -> Result<O, E>`, or `async fn(Context) -> Result<O, E>` where there is
/// nothing to take. `I` is an [`Input`], `O` an [`Output`], `E` an [`Error`] or any error that becomes one. A [`Service`] is one too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't answer calls",
    label = "not a handler",
    note = "a handler is an `async fn(tenon_sdk::Context, Input) -> Result<Output, tenon_sdk::Error>` whose future is `Send`"
)]
pub trait Handler<Marker>: Send + Sync + 'static {
    /// The service that it makes.
    #[doc(hidden)]
    fn into_service(self) -> Service;
}

/// A service: handlers, and what the platform is to know of them.
///
/// ```
/// use std::time::Duration;
/// use tenon_sdk::{Context, Error, Service, Worker};
///
/// async fn read(ctx: Context) -> Result<String, Error> {
///     Ok(ctx.http().and_then(|http| http.param("id")).unwrap_or_default().to_owned())
/// }
/// async fn remove(_: Context) -> Result<(), Error> {
///     Ok(())
/// }
/// async fn total(_: Context, amounts: Vec<f64>) -> Result<f64, Error> {
///     Ok(amounts.iter().sum())
/// }
///
/// let worker = Worker::new()
///     .service("crm.user", Service::by_method().get(read).delete(remove))
///     .service("crm.total", Service::new(total).doc("Adds up amounts.").idempotent().timeout(Duration::from_secs(2)));
/// ```
pub struct Service {
    any: Option<Run>,
    by_method: Vec<(&'static str, Run)>,
    doc: Option<String>,
    class: String,
    idempotent: bool,
    timeout: Option<Duration>,
    streams: bool,
    input: Option<Value>,
    output: Option<Value>,
}

impl Service {
    /// A service that answers every call with one handler.
    pub fn new<M>(handler: impl Handler<M>) -> Self {
        handler.into_service()
    }

    /// A service with a handler per HTTP method; any other method is answered with 405 and `Allow`. `HEAD` is what `GET` is. A
    /// caller without HTTP (a job, another service) reaches the only handler, if there is only one.
    pub fn by_method() -> Self {
        Self {
            any: None,
            by_method: Vec::new(),
            doc: None,
            class: String::new(),
            idempotent: false,
            timeout: None,
            streams: false,
            input: None,
            output: None,
        }
    }

    /// A service whose handler is a plain function that may block: it runs on a thread of its own. It asks the platform with
    /// [`Context::block_on`]. A call that is cancelled goes on until the function ends or asks [`Context::is_cancelled`].
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error, Service, Worker};
    /// fn checksum(_: Context, text: String) -> Result<u32, Error> {
    ///     Ok(text.bytes().map(u32::from).sum())
    /// }
    /// let worker = Worker::new().service("files.checksum", Service::blocking(checksum));
    /// ```
    pub fn blocking<F, I, O, E>(handler: F) -> Self
    where
        F: Fn(Context, I) -> Result<O, E> + Send + Sync + 'static,
        I: Input,
        O: Output,
        E: Into<Error> + 'static,
    {
        let handler = Arc::new(handler);
        let run: Run = Arc::new(move |context: Context| {
            let handler = handler.clone();
            async move {
                let input = I::read(Source(context.call()))?;
                let inner = context.clone();
                context
                    .spawn_blocking(move || handler(inner, input).map_err(Into::into)?.into_reply())
                    .await?
            }
            .boxed()
        });
        Self {
            any: Some(run),
            streams: I::STREAMS,
            input: I::schema(),
            output: O::schema(),
            class: type_name::<F>(),
            ..Self::by_method()
        }
    }

    /// Answers `GET` and `HEAD`.
    #[must_use]
    pub fn get<M>(self, handler: impl Handler<M>) -> Self {
        self.on("GET", handler)
    }

    /// Answers `POST`.
    #[must_use]
    pub fn post<M>(self, handler: impl Handler<M>) -> Self {
        self.on("POST", handler)
    }

    /// Answers `PUT`.
    #[must_use]
    pub fn put<M>(self, handler: impl Handler<M>) -> Self {
        self.on("PUT", handler)
    }

    /// Answers `PATCH`.
    #[must_use]
    pub fn patch<M>(self, handler: impl Handler<M>) -> Self {
        self.on("PATCH", handler)
    }

    /// Answers `DELETE`.
    #[must_use]
    pub fn delete<M>(self, handler: impl Handler<M>) -> Self {
        self.on("DELETE", handler)
    }

    /// Answers `OPTIONS`.
    #[must_use]
    pub fn options<M>(self, handler: impl Handler<M>) -> Self {
        self.on("OPTIONS", handler)
    }

    fn on<M>(mut self, method: &'static str, handler: impl Handler<M>) -> Self {
        let service = handler.into_service();
        if let Some(run) = service.any {
            self.by_method.retain(|(other, _)| *other != method);
            self.by_method.push((method, run));
        }
        self.streams |= service.streams;
        if self.class.is_empty() {
            self.class = service.class;
        }
        self.input = self.input.or(service.input);
        self.output = self.output.or(service.output);
        self
    }

    /// What it does, for whoever looks at the service list or at the OpenAPI document.
    #[must_use]
    pub fn doc(mut self, doc: impl Into<String>) -> Self {
        self.doc = Some(doc.into());
        self
    }

    /// Says that a call may be run twice: it is run again when its worker dies in the middle.
    #[must_use]
    pub fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// How long a call may take, if its caller gives it no less.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods: Vec<_> = self.by_method.iter().map(|(method, _)| *method).collect();
        f.debug_struct("Service")
            .field("class", &self.class)
            .field("methods", &methods)
            .finish_non_exhaustive()
    }
}

impl Handler<()> for Service {
    fn into_service(self) -> Service {
        self
    }
}

impl<F, Fut, O, E> Handler<(Context,)> for F
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, E>> + Send + 'static,
    O: Output,
    E: Into<Error>,
{
    fn into_service(self) -> Service {
        let run: Run = Arc::new(move |context| {
            let answer = self(context);
            async move { answer.await.map_err(Into::into)?.into_reply() }.boxed()
        });
        Service {
            any: Some(run),
            output: O::schema(),
            class: type_name::<F>(),
            ..Service::by_method()
        }
    }
}

impl<F, Fut, I, O, E> Handler<(Context, I)> for F
where
    F: Fn(Context, I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, E>> + Send + 'static,
    I: Input,
    O: Output,
    E: Into<Error>,
{
    fn into_service(self) -> Service {
        let handler = Arc::new(self);
        let run: Run = Arc::new(move |context: Context| {
            let handler = handler.clone();
            async move {
                let input = I::read(Source(context.call()))?;
                handler(context, input).await.map_err(Into::into)?.into_reply()
            }
            .boxed()
        });
        Service {
            any: Some(run),
            streams: I::STREAMS,
            input: I::schema(),
            output: O::schema(),
            class: type_name::<F>(),
            ..Service::by_method()
        }
    }
}

/// A service of a worker.
pub(crate) struct Entry {
    pub(crate) name: String,
    service: Service,
}

impl Entry {
    pub(crate) fn new(name: String, service: Service) -> Self {
        Self { name, service }
    }

    /// Runs the handler for a call.
    pub(crate) fn run(&self, call: &Arc<Call>) -> BoxFuture<'static, Result<Reply, Error>> {
        match self.handler(call) {
            Ok(handler) => handler(Context::new(call.clone())),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    fn handler(&self, call: &Call) -> Result<&Run, Error> {
        let by_method = &self.service.by_method;
        if by_method.is_empty() {
            return self
                .service
                .any
                .as_ref()
                .ok_or_else(|| Error::internal("The service has no handler"));
        }
        let find = |method: &str| by_method.iter().find(|(other, _)| *other == method).map(|(_, run)| run);
        let Some(method) = call.facts().method() else {
            // No HTTP behind this call: the handler for all calls, or the only one there is.
            let only = if by_method.len() == 1 { by_method.first() } else { None };
            let found = self.service.any.as_ref().or(only.map(|(_, run)| run));
            return found.ok_or_else(|| self.not_allowed("The service is to be called with an HTTP method".to_owned()));
        };
        let found = find(method).or_else(|| if method == "HEAD" { find("GET") } else { None });
        found.ok_or_else(|| self.not_allowed(format!("The service has no handler for {method}")))
    }

    fn not_allowed(&self, message: String) -> Error {
        Error::new(405, message).with_header("Allow", self.methods().join(", "))
    }

    fn methods(&self) -> Vec<&'static str> {
        let by_method = &self.service.by_method;
        let has = |method: &str| by_method.iter().any(|(other, _)| *other == method);
        METHODS
            .into_iter()
            .filter(|method| has(method) || (*method == "HEAD" && has("GET")))
            .collect()
    }

    /// What the hello says of it.
    pub(crate) fn describe(&self, file: &str) -> WorkerService {
        let service = &self.service;
        let methods = self.methods().into_iter().map(str::to_owned).collect::<Vec<_>>();
        WorkerService {
            name: self.name.clone(),
            file: file.to_owned(),
            class: service.class.clone(),
            doc: service.doc.clone(),
            is_async: true,
            idempotent: service.idempotent,
            timeout_ms: service.timeout.map(crate::millis),
            http_methods: (!methods.is_empty()).then_some(methods),
            streams: service.streams,
            input: service.input.clone(),
            output: service.output.clone(),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.name)
            .field("service", &self.service)
            .finish()
    }
}
