//! Tests of both kinds, against real HTTP servers on loopback.

mod server;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tenon_model::{Kind, ObjectName, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use self::server::{Server, certificate};
use super::channel_config::RestChannel;
use super::config::RestOutgoing;
use crate::behavior::{OtherSide, connect, context, outgoing_suite};
use crate::connector::{ChannelBinding, Connector, ConnectorError, Credentials, OutgoingCall, OutgoingError};

const KIND: &str = "rest-outgoing";

struct HttpServer {
    address: SocketAddr,
    server: Option<Server>,
}

#[async_trait]
impl OtherSide for HttpServer {
    const KIND: &'static str = KIND;

    async fn prepare() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Self { address, server: None }
    }

    async fn start(&mut self) {
        self.server = Some(Server::start(self.address, None).await);
    }

    async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    fn body(&self) -> Value {
        json!({"url": format!("http://{}/{{page}}", self.address), "timeout": "10s"})
    }

    fn quick_call(&self) -> OutgoingCall {
        call("get", json!({"params": {"page": "echo"}}))
    }

    fn slow_call(&self) -> OutgoingCall {
        call("get", json!({"params": {"page": "slow"}}))
    }
}

outgoing_suite!(HttpServer);

fn call(operation: &str, arguments: Value) -> OutgoingCall {
    OutgoingCall {
        operation: operation.to_owned(),
        arguments,
        cid: "c1".to_owned(),
        ..OutgoingCall::default()
    }
}

/// What the server saw of a call to its page `echo`.
async fn echoed(body: &Value, context: &crate::OutgoingContext, call: OutgoingCall) -> Value {
    let reply = connect(KIND, body, context).call(call).await.unwrap();
    assert_eq!(reply.result["status"], 200, "{:?}", reply.result);
    serde_json::from_slice(&reply.body).unwrap()
}

async fn server() -> Server {
    Server::start("127.0.0.1:0".parse().unwrap(), None).await
}

#[test]
fn schemas_are_as_documented() {
    for kind in [Kind::of::<RestChannel>(), Kind::of::<RestOutgoing>()] {
        let described = json!({
            "title": kind.title, "secrets": kind.secret_fields, "references": kind.reference_fields,
            "services": kind.service_fields, "schema": kind.schema,
        });
        insta::assert_json_snapshot!(kind.name, described);
    }
}

#[test]
fn the_smallest_bodies_get_their_defaults() {
    let channel = Kind::of::<RestChannel>()
        .normalize(&json!({"path": "/a/{id}", "service": "s"}))
        .unwrap();
    let outgoing = Kind::of::<RestOutgoing>()
        .normalize(&json!({"url": "http://h/"}))
        .unwrap();
    insta::assert_json_snapshot!("defaults", json!({"rest-channel": channel, "rest-outgoing": outgoing}));
}

#[test]
fn wrong_channels_are_refused_with_their_field() {
    let field_of = |problems: Vec<tenon_model::FieldProblem>| problems.first().map(|problem| problem.field.clone());
    for (body, field) in [
        (json!({"path": "a", "service": "s"}), "path"),
        (json!({"path": "/tenon/ping", "service": "s"}), "path"),
        (json!({"path": "/a", "service": " "}), "service"),
        (json!({"path": "/a", "service": "s", "timeout": "0s"}), "timeout"),
        (json!({"path": "/a", "service": "s", "timeout": "10"}), "timeout"),
        (json!({"path": "/a", "service": "s", "method": "FETCH"}), "method"),
        (
            json!({"path": "/a", "service": "s", "body_limit_bytes": 1_000_000_000_u64}),
            "body_limit_bytes",
        ),
        (
            json!({"path": "/a", "service": "s", "content_type": "json"}),
            "content_type",
        ),
        (json!({"path": "/a", "service": "s", "accept": "json"}), "accept"),
        (
            json!({"path": "/a", "service": "s", "csv": {"delimiter": "é"}}),
            "csv.delimiter",
        ),
        (
            json!({"path": "/a", "service": "s", "cors": {"origins": []}}),
            "cors.origins",
        ),
        (
            json!({"path": "/a", "service": "s", "cors": {"origins": ["https://a.b", "a.b"]}}),
            "cors.origins[1]",
        ),
        (
            json!({"path": "/a", "service": "s", "cors": {"origins": ["*"], "credentials": true}}),
            "cors.credentials",
        ),
        (
            json!({"path": "/a", "service": "s", "cache": {"ttl": "0s"}}),
            "cache.ttl",
        ),
        (
            json!({"path": "/a", "service": "s", "cache": {"vary_by_headers": ["*"]}}),
            "cache.vary_by_headers[0]",
        ),
        (
            json!({"path": "/a", "service": "s", "cache": {}, "stream": true}),
            "cache",
        ),
        (
            json!({"path": "/a", "service": "s", "idempotency_key": true, "stream": true}),
            "idempotency_key",
        ),
        (
            json!({"path": "/a", "service": "s", "deprecated": {"sunset": "soon"}}),
            "deprecated.sunset",
        ),
    ] {
        assert_eq!(
            field_of(Kind::of::<RestChannel>().check(&body)).as_deref(),
            Some(field),
            "{body}"
        );
    }
}

#[test]
fn wrong_connections_are_refused_with_their_field() {
    let field_of = |problems: Vec<tenon_model::FieldProblem>| problems.first().map(|problem| problem.field.clone());
    for (body, field) in [
        (json!({"url": "h"}), "url"),
        (json!({"url": "http://u:p@h"}), "url"),
        (json!({"url": "http://h", "headers": {"a b": "c"}}), "headers.a b"),
        (json!({"url": "http://h", "headers": {"Host": "c"}}), "headers.Host"),
        (json!({"url": "http://h", "headers": {"a": "c\nd"}}), "headers.a"),
        (json!({"url": "http://h", "pool_size": 0}), "pool_size"),
        (json!({"url": "http://h", "max_retries": 21}), "max_retries"),
        (json!({"url": "http://h", "connect_timeout": "0s"}), "connect_timeout"),
    ] {
        assert_eq!(
            field_of(Kind::of::<RestOutgoing>().check(&body)).as_deref(),
            Some(field),
            "{body}"
        );
    }
    assert!(
        Kind::of::<RestOutgoing>()
            .check(&json!({"url": "${CRM_URL}"}))
            .is_empty()
    );
}

#[test]
fn a_channel_becomes_a_route_or_nothing() {
    let name: ObjectName = "c".parse().unwrap();
    let bind = |body: &Value| super::Rest.channel("rest-channel", &name, body).unwrap();
    let body = json!({
        "path": "/a/{id}", "method": "POST", "service": "s", "security": ["k"], "data_format": "form",
        "timeout": "5s", "merge_params": false, "url_params_pri": "path-over-query", "params_pri": "message-over-params",
        "match_slash": true, "accept": "text/*", "csv": {"delimiter": ";"}, "compression": false, "errors": "zato",
        "cors": {"origins": ["https://*.example.com"]}, "cache": {"vary_by_headers": ["Accept-Language"]},
        "idempotency_key": {"ttl": "1h"}, "rate_limit": "slow", "include_in_openapi": false,
        "deprecated": {"since": "2026-03-01", "sunset": "2026-09-01T12:00:00Z", "successor": "/b"},
    });
    let ChannelBinding::Http(route) = bind(&body).unwrap() else {
        panic!("no route")
    };
    insta::assert_debug_snapshot!("route", route);
    assert_eq!(
        bind(&json!({"path": "/a", "service": "s", "enabled": false})).unwrap(),
        ChannelBinding::Off
    );
    assert!(matches!(
        bind(&json!({"path": "${X}", "service": "s"})),
        Err(ConnectorError::Body(_))
    ));
    assert!(super::Rest.channel("rest-outgoing", &name, &json!({})).is_none());
}

#[tokio::test]
async fn a_request_carries_parameters_headers_credentials_and_body() {
    let server = server().await;
    let body = json!({
        "url": format!("http://{}/echo/{{id}}?fixed=1", server.address),
        "security": "partner", "headers": {"X-Own": "a", "X-Other": "b"},
    });
    let basic = Credentials::Basic {
        username: "u".to_owned(),
        password: Secret::new("hunter2"),
    };
    let context = context().with_credentials("partner", basic);
    let seen = echoed(
        &body,
        &context,
        OutgoingCall {
            body: Bytes::from_static(b"{\"n\":1}"),
            ..call(
                "post",
                json!({"params": {"id": "a/b", "q": 1}, "headers": {"x-own": "c", "Authorization": "mine"}}),
            )
        },
    )
    .await;
    assert_eq!(seen["method"], "POST");
    assert_eq!(seen["target"], "/echo/a%2Fb?fixed=1&q=1");
    assert_eq!(seen["body"], "{\"n\":1}");
    let headers = &seen["headers"];
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["content-length"], "7");
    assert_eq!(headers["x-own"], "c");
    assert_eq!(headers["x-other"], "b");
    assert_eq!(headers["authorization"], "Basic dTpodW50ZXIy");
    assert_eq!(headers["host"], server.address.to_string());

    let key = Credentials::Header {
        name: "X-API-Key".to_owned(),
        value: Secret::new("hunter2"),
    };
    let context = crate::behavior::context().with_credentials("partner", key);
    let seen = echoed(&body, &context, call("delete", json!({"params": {"id": 7}}))).await;
    assert_eq!(seen["headers"]["x-api-key"], "hunter2");
    assert_eq!(seen["headers"].get("content-type"), None);
    assert!(!format!("{:?}", connect(KIND, &body, &context)).contains("hunter2"));
    server.stop().await;
}

#[tokio::test]
async fn credentials_that_do_not_exist_are_an_error_of_the_object() {
    let name: ObjectName = "CRM".parse().unwrap();
    let body = json!({"url": "http://127.0.0.1:1/", "security": "nobody"});
    let error = super::Rest
        .outgoing(KIND, &name, &body, &context())
        .unwrap()
        .unwrap_err();
    assert_eq!(
        error,
        ConnectorError::Credentials {
            field: "security",
            name: "nobody".to_owned()
        }
    );
}

#[tokio::test]
async fn answers_come_as_they_are_whatever_their_status() {
    let server = server().await;
    let body = json!({"url": format!("http://{}/status/{{code}}", server.address)});
    let connection = connect(KIND, &body, &context());
    for code in [200, 204, 404, 500] {
        let reply = connection
            .call(call("get", json!({"params": {"code": code}})))
            .await
            .unwrap();
        assert_eq!(reply.result["status"], code);
        assert_eq!(reply.result["headers"]["x-twice"], "1, 2");
    }
    let head = connection
        .call(call("head", json!({"params": {"code": 200}})))
        .await
        .unwrap();
    assert_eq!((head.result["reason"].as_str(), head.body.len()), (Some("OK"), 0));
    let missing = connection.call(call("get", json!({}))).await.unwrap_err();
    assert!(
        matches!(&missing, OutgoingError::Invalid(text) if text.contains("'code'")),
        "{missing:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn answers_that_are_too_large_or_no_http_are_refused() {
    let server = server().await;
    let url = format!("http://{}/{{page}}", server.address);
    let connection = connect(KIND, &json!({"url": url, "response_limit_bytes": 1000}), &context());
    for page in ["large", "large-chunked"] {
        let error = connection
            .call(call("get", json!({"params": {"page": page}})))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, OutgoingError::Failed(text) if text.contains("1000 bytes")),
            "{page}: {error:?}"
        );
    }
    server.stop().await;

    for answer in ["hello\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"] {
        let address = answering(&[answer], 1).await;
        let error = connect(KIND, &json!({"url": format!("http://{address}/")}), &context())
            .call(call("get", json!({})))
            .await
            .unwrap_err();
        assert!(matches!(error, OutgoingError::Failed(_)), "{answer:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_dead_pooled_connection_is_replaced_once_for_idempotent_methods_only() {
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    // Each connection: one good answer, then the next request is read and the connection closed without an answer.
    let address = answering(&[OK, ""], 2).await;
    let connection = connect(KIND, &json!({"url": format!("http://{address}/")}), &context());
    connection.call(call("get", json!({}))).await.unwrap();
    connection.call(call("put", json!({}))).await.unwrap();
    let error = connection.call(call("post", json!({}))).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Timeout(text) if text.contains("may have been carried out")),
        "{error:?}"
    );

    // A fresh connection that breaks is not tried again without retries.
    let address = answering(&[""], 1).await;
    let connection = connect(KIND, &json!({"url": format!("http://{address}/")}), &context());
    let error = connection.call(call("get", json!({}))).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Timeout(text) if text.contains("broke")),
        "{error:?}"
    );
}

#[tokio::test]
async fn safe_methods_are_retried_after_temporary_failures() {
    let server = server().await;
    let url = format!("http://{}/flaky", server.address);
    let body = json!({"url": url, "max_retries": 3, "retry_wait": "10ms"});
    let connection = connect(KIND, &body, &context());
    assert_eq!(
        connection.call(call("get", json!({}))).await.unwrap().result["status"],
        200
    );
    assert_eq!(server.flaky_calls(), 3, "503, 503, 200");
    assert_eq!(
        connection.call(call("post", json!({}))).await.unwrap().result["status"],
        503
    );
    assert_eq!(server.flaky_calls(), 4);
    server.stop().await;

    // Nothing listens: nothing was sent, so any method may be tried again, and the deadline ends it.
    let body = json!({"url": "http://127.0.0.1:1/", "max_retries": 20, "retry_wait": "50ms", "timeout": "400ms"});
    let before = Instant::now();
    let error = connect(KIND, &body, &context())
        .call(call("post", json!({})))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Unavailable(_)), "{error:?}");
    let took = before.elapsed();
    assert!(
        took >= Duration::from_millis(50) && took < Duration::from_secs(2),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_call_may_bring_its_own_timeout_and_ping_is_an_operation_too() {
    let server = server().await;
    let body = json!({"url": format!("http://{}/slow", server.address)});
    let connection = connect(KIND, &body, &context());
    let error = connection
        .call(call("get", json!({"timeout_ms": 100})))
        .await
        .unwrap_err();
    assert!(matches!(error, OutgoingError::Timeout(_)), "{error:?}");
    let reply = connection.call(call("ping", json!({}))).await.unwrap();
    assert!(reply.result.as_str().unwrap().contains("200 OK"), "{reply:?}");
    server.stop().await;
}

#[tokio::test]
async fn redirects_are_followed_when_allowed_and_never_to_another_host() {
    let server = server().await;
    let url = format!("http://{}/{{page}}", server.address);
    let follow = |redirects: u32| connect(KIND, &json!({"url": url, "max_redirects": redirects}), &context());
    let get = |page: &str| call("get", json!({"params": {"page": page}}));
    assert_eq!(
        follow(0).call(get("redirect-here")).await.unwrap().result["status"],
        302
    );
    assert_eq!(
        follow(1).call(get("redirect-here")).await.unwrap().result["status"],
        200
    );
    assert_eq!(
        follow(5).call(get("redirect-away")).await.unwrap().result["status"],
        302
    );
    assert_eq!(
        follow(5).call(get("redirect-loop")).await.unwrap().result["status"],
        302
    );
    server.stop().await;
}

#[tokio::test]
async fn pings_tell_a_server_that_refuses_or_fails() {
    let server = server().await;
    let ping = async |page: &str, method: &str| {
        let body = json!({"url": format!("http://{}/status/{page}", server.address), "ping_method": method});
        connect(KIND, &body, &context()).ping(None).await
    };
    assert!(ping("204", "HEAD").await.unwrap().contains("204"));
    assert!(ping("405", "OPTIONS").await.is_ok());
    assert!(ping("501", "HEAD").await.is_ok());
    assert!(matches!(ping("401", "GET").await, Err(OutgoingError::Refused(_))));
    assert!(matches!(ping("503", "GET").await, Err(OutgoingError::Failed(_))));
    server.stop().await;
}

#[tokio::test]
async fn tls_is_checked_against_the_given_authorities_unless_switched_off() {
    let directory = tempfile::tempdir().unwrap();
    let (ca_file, acceptor) = certificate(directory.path());
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Some(acceptor)).await;
    let url = format!("https://localhost:{}/echo", server.address.port());
    let get = || call("get", json!({}));

    let trusting = connect(KIND, &json!({"url": url, "ca_file": ca_file}), &context());
    assert_eq!(trusting.call(get()).await.unwrap().result["status"], 200);
    let unchecked = connect(KIND, &json!({"url": url, "tls_verify": false}), &context());
    assert_eq!(unchecked.call(get()).await.unwrap().result["status"], 200);
    // The address is not in the certificate.
    let elsewhere = format!("https://127.0.0.1:{}/echo", server.address.port());
    let wrong_name = connect(KIND, &json!({"url": elsewhere, "ca_file": ca_file}), &context());
    let error = wrong_name.call(get()).await.unwrap_err();
    assert!(
        matches!(&error, OutgoingError::Unavailable(text) if text.contains("TLS")),
        "{error:?}"
    );
    // Another authority.
    let other = tempfile::tempdir().unwrap();
    let (other_ca, _) = certificate(other.path());
    let distrusting = connect(KIND, &json!({"url": url, "ca_file": other_ca}), &context());
    assert!(matches!(
        distrusting.call(get()).await,
        Err(OutgoingError::Unavailable(_))
    ));
    server.stop().await;

    let name: ObjectName = "CRM".parse().unwrap();
    let body = json!({"url": url, "ca_file": "/no/such/file.pem"});
    let error = super::Rest
        .outgoing(KIND, &name, &body, &context())
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&error, ConnectorError::Environment(text) if text.contains("/no/such/file.pem")),
        "{error}"
    );
}

#[tokio::test]
async fn idle_connections_are_closed_and_others_reused() {
    let server = server().await;
    let url = format!("http://{}/echo", server.address);
    let connection = connect(KIND, &json!({"url": url, "idle_timeout": "200ms"}), &context());
    for _ in 0..5 {
        connection.call(call("get", json!({}))).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let closed = async {
        while connection.status()["connections_open"] != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    connection.call(call("get", json!({}))).await.unwrap();
    assert_eq!(server.connections(), 2);
    server.stop().await;
}

/// A server that gives each connection these answers in turn, one per request head, then closes it; for that many
/// connections.
async fn answering(answers: &[&str], connections: usize) -> SocketAddr {
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in &answers {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    address
}
