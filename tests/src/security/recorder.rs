//! A server that writes down every byte of every request and answers whatever it is asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The size of the answer on `/large`.
const LARGE_BYTES: usize = 64 << 20;

/// A request as it reached the server.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Everything up to the empty line.
    pub head: Vec<u8>,
}

/// A server on a free loopback port; dropping it ends it.
#[derive(Debug)]
pub struct Recorder {
    port: u16,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Recorded>>>,
}

impl Recorder {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If no loopback port is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no port is free: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let stop = Arc::new(AtomicBool::new(false));
        let requests = Arc::<Mutex<Vec<Recorded>>>::default();
        let (stopped, recorded) = (Arc::clone(&stop), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let recorded = Arc::clone(&recorded);
                std::thread::spawn(move || serve(stream, &recorded));
            }
        });
        Self { port, stop, requests }
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// What has come since this was last asked, without requests to `/tenon/…`.
    pub fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept that waits.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Recorded {
    /// The request line.
    pub fn line(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\r' || *byte == b'\n').next();
        String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
    }

    /// What another reader could read differently.
    pub fn doubts(&self) -> Vec<&'static str> {
        let mut doubts = Vec::new();
        let head = &self.head;
        if (0..head.len()).any(|at| head[at] == b'\n' && (at == 0 || head[at - 1] != b'\r')) {
            doubts.push("bare LF");
        }
        if (0..head.len()).any(|at| head[at] == b'\r' && head.get(at + 1) != Some(&b'\n')) {
            doubts.push("bare CR");
        }
        if head.contains(&0) {
            doubts.push("NUL");
        }
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let lines: Vec<&str> = text.lines().skip(1).filter(|line| !line.is_empty()).collect();
        if lines.iter().any(|line| line.starts_with([' ', '\t'])) {
            doubts.push("folded field");
        }
        let named = |name: &str| {
            let fields = lines.iter().filter_map(|line| line.split_once(':'));
            fields
                .filter(|(found, _)| found.trim() == name)
                .map(|(_, value)| value.trim())
                .collect::<Vec<_>>()
        };
        let (lengths, encodings) = (named("content-length"), named("transfer-encoding"));
        if !lengths.is_empty() && !encodings.is_empty() {
            doubts.push("length and encoding");
        }
        if lengths.len() > 1
            || lengths
                .iter()
                .any(|value| !value.bytes().all(|byte| byte.is_ascii_digit()))
        {
            doubts.push("lengths");
        }
        if encodings.len() > 1 || encodings.iter().any(|value| *value != "chunked") {
            doubts.push("encodings");
        }
        if named("host").len() != 1 {
            doubts.push("not one host");
        }
        doubts
    }
}

fn serve(stream: TcpStream, recorded: &Mutex<Vec<Recorded>>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let head = read_head(&mut reader)?;
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let value = |name: &str| {
            let fields = text.lines().filter_map(|line| line.split_once(':'));
            fields
                .filter(|(found, _)| found.trim() == name)
                .map(|(_, value)| value.trim().to_owned())
                .next()
        };
        if !path.starts_with("/tenon/") {
            let mut all = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(Recorded { head: head.clone() });
        }
        if value("transfer-encoding").is_some() {
            read_chunks(&mut reader)?;
        } else if let Some(length) = value("content-length") {
            std::io::copy(&mut reader.by_ref().take(length.parse().ok()?), &mut std::io::sink()).ok()?;
        }
        let size = if path == "/large" { LARGE_BYTES } else { 2 };
        writer
            .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n").as_bytes())
            .ok()?;
        if !text.starts_with("head ") {
            writer.write_all(&vec![b'o'; size]).ok()?;
        }
    }
}

/// Lines until an empty one, however they end.
fn read_head(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let before = head.len();
        if reader.read_until(b'\n', &mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim_ascii().is_empty() && before > 0 {
            return Some(head);
        }
    }
}

fn read_chunks(reader: &mut impl BufRead) -> Option<()> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let size = u64::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            loop {
                line.clear();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                if line.trim().is_empty() {
                    return Some(());
                }
            }
        }
        std::io::copy(&mut reader.by_ref().take(size + 2), &mut std::io::sink()).ok()?;
    }
}
