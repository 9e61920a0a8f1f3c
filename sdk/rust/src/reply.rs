//! What a handler answers: a type that serde writes, or a body with its own status, headers and media type.

use std::fmt;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tenon_protocol::worker::{Raised, ReplyFrame, ReplyHead};

use crate::error::{Error, Problem, Sort};
use crate::input::{Raw, Text};
use crate::schema;
use crate::stream::BodyWriter;

/// What a handler can answer.
///
/// Every type that implements serde's `Serialize` and schemars' `JsonSchema` is one, and becomes JSON with status 200; `()` is an
/// empty body. [`Text`] and [`Raw`] are sent as they are, [`Response`] gives any of them a status and headers, and [`Body`]
/// is for handlers that answer sometimes this and sometimes that, or in a stream.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be the answer of a service",
    label = "not an output",
    note = "derive `serde::Serialize` and `schemars::JsonSchema` for it, or answer `tenon_sdk::Raw`, `tenon_sdk::Text` or `tenon_sdk::Body`"
)]
pub trait Output: Send + 'static {
    /// Its JSON Schema; none for bodies that are no JSON.
    #[doc(hidden)]
    fn schema() -> Option<Value>;

    /// The reply that it is.
    #[doc(hidden)]
    fn into_reply(self) -> Result<Reply, Error>;
}

/// An answer before it is a frame.
#[doc(hidden)]
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) content: Content,
}

/// What a body is made of.
pub(crate) enum Content {
    Json(Bytes),
    Bytes(Bytes),
    Stream(Write),
}

/// Writes a body piece by piece.
pub(crate) type Write = Box<dyn FnOnce(BodyWriter) -> BoxFuture<'static, Result<(), Error>> + Send>;

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Json(bytes) => f.debug_tuple("Json").field(bytes).finish(),
            Content::Bytes(bytes) => f.debug_tuple("Bytes").field(bytes).finish(),
            Content::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Reply {
    fn new(content_type: Option<String>, content: Content) -> Self {
        Self {
            status: 200,
            content_type,
            headers: Vec::new(),
            content,
        }
    }

    /// The frame, with the body that is not streamed.
    pub(crate) fn head(&self, id: u64) -> ReplyFrame {
        let (body, body_is_json, is_stream) = match &self.content {
            Content::Json(body) => (body.clone(), true, false),
            Content::Bytes(body) => (body.clone(), false, false),
            Content::Stream(_) => (Bytes::new(), false, true),
        };
        ReplyFrame {
            id,
            status: self.status,
            body_is_json,
            is_error: false,
            is_stream,
            head: head(self.content_type.clone(), &self.headers),
            body,
        }
    }
}

fn head(content_type: Option<String>, headers: &[(String, String)]) -> Bytes {
    if content_type.is_none() && headers.is_empty() {
        return Bytes::new();
    }
    let mut by_name: Map<String, Value> = Map::new();
    for (name, value) in headers {
        let value = Value::String(value.clone());
        match by_name.get_mut(name) {
            None => {
                by_name.insert(name.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(earlier) => *earlier = Value::Array(vec![earlier.take(), value]),
        }
    }
    let head = ReplyHead {
        content_type,
        headers: by_name,
    };
    // Texts by name can always be written.
    serde_json::to_vec(&head).unwrap_or_default().into()
}

impl<T: Serialize + JsonSchema + Send + 'static> Output for T {
    fn schema() -> Option<Value> {
        schema::of_output::<T>()
    }

    fn into_reply(self) -> Result<Reply, Error> {
        if std::any::TypeId::of::<T>() == std::any::TypeId::of::<()>() {
            return Ok(Reply::new(None, Content::Bytes(Bytes::new())));
        }
        Ok(Reply::new(None, Content::Json(serde_json::to_vec(&self)?.into())))
    }
}

impl Output for Text {
    fn schema() -> Option<Value> {
        None
    }

    fn into_reply(self) -> Result<Reply, Error> {
        Body::text(self.0).into_reply()
    }
}

impl Output for Raw {
    fn schema() -> Option<Value> {
        None
    }

    fn into_reply(self) -> Result<Reply, Error> {
        Body::bytes(self.content_type, self.bytes).into_reply()
    }
}

/// A body of any sort, decided while the handler runs.
///
/// ```
/// # use tenon_sdk::{Body, Context, Error};
/// async fn report(ctx: Context, rows: Vec<u32>) -> Result<Body, Error> {
///     let wants_csv = ctx.http().and_then(|http| http.header("accept")) == Some("text/csv");
///     Ok(if wants_csv {
///         Body::bytes("text/csv", rows.iter().map(|row| format!("{row}\r\n")).collect::<String>())
///     } else {
///         Body::json(&rows)?
///     })
/// }
/// ```
#[derive(Debug)]
pub struct Body {
    content_type: Option<String>,
    content: Content,
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Self {
            content_type: None,
            content: Content::Bytes(Bytes::new()),
        }
    }

    /// JSON. An error if the value can't be written as JSON.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, Error> {
        Ok(Self {
            content_type: None,
            content: Content::Json(serde_json::to_vec(value)?.into()),
        })
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text.into())
    }

    /// Bytes of a media type; `application/octet-stream` if that is empty.
    pub fn bytes(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(media_type(content_type.into())),
            content: Content::Bytes(bytes.into()),
        }
    }

    /// A stream of pieces, sent as fast as the client takes them. An error cuts the answer off, so that the client notices.
    pub fn stream<S, B>(content_type: impl Into<String>, stream: S) -> Self
    where
        S: Stream<Item = Result<B, Error>> + Send + 'static,
        B: Into<Bytes> + Send,
    {
        Self::write_with(content_type, |mut writer| async move {
            let mut stream = std::pin::pin!(stream);
            while let Some(piece) = stream.next().await {
                writer.write(piece?).await?;
            }
            Ok(())
        })
    }

    /// Pieces that a function writes, as fast as the client takes them.
    ///
    /// ```
    /// # use tenon_sdk::{Body, Context, Error};
    /// async fn count(_: Context, up_to: u64) -> Result<Body, Error> {
    ///     Ok(Body::write_with("text/plain", move |mut writer| async move {
    ///         for number in 1..=up_to {
    ///             writer.write(format!("{number}\n")).await?;
    ///         }
    ///         Ok(())
    ///     }))
    /// }
    /// ```
    pub fn write_with<F, Fut>(content_type: impl Into<String>, write: F) -> Self
    where
        F: FnOnce(BodyWriter) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        Self {
            content_type: Some(media_type(content_type.into())),
            content: Content::Stream(Box::new(|writer| write(writer).boxed())),
        }
    }
}

impl Output for Body {
    fn schema() -> Option<Value> {
        None
    }

    fn into_reply(self) -> Result<Reply, Error> {
        Ok(Reply::new(self.content_type, self.content))
    }
}

fn media_type(given: String) -> String {
    if given.is_empty() {
        "application/octet-stream".to_owned()
    } else {
        given
    }
}

/// An answer with a status and headers of its own.
///
/// ```
/// # use tenon_sdk::{Context, Error, Response};
/// async fn create(_: Context, name: String) -> Result<Response<String>, Error> {
///     Ok(Response::new(name).status(201).header("Location", "/users/7"))
/// }
/// ```
#[derive(Debug)]
pub struct Response<T> {
    output: T,
    status: u16,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
}

impl<T: Output> Response<T> {
    /// An answer with status 200.
    pub fn new(output: T) -> Self {
        Self {
            output,
            status: 200,
            content_type: None,
            headers: Vec::new(),
        }
    }

    /// Sets the status. One that is none of HTTP's makes the call fail.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a header; several of one name are all sent.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the media type in place of the one that goes with the body.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }
}

impl<T: Output> Output for Response<T> {
    fn schema() -> Option<Value> {
        T::schema()
    }

    fn into_reply(self) -> Result<Reply, Error> {
        if !(200..=599).contains(&self.status) {
            return Err(Error::failure(format!("{} is no status of an answer", self.status)));
        }
        let mut reply = self.output.into_reply()?;
        reply.status = self.status;
        reply.headers.extend(self.headers);
        if self.content_type.is_some() {
            reply.content_type = self.content_type;
        }
        Ok(reply)
    }
}

/// Logs an answer of 500 or above, as the server logs only failures.
pub(crate) fn log(error: &Error) {
    if let Sort::Answer(answer) = error.sort()
        && answer.status >= 500
    {
        let source = answer
            .source
            .as_ref()
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        tracing::error!("answered with {} {}{source}", answer.status, answer.detail);
    }
}

/// The frame of a call that failed.
pub(crate) fn of_error(error: Error, id: u64, cid: &str) -> ReplyFrame {
    match error.into_sort() {
        Sort::Answer(answer) => {
            let body = serde_json::to_vec(&answer.problem(cid)).unwrap_or_default();
            ReplyFrame {
                id,
                status: answer.status,
                body_is_json: true,
                is_error: false,
                is_stream: false,
                head: head(Some(Problem::CONTENT_TYPE.to_owned()), &answer.headers),
                body: body.into(),
            }
        }
        Sort::Failure(failure) => raised(id, cid, failure.kind, failure.message, failure.trace),
        Sort::Cancelled => ReplyFrame {
            id,
            status: 499,
            body_is_json: false,
            is_error: false,
            is_stream: false,
            head: Bytes::new(),
            body: Bytes::new(),
        },
    }
}

/// How much of an error's text goes to the log.
const MESSAGE_BYTES_MAX: usize = 8192;

/// The frame that tells the log what went wrong, and the caller nothing.
pub(crate) fn raised(id: u64, cid: &str, kind: String, mut message: String, traceback: String) -> ReplyFrame {
    if message.len() > MESSAGE_BYTES_MAX {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    }
    let raised = Raised {
        kind,
        message,
        traceback,
        cid: cid.to_owned(),
    };
    ReplyFrame {
        id,
        status: 500,
        body_is_json: true,
        is_error: true,
        is_stream: false,
        head: Bytes::new(),
        body: serde_json::to_vec(&raised).unwrap_or_default().into(),
    }
}
