//! The dashboard over real sockets, with servers that are doubles: they answer what the test tells them to.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use tenon_control::{Addresses, ControlError};
use tenon_model::{ManualClock, ManualRandom, Role};
use tokio_util::sync::CancellationToken;

use crate::servers::Caller;
use crate::{ControlServers, Dashboard, GatewayError, Servers, Settings};

/// What a double of a server does.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    Answers(u16),
    Refuses,
    LosesCalls,
    Hangs,
}

/// Servers by address, and a record of the calls that reached them.
#[derive(Debug, Default)]
struct Doubles {
    behaviours: HashMap<&'static str, Behaviour>,
    calls: Mutex<Vec<String>>,
}

#[async_trait]
impl Caller for Doubles {
    async fn call(&self, address: &str, request: Request<Bytes>) -> Result<Response<Bytes>, ControlError> {
        let authorization = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let line = format!(
            "{address} {} {} {}",
            request.method(),
            request.uri(),
            authorization.unwrap_or("-")
        );
        self.calls.lock().unwrap().push(line);
        match self.behaviours[address] {
            Behaviour::Answers(status) => Ok(answer(status, &request)),
            Behaviour::Refuses => Err(ControlError::Unreachable {
                role: Role::Server,
                addresses: vec![address.to_owned()],
                source: None,
            }),
            Behaviour::LosesCalls => Err(ControlError::Unknown {
                address: address.to_owned(),
                source: "connection reset".into(),
            }),
            Behaviour::Hangs => std::future::pending().await,
        }
    }
}

fn answer(status: u16, request: &Request<Bytes>) -> Response<Bytes> {
    let wrong_password = request.body().windows(5).any(|window| window == b"wrong");
    let (status, body) = match request.uri().path() {
        "/v1/sessions" if wrong_password => (
            401,
            r#"{"status":401,"title":"Unauthorized","type":"tenon:unauthorized"}"#,
        ),
        "/v1/sessions" => (
            200,
            r#"{"user":"admin","access":"admin","expires_at":"2026-11-23T00:00:00Z","token":"t0ken"}"#,
        ),
        _ => (status, r#"{"here":true}"#),
    };
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-internal", "not for browsers")
        .body(Bytes::from_static(body.as_bytes()))
        .unwrap()
}

struct Running {
    address: SocketAddr,
    doubles: Arc<Doubles>,
    clock: Arc<ManualClock>,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn servers(behaviours: &[(&'static str, Behaviour)]) -> (Arc<Doubles>, ControlServers) {
    let doubles = Arc::new(Doubles {
        behaviours: behaviours.iter().copied().collect(),
        calls: Mutex::default(),
    });
    let addresses = behaviours.iter().map(|(address, _)| (*address).to_owned()).collect();
    let caller: Arc<dyn Caller> = doubles.clone();
    let servers = ControlServers::with_caller(caller, Addresses::new(addresses), Duration::from_millis(50));
    (doubles, servers)
}

fn start(settings: Settings, behaviours: &[(&'static str, Behaviour)]) -> Running {
    let (doubles, servers) = servers(behaviours);
    let clock = Arc::new(ManualClock::default());
    let random = Arc::new(ManualRandom::new(1));
    let dashboard = Dashboard::new(settings, Arc::new(servers), clock.clone(), random);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(dashboard.serve(listener, stop.clone()));
    Running {
        address,
        doubles,
        clock,
        stop,
    }
}

/// Sends bytes and reads the answer until the dashboard closes the connection.
async fn exchange(address: SocketAddr, request: String) -> String {
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is no concern of the test's.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .unwrap()
}

async fn call(running: &Running, line: &str, headers: &str, body: &str) -> String {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: dash:8183\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    exchange(running.address, request).await
}

const OWN: &str = "X-Tenon-Dashboard: 1\r\n";
const SIGNED_IN: &str = "Cookie: tenon_session=t0ken\r\n";

#[tokio::test]
async fn a_login_becomes_a_cookie_that_scripts_cannot_read_and_the_token_stays_out_of_the_answer() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(200))]);
    let answer = call(
        &running,
        "POST /api/login",
        OWN,
        r#"{"user":"admin","password":"right"}"#,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("set-cookie: tenon_session=t0ken; Path=/; HttpOnly; SameSite=Strict\r\n"),
        "{answer}"
    );
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    assert!(body.contains("admin") && !body.contains("t0ken"), "{body}");

    let gone = call(&running, "POST /api/logout", &format!("{OWN}{SIGNED_IN}"), "").await;
    assert!(
        gone.contains("tenon_session=; ") && gone.contains("Max-Age=0"),
        "{gone}"
    );
    let calls = running.doubles.calls.lock().unwrap().clone();
    assert_eq!(
        calls,
        ["a POST /v1/sessions -", "a DELETE /v1/sessions/current Bearer t0ken"]
    );
}

#[tokio::test]
async fn behind_tls_the_cookie_is_secure() {
    let settings = Settings {
        behind_tls: true,
        ..Settings::default()
    };
    let running = start(settings, &[("a", Behaviour::Answers(200))]);
    let answer = call(&running, "POST /api/login", OWN, r#"{"user":"a","password":"b"}"#).await;
    assert!(answer.contains("SameSite=Strict; Secure"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
}

#[tokio::test]
async fn guesses_from_one_address_are_stopped_and_the_minute_ends() {
    let settings = Settings {
        login_failures_max: 3,
        ..Settings::default()
    };
    let running = start(settings, &[("a", Behaviour::Answers(200))]);
    let guess = r#"{"user":"admin","password":"wrong"}"#;
    for _ in 0..3 {
        let answer = call(&running, "POST /api/login", OWN, guess).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let right = r#"{"user":"admin","password":"right"}"#;
    let refused = call(&running, "POST /api/login", OWN, right).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 60"), "{refused}");
    running.clock.advance(Duration::from_secs(61));
    let answer = call(&running, "POST /api/login", OWN, right).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn calls_go_on_with_the_session_of_the_cookie_and_only_harmless_headers_come_back() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(207))]);
    let refused = call(&running, "GET /api/v1/status", "", "").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let answer = call(
        &running,
        "GET /api/v1/jobs/a%2Fb/runs?limit=2&after=x%20y",
        SIGNED_IN,
        "",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 207"), "{answer}");
    assert!(answer.contains("cache-control: no-store"), "{answer}");
    assert!(!answer.contains("x-internal"), "{answer}");
    let calls = running.doubles.calls.lock().unwrap().clone();
    assert_eq!(calls, ["a GET /v1/jobs/a%2Fb/runs?limit=2&after=x%20y Bearer t0ken"]);
}

#[tokio::test]
async fn changing_calls_of_foreign_pages_are_refused() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(200))]);
    let headers = |more: &str| format!("{SIGNED_IN}{more}");
    for (more, allowed) in [
        ("", false),
        ("Origin: http://evil.example\r\n", false),
        ("Origin: null\r\n", false),
        ("X-Tenon-Dashboard: 1\r\nSec-Fetch-Site: cross-site\r\n", false),
        ("Origin: http://dash:8183\r\n", true),
        ("X-Tenon-Dashboard: 1\r\nSec-Fetch-Site: same-origin\r\n", true),
    ] {
        let answer = call(&running, "DELETE /api/v1/objects/job/a", &headers(more), "").await;
        let wanted = if allowed { "HTTP/1.1 200" } else { "HTTP/1.1 403" };
        assert!(answer.starts_with(wanted), "{more:?}: {answer}");
    }
    assert_eq!(running.doubles.calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_token_cannot_be_had_through_the_gateway() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(200))]);
    let headers = format!("{OWN}{SIGNED_IN}");
    let answer = call(
        &running,
        "POST /api/v1/sessions",
        &headers,
        r#"{"user":"a","password":"b"}"#,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(running.doubles.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn too_large_a_body_and_an_endless_head_are_refused() {
    let settings = Settings {
        body_bytes_max: 10,
        ..Settings::default()
    };
    let running = start(settings, &[("a", Behaviour::Answers(200))]);
    let headers = format!("{OWN}{SIGNED_IN}");
    let answer = call(&running, "PUT /api/v1/objects/job/a", &headers, "12345678901").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let long = format!("GET / HTTP/1.1\r\nHost: dash\r\nX-Long: {}", "x".repeat(100 << 10));
    let answer = exchange(running.address, long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(running.doubles.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn no_server_is_a_503_that_says_so() {
    let running = start(
        Settings::default(),
        &[("a", Behaviour::Refuses), ("b", Behaviour::Refuses)],
    );
    let answer = call(&running, "GET /api/v1/status", SIGNED_IN, "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains("none of the cluster's 2 servers answers"), "{answer}");
}

#[tokio::test]
async fn every_path_is_the_page_but_an_unknown_asset_is_not() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(200))]);
    for path in ["/", "/services/api.my-service", "/objects/job/my.report.job/edit"] {
        let answer = call(&running, &format!("GET {path}"), "", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains("content-type: text/html"), "{path}: {answer}");
        assert!(answer.contains("cache-control: no-cache"), "{path}: {answer}");
        assert!(answer.contains("frame-ancestors 'none'"), "{path}: {answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{path}: {answer}");
    }
    let answer = call(&running, "GET /assets/gone-12345678.js", "", "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = call(&running, "GET /api/v2/status", SIGNED_IN, "").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = call(&running, "POST /services", OWN, "").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let running = start(Settings::default(), &[("a", Behaviour::Answers(200))]);
    let answer = call(&running, "GET /", "", "").await;
    let tag = answer
        .split("etag: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .unwrap();
    let again = call(&running, "GET /jobs", &format!("If-None-Match: {tag}\r\n"), "").await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
}

#[tokio::test]
async fn a_client_that_never_ends_its_head_is_cut_off() {
    let settings = Settings {
        head_timeout: tenon_model::DurationText::from_millis(200),
        ..Settings::default()
    };
    let running = start(settings, &[("a", Behaviour::Answers(200))]);
    let began = Instant::now();
    let _ = exchange(running.address, "GET / HTTP/1.1\r\nHost: dash\r\n".to_owned()).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

fn request(method: &str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri("/v1/status")
        .body(Bytes::new())
        .unwrap()
}

fn called(doubles: &Doubles) -> Vec<String> {
    let calls = doubles.calls.lock().unwrap();
    calls
        .iter()
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn any_call_goes_to_the_next_server_while_nothing_was_sent_and_then_stays_there() {
    let (doubles, servers) = servers(&[("a", Behaviour::Refuses), ("b", Behaviour::Answers(200))]);
    servers.send(request("POST")).await.unwrap();
    servers.send(request("POST")).await.unwrap();
    assert_eq!(called(&doubles), ["a", "b", "b"]);
}

#[tokio::test]
async fn a_changing_call_that_was_lost_is_not_repeated_a_reading_one_is() {
    let (doubles, servers) = servers(&[("a", Behaviour::LosesCalls), ("b", Behaviour::Answers(200))]);
    let lost = servers.send(request("PUT")).await;
    assert!(matches!(lost, Err(GatewayError::Unknown(_))), "{lost:?}");
    assert_eq!(called(&doubles), ["a"]);
    servers.send(request("GET")).await.unwrap();
    assert_eq!(called(&doubles), ["a", "a", "b"]);
}

#[tokio::test]
async fn a_server_that_hangs_or_is_not_ready_does_not_hold_up_reading() {
    let (doubles, servers) = servers(&[
        ("a", Behaviour::Hangs),
        ("b", Behaviour::Answers(503)),
        ("c", Behaviour::Answers(200)),
    ]);
    let began = Instant::now();
    let answer = servers.send(request("GET")).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    servers.send(request("GET")).await.unwrap();
    assert_eq!(
        called(&doubles),
        ["a", "b", "c", "c"],
        "the one that answered is asked first"
    );
}

#[tokio::test]
async fn if_every_server_is_not_ready_their_own_answer_is_passed_on() {
    let (_, servers) = servers(&[("a", Behaviour::Answers(503)), ("b", Behaviour::Refuses)]);
    assert_eq!(servers.send(request("GET")).await.unwrap().status(), 503);
}

#[test]
fn settings_read_back_what_they_print_and_refuse_what_they_do_not_know() {
    let text = toml::to_string(&Settings::default()).unwrap();
    assert!(text.contains("hedge_after = \"700ms\""), "{text}");
    toml::from_str::<Settings>(&text).unwrap();
    toml::from_str::<Settings>("behind_tls = true").unwrap();
    assert!(toml::from_str::<Settings>("behind_tsl = true").is_err());
}
