//! The smallest server that a load balancer can be measured with: `answer ADDRESS [BYTES]` answers each request head with
//! that many bytes (100 if not given), in one write.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("the address is missing")?;
    let bytes: usize = arguments.next().map_or(Ok(100), |text| text.parse())?;
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
                tokio::spawn(serve(stream, Arc::clone(&answer)));
            }
        }
        let listener = TcpListener::bind(&address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, Arc::clone(&answer)));
        }
    })
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Arc<[u8]>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        } else if filled == buffer.len() {
            return;
        }
    }
}
