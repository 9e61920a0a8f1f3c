//! The codec on its own: splits of any kind, and a comparison with another reader of heads.

use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

use super::{Body, ChunkScan, Forwarding, HeadScan, Refusal, Request, RequestLimits, read_request};

fn forwarding() -> Forwarding<'static> {
    Forwarding {
        peer: "127.0.0.1",
        peer_node: "127.0.0.1",
        scheme: "http",
        certificate: None,
        trusted: false,
        networks: &[],
        cid: "c",
        own_host: "own",
        new_trace: None,
    }
}

/// Finds and reads a head in bytes that come in pieces.
fn read_in_pieces(bytes: &[u8], pieces: &[usize]) -> Result<Option<(Request, Vec<u8>)>, Refusal> {
    let mut scan = HeadScan::default();
    let limits = RequestLimits {
        headers_max: 20,
        body_bytes_max: 1000,
    };
    for end in pieces.iter().copied().chain([bytes.len()]) {
        if let Some(end) = scan.advance(&bytes[..end], 60, 200)? {
            let mut out = Vec::new();
            let request = read_request(&bytes[scan.skipped()..end], limits, &forwarding(), &mut out)?;
            return Ok(Some((request, out)));
        }
    }
    Ok(None)
}

/// Texts that are nearly requests: the pieces that matter in any order.
fn nearly_requests() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "Host: t\r\n",
        "host: u\r\n",
        "\r\n",
        "\n",
        "\r",
        " ",
        "Content-Length: 3\r\n",
        "Content-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X: y\r\n",
        "X : y\r\n",
        ":",
        "\0",
        "Connection: close\r\n",
        "Upgrade: websocket\r\n",
        "Expect: 100-continue\r\n",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "\u{e9}",
        "GET ",
        "/ ",
        "HTTP/1.1",
        "\t",
        "Host:t\r\n",
    ]);
    let start = prop::sample::select(vec![
        "",
        "GET / HTTP/1.1\r\nHost: t\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\n",
    ]);
    (start, prop::collection::vec(pieces, 0..10)).prop_map(|(start, pieces)| {
        let mut text = start.to_owned();
        text.push_str(&pieces.concat());
        text.into_bytes()
    })
}

proptest! {
    #[test]
    fn a_head_reads_the_same_however_it_is_split(
        text in nearly_requests(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(read_in_pieces(&text, &cuts), read_in_pieces(&text, &[]));
    }

    #[test]
    fn chunks_read_the_same_however_they_are_split(
        text in prop::collection::vec(prop::sample::select(vec![
            "0\r\n", "3\r\nabc\r\n", "a;b=c\r\n0123456789\r\n", "\r\n", "X: y\r\n", "\n", "3", "\r", "abc", "Host: t\r\n",
        ]), 0..12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let text = text.concat().into_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.sort_unstable();
        let whole = follow(&text, &[]);
        let split = follow(&text, &cuts);
        prop_assert_eq!(whole.is_err(), split.is_err());
        if let (Ok(whole), Ok(split)) = (whole, split) {
            prop_assert_eq!((whole.done, whole.consumed, &whole.payload), (split.done, split.consumed, &split.payload));
            prop_assert!(!whole.done || (whole.passed == text[..whole.consumed] && split.passed == whole.passed));
        }
    }

    #[test]
    fn what_is_written_for_a_server_reads_as_the_same_request(text in nearly_requests()) {
        if let Ok(Some((request, out))) = read_in_pieces(&text, &[]) {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut again = httparse::Request::new(&mut fields);
            prop_assert!(matches!(again.parse(&out), Ok(httparse::Status::Complete(length)) if length == out.len()));
            let count = |name: &str| again.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).count();
            prop_assert_eq!(count("host"), 1);
            prop_assert_eq!(count("content-length"), usize::from(matches!(request.body, Body::Length(_))));
            prop_assert_eq!(count("transfer-encoding"), usize::from(request.body == Body::Chunked));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Followed {
    passed: Vec<u8>,
    payload: Vec<u8>,
    consumed: usize,
    done: bool,
}

fn follow(text: &[u8], cuts: &[usize]) -> Result<Followed, Refusal> {
    let mut scan = ChunkScan::new();
    let mut followed = Followed {
        passed: Vec::new(),
        payload: Vec::new(),
        consumed: 0,
        done: false,
    };
    for end in cuts.iter().copied().chain([text.len()]) {
        let input = &text[followed.consumed..end.max(followed.consumed)];
        let fed = scan.feed(input, |data| followed.payload.extend_from_slice(data))?;
        followed.passed.extend_from_slice(&input[..fed.pass]);
        followed.passed.extend_from_slice(&scan.take_held());
        followed.consumed += fed.consumed;
    }
    followed.done = scan.is_done();
    Ok(followed)
}

/// What hyper's server reads from a head: method, target and field lines, or nothing if it refuses.
async fn read_by_hyper(head: &[u8]) -> Option<(String, Vec<(String, String)>)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let record = std::sync::Arc::clone(&seen);
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let fields = request.headers().iter().map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        });
        let line = format!("{} {}", request.method(), request.uri());
        *record.lock().unwrap() = Some((line, fields.collect()));
        async { Ok::<_, std::convert::Infallible>(hyper::Response::new(http_body_util::Empty::<&[u8]>::new())) }
    });
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(server), service);
    let asking = async {
        client.write_all(head).await.unwrap();
        client.shutdown().await.unwrap();
        // Whether hyper answers or hangs up, it has read the head by then.
        let _ = client.read_to_end(&mut Vec::new()).await;
    };
    let _ = tokio::join!(serving, asking);
    seen.lock().unwrap().take()
}

#[test]
fn hyper_reads_what_we_write_as_we_meant_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let accepted = std::cell::Cell::new(0);
    let config = proptest::test_runner::Config {
        cases: 5_000,
        failure_persistence: None,
        ..Default::default()
    };
    proptest::test_runner::TestRunner::new(config)
        .run(&nearly_requests(), |text| {
            let Ok(Some((request, out))) = read_in_pieces(&text, &[]) else {
                return Ok(());
            };
            accepted.set(accepted.get() + 1);
            let read = runtime.block_on(read_by_hyper(&out));
            let Some((line, fields)) = read else {
                return Err(proptest::test_runner::TestCaseError::fail(
                    "hyper refuses what we accept",
                ));
            };
            prop_assert_eq!(line.as_bytes(), out[..request.line_bytes].trim_ascii_end());
            let values = |wanted: &str| -> Vec<&str> {
                fields
                    .iter()
                    .filter(|(name, _)| name == wanted)
                    .map(|(_, value)| value.as_str())
                    .collect()
            };
            let (length, coding) = match request.body {
                Body::None => (vec![], vec![]),
                Body::Length(length) => (vec![length.to_string()], vec![]),
                Body::Chunked => (vec![], vec!["chunked"]),
            };
            prop_assert_eq!(values("content-length"), length);
            prop_assert_eq!(values("transfer-encoding"), coding);
            prop_assert_eq!(values("host").len(), 1);
            Ok(())
        })
        .unwrap();
    assert!(accepted.get() > 20, "the texts must not all be refused: {accepted:?}");
}
