//! Steady GET and POST requests over kept connections to many addresses at once, and how each of them ended.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

/// Longer than anything that a request may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a client sends again what was not done.
const REPEATS_MAX: u32 = 500;

/// What a client waits between two requests.
const PAUSE: Duration = Duration::from_millis(8);

/// How requests to one address ended.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// Answered, by what the service says of where it runs.
    pub(crate) answered: BTreeMap<String, u64>,
    /// Answered after the client had sent it again, because it was told that nothing was done.
    pub(crate) repeated: u64,
    /// POSTs that were on their way to what died.
    pub(crate) unknown: u64,
    /// Anything else, in words.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    pub(crate) fn answered_by(&self, place: &str) -> u64 {
        self.answered.get(place).copied().unwrap_or_default()
    }
}

/// Requests that go on until they are stopped.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    next_id: AtomicU64,
    tallies: Mutex<BTreeMap<String, Tally>>,
}

impl Traffic {
    /// Starts, for each named port, two clients that GET `path` and one that POSTs to it.
    pub(crate) fn start(targets: &[(String, u16)], path: &'static str) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            next_id: AtomicU64::new(1),
            tallies: Mutex::new(
                targets
                    .iter()
                    .map(|(name, _)| (name.clone(), Tally::default()))
                    .collect(),
            ),
        });
        let mut clients = Vec::new();
        for (name, port) in targets {
            for method in ["GET", "GET", "POST"] {
                let (shared, name, port) = (Arc::clone(&shared), name.clone(), *port);
                clients.push(std::thread::spawn(move || {
                    shared.request_until_stopped(&name, port, method, path);
                }));
            }
        }
        Self { shared, clients }
    }

    /// How requests ended so far, by the name of the address.
    pub(crate) fn tallies(&self) -> BTreeMap<String, Tally> {
        self.shared.tallies.lock().expect("no client panics").clone()
    }

    /// Ends the clients, each after its answer; how all requests ended.
    pub(crate) fn stop(mut self) -> BTreeMap<String, Tally> {
        self.end();
        self.tallies()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("no client panics");
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn request_until_stopped(&self, name: &str, port: u16, method: &str, path: &str) {
        let mut connection = None;
        while !self.stop.load(Ordering::SeqCst) {
            let id = format!("{name}-{}", self.next_id.fetch_add(1, Ordering::SeqCst));
            let mut repeats = 0;
            let sent = loop {
                match exchange(&mut connection, port, method, path, &id) {
                    Ok(answer) if answer.is_repeatable() && repeats < REPEATS_MAX => {
                        repeats += 1;
                        std::thread::sleep(PAUSE * 5);
                    }
                    other => break other,
                }
            };
            let mut tallies = self.tallies.lock().expect("no client panics");
            let tally = tallies.get_mut(name).expect("every target has a tally");
            tally.repeated += u64::from(repeats > 0);
            match sent {
                Ok(Answer { status: 200, body, .. }) => match body.split_once(' ') {
                    Some((place, echoed)) if echoed.trim() == id => {
                        *tally.answered.entry(place.to_owned()).or_default() += 1;
                    }
                    _ => tally.failed.push(format!("{method} {id}: a wrong answer: {body:?}")),
                },
                // A proxy can't know whether what it had sent was done, and doing it again could do it twice.
                Ok(Answer { status: 502 | 504, .. }) if method == "POST" => tally.unknown += 1,
                Ok(answer) => tally.failed.push(format!("{method} {id}: {answer:?}")),
                Err(error) if method == "POST" && is_cut(&error) => tally.unknown += 1,
                Err(error) => tally.failed.push(format!("{method} {id}: {error}")),
            }
            drop(tallies);
            std::thread::sleep(PAUSE);
        }
    }
}

/// An answer, as far as a test looks at it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// What `X-Tenon-Outcome` says; empty without one.
    outcome: String,
}

impl Answer {
    /// Whether it says that nothing was done with the request.
    fn is_repeatable(&self) -> bool {
        self.status == 503 && matches!(self.outcome.as_str(), "not-sent" | "not-run")
    }
}

/// Whether a connection ended with a request on its way.
fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    port: u16,
    method: &str,
    path: &str,
    id: &str,
) -> io::Result<Answer> {
    let mut stream = match connection.take().filter(is_open) {
        Some(stream) => stream,
        None => connect_from(Ipv4Addr::LOCALHOST, port)?,
    };
    let body = if method == "POST" {
        format!("\"{id}\"")
    } else {
        String::new()
    };
    let length = body.len();
    let head = format!(
        "{method} {path}?id={id} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.get_mut().write_all((head + &body).as_bytes())?;
    let (answer, keeps) = read(&mut stream)?;
    *connection = keeps.then_some(stream);
    Ok(answer)
}

/// One request from this loopback address on a connection of its own; the fields end with CRLF each.
pub(crate) fn ask_from(source: Ipv4Addr, port: u16, path: &str, fields: &str) -> io::Result<Answer> {
    let mut stream = connect_from(source, port)?;
    let head = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{fields}\r\n");
    stream.get_mut().write_all(head.as_bytes())?;
    read(&mut stream).map(|(answer, _)| answer)
}

fn connect_from(source: Ipv4Addr, port: u16) -> io::Result<BufReader<TcpStream>> {
    let handle = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&handle, &SocketAddr::V4(SocketAddrV4::new(source, 0)))?;
    connect(&handle, &SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
    let stream = TcpStream::from(handle);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
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

fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(Answer, bool)> {
    let first = line(stream)?;
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no status line: {first:?}")))?;
    let (mut length, mut chunked, mut keeps) = (0, false, true);
    let mut outcome = String::new();
    loop {
        let line = line(stream)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(io::Error::other)?,
            "transfer-encoding" => chunked = true,
            "x-tenon-outcome" => value.clone_into(&mut outcome),
            "connection" => keeps = !value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        loop {
            let size = usize::from_str_radix(&line(stream)?, 16).map_err(io::Error::other)?;
            let mut chunk = vec![0; size];
            stream.read_exact(&mut chunk)?;
            line(stream)?;
            if size == 0 {
                break;
            }
            body.extend(chunk);
        }
    } else {
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    let answer = Answer { status, body, outcome };
    Ok((answer, keeps))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}
