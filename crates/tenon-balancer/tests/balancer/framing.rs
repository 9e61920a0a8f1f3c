//! What two readers could read differently never reaches a server.

use crate::harness::{Cluster, settings, status};

const CASES: &[(&str, u16, &str)] = &[
    (
        "length and chunks",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks and length",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        "length twice, same",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    (
        "length twice, different",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    (
        "length list",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3, 3\r\n\r\nabc",
    ),
    (
        "length with plus",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +3\r\n\r\nabc",
    ),
    (
        "length in hexadecimal",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0x3\r\n\r\nabc",
    ),
    (
        "length negative",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: -3\r\n\r\nabc",
    ),
    (
        "length empty",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\nabc",
    ),
    (
        "length beyond 64 bits",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    ),
    ("folded line", 400, "GET / HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n 2\r\n\r\n"),
    (
        "folded line with tab",
        400,
        "GET / HTTP/1.1\r\nHost: t\r\nX-A: 1\r\n\t2\r\n\r\n",
    ),
    ("folded first line", 400, "GET / HTTP/1.1\r\n Host: t\r\n\r\n"),
    ("bare LF everywhere", 400, "GET / HTTP/1.1\nHost: t\n\n"),
    ("bare LF in one line", 400, "GET / HTTP/1.1\r\nHost: t\nX-A: 1\r\n\r\n"),
    ("bare LF at the end", 400, "GET / HTTP/1.1\r\nHost: t\r\n\n"),
    (
        "bare CR in a value",
        400,
        "GET / HTTP/1.1\r\nHost: t\r\nX-A: 1\r2\r\n\r\n",
    ),
    (
        "bare CR in the request line",
        400,
        "GET /\r HTTP/1.1\r\nHost: t\r\n\r\n",
    ),
    (
        "NUL in a value",
        400,
        "GET / HTTP/1.1\r\nHost: t\r\nX-A: 1\x002\r\n\r\n",
    ),
    ("NUL in the target", 400, "GET /\0 HTTP/1.1\r\nHost: t\r\n\r\n"),
    (
        "space before colon",
        400,
        "GET / HTTP/1.1\r\nHost: t\r\nX-A : 1\r\n\r\n",
    ),
    (
        "space before colon of a length",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nContent-Length : 3\r\n\r\nabc",
    ),
    ("no name", 400, "GET / HTTP/1.1\r\nHost: t\r\n: 1\r\n\r\n"),
    ("no colon", 400, "GET / HTTP/1.1\r\nHost: t\r\nX-A\r\n\r\n"),
    (
        "xchunked",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked, identity",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "gzip, chunked",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "identity",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: identity\r\n\r\n",
    ),
    (
        "chunked twice",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked quoted",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    ),
    (
        "vertical tab before chunked",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunks on HTTP/1.0",
        400,
        "POST / HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("no Host", 400, "GET / HTTP/1.1\r\nX-A: 1\r\n\r\n"),
    ("two Hosts", 400, "GET / HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\n"),
    ("Host with a space", 400, "GET / HTTP/1.1\r\nHost: t u\r\n\r\n"),
    ("Host with a path", 400, "GET / HTTP/1.1\r\nHost: t/a\r\n\r\n"),
    ("Host with a user", 400, "GET / HTTP/1.1\r\nHost: a@t\r\n\r\n"),
    (
        "Host other than the target",
        400,
        "GET http://u/ HTTP/1.1\r\nHost: t\r\n\r\n",
    ),
    ("CONNECT", 400, "CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n"),
    (
        "Connection names Host",
        400,
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: host\r\n\r\n",
    ),
    (
        "Connection names Content-Length",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc",
    ),
    ("target without slash", 400, "GET a HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("target with a fragment", 400, "GET /#a HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("star for GET", 400, "GET * HTTP/1.1\r\nHost: t\r\n\r\n"),
    ("two spaces", 400, "GET  / HTTP/1.1\r\nHost: t\r\n\r\n"),
    (
        "space at the end of the line",
        400,
        "GET / HTTP/1.1 \r\nHost: t\r\n\r\n",
    ),
    (
        "two empty lines first",
        400,
        "\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
    ),
    ("not HTTP", 400, "\x16\x03\x01\x02\x00"),
    ("HTTP/0.9", 400, "GET /\r\n\r\n"),
    ("HTTP/2.0", 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("HTTP/1.2", 505, "GET / HTTP/1.2\r\nHost: t\r\n\r\n"),
    (
        "another expectation",
        417,
        "POST / HTTP/1.1\r\nHost: t\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na",
    ),
    (
        "an endless method",
        501,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\nHost: t\r\n\r\n",
    ),
    (
        "chunk line ends with LF",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk ends with LF",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n",
    ),
    (
        "LF in a chunk extension",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "CR in a chunk extension",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5;a\rb\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk longer than its size",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk size with 0x",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk size with a space",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk size negative",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk size empty",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "chunk size too long",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ),
    (
        "trailer that frames",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    (
        "trailer with LF",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\n\r\n",
    ),
    (
        "trailer that folds",
        400,
        "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: 1\r\n b\r\n\r\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_framing_is_refused_before_a_server_sees_it() {
    let cluster = Cluster::start(1, settings()).await;
    for (name, expected, request) in CASES {
        let answer = cluster.raw(request).await;
        assert_eq!(status(&answer), *expected, "{name}: {answer:?}");
        assert!(
            answer.contains("application/problem+json") && answer.contains("connection: close"),
            "{name}: {answer}"
        );
        assert_eq!(
            answer.matches("application/problem+json").count(),
            1,
            "{name}: {answer}"
        );
    }
    assert_eq!(cluster.seen(), 0, "{:?}", cluster.backends[0].behaviour.seen);
    assert_eq!(cluster.handle.status().refused, CASES.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusual_but_clear_requests_are_served() {
    let cluster = Cluster::start(1, settings()).await;
    for (name, request, answers) in [
        ("one empty line first", "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n", 1),
        ("whole URL", "GET http://t/ HTTP/1.1\r\nHost: t\r\n\r\n", 1),
        ("no Host on HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 1),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n", 1),
        (
            "unknown upgrade and a second request",
            "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n",
            2,
        ),
        ("own method", "PROPFIND / HTTP/1.1\r\nHost: t\r\n\r\n", 1),
        (
            "Chunked in capitals",
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: CHUNKED\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
            1,
        ),
        ("length 0", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n", 1),
        ("empty value", "GET / HTTP/1.1\r\nHost: t\r\nX-A:\r\n\r\n", 1),
    ] {
        let answer = cluster.raw(request).await;
        assert_eq!(answer.matches("HTTP/1.1 200").count(), answers, "{name}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_body_is_a_request_of_its_own_and_nothing_else() {
    let cluster = Cluster::start(1, settings()).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{smuggled}",
        smuggled.len()
    );
    let answer = cluster.raw(&request).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    assert_eq!(cluster.seen(), 1);
}
