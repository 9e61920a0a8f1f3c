//! Clients that each send request after request on one connection, and write down what became of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients under way.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<usize, String>>>,
}

impl Clients {
    /// So many clients of the path at this port.
    pub(super) fn start(count: usize, port: u16, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = || {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || ask_until(&stop, port, path))
        };
        let threads = (0..count).map(|_| client()).collect();
        Self { stop, threads }
    }

    /// Stops them. Fails if a connection was dropped or a request not answered with 200; otherwise, how many requests there were.
    #[track_caller]
    pub(super) fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let ended: Vec<_> = self
            .threads
            .into_iter()
            .map(|thread| thread.join().expect("a client does not panic"))
            .collect();
        ended
            .into_iter()
            .map(|ended| ended.unwrap_or_else(|why| panic!("{why}")))
            .sum()
    }
}

fn ask_until(stop: &AtomicBool, port: u16, path: &str) -> Result<usize, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
    let mut reader = BufReader::new(stream.try_clone().map_err(failed)?);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").map_err(failed)?;
        answer(&mut reader).map_err(|why| format!("request {count} of a connection: {why}"))?;
        count += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(count)
}

/// Reads an answer that must be good and keep the connection.
fn answer(reader: &mut BufReader<TcpStream>) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut length = None;
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).map_err(failed)? == 0 {
            return Err("the connection was closed".to_owned());
        }
        let line = head[before..].trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.ok_or_else(|| format!("an answer of unknown length: {head}"))?];
    reader.read_exact(&mut body).map_err(failed)?;
    let closes = head.to_ascii_lowercase().contains("connection: close");
    if head.starts_with("HTTP/1.1 200") && !closes {
        Ok(())
    } else {
        Err(format!("{head}{}", String::from_utf8_lossy(&body)))
    }
}
