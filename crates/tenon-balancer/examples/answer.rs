//! The smallest server that a load balancer can be measured with: `answer ADDRESS [BYTES [MILLISECONDS]]` answers each request
//! with that many bytes (100 if not given), in one write, after that long (at once if not given).

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("the address is missing")?;
    let bytes: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let delay = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let delay = Duration::from_millis(delay);
    let answer: Arc<[u8]> = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n{}",
        "x".repeat(bytes)
    )
    .into_bytes()
    .into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if address.starts_with('/') {
            // A socket left over from the last time; if it can't be removed, binding says why.
            let _ = std::fs::remove_file(&address);
            let listener = UnixListener::bind(&address)?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, Arc::clone(&answer), delay));
            }
        }
        let listener = TcpListener::bind(&address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, Arc::clone(&answer), delay));
        }
    })
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Arc<[u8]>, delay: Duration) {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        if is_whole(&buffer[..filled]) {
            filled = 0;
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        } else if filled == buffer.len() {
            return;
        }
    }
}

/// Whether a request has come whole: a head, and with a POST the body that it announces.
fn is_whole(request: &[u8]) -> bool {
    if !request.starts_with(b"POST") {
        return request.ends_with(b"\r\n\r\n");
    }
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let announced = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= announced.unwrap_or(0)
}
