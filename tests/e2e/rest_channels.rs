//! What REST channels do around their services: paths, formats, compression, browsers, kept answers, repeated requests.

use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Answer, Cluster, ClusterOptions, assert_problem};

const SERVICES: &str = r"
import time, uuid
from tenon import BadRequest, Service

class Echo(Service):
    name = 'rc.echo'
    def handle(self):
        request = self.request
        raw = request.raw_request
        return {'payload': request.payload, 'input': dict(request.input or {}) if isinstance(request.input, dict) else request.input,
                'raw': raw.decode() if isinstance(raw, bytes) else raw, 'method': request.http.method,
                'params': dict(request.http.params), 'format': self.channel.data_format, 'post': dict(request.http.POST)}

class Rows(Service):
    name = 'rc.rows'
    def handle(self):
        return [{'name': 'Anna', 'note': 'a,b'}, {'name': 'Bo', 'note': None}]

class Unique(Service):
    name = 'rc.unique'
    def handle(self):
        return {'id': uuid.uuid4().hex}

class Slow(Service):
    name = 'rc.slow'
    def handle(self):
        time.sleep(1)
        return {'id': uuid.uuid4().hex}

class Verbs(Service):
    name = 'rc.verbs'
    def handle_GET(self):
        return {'verb': 'get'}
    def handle_POST(self):
        return {'verb': 'post'}

class Large(Service):
    name = 'rc.large'
    def handle(self):
        return {'items': ['item %d' % number for number in range(500)]}

class Measures(Service):
    name = 'rc.measures'
    streams = True
    def handle(self):
        length, last = 0, b''
        for piece in self.request.stream:
            length += len(piece)
            last = piece
        return {'length': length, 'last': last[-4:].decode()}

class Pours(Service):
    name = 'rc.pours'
    def handle(self):
        self.response.content_type = 'text/plain'
        self.response.payload = (b'%06d ' % number * 10_000 for number in range(300))

class Refuses(Service):
    name = 'rc.refuses'
    def handle(self):
        if self.request.http.params.get('how') == 'fails':
            raise ValueError('inside')
        raise BadRequest(self.cid, 'the order is empty')
";

const MANIFEST: &str = "
basic-auth:
  - {name: rc.alice, username: alice, password: wonderland}
  - {name: rc.bob, username: bob, password: builder}
rest-channel:
  - {name: rc.echo, path: '/rc/echo/{a}', service: rc.echo}
  - {name: rc.report, path: '/rc/reports/{year}-{month}.pdf', service: rc.echo}
  - {name: rc.slash, path: '/rc/files/{path}', match_slash: true, method: GET, service: rc.echo}
  - {name: rc.form, path: /rc/form, method: POST, service: rc.echo, data_format: form}
  - {name: rc.csv, path: /rc/csv, service: rc.echo, data_format: csv}
  - {name: rc.xml, path: /rc/xml, service: rc.echo, data_format: xml, body_limit_bytes: 5000}
  - {name: rc.raw, path: /rc/raw, service: rc.echo, data_format: raw}
  - {name: rc.rows.json, path: /rc/rows, method: GET, accept: application/json, service: rc.rows}
  - {name: rc.rows.csv, path: /rc/rows, method: GET, accept: text/csv, service: rc.rows, data_format: csv}
  - {name: rc.rows.xml, path: /rc/rows, method: GET, accept: application/xml, service: rc.rows, data_format: xml}
  - {name: rc.verbs, path: /rc/verbs, service: rc.verbs}
  - {name: rc.large, path: /rc/large, service: rc.large}
  - {name: rc.plain, path: /rc/plain, service: rc.large, compression: false}
  - {name: rc.problem, path: '/rc/refuses/{how}', service: rc.refuses}
  - {name: rc.zato, path: '/rc/zato/{how}', service: rc.refuses, errors: zato}
  - name: rc.cors
    path: /rc/cors
    method: PUT
    service: rc.unique
    security: [rc.alice]
    cors: {origins: ['https://*.example.com'], headers: [X-Own, Authorization], credentials: true}
  - {name: rc.open, path: /rc/open, method: GET, service: rc.unique, cors: {origins: ['*']}}
  - {name: rc.old, path: /rc/old, service: rc.unique, deprecated: {since: 2026-03-01, sunset: 2026-09-01, successor: /rc/open}}
  - {name: rc.cached, path: /rc/cached, service: rc.unique, cache: {ignored_query_parameters: [trace], vary_by_headers: [X-Tenant]}}
  - {name: rc.mine, path: /rc/mine, service: rc.unique, security: [rc.alice, rc.bob], cache: {}}
  - {name: rc.coalesced, path: /rc/coalesced, service: rc.slow, cache: {}}
  - {name: rc.upload, path: /rc/upload, method: POST, service: rc.measures, stream: true}
  - {name: rc.upload.small, path: /rc/upload-small, method: POST, service: rc.measures, stream: true, body_limit_bytes: 100000}
  - {name: rc.download, path: /rc/download, service: rc.pours}
  - {name: rc.once, path: /rc/once, service: rc.unique, idempotency_key: true}
  - {name: rc.once.slow, path: /rc/once-slow, service: rc.slow, idempotency_key: {ttl: 1h}}
";

fn start() -> Cluster {
    let cluster = Cluster::with(ClusterOptions {
        servers: 2,
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("rc.py", SERVICES)]);
    cluster.apply(MANIFEST);
    cluster
}

#[test]
fn channels_do_what_their_options_say() {
    let cluster = start();
    paths_and_methods(&cluster);
    formats_of_requests(&cluster);
    bodies_that_are_refused(&cluster);
    formats_of_answers(&cluster);
    compression(&cluster);
    errors(&cluster);
    browsers(&cluster);
    deprecation(&cluster);
    large_bodies(&cluster);
    kept_answers(&cluster);
    repeated_requests(&cluster);
}

#[track_caller]
fn get(cluster: &Cluster, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(cluster, "GET", path, headers, None)
}

#[track_caller]
fn send(cluster: &Cluster, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
    let client = headers.iter().fold(cluster.client.clone(), |client, (name, value)| {
        client.with_header(name, value)
    });
    client.send(method, &cluster.url(path), body).unwrap()
}

fn paths_and_methods(cluster: &Cluster) {
    let answer = get(cluster, "/rc/echo/x%20y?b=2&a=1", &[]).json();
    assert_eq!(answer["input"], json!({"a": "1", "b": "2"}));
    assert_eq!(
        get(cluster, "/rc/echo/x%20y", &[]).json()["params"],
        json!({"a": "x y"})
    );
    let answer = get(cluster, "/rc/reports/2026-01.pdf", &[]).json();
    assert_eq!(answer["params"], json!({"year": "2026", "month": "01"}));
    assert_eq!(
        get(cluster, "/rc/files/a/b/c", &[]).json()["params"],
        json!({"path": "a/b/c"})
    );
    for path in [
        "/rc/reports/2026.pdf",
        "/rc/files/..%2fx/../y",
        "/rc/files/%2e%2e/x",
        "/rc/echo/a%00b",
    ] {
        // A client may take '..' out of a path by itself; so may a proxy.
        let status = get(cluster, path, &[]).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
    let answer = send(cluster, "HEAD", "/rc/rows", &[("accept", "application/json")], None);
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let answer = send(cluster, "DELETE", "/rc/rows", &[], Some(b""));
    assert_problem(&answer, 405);
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    let answer = send(cluster, "OPTIONS", "/rc/rows", &[], None);
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
    for (method, status) in [("GET", 200), ("POST", 200), ("HEAD", 200), ("PUT", 405)] {
        let body = matches!(method, "POST" | "PUT").then_some(&b"{}"[..]);
        let answer = send(cluster, method, "/rc/verbs", &[], body);
        assert_eq!(answer.status, status, "{method}: {answer:?}");
        if status == 405 {
            let allow = answer.header("allow").unwrap_or_default();
            assert!(
                allow.contains("GET") && allow.contains("POST") && !allow.contains("PUT"),
                "{answer:?}"
            );
        }
    }
    let answer = send(cluster, "OPTIONS", "/rc/verbs", &[], None);
    assert_eq!(answer.status, 204);
    assert!(answer.header("allow").unwrap().contains("POST"), "{answer:?}");
}

fn formats_of_requests(cluster: &Cluster) {
    let post = |path: &str, body: &str| send(cluster, "POST", path, &[], Some(body.as_bytes())).json();
    let answer = post("/rc/form?c=3", "a=1&b=x+y&a=2");
    assert_eq!(answer["payload"], json!({"a": "2", "b": "x y"}));
    assert_eq!(answer["input"], json!({"a": "2", "b": "x y", "c": "3"}));
    assert_eq!(answer["post"], json!({"a": "2", "b": "x y"}));
    assert_eq!(
        (&answer["raw"], &answer["format"]),
        (&json!("a=1&b=x+y&a=2"), &json!("form"))
    );

    // Larger than a head of the worker protocol may be.
    let large = format!("a={}", "x".repeat(2 << 20));
    let answer = post("/rc/form", &large);
    assert_eq!(answer["payload"]["a"].as_str().map(str::len), Some(2 << 20));
    assert_eq!(answer["raw"].as_str().map(str::len), Some(large.len()));

    let text = "name,age\r\nAnna,7\r\n";
    let answer = send(cluster, "POST", "/rc/csv", &[], Some(text.as_bytes()));
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(
        answer.body.contains(r#""[{""name"":""Anna"",""age"":""7""}]""#),
        "{answer:?}"
    );

    let answer = send(
        cluster,
        "POST",
        "/rc/xml",
        &[],
        Some(b"<order id=\"7\"><line>a</line><line>b</line></order>"),
    );
    assert_eq!(answer.header("content-type"), Some("application/xml"));
    assert!(
        answer
            .body
            .contains("<payload><order id=\"7\"><line>a</line><line>b</line></order></payload>"),
        "{answer:?}"
    );
    let answer = post("/rc/raw", "{\"not\": json");
    assert_eq!(
        (&answer["payload"], &answer["format"]),
        (&json!("{\"not\": json"), &json!(""))
    );

    let zipped = gzip(b"{\"zipped\": true}");
    let answer = send(
        cluster,
        "POST",
        "/rc/echo/1",
        &[("content-encoding", "gzip")],
        Some(&zipped),
    );
    assert_eq!(answer.json()["payload"], json!({"zipped": true}));
}

fn bodies_that_are_refused(cluster: &Cluster) {
    let deep = format!("{}1{}", "[".repeat(150), "]".repeat(150));
    for (path, body, field) in [
        ("/rc/echo/1", "{\"a\": {\"b\": 1, \"b\": 2}}", "/a/b"),
        ("/rc/echo/1", "{\"a\": [0, 1e999]}", "/a[1]"),
        ("/rc/echo/1", deep.as_str(), ""),
        ("/rc/form", "a=%zz", "/a"),
        ("/rc/csv", "a,b\n1\n", "line 2"),
        ("/rc/xml", "<!DOCTYPE a []><a/>", "/"),
        ("/rc/xml", "<a><b></a>", ""),
    ] {
        let problem = assert_problem(&send(cluster, "POST", path, &[], Some(body.as_bytes())), 400);
        let told = problem["errors"][0]["field"].as_str().unwrap();
        assert!(field.is_empty() || told == field, "{problem}");
    }
    let problem = assert_problem(
        &send(cluster, "POST", "/rc/echo/1", &[], Some(b"{\"name\": \"\xff\"}")),
        400,
    );
    assert_eq!(problem["errors"][0]["field"], "/name", "{problem}");
    let gzipped = [("content-encoding", "gzip")];
    let bomb = gzip(&vec![b' '; 1_000_000]);
    assert!(bomb.len() < 5_000, "the bomb itself is within the limit");
    assert_problem(&send(cluster, "POST", "/rc/xml", &gzipped, Some(&bomb)), 413);
    assert_problem(&send(cluster, "POST", "/rc/xml", &gzipped, Some(b"no gzip")), 400);
    assert_problem(
        &send(cluster, "POST", "/rc/xml", &[("content-encoding", "br")], Some(b"x")),
        415,
    );
}

fn formats_of_answers(cluster: &Cluster) {
    for (accept, media_type, body) in [
        ("application/json", "application/json", "Anna"),
        (
            "text/csv",
            "text/csv; charset=utf-8",
            "name,note\r\nAnna,\"a,b\"\r\nBo,\r\n",
        ),
        (
            "application/xml;q=0.9, text/csv;q=0.1",
            "application/xml",
            "<item><name>Bo</name><note/></item>",
        ),
    ] {
        let answer = get(cluster, "/rc/rows", &[("accept", accept)]);
        assert_eq!(answer.header("content-type"), Some(media_type), "{answer:?}");
        assert!(answer.body.contains(body), "{answer:?}");
    }
    assert_problem(&get(cluster, "/rc/rows", &[("accept", "image/png")]), 406);
}

fn compression(cluster: &Cluster) {
    let plain = get(cluster, "/rc/large", &[]);
    assert_eq!(
        (plain.header("content-encoding"), plain.header("vary")),
        (None, Some("Accept-Encoding"))
    );
    for (accepted, coding) in [("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0.1, gzip;q=0.2", "gzip")] {
        let answer = get(cluster, "/rc/large", &[("accept-encoding", accepted)]);
        assert_eq!(answer.header("content-encoding"), Some(coding), "{accepted}");
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert!(length < plain.body.len() / 2, "{length}");
    }
    for (path, accepted) in [("/rc/plain", "gzip"), ("/rc/large", "gzip;q=0"), ("/rc/verbs", "gzip")] {
        let answer = get(cluster, path, &[("accept-encoding", accepted)]);
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
}

fn errors(cluster: &Cluster) {
    let problem = assert_problem(&get(cluster, "/rc/refuses/openly", &[]), 400);
    assert!(
        problem["detail"].as_str().unwrap().contains("the order is empty"),
        "{problem}"
    );
    for (path, status, details) in [
        ("/rc/zato/openly", 400, "the order is empty"),
        ("/rc/zato/fails", 500, "the service failed"),
    ] {
        let answer = get(cluster, path, &[]);
        let error = answer.json();
        assert_eq!((answer.status, &error["result"]), (status, &json!("Error")), "{error}");
        assert_eq!(error["cid"].as_str(), answer.header("x-tenon-cid"), "{error}");
        assert!(error["details"].as_str().unwrap().contains(details), "{error}");
        assert!(!answer.body.contains("inside"), "{error}");
    }
}

fn browsers(cluster: &Cluster) {
    let preflight = |path: &str, origin: &str, method: &str, headers: &str| {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", method),
            ("access-control-request-headers", headers),
        ];
        send(cluster, "OPTIONS", path, &asked, None)
    };
    let page = "https://app.example.com";
    let answer = preflight("/rc/cors", page, "PUT", "x-own, authorization");
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(page));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("X-Own, Authorization")
    );
    assert_eq!(answer.header("access-control-max-age"), Some("600"));
    for (origin, method, headers) in [("https://evil.test", "PUT", "x-own"), (page, "PUT", "x-other")] {
        let answer = preflight("/rc/cors", origin, method, headers);
        assert_problem(&answer, 403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    // A browser hides an error from its page unless the page may read it.
    let answer = send(cluster, "PUT", "/rc/cors", &[("origin", page)], Some(b""));
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, Some(page))
    );
    assert_eq!(answer.header("access-control-expose-headers"), Some("X-Tenon-Cid"));
    let answer = send(
        cluster,
        "PUT",
        "/rc/cors",
        &[("origin", "https://evil.test")],
        Some(b""),
    );
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("vary"), Some("Origin"));
    let answer = get(cluster, "/rc/open", &[("origin", "https://any.test")]);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        preflight("/rc/open", "https://any.test", "GET", "x-any").header("access-control-allow-headers"),
        Some("x-any")
    );
    assert_eq!(
        preflight("/rc/verbs", page, "GET", "").header("access-control-allow-origin"),
        None
    );
}

fn deprecation(cluster: &Cluster) {
    let answer = get(cluster, "/rc/old", &[]);
    assert_eq!(answer.header("deprecation"), Some("@1772323200"));
    assert_eq!(answer.header("sunset"), Some("Tue, 01 Sep 2026 00:00:00 GMT"));
    assert_eq!(answer.header("link"), Some("</rc/open>; rel=\"successor-version\""));
    assert_eq!(answer.status, 200);
}

fn large_bodies(cluster: &Cluster) {
    // More than a channel takes that does not stream.
    let body = b"0123456789abcdef".repeat(2_500_000);
    let answer = send(cluster, "POST", "/rc/upload", &[], Some(&body));
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"length": 40_000_000, "last": "cdef"}))
    );
    let zipped = gzip(&body);
    let answer = send(
        cluster,
        "POST",
        "/rc/upload",
        &[("content-encoding", "gzip")],
        Some(&zipped),
    );
    assert_eq!(answer.json()["length"], 40_000_000);
    let answer = send(cluster, "POST", "/rc/upload-small", &[], Some(&body[..200_000]));
    assert_problem(&answer, 413);
    let answer = get(cluster, "/rc/download", &[]);
    assert_eq!((answer.status, answer.body.len()), (200, 300 * 70_000));
    assert!(answer.body.starts_with("000000 ") && answer.body.ends_with("000299 "));
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn kept_answers(cluster: &Cluster) {
    // Each of the two servers keeps its own; more than one answer for the same question there may not be per server.
    let ids = |path: &str, headers: &[(&str, &str)]| {
        let mut ids: Vec<String> = (0..8).map(|_| id_of(&get(cluster, path, headers))).collect();
        ids.sort();
        ids.dedup();
        ids
    };
    let first = ids("/rc/cached?a=1&b=2", &[]);
    assert!(first.len() <= 2, "{first:?}");
    assert_eq!(ids("/rc/cached?b=2&trace=9&a=1", &[]), first);
    for (path, headers) in [
        ("/rc/cached?a=2", [("x-other", "1")].as_slice()),
        ("/rc/cached?a=1&b=2", &[("x-tenant", "t")]),
        ("/rc/cached?a=1&b=2", &[("authorization", "Bearer x")]),
    ] {
        assert!(
            ids(path, headers).iter().all(|id| !first.contains(id)),
            "{path} {headers:?}"
        );
    }
    let answer = get(cluster, "/rc/cached?a=1&b=2", &[]);
    assert_eq!(answer.header("x-cache"), Some("hit"));
    assert!(answer.header("age").is_some(), "{answer:?}");
    let tag = answer.header("etag").unwrap().to_owned();
    let until = Instant::now() + Duration::from_secs(20);
    // The other server's answer has another tag; both are asked in turn.
    while get(cluster, "/rc/cached?a=1&b=2", &[("if-none-match", &tag)]).status != 304 {
        assert!(
            Instant::now() < until,
            "no server says that its answer is the one of this tag"
        );
    }
    let alice = ids("/rc/mine", &[("authorization", "Basic YWxpY2U6d29uZGVybGFuZA==")]);
    let bob = ids("/rc/mine", &[("authorization", "Basic Ym9iOmJ1aWxkZXI=")]);
    assert!(alice.iter().all(|id| !bob.contains(id)), "{alice:?} {bob:?}");

    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| get(cluster, "/rc/coalesced", &[])))
            .collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let mut runs: Vec<String> = answers.iter().map(id_of).collect();
    runs.sort();
    runs.dedup();
    assert!(
        runs.len() <= 2,
        "six requests at once are one call per server: {answers:?}"
    );

    // A change of the channel, and a deployment, forget what was kept.
    cluster.apply(&MANIFEST.replace(
        "cache: {ignored_query_parameters: [trace], ",
        "timeout: 50s, cache: {ignored_query_parameters: [trace], ",
    ));
    let changed = ids("/rc/cached?a=1&b=2", &[]);
    assert!(changed.iter().all(|id| !first.contains(id)), "{first:?} {changed:?}");
    cluster.deploy(&[("rc.py", &format!("{SERVICES}\n# once more\n"))]);
    let until = Instant::now() + Duration::from_secs(20);
    while ids("/rc/cached?a=1&b=2", &[]).iter().any(|id| changed.contains(id)) {
        assert!(
            Instant::now() < until,
            "an answer of the deployment before is still given"
        );
    }
}

fn repeated_requests(cluster: &Cluster) {
    let post =
        |path: &str, key: &str, body: &[u8]| send(cluster, "POST", path, &[("idempotency-key", key)], Some(body));
    let first = post("/rc/once", "k1", b"{\"a\": 1}");
    assert_eq!((first.status, first.header("idempotency-replayed")), (200, None));
    for _ in 0..4 {
        let again = post("/rc/once", "k1", b"{\"a\": 1}");
        assert_eq!(
            (id_of(&again), again.header("idempotency-replayed")),
            (id_of(&first), Some("true"))
        );
        assert_ne!(again.header("x-tenon-cid"), first.header("x-tenon-cid"));
    }
    assert_problem(&post("/rc/once", "k1", b"{\"a\": 2}"), 422);
    assert_problem(&post("/rc/once", "", b"{}"), 400);
    assert_ne!(id_of(&post("/rc/once", "k2", b"{\"a\": 1}")), id_of(&first));
    let without: Value = send(cluster, "POST", "/rc/once", &[], Some(b"{\"a\": 1}")).json();
    assert_ne!(without["id"].as_str().unwrap(), id_of(&first));

    let (one, others) = std::thread::scope(|scope| {
        let one = scope.spawn(|| post("/rc/once-slow", "k3", b"{}"));
        let until = Instant::now() + Duration::from_secs(20);
        let mut others = Vec::new();
        while others.last().is_none_or(|answer: &Answer| answer.status == 409) && Instant::now() < until {
            others.push(post("/rc/once-slow", "k3", b"{}"));
        }
        (one.join().unwrap(), others)
    });
    // Whichever came first runs; the others are told to wait, and then get its answer.
    let last = others.last().unwrap();
    assert_eq!(last.status, 200, "{last:?}");
    if one.status == 200 {
        assert_eq!(id_of(&one), id_of(last));
    } else {
        assert_problem(&one, 409);
    }
    assert_eq!(id_of(&post("/rc/once-slow", "k3", b"{}")), id_of(last));
}

#[test]
fn an_answer_to_an_idempotency_key_outlives_the_server_that_gave_it() {
    let cluster = start();
    let post = || {
        send(
            &cluster,
            "POST",
            "/rc/once",
            &[("idempotency-key", "outlives")],
            Some(b"{}"),
        )
    };
    let first = id_of(&post());
    let client = cluster.client.clone();
    for server in ["server1", "server2", "store"] {
        cluster.signal(server, Signal::KILL);
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = client
                .with_header("idempotency-key", "outlives")
                .post(&cluster.url("/rc/once"), b"{}");
            match answer {
                Ok(answer) if answer.status == 200 => {
                    assert_eq!(id_of(&answer), first, "after the death of {server}");
                    break;
                }
                answer => assert!(Instant::now() < until, "after the death of {server}: {answer:?}"),
            }
        }
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}
