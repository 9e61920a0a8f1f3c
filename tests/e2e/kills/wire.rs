//! A plain HTTP client over one kept connection, which tells apart what a library would hide: that nobody took the connection,
//! that it was already closed, and that it broke after a request was on its way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Longer than anything that a cluster may take over one request.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection to the load balancer, made when it is needed.
#[derive(Debug)]
pub(super) struct Wire {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

/// What became of one request.
#[derive(Debug)]
pub(super) enum Exchange {
    /// An answer came.
    Answer(Answer),
    /// Nobody took the connection.
    NotConnected(io::Error),
    /// The connection broke after the request, or a part of it, was sent.
    Lost(io::Error),
}

/// An answer, as far as the test looks at it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// What `X-Tenon-Outcome` says; empty without one.
    pub(super) outcome: String,
    pub(super) body: String,
    closes: bool,
}

impl Wire {
    pub(super) fn new(port: u16) -> Self {
        Self {
            address: format!("127.0.0.1:{port}"),
            stream: None,
        }
    }

    /// Sends a request and reads its answer.
    pub(super) fn exchange(&mut self, method: &str, path: &str, body: &str) -> Exchange {
        let kept = self.stream.take().filter(is_open);
        let connected = kept.map_or_else(|| self.connect(), Ok);
        let mut stream = match connected {
            Ok(stream) => stream,
            Err(error) => return Exchange::NotConnected(error),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let sent = stream.get_mut().write_all(request.as_bytes());
        match sent.and_then(|()| read(&mut stream)) {
            Ok(answer) => {
                if !answer.closes {
                    self.stream = Some(stream);
                }
                Exchange::Answer(answer)
            }
            Err(error) => Exchange::Lost(error),
        }
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(BufReader::new(stream))
    }
}

/// Whether the other side has not closed a connection that is between two requests.
fn is_open(stream: &BufReader<TcpStream>) -> bool {
    let stream = stream.get_ref();
    let look = || {
        stream.set_nonblocking(true)?;
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        seen
    };
    look().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let mut answer = Answer::default();
    let first = read_line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    answer.status = status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
    let mut length = 0;
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "x-tenon-outcome" => value.clone_into(&mut answer.outcome),
            "connection" => answer.closes = value.eq_ignore_ascii_case("close"),
            "transfer-encoding" => return Err(io::Error::other("the test's services answer with a length")),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
