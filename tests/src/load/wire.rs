//! HTTP/1.1 over one connection, which tells apart what a library would hide: that nobody took the connection, that nothing was
//! sent on it, that it broke after a request was on its way, and that it broke in the middle of the answer.

use std::io;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;

use super::kind::Pace;
use super::request::Request;
use super::stream::Stream;
use super::verdict::{Outcome, Seen, Sent};

/// What a client reads at once, and waits before, if it reads slowly.
const SIP_BYTES: usize = 8_192;
const SIP_PAUSE: Duration = Duration::from_millis(50);

/// The receive buffer of a slow reader, so that the other side notices that it is slow.
const SLOW_RECEIVE_BYTES: u32 = 8_192;

/// A connection to the load balancer.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<Stream>,
}

/// An answer, as far as it is looked at.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    outcome: String,
    cid: String,
    length: Option<usize>,
    is_chunked: bool,
    closes: bool,
}

/// What came of a request on a connection.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) seen: Seen,
    pub(super) cid: String,
    /// Whether another request can be sent.
    pub(super) reusable: bool,
}

/// A TCP connection to a port on the loopback address.
pub(super) async fn connect_tcp(port: u16, reads_slowly: bool) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if reads_slowly {
        socket.set_recv_buffer_size(SLOW_RECEIVE_BYTES)?;
    }
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Whether the other side has neither closed nor said anything between two requests.
    pub(super) fn is_open(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let seen = recv(self.stream.get_ref().tcp(), &mut [0_u8; 1][..], flags);
        matches!(seen, Err(rustix::io::Errno::AGAIN))
    }

    /// Sends a request and reads its answer.
    pub(super) async fn exchange(&mut self, request: &Request) -> Exchanged {
        let mut sent = Sent::Nothing;
        // Whoever refuses a request may answer and close before all of it was sent.
        let writing = self.send(request, &mut sent).await;
        let mut head = Head::default();
        match self.receive(request, &mut head, &mut sent).await {
            Ok(seen) => Exchanged {
                seen,
                cid: head.cid,
                reusable: !head.closes && writing.is_ok(),
            },
            Err(error) => Exchanged {
                seen: Seen::Lost(sent, writing.err().unwrap_or(error).to_string()),
                cid: head.cid,
                reusable: false,
            },
        }
    }

    async fn send(&mut self, request: &Request, sent: &mut Sent) -> io::Result<()> {
        for piece in request.pieces() {
            if !piece.pause.is_zero() {
                tokio::time::sleep(piece.pause).await;
            }
            let mut rest = &piece.bytes[..];
            while !rest.is_empty() {
                let count = self.stream.write(rest).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                *sent = Sent::Something;
                rest = &rest[count..];
            }
            self.stream.flush().await?;
        }
        Ok(())
    }

    async fn receive(&mut self, request: &Request, head: &mut Head, sent: &mut Sent) -> io::Result<Seen> {
        loop {
            let mut first = String::new();
            if self.stream.read_line(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *sent = Sent::AnswerBegun;
            *head = self.head(&first).await?;
            if head.status >= 200 {
                break;
            }
        }
        let body = self.body(request, head).await?;
        let wrong = if head.status == 200 { request.wrong(&body) } else { None };
        Ok(Seen::Answer {
            status: head.status,
            outcome: Outcome::named(&head.outcome),
            wrong,
        })
    }

    async fn head(&mut self, first: &str) -> io::Result<Head> {
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut head = Head {
            status: status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?,
            ..Head::default()
        };
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(head);
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.parse().map_err(io::Error::other)?),
                "transfer-encoding" => head.is_chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => head.closes = value.eq_ignore_ascii_case("close"),
                "x-tenon-outcome" => value.clone_into(&mut head.outcome),
                "x-tenon-cid" => value.clone_into(&mut head.cid),
                _ => {}
            }
        }
    }

    async fn body(&mut self, request: &Request, head: &mut Head) -> io::Result<Vec<u8>> {
        if head.is_chunked {
            return self.chunks().await;
        }
        let Some(length) = head.length else {
            head.closes = true;
            let mut body = Vec::new();
            self.stream.read_to_end(&mut body).await?;
            return Ok(body);
        };
        let mut body = vec![0; length];
        if request.kind.shape().pace == Pace::Reading {
            for sip in body.chunks_mut(SIP_BYTES) {
                tokio::time::sleep(SIP_PAUSE).await;
                self.stream.read_exact(sip).await?;
            }
        } else {
            self.stream.read_exact(&mut body).await?;
        }
        Ok(body)
    }

    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            let start = body.len();
            body.resize(start + length + 2, 0);
            self.stream.read_exact(&mut body[start..]).await?;
            body.truncate(start + length);
            if length == 0 {
                return Ok(body);
            }
        }
    }
}
