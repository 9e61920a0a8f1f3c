//! A comparison with hyper's reader of heads: what we accept, hyper accepts, and reads in it what we do. The heads are those
//! below, which two readers are known to read differently, changed here and there.

use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::fields::{Connection, Field, field};
use super::{Body, Forwarding, HeadScan, Request, RequestLimits, read_request};

/// Where changes begin: heads that are good, and those that proxies have been led astray with.
const SEEDS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET /a/b%2Fc?d=e&f=%20 HTTP/1.1\r\nHost: t:81\r\nAccept: */*\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\nContent-Type: a/b\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
    "GET http://t/a?b HTTP/1.1\r\nHost: t\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD / HTTP/1.0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, x-a\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\nHost: t\n\n",
    "GET / HTTP/1.1\r\nHost : t\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: t\r\nX-\u{e9}: \u{e9}\t\u{7f}\r\n\r\n",
    "CONNECT t:1 HTTP/1.1\r\nHost: t:1\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: t\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
];

/// What is put into them.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    ":",
    ",",
    ";",
    "/",
    "?",
    "#",
    "*",
    "%",
    "\"",
    "<",
    "`",
    "\\",
    "{",
    "\u{e9}",
    "\x0b",
    "0",
    "chunked",
    "Content-Length: 4\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: u\r\n",
    "Connection: close\r\n",
    "X-A: 3\r\n",
    "X_A: 3\r\n",
    "HTTP/1.1",
    "HTTP/1.0",
    "http://t",
    "GET ",
    "Transfer-Encoding",
    "\u{a0}",
];

/// One change: where, how many bytes go, and what comes in their place.
type Change = (prop::sample::Index, usize, &'static str);

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0_usize..3, prop::sample::select(PIECES));
    let changes = prop::collection::vec(change, 0..4);
    (prop::sample::select(SEEDS), changes).prop_map(|(seed, changes): (&str, Vec<Change>)| {
        let mut head = seed.as_bytes().to_vec();
        for (at, gone, piece) in changes {
            let at = at.index(head.len() + 1);
            let end = (at + gone).min(head.len());
            head.splice(at..end, piece.bytes());
        }
        head
    })
}

/// A head as somebody reads it.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    method: String,
    path: String,
    host: Vec<u8>,
    body: Body,
    /// Fields that are passed on as they are, in their order.
    fields: Vec<(String, Vec<u8>)>,
}

fn read_by_us(bytes: &[u8]) -> Option<(Reading, Vec<u8>)> {
    let mut scan = HeadScan::default();
    let end = scan.advance(bytes, 1_000, 10_000).ok()??;
    let head = &bytes[scan.skipped()..end];
    let limits = RequestLimits {
        headers_max: 50,
        body_bytes_max: u64::MAX,
    };
    let forwarding = Forwarding {
        peer: "127.0.0.1",
        peer_node: "127.0.0.1",
        scheme: "http",
        certificate: None,
        trusted: false,
        networks: &[],
        cid: "c",
        own_host: "own",
        new_trace: None,
    };
    let mut written = Vec::new();
    let request: Request = read_request(head, limits, &forwarding, &mut written).ok()?;
    let line = std::str::from_utf8(&written[..request.line_bytes]).unwrap();
    let (method, path) = line.trim_end().split_once(' ').unwrap();
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut again = httparse::Request::new(&mut slots);
    assert!(matches!(again.parse(&written), Ok(httparse::Status::Complete(length)) if length == written.len()));
    let fields = again
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec()));
    let reading = Reading {
        method: method.to_owned(),
        path: path.to_owned(),
        host: Vec::new(),
        body: match request.body {
            Body::Length(0) => Body::None,
            body => body,
        },
        fields: Vec::new(),
    };
    let fields: Vec<_> = fields.collect();
    Some((with_fields(reading, &fields), head.to_vec()))
}

/// What hyper's server reads, or nothing if it refuses.
async fn read_by_hyper(head: &[u8]) -> Option<Reading> {
    use hyper::body::Body as _;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let fields = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
        let reading = Reading {
            method: request.method().to_string(),
            path: request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            host: Vec::new(),
            body: match request.body().size_hint().exact() {
                Some(0) => Body::None,
                Some(length) => Body::Length(length),
                None => Body::Chunked,
            },
            fields: Vec::new(),
        };
        let fields: Vec<_> = fields.collect();
        sender.send(with_fields(reading, &fields)).unwrap();
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
    seen.try_recv().ok()
}

/// The host, and the fields that mean nothing to a proxy.
fn with_fields(mut reading: Reading, all: &[(String, Vec<u8>)]) -> Reading {
    let mut connection = Connection::default();
    for (_, value) in all
        .iter()
        .filter(|(name, _)| field(name.as_bytes()) == Field::Connection)
    {
        assert!(connection.read(value));
    }
    reading.host = all
        .iter()
        .find(|(name, _)| name == "host")
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    reading.fields = all
        .iter()
        .filter(|(name, _)| field(name.as_bytes()) == Field::Other && !connection.names(name.as_bytes()))
        .cloned()
        .collect();
    reading
}

#[test]
fn what_we_accept_hyper_accepts_and_reads_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let accepted = std::cell::Cell::new(0);
    let compare = |head: Vec<u8>| {
        let Some((mut ours, head)) = read_by_us(&head) else {
            return Ok(());
        };
        accepted.set(accepted.get() + 1);
        let Some(mut theirs) = runtime.block_on(read_by_hyper(&head)) else {
            return Err(TestCaseError::fail(format!("hyper refuses {}", head.escape_ascii())));
        };
        // A host that HTTP/1.0 left out is put in by us.
        if theirs.host.is_empty() {
            ours.host.clear();
        }
        // The order of names that differ means nothing; hyper keeps fields of one name together.
        ours.fields.sort_by(|a, b| a.0.cmp(&b.0));
        theirs.fields.sort_by(|a, b| a.0.cmp(&b.0));
        if ours == theirs {
            Ok(())
        } else {
            Err(TestCaseError::fail(format!(
                "{}: {ours:?} and {theirs:?}",
                head.escape_ascii()
            )))
        }
    };
    for seed in SEEDS {
        compare(seed.as_bytes().to_vec()).unwrap();
    }
    let config = Config {
        cases: 20_000,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config).run(&heads(), compare).unwrap();
    assert!(accepted.get() > 1_000, "they must not all be refused: {accepted:?}");
}
