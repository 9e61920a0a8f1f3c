//! Clients that are slow on purpose, and when they are cut off.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What a client is slow with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowness {
    /// Connects and says nothing.
    Silent,
    /// Sends a header field every half second, for ever.
    Head,
    /// Sends a byte of a body every half second.
    Body,
    /// Sends a chunk of one byte every half second.
    Chunks,
    /// Asks for a large answer and reads nothing of it.
    Reader,
    /// Sends nothing more after its first answer.
    Idle,
}

impl Slowness {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Silent,
        Self::Head,
        Self::Body,
        Self::Chunks,
        Self::Reader,
        Self::Idle,
    ];

    /// What a table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "connects, sends nothing",
            Self::Head => "a header field every 0.5 s",
            Self::Body => "a byte of a body every 0.5 s",
            Self::Chunks => "a chunk of one byte every 0.5 s",
            Self::Reader => "asks for 64 MB, reads nothing",
            Self::Idle => "nothing after the first answer",
        }
    }

    const fn opening(self) -> &'static str {
        match self {
            Self::Silent => "",
            Self::Head => "GET / HTTP/1.1\r\nHost: t\r\n",
            Self::Body => "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n",
            Self::Chunks => "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
            Self::Reader => "GET /large HTTP/1.1\r\nHost: t\r\n\r\n",
            Self::Idle => "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        }
    }

    const fn drip(self) -> &'static str {
        match self {
            Self::Head => "X-Slow: 1\r\n",
            Self::Body => "x",
            Self::Chunks => "1\r\nx\r\n",
            Self::Silent | Self::Reader | Self::Idle => "",
        }
    }
}

/// How it ended for a slow client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its connection was closed after this time, with this status if one was sent.
    Cut(Duration, Option<u16>),
    /// It was still connected when the time was over.
    Open,
}

impl Ending {
    /// What a table says of it.
    pub fn show(&self) -> String {
        match self {
            Self::Cut(after, Some(status)) => format!("{status} after {:.0} s", after.as_secs_f32()),
            Self::Cut(after, None) => format!("cut after {:.0} s", after.as_secs_f32()),
            Self::Open => "still open".to_owned(),
        }
    }
}

/// Is such a client of the load balancer on this port, for so long at most.
///
/// # Panics
///
/// If nobody listens.
pub fn watch(port: u16, slowness: Slowness, patience: Duration) -> Ending {
    const PAUSE: Duration = Duration::from_millis(500);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap_or_else(|error| panic!("nobody listens: {error}"));
    let started = Instant::now();
    let mut status = None;
    let mut sent = stream.write_all(slowness.opening().as_bytes());
    while started.elapsed() < patience {
        if slowness == Slowness::Reader {
            std::thread::sleep(PAUSE);
            if is_closed_there(&stream) {
                return Ending::Cut(started.elapsed(), None);
            }
            continue;
        }
        let mut buffer = [0; 4096];
        match stream
            .set_read_timeout(Some(PAUSE))
            .and_then(|()| stream.read(&mut buffer))
        {
            Ok(0) => return Ending::Cut(started.elapsed(), status),
            Ok(count) => {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let found = text.split(' ').nth(1).and_then(|status| status.parse().ok());
                status = found.filter(|status| *status >= 400);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                sent = stream.write_all(slowness.drip().as_bytes());
            }
            Err(_) => return Ending::Cut(started.elapsed(), status),
        }
        if sent.is_err() {
            return Ending::Cut(started.elapsed(), status);
        }
    }
    Ending::Open
}

/// Whether the other side has closed the connection, though there is more to read: the system knows of both ends.
fn is_closed_there(stream: &TcpStream) -> bool {
    let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else {
        return true;
    };
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let (from, to) = (format!(":{:04X}", theirs.port()), format!(":{:04X}", ours.port()));
    let state = table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().skip(1).take(3).collect();
        (fields.len() == 3 && fields[0].ends_with(&from) && fields[1].ends_with(&to)).then(|| fields[2].to_owned())
    });
    // 01 is established.
    state.as_deref() != Some("01")
}
