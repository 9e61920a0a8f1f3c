//! A stream of HTTP/2 as the bytes of HTTP/1.1 that carry one request and its answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::Request;
use tenon_model::Random;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::head::{self, Body, Framing};
use super::tally::Tally;
use crate::codec::ChunkScan;
use crate::proxy::ClientStream;

/// The client's side of one stream.
pub(super) struct Stream {
    inbound: Inbound,
    outbound: Outbound,
    tally: Arc<Tally>,
    gone: bool,
}

/// What comes from the client.
struct Inbound {
    /// Bytes of HTTP/1.1 that stand before what is next of the body.
    text: Vec<u8>,
    text_read: usize,
    body: RecvStream,
    data: Bytes,
    framing: Framing,
    /// Whether the payload ended; trailers may follow.
    payload_ended: bool,
    ended: bool,
}

/// What goes to the client.
struct Outbound {
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    stage: Stage,
    /// A part of a head.
    head: Vec<u8>,
    /// Payload that waits for room in the client's window.
    waiting: Bytes,
    answers_head: bool,
    tunnel: bool,
}

enum Stage {
    Head,
    Length(u64),
    Chunked(ChunkScan),
    /// Until the stream is shut down.
    Open,
    /// Everything is taken, but not everything is handed on.
    Ending(Option<http::HeaderMap>),
    Done,
}

impl Stream {
    pub(super) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        tally: Arc<Tally>,
        random: &dyn Random,
    ) -> Self {
        tally.opened();
        let (parts, body) = request.into_parts();
        let mut text = Vec::with_capacity(512);
        let framing = head::write_request(&parts, body.is_end_stream(), random, &mut text);
        Self {
            inbound: Inbound {
                text,
                text_read: 0,
                body,
                data: Bytes::new(),
                framing,
                payload_ended: framing == Framing::None,
                ended: framing == Framing::None,
            },
            outbound: Outbound {
                respond,
                send: None,
                stage: Stage::Head,
                head: Vec::new(),
                waiting: Bytes::new(),
                answers_head: parts.method == http::Method::HEAD,
                tunnel: head::is_web_socket(&parts),
            },
            tally,
            gone: false,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !matches!(self.outbound.stage, Stage::Done) && !self.gone {
            // The client is to see that this is not the whole answer.
            match &mut self.outbound.send {
                Some(send) => send.send_reset(Reason::INTERNAL_ERROR),
                None => self.outbound.respond.send_reset(Reason::INTERNAL_ERROR),
            }
        }
        self.tally.closed(self.gone);
    }
}

impl ClientStream for Stream {
    const SAYS_GOODBYE: bool = true;
    const CARRIES_ONE: bool = true;

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let reset = match &mut self.outbound.send {
            _ if matches!(self.outbound.stage, Stage::Done) => return Poll::Pending,
            Some(send) => send.poll_reset(cx),
            None => self.outbound.respond.poll_reset(cx),
        };
        // An error is one of the whole connection.
        ready!(reset).ok();
        self.gone = true;
        Poll::Ready(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().inbound.poll_read(cx, buffer)
    }
}

impl Inbound {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0 {
            if self.text_read < self.text.len() {
                let rest = &self.text[self.text_read..];
                let count = rest.len().min(buffer.remaining());
                buffer.put_slice(&rest[..count]);
                self.text_read += count;
                continue;
            }
            self.text.clear();
            self.text_read = 0;
            if !self.data.is_empty() {
                let count = self.data.len().min(buffer.remaining());
                buffer.put_slice(&self.data[..count]);
                self.data.advance(count);
                // The client may send as much again, now that this went on.
                self.body.flow_control().release_capacity(count).map_err(broken)?;
                if self.data.is_empty() && self.framing == Framing::Chunked {
                    self.text.extend_from_slice(b"\r\n");
                }
                continue;
            }
            if self.ended {
                break;
            }
            match self.poll_more(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending if buffer.filled().len() > before => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for more of the body.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.payload_ended {
            match ready!(self.body.poll_data(cx)) {
                Some(data) => {
                    self.data = data.map_err(broken)?;
                    if self.framing == Framing::Chunked && !self.data.is_empty() {
                        let line = format!("{:x}\r\n", self.data.len());
                        self.text.extend_from_slice(line.as_bytes());
                    }
                    return Poll::Ready(Ok(()));
                }
                None => self.payload_ended = true,
            }
        }
        if self.framing == Framing::Chunked {
            let trailers = ready!(self.body.poll_trailers(cx)).map_err(broken)?;
            self.text.extend_from_slice(b"0\r\n");
            if let Some(trailers) = trailers {
                head::write_trailers(&trailers, &mut self.text);
            }
            self.text.extend_from_slice(b"\r\n");
        }
        self.ended = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outbound = &mut self.get_mut().outbound;
        ready!(outbound.poll_waiting(cx))?;
        outbound.poll_take(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().outbound.poll_waiting(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nobody reads what the client still sends; once the answer is whole it is told so.
        this.inbound.ended = true;
        ready!(this.outbound.poll_waiting(cx))?;
        if matches!(this.outbound.stage, Stage::Open) {
            this.outbound.stage = Stage::Ending(None);
            ready!(this.outbound.poll_waiting(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        false
    }
}

impl Outbound {
    fn poll_take(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        while matches!(self.stage, Stage::Head) && taken < bytes.len() {
            taken += self.take_head(&bytes[taken..])?;
        }
        if taken == bytes.len() {
            return Poll::Ready(Ok(taken));
        }
        let took = match self.poll_take_body(cx, &bytes[taken..]) {
            Poll::Ready(took) => took?,
            Poll::Pending if taken > 0 => 0,
            Poll::Pending => return Poll::Pending,
        };
        Poll::Ready(Ok(taken + took))
    }

    /// Takes a head, or a part of one.
    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let known = self.head.len();
        let from = known.saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let Some(at) = memchr::memmem::find(&self.head[from..], b"\r\n\r\n") else {
            return Ok(bytes.len());
        };
        let end = from + at + 4;
        self.head.truncate(end);
        let head = Bytes::from(std::mem::take(&mut self.head));
        let (mut response, body) = head::read_response(&head).ok_or(io::ErrorKind::InvalidData)?;
        let status = response.status();
        if status == http::StatusCode::SWITCHING_PROTOCOLS && self.tunnel {
            *response.status_mut() = http::StatusCode::OK;
            response.headers_mut().remove("sec-websocket-accept");
            self.respond(response, Stage::Open)?;
        } else if status.is_informational() {
            self.respond.send_informational(response).map_err(broken)?;
        } else {
            let is_bodiless =
                self.answers_head || matches!(status, http::StatusCode::NO_CONTENT | http::StatusCode::NOT_MODIFIED);
            self.respond(
                response,
                match body {
                    _ if is_bodiless => Stage::Done,
                    Body::Length(0) => Stage::Done,
                    Body::Length(length) => Stage::Length(length),
                    Body::Chunked => Stage::Chunked(ChunkScan::new()),
                    Body::UntilClose => Stage::Open,
                },
            )?;
        }
        Ok(end - known)
    }

    fn respond(&mut self, response: http::Response<()>, next: Stage) -> io::Result<()> {
        let ends = matches!(next, Stage::Done);
        self.send = Some(self.respond.send_response(response, ends).map_err(broken)?);
        self.stage = next;
        Ok(())
    }

    fn poll_take_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let took = match &mut self.stage {
            Stage::Length(rest) => {
                let wanted = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len());
                let send = self.send.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
                let count = ready!(poll_room(send, cx, wanted))?;
                *rest -= count as u64;
                let ends = *rest == 0;
                send.send_data(Bytes::copy_from_slice(&bytes[..count]), ends)
                    .map_err(broken)?;
                if ends {
                    self.stage = Stage::Done;
                }
                count
            }
            Stage::Open => {
                let send = self.send.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
                let count = ready!(poll_room(send, cx, bytes.len()))?;
                send.send_data(Bytes::copy_from_slice(&bytes[..count]), false)
                    .map_err(broken)?;
                count
            }
            Stage::Chunked(scan) => {
                let mut payload = Vec::with_capacity(bytes.len());
                let fed = scan
                    .feed(bytes, |data| payload.extend_from_slice(data))
                    .map_err(|_| io::ErrorKind::InvalidData)?;
                if scan.is_done() {
                    let trailers = head::read_trailers(scan.trailers()).ok_or(io::ErrorKind::InvalidData)?;
                    self.stage = Stage::Ending((!trailers.is_empty()).then_some(trailers));
                }
                self.waiting = Bytes::from(payload);
                // Whatever does not fit yet is handed on when there is room.
                if let Poll::Ready(Err(error)) = self.poll_waiting(cx) {
                    return Poll::Ready(Err(error));
                }
                fed.consumed
            }
            _ => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        Poll::Ready(Ok(took))
    }

    /// Hands on what waits; ready once nothing does.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(send) = &mut self.send else {
            return Poll::Ready(Ok(()));
        };
        while !self.waiting.is_empty() {
            let count = ready!(poll_room(send, cx, self.waiting.len()))?;
            let data = self.waiting.split_to(count);
            let ends = self.waiting.is_empty() && matches!(self.stage, Stage::Ending(None));
            send.send_data(data, ends).map_err(broken)?;
            if ends {
                self.stage = Stage::Done;
            }
        }
        if let Stage::Ending(trailers) = &mut self.stage {
            match trailers.take() {
                Some(trailers) => send.send_trailers(trailers).map_err(broken)?,
                None => send.send_data(Bytes::new(), true).map_err(broken)?,
            }
            self.stage = Stage::Done;
        }
        Poll::Ready(Ok(()))
    }
}

/// How many of the wanted bytes the client's windows and our buffers have room for; at least one.
fn poll_room(send: &mut SendStream<Bytes>, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
    send.reserve_capacity(wanted);
    loop {
        let room = send.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room.min(wanted)));
        }
        match ready!(send.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

fn broken(error: h2::Error) -> io::Error {
    error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
}
