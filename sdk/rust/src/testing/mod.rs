//! Services in tests, without a cluster.
//!
//! A [`Tester`] runs a program's [`Worker`] and plays the server: it speaks the same protocol over a socket as a server does, so
//! that a test goes the whole way that a call goes. Other services and outgoing connections are stubbed by name; cache, locks,
//! encryption and configuration are kept in memory; calls in the background, jobs, metrics and log lines are kept for the
//! test to look at.
//!
//! ```
//! use serde_json::{Value, json};
//! use tenon_sdk::testing::{RestAnswer, Tester};
//! use tenon_sdk::{Context, Error, Worker};
//!
//! async fn city_of(ctx: Context, name: String) -> Result<String, Error> {
//!     let response = ctx.rest("CRM").get().param("name", name).await?;
//!     if response.status == 404 {
//!         return Err(Error::not_found("there is no such user"));
//!     }
//!     Ok(response.json::<Value>()?["city"].as_str().unwrap_or_default().to_owned())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let tester = Tester::start(Worker::new().service("crm.city-of", city_of)); // within #[tokio::test]
//! tester.on_rest("CRM", |call| match call.params["name"].as_str() {
//!     Some("Anna") => RestAnswer::json(200, &json!({"city": "Zürich"})),
//!     _ => RestAnswer::json(404, &json!({})),
//! });
//!
//! assert_eq!(tester.call("crm.city-of", "Anna").await.json::<String>(), "Zürich");
//! assert_eq!(tester.call("crm.city-of", "Bob").await.status, 404);
//! # });
//! ```

mod memory;
mod platform;
mod server;
mod stubs;

use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tenon_protocol::worker::{LogLine, Metric};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

pub use self::platform::{BackgroundCall, ScheduledJob};
use self::server::{Called, Server};
pub use self::stubs::{RestAnswer, RestCall, SqlCall};
use crate::link::Link;
use crate::logs::LogLayer;
use crate::session::limits;
use crate::{Caller, Error, Problem, Worker, panics};

/// A worker in a test, with a server that is played. It ends when it is dropped.
#[derive(Debug)]
pub struct Tester {
    server: Arc<Server>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Tester {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Tester {
    /// Starts a worker. Has to be called within a tokio runtime, as `#[tokio::test]` has one. Panics if the worker is not one that
    /// could be deployed, such as one with two services of the same name.
    pub fn start(worker: Worker) -> Self {
        worker.check().expect("the worker can be deployed");
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            use tracing_subscriber::layer::SubscriberExt as _;

            panics::install_hook();
            let layer = LogLayer::new(tracing::Level::TRACE);
            // A test that has a subscriber of its own keeps it, and sees no log lines here.
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
        });
        let (ours, theirs) = UnixStream::pair().expect("the machine has sockets");
        let session = worker.open(Link::new(limits(None)), theirs);
        let hello = session.hello(1, "test");
        let server = Server::new(ours, &hello);
        let worker = tokio::spawn(async move {
            session.serve(hello).await;
        });
        let reader = tokio::spawn(server.clone().read());
        Self {
            server,
            tasks: vec![worker, reader],
        }
    }

    /// Answers in place of a service. What it returns is the service's answer, JSON or an [`Error`]. Without a stub, the worker's own
    /// services are invoked by each other as in a cluster.
    pub fn on_service<F>(&self, name: &str, answer: F)
    where
        F: Fn(Value) -> Result<Value, Error> + Send + Sync + 'static,
    {
        self.server.platform.on_service(name, Box::new(answer));
    }

    /// Answers in place of the other side of an outgoing REST connection.
    pub fn on_rest<F>(&self, name: &str, answer: F)
    where
        F: Fn(RestCall) -> RestAnswer + Send + Sync + 'static,
    {
        self.server.platform.on_rest(name, Box::new(answer));
    }

    /// Answers in place of an outgoing SQL connection: rows as an array of objects, or how many rows were changed as a number. An
    /// error says that the database can't do it.
    pub fn on_sql<F>(&self, name: &str, answer: F)
    where
        F: Fn(SqlCall) -> Result<Value, String> + Send + Sync + 'static,
    {
        self.server.platform.on_sql(name, Box::new(answer));
    }

    /// Sets a file of the user configuration: an object of sections, each an object of keys.
    pub async fn set_config(&self, file: &str, sections: Value) {
        self.server.set_config(file, sections).await;
    }

    /// Calls a service with JSON, as another service would.
    pub async fn call(&self, service: &str, payload: &(impl Serialize + ?Sized)) -> TestAnswer {
        self.request(service).json(payload).await
    }

    /// A call to be put together: an HTTP request with headers and parameters, a body that is no JSON, a deadline.
    pub fn request(&self, service: &str) -> TestRequest<'_> {
        TestRequest {
            tester: self,
            service: service.to_owned(),
            metadata: Map::new(),
            body: Bytes::new(),
            is_json: false,
            pieces: None,
            timeout: None,
            cancel_after: None,
        }
    }

    /// Calls that services left to be done in the background, in their order.
    pub fn background_calls(&self) -> Vec<BackgroundCall> {
        self.server.platform.background_calls()
    }

    /// Jobs that services scheduled, in their order.
    pub fn jobs(&self) -> Vec<ScheduledJob> {
        self.server.platform.jobs()
    }

    /// Measurements that services made, in their order: name, value.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let metrics = self.server.metrics();
        metrics
            .into_iter()
            .map(|Metric { name, value, .. }| (name, value))
            .collect()
    }

    /// What services logged, in its order: level, text.
    pub fn logs(&self) -> Vec<(String, String)> {
        let lines = self.server.logs();
        lines
            .into_iter()
            .map(|LogLine { level, message, .. }| (level, message))
            .collect()
    }
}

/// A call about to be made; `.await` makes it and gives the answer. Made by [`Tester::request`].
#[derive(Debug)]
#[must_use = "nothing is called before `.await`"]
pub struct TestRequest<'a> {
    tester: &'a Tester,
    service: String,
    metadata: Map<String, Value>,
    body: Bytes,
    is_json: bool,
    pieces: Option<Vec<Bytes>>,
    timeout: Option<Duration>,
    cancel_after: Option<Duration>,
}

impl TestRequest<'_> {
    /// Makes it an HTTP request with this method, in capitals, and this path.
    pub fn http(mut self, method: &str, path: &str) -> Self {
        self.set("channel", "rest");
        self.set("channel_name", "test");
        self.set("data_format", "json");
        self.set("method", method);
        self.set("path", path);
        self.set("remote", "192.0.2.7:50000");
        for name in ["query", "params", "headers", "merged_params"] {
            self.metadata.entry(name).or_insert_with(|| json!({}));
        }
        self
    }

    /// A parameter of the path.
    pub fn param(self, name: &str, value: &str) -> Self {
        self.insert("params", name, value).insert("merged_params", name, value)
    }

    /// A parameter of the query string.
    pub fn query(self, name: &str, value: &str) -> Self {
        self.insert("query", name, value).insert("merged_params", name, value)
    }

    /// A header of the request.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.insert("headers", &name.to_ascii_lowercase(), value)
    }

    /// Who the channel let in.
    pub fn caller(mut self, caller: &Caller) -> Self {
        let Caller {
            name,
            kind,
            username,
            claims,
        } = caller;
        let security = json!({"name": name, "type": kind, "username": username, "claims": claims});
        self.metadata.insert("security".to_owned(), security);
        self
    }

    /// The channel's data format: `json`, `form`, `csv`, `xml`, or empty for raw data.
    pub fn data_format(mut self, data_format: &str) -> Self {
        self.set("data_format", data_format);
        self
    }

    /// A body of JSON. Panics if the value can't be written as JSON.
    pub fn json(mut self, body: &(impl Serialize + ?Sized)) -> Self {
        self.body = serde_json::to_vec(body)
            .expect("the payload can be written as JSON")
            .into();
        self.is_json = true;
        self
    }

    /// A body that is no JSON, or not known to be.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.is_json = false;
        self
    }

    /// A body that arrives in pieces, for a service that reads a stream.
    pub fn pieces<B: Into<Bytes>>(mut self, pieces: impl IntoIterator<Item = B>) -> Self {
        self.pieces = Some(pieces.into_iter().map(Into::into).collect());
        self
    }

    /// How long the caller waits.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Goes away after so long, as a client may.
    pub fn cancel_after(mut self, delay: Duration) -> Self {
        self.cancel_after = Some(delay);
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.metadata.insert(name.to_owned(), Value::String(value.to_owned()));
    }

    fn insert(mut self, group: &str, name: &str, value: &str) -> Self {
        let entry = self.metadata.entry(group).or_insert_with(|| json!({}));
        entry[name] = Value::String(value.to_owned());
        self
    }
}

impl<'a> IntoFuture for TestRequest<'a> {
    type Output = TestAnswer;
    type IntoFuture = BoxFuture<'a, TestAnswer>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let called = Called {
                service: self.service,
                metadata: Value::Object(self.metadata),
                body: self.body,
                is_json: self.is_json,
                pieces: self.pieces,
                timeout: self.timeout,
                cancel_after: self.cancel_after,
            };
            self.tester.server.call(called).await
        }
        .boxed()
    }
}

/// What a service answered in a test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestAnswer {
    /// Its status; 500 for a failure.
    pub status: u16,
    /// Its media type; empty for JSON and for no body.
    pub content_type: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, of a stream all of it.
    pub body: Bytes,
    /// What went wrong, if the service failed: what the log is told and the caller is not.
    pub failure: Option<String>,
    /// Whether a stream was cut off before its end.
    pub is_cut_off: bool,
}

impl TestAnswer {
    /// The body as a type, from JSON. Panics, naming the body, if it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let read = serde_json::from_slice(&self.body);
        read.map_err(|error| format!("{error} in the answer {} {}", self.status, self.text()))
            .expect("the answer is of the type that the test expects")
    }

    /// The problem that the caller is told. Panics if it is none.
    pub fn problem(&self) -> Problem {
        self.json()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, whatever the case it is asked for in.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}
