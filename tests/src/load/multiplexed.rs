//! HTTP/2: many requests at once on one connection.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::{Request as HttpRequest, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use super::request::Request;
use super::stream::connector;
use super::verdict::{Outcome, Seen, Sent};
use super::wire::{Exchanged, connect_tcp};

type Sender = SendRequest<Full<Bytes>>;

/// The connection that is shared, and how others are made.
pub(super) struct Multiplexed {
    port: u16,
    tls: TlsConnector,
    shared: Mutex<Arc<OnceCell<Sender>>>,
}

impl Multiplexed {
    pub(super) fn new(port: u16) -> Result<Self, rustls::Error> {
        Ok(Self {
            port,
            tls: connector(&[b"h2"])?,
            shared: Mutex::default(),
        })
    }

    /// Sends a request on the shared connection, or on one of its own if its kind keeps none.
    pub(super) async fn exchange(&self, request: &Request) -> Exchanged {
        let sender = if request.kind.shape().keeps {
            self.shared().await
        } else {
            self.connect().await
        };
        match sender {
            Ok(sender) => ask(sender, request).await,
            Err(seen) => exchanged(seen, ""),
        }
    }

    /// The shared connection. If there is none, one request makes it and all others wait for that.
    async fn shared(&self) -> Result<Sender, Seen> {
        let cell = {
            let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            if shared.get().is_some_and(SendRequest::is_closed) {
                *shared = Arc::default();
            }
            Arc::clone(&shared)
        };
        cell.get_or_try_init(|| self.connect()).await.cloned()
    }

    async fn connect(&self) -> Result<Sender, Seen> {
        let ended = |error: io::Error| Seen::Lost(Sent::Nothing, error.to_string());
        let tcp = connect_tcp(self.port, false).await;
        let tcp = tcp.map_err(|error| Seen::NotConnected(error.to_string()))?;
        let name = ServerName::try_from("localhost").map_err(|error| ended(io::Error::other(error)))?;
        let secure = self.tls.connect(name, tcp).await.map_err(ended)?;
        if secure.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Seen::NotConnected("HTTP/2 was not agreed on".to_owned()));
        }
        let made = handshake(TokioExecutor::new(), TokioIo::new(secure)).await;
        let (sender, connection) = made.map_err(|error| ended(io::Error::other(error)))?;
        // It ends by itself: its errors are those of the requests on it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

async fn ask(mut sender: Sender, request: &Request) -> Exchanged {
    if let Err(error) = sender.ready().await {
        return exchanged(Seen::Lost(Sent::Nothing, error.to_string()), "");
    }
    let message = match message(request) {
        Ok(message) => message,
        Err(error) => return exchanged(Seen::Lost(Sent::Nothing, error.to_string()), ""),
    };
    let response = match sender.try_send_request(message).await {
        Ok(response) => response,
        Err(error) => {
            let is_untouched = error.message().is_some() || is_refused(error.error());
            let sent = if is_untouched { Sent::Nothing } else { Sent::Something };
            return exchanged(Seen::Lost(sent, describe(error.error())), "");
        }
    };
    let (head, body) = response.into_parts();
    let cid = text(&head.headers, "x-tenon-cid");
    let outcome = Outcome::named(&text(&head.headers, "x-tenon-outcome"));
    let status = head.status.as_u16();
    match body.collect().await {
        Ok(body) => {
            let wrong = if status == 200 {
                request.wrong(&body.to_bytes())
            } else {
                None
            };
            let seen = Seen::Answer { status, outcome, wrong };
            exchanged(seen, &cid)
        }
        Err(error) => exchanged(Seen::Lost(Sent::AnswerBegun, describe(&error)), &cid),
    }
}

fn message(request: &Request) -> Result<HttpRequest<Full<Bytes>>, hyper::http::Error> {
    let uri: Uri = format!("https://localhost{}", request.target()).parse()?;
    let builder = HttpRequest::builder().method(request.kind.method()).uri(uri);
    builder.body(Full::new(Bytes::copy_from_slice(request.content())))
}

/// Whether the other side says that it has not looked at the request.
fn is_refused(error: &hyper::Error) -> bool {
    let http2 = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    http2.is_some_and(|error| {
        let reason = error.reason();
        error.is_remote()
            && (reason == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && reason == Some(h2::Reason::NO_ERROR)))
    })
}

fn describe(error: &hyper::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

fn exchanged(seen: Seen, cid: &str) -> Exchanged {
    Exchanged {
        seen,
        cid: cid.to_owned(),
        reusable: false,
    }
}
