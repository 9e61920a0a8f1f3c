//! What is wrong with a request is said, with the status that HTTP has for it, and nothing of it reaches a service.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::json;

use crate::harness::{Cluster, assert_problem};

const SERVICES: &str = r"
from dataclasses import field
from typing import List
from tenon import Float, Int, Model, Service, dataclass

class Typed(Service):
    name = 'req.typed'
    input = 'name', Int('-limit'), Float('-share')
    def handle(self):
        return {'name': self.request.input.name}

@dataclass(init=False)
class Line(Model):
    sku: str
    quantity: int

@dataclass(init=False)
class Order(Model):
    customer: str
    lines: List[Line]

class Orders(Service):
    name = 'req.orders'
    input = Order
    def handle(self):
        return {'lines': len(self.request.input.lines)}

class Marks(Service):
    name = 'req.marks'
    def handle(self):
        self.logger.info('a request reached the service')
        return {'ok': True}
";

const MANIFEST: &str = "
basic-auth:
  - {name: people, username: alice, password: wonderland}
api-key:
  - {name: partner, key: the-key}
rest-channel:
  - {name: typed, path: /req/typed, method: POST, service: req.typed, body_limit_bytes: 2000}
  - {name: orders, path: /req/orders, method: POST, service: req.orders}
  - {name: orders.get, path: /req/orders, method: GET, service: req.marks}
  - {name: marks, path: /req/marks, service: req.marks}
  - {name: people, path: /req/people, service: req.marks, security: [people]}
  - {name: partner, path: /req/partner, service: req.marks, security: [partner]}
";

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let cluster = start();
    bodies_that_are_not_json(&cluster);
    bodies_that_are_too_large(&cluster);
    input_of_the_wrong_type(&cluster);
    paths_and_methods(&cluster);
    credentials(&cluster);
}

#[test]
fn requests_that_can_be_read_in_two_ways_are_refused_before_a_server_sees_them() {
    let cluster = start();
    for (what, head) in AMBIGUOUS {
        let answer = raw(cluster.port(), head.as_bytes(), false);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(answer.contains("application/problem+json"), "{what}: {answer}");
    }
    let large = format!(
        "GET /req/marks HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let answer = raw(cluster.port(), large.as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = format!("GET /req/marks?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200_000));
    let answer = raw(cluster.port(), long.as_bytes(), false);
    assert!(
        answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "),
        "{answer}"
    );
    bodies_that_are_cut_off(&cluster);
    assert!(
        !cluster.log("server1").contains("a request reached the service"),
        "none of these may reach a service"
    );
    assert_eq!(cluster.client.get(&cluster.url("/req/marks")).unwrap().status, 200);
    assert!(cluster.log("server1").contains("a request reached the service"));
}

const AMBIGUOUS: [(&str, &str); 13] = [
    (
        "length and chunks",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    ),
    (
        "the same length twice",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    ),
    (
        "a list of lengths",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}",
    ),
    (
        "a signed length",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
    ),
    (
        "two transfer encodings",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "an unknown transfer encoding",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    ("bare line feeds", "GET /req/marks HTTP/1.1\nHost: a\n\n"),
    (
        "a folded field",
        "GET /req/marks HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c: d\r\n\r\n",
    ),
    (
        "a space before the colon",
        "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
    ),
    ("no host", "GET /req/marks HTTP/1.1\r\n\r\n"),
    ("two hosts", "GET /req/marks HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
];

fn start() -> Cluster {
    let cluster = Cluster::start();
    cluster.deploy(&[("req.py", SERVICES)]);
    cluster.apply(MANIFEST);
    cluster
}

fn bodies_that_are_not_json(cluster: &Cluster) {
    let url = cluster.url("/req/typed");
    let problem = assert_problem(&cluster.client.post(&url, b"{\"name\": \"a\",}").unwrap(), 400);
    assert_eq!(problem["type"], "tenon:invalid-json");
    assert_eq!(problem["errors"][0]["field"], "line 1, column 14", "{problem}");
    let problem = assert_problem(&cluster.client.post(&url, b"{\"name\":\n\"a\"").unwrap(), 400);
    assert!(
        problem["errors"][0]["field"].as_str().unwrap().starts_with("line 2"),
        "{problem}"
    );
    for body in [
        &b"name=a"[..],
        b"{\"name\": NaN}",
        b"{\"name\": \"\xff\"}",
        b"{} {}",
        b"\x00\x01",
    ] {
        assert_problem(&cluster.client.post(&url, body).unwrap(), 400);
    }
    let deep = "[".repeat(1_900);
    assert_problem(&cluster.client.post(&url, deep.as_bytes()).unwrap(), 400);
}

fn bodies_that_are_too_large(cluster: &Cluster) {
    let body = format!("{{\"name\": \"{}\"}}", "x".repeat(4_000));
    let problem = assert_problem(
        &cluster
            .client
            .post(&cluster.url("/req/typed"), body.as_bytes())
            .unwrap(),
        413,
    );
    assert!(problem["detail"].as_str().unwrap().contains("2000"), "{problem}");
    let chunk = "x".repeat(0x1000);
    let chunked = format!(
        "POST /req/typed HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1000\r\n{chunk}\r\n0\r\n\r\n"
    );
    let answer = raw(cluster.port(), chunked.as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

fn input_of_the_wrong_type(cluster: &Cluster) {
    let typed = cluster.url("/req/typed");
    let orders = cluster.url("/req/orders");
    for (url, body, path) in [
        (&typed, json!({}), "/name"),
        (&typed, json!({"name": "a", "limit": "many"}), "/limit"),
        (&typed, json!({"name": "a", "limit": {"of": 1}}), "/limit"),
        (&typed, json!({"name": "a", "share": "half"}), "/share"),
        (&typed, json!(["a"]), "/"),
        (&orders, json!({"lines": []}), "/customer"),
        (&orders, json!({"customer": "a", "lines": 7}), "/lines"),
        (
            &orders,
            json!({"customer": "a", "lines": [{"sku": "s", "quantity": 1}, {"sku": "t"}]}),
            "/lines[1]/quantity",
        ),
        (
            &orders,
            json!({"customer": "a", "lines": [{"sku": "s", "quantity": "few"}]}),
            "/lines[0]/quantity",
        ),
    ] {
        let problem = assert_problem(&cluster.client.post_json(url, &body).unwrap(), 400);
        assert_eq!(problem["errors"][0]["field"], path, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(path), "{problem}");
    }
    let good = json!({"customer": "a", "lines": [{"sku": "s", "quantity": 1}]});
    assert_eq!(
        cluster.client.post_json(&orders, &good).unwrap().json(),
        json!({"lines": 1})
    );
}

fn paths_and_methods(cluster: &Cluster) {
    for path in [
        "/nowhere",
        "/req",
        "/req/marks/",
        "/req/marks/more",
        "/req/%zz",
        "/REQ/marks",
    ] {
        assert_problem(&cluster.client.get(&cluster.url(path)).unwrap(), 404);
    }
    let answer = cluster.client.get(&cluster.url("/req/typed")).unwrap();
    assert_problem(&answer, 405);
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = cluster.client.delete(&cluster.url("/req/orders")).unwrap();
    assert_problem(&answer, 405);
    let allow = answer.header("allow").unwrap();
    assert!(
        allow.contains("GET") && allow.contains("POST") && !allow.contains("DELETE"),
        "{allow}"
    );
}

fn credentials(cluster: &Cluster) {
    let people = cluster.url("/req/people");
    let basic = |credentials: &str| cluster.client.with_header("authorization", credentials);
    // alice:wonderland, alice:wrong, and what is no base64.
    assert_eq!(
        basic("Basic YWxpY2U6d29uZGVybGFuZA==").get(&people).unwrap().status,
        200
    );
    for wrong in ["Basic YWxpY2U6d3Jvbmc=", "Basic !!!", "Bearer abc", ""] {
        let answer = basic(wrong).get(&people).unwrap();
        assert_problem(&answer, 401);
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Basic realm="), "{answer:?}");
    }
    assert_problem(&cluster.client.get(&people).unwrap(), 401);

    let partner = cluster.url("/req/partner");
    assert_eq!(
        cluster
            .client
            .with_header("x-api-key", "the-key")
            .get(&partner)
            .unwrap()
            .status,
        200
    );
    for wrong in ["the-ke", "the-key-and-more", "", "THE-KEY"] {
        let answer = cluster.client.with_header("x-api-key", wrong).get(&partner).unwrap();
        assert_problem(&answer, 401);
    }
    assert_problem(&cluster.client.get(&partner).unwrap(), 401);
    // Who may not call is told so before the body is looked at.
    assert_problem(&cluster.client.post(&partner, b"{not json").unwrap(), 401);
}

fn bodies_that_are_cut_off(cluster: &Cluster) {
    let by_length = "POST /req/marks HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{\"name\":";
    let by_chunks = "POST /req/marks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"name\":\r\n";
    for request in [by_length, by_chunks] {
        let answer = raw(cluster.port(), request.as_bytes(), true);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let malformed = "POST /req/marks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n";
    let answer = raw(cluster.port(), malformed.as_bytes(), false);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// Sends these bytes and returns everything that comes until the other side closes. `ends`: nothing more will be sent.
#[track_caller]
fn raw(port: u16, bytes: &[u8], ends: bool) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The other side may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    if ends {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the connection was not closed: {error}; until then came {answer:?}"),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}
