//! Who may call, how often, and what outsiders are told of the channels: through the load balancer, as clients see it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Cluster, ClusterOptions, PATIENCE, Stub, assert_problem, wait_for};

const SERVICES: &str = r"
from tenon import Int, Service

class Who(Service):
    name = 'security.who'
    def handle(self):
        security = self.channel.security
        return {'name': security.name, 'type': security.type, 'username': security.username, 'claims': security.claims}

class Order(Service):
    '''Places an order.

    As often as you like.'''
    name = 'security.order'
    input = 'customer', Int('quantity')
    output = 'id'
    def handle(self):
        return {'id': '1'}
";

const SECRET: &str = "the secret of this test, long enough";

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let sign = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("Bearer {message}.{sign}")
}

fn with_secret(text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text)
        .as_ref()
        .to_vec()
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is after 1970");
    i64::try_from(now.as_secs()).expect("the clock is before the end of time") + seconds
}

/// A key that signs, and how an issuer publishes it.
fn issuer_key(id: &str) -> (Ed25519KeyPair, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("keys can be made");
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("ring reads its own keys");
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "use": "sig", "alg": "EdDSA" });
    (key, public)
}

fn manifest(issuer: &str) -> String {
    format!(
        "
basic-auth:
  - {{name: ann, username: ann, password: 'p:w', realm: Shop}}
api-key:
  - {{name: partner, key: the-key}}
  - {{name: other, key: other-key, header: X-Other, query_parameter: key}}
jwt:
  - {{name: shared, algorithms: [HS256], secret: '{SECRET}', issuer: 'https://a', audience: [shop]}}
  - {{name: issued, algorithms: [EdDSA], jwks_url: '{issuer}', jwks_retry: 100ms, issuer: 'https://b', scopes: [orders]}}
mutual-tls:
  - {{name: machine, subjects: ['CN=machine,O=Example']}}
security-group:
  - {{name: everybody, members: [ann, partner, other, shared, issued, machine]}}
rate-limit:
  - name: many
    rules: [{{limit: 400, unit: month}}]
  - name: closed
    rules: [{{addresses: [127.0.0.1], deny: true}}]
rest-channel:
  - {{name: open, path: /who/open, service: security.who}}
  - {{name: ann, path: /who/ann, service: security.who, security: [ann]}}
  - {{name: everybody, path: /who/everybody, service: security.who, security: [everybody]}}
  - {{name: limited, path: /who/limited, service: security.who, rate_limit: many}}
  - {{name: closed, path: /who/closed, service: security.who, rate_limit: closed}}
  - {{name: order, path: '/orders/{{customer}}', method: POST, service: security.order, security: [everybody]}}
  - {{name: hidden, path: /hidden, service: security.who, include_in_openapi: false}}
"
    )
}

fn cluster(servers: u32, issuer: &str) -> Cluster {
    let trusted = (1..=servers).map(|server| {
        (
            format!("TENON__SERVER{server}__LIMITS__DATA__TRUSTED"),
            "[\"127.0.0.1\"]".to_owned(),
        )
    });
    let cluster = Cluster::with(ClusterOptions {
        servers,
        environment: trusted.collect(),
        ..ClusterOptions::default()
    });
    cluster.deploy(&[("security_test.py", SERVICES)]);
    cluster.apply(&manifest(issuer));
    cluster
}

#[track_caller]
fn get(client: &Client, url: &str, headers: &[(&str, &str)]) -> Answer {
    let client = headers
        .iter()
        .fold(client.clone(), |client, (name, value)| client.with_header(name, value));
    client.get(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

#[test]
fn who_shows_who_he_is_is_let_in_and_known_to_the_service() {
    let (first, first_public) = issuer_key("first");
    let (second, second_public) = issuer_key("second");
    let published = Arc::new(Mutex::new(json!({ "keys": [first_public] })));
    let keys = Arc::clone(&published);
    let issuer = Stub::start(move |_, _| (200, keys.lock().expect("no test panics here").to_string()));
    let cluster = cluster(1, &issuer.url("/keys"));
    let everybody = cluster.url("/who/everybody");
    let who = |headers: &[(&str, &str)]| get(&cluster.client, &everybody, headers);

    let basic = format!("Basic {}", STANDARD.encode("ann:p:w"));
    let shared = json!({ "iss": "https://a", "aud": "shop", "sub": "bob", "exp": seconds_from_now(600) });
    let of_bob = token(&json!({ "alg": "HS256" }), &shared, with_secret);
    let issued = json!({ "iss": "https://b", "sub": "eve", "scope": "orders", "exp": seconds_from_now(600) });
    let of_eve = token(&json!({ "alg": "EdDSA", "kid": "first" }), &issued, |text| {
        first.sign(text).as_ref().to_vec()
    });
    for (header, value, expected) in [
        (
            "authorization",
            basic.as_str(),
            json!({ "name": "ann", "type": "basic-auth", "username": "ann", "claims": {} }),
        ),
        (
            "x-api-key",
            "the-key",
            json!({ "name": "partner", "type": "api-key", "username": "", "claims": {} }),
        ),
        (
            "authorization",
            &of_bob,
            json!({ "name": "shared", "type": "jwt", "username": "bob", "claims": shared }),
        ),
        (
            "authorization",
            &of_eve,
            json!({ "name": "issued", "type": "jwt", "username": "eve", "claims": issued }),
        ),
    ] {
        let answer = who(&[(header, value)]);
        assert_eq!((answer.status, answer.json()), (200, expected), "{header}: {value}");
    }
    assert_eq!(
        get(&cluster.client, &format!("{everybody}?key=other-key"), &[]).json()["name"],
        "other"
    );
    assert_eq!(get(&cluster.client, &cluster.url("/who/open"), &[]).json()["name"], "");

    // The issuer changes its key: tokens of the new one are accepted.
    *published.lock().expect("no test panics here") = json!({ "keys": [second_public] });
    let of_second = token(&json!({ "alg": "EdDSA", "kid": "second" }), &issued, |text| {
        second.sign(text).as_ref().to_vec()
    });
    wait_for("the issuer's new key is known", PATIENCE, || {
        (who(&[("authorization", &of_second)]).status == 200).then_some(())
    });
    assert_eq!(who(&[("authorization", &of_eve)]).status, 401);

    others_are_refused(&cluster, (&of_bob, &shared), (&second, &issued));
    only_a_proxy_tells_of_certificates(&cluster);
    channels_are_described(&cluster);
}

/// `bob` and `issued` are a valid token and what valid tokens of the issuer claim; `second` is the issuer's key.
fn others_are_refused(cluster: &Cluster, bob: (&str, &Value), (second, issued): (&Ed25519KeyPair, &Value)) {
    let (of_bob, shared) = bob;
    let everybody = cluster.url("/who/everybody");
    let who = |headers: &[(&str, &str)]| get(&cluster.client, &everybody, headers);
    let refused = who(&[]);
    assert_problem(&refused, 401);
    let challenges = refused.headers.iter().filter(|(name, _)| name == "www-authenticate");
    let schemes: Vec<&str> = challenges.filter_map(|(_, value)| value.split(' ').next()).collect();
    for scheme in ["Basic", "Bearer", "ApiKey"] {
        assert!(schemes.contains(&scheme), "{schemes:?}");
    }
    let old = json!({ "iss": "https://a", "aud": "shop", "exp": seconds_from_now(-600) });
    let old = who(&[("authorization", &token(&json!({ "alg": "HS256" }), &old, with_secret))]);
    assert_problem(&old, 401);
    assert!(format!("{:?}", old.headers).contains("invalid_token"), "{old:?}");
    let unsigned = token(&json!({ "alg": "none" }), shared, |_| Vec::new());
    assert_problem(&who(&[("authorization", &unsigned)]), 401);
    let mut weak = issued.clone();
    weak["scope"] = json!("read");
    let weak = token(&json!({ "alg": "EdDSA", "kid": "second" }), &weak, |text| {
        second.sign(text).as_ref().to_vec()
    });
    assert_problem(&who(&[("authorization", &weak)]), 403);
    // Known to the cluster, but not let in here.
    let ann_only = cluster.url("/who/ann");
    assert_problem(&get(&cluster.client, &ann_only, &[("authorization", of_bob)]), 401);
    assert_problem(
        &get(&cluster.client, &ann_only, &[("authorization", "Basic YW5uOndyb25n")]),
        401,
    );
    assert_problem(&get(&cluster.client, &cluster.url("/who/closed"), &[]), 403);
}

/// The load balancer takes what is said of certificates away from its clients.
fn only_a_proxy_tells_of_certificates(cluster: &Cluster) {
    let told = [
        ("x-tenon-client-cert-verified", "1"),
        ("x-tenon-client-cert-subject", "CN=machine, O=Example"),
    ];
    assert_problem(&get(&cluster.client, &cluster.url("/who/everybody"), &told), 401);
    let direct = get(&cluster.client, &cluster.server_url(1, "/who/everybody"), &told);
    assert_eq!(direct.json()["name"], "machine");
}

fn channels_are_described(cluster: &Cluster) {
    let url = cluster.url("/openapi.json");
    let answer = get(&cluster.client, &url, &[]);
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    let order = &document["paths"]["/orders/{customer}"]["post"];
    assert_eq!(
        (&order["summary"], &order["operationId"]),
        (&json!("Places an order."), &json!("order"))
    );
    let body = &order["requestBody"]["content"]["application/json"]["schema"]["properties"];
    assert_eq!(
        (&body["quantity"]["type"], &body["customer"]),
        (&json!("integer"), &Value::Null)
    );
    assert_eq!(order["security"].as_array().map(Vec::len), Some(6), "{order}");
    assert!(document["paths"]["/hidden"].is_null());
    let text = document.to_string();
    for inside in ["security.order", "partner", "issued"] {
        assert!(!text.contains(inside), "{inside} is nobody's business");
    }
    let etag = answer.header("etag").expect("the document has a tag");
    assert_eq!(get(&cluster.client, &url, &[("if-none-match", etag)]).status, 304);
    assert_problem(&cluster.client.post(&url, b"").expect("it is answered"), 405);
    let page = get(&cluster.client, &cluster.url("/openapi"), &[]);
    assert!(
        page.body.contains("<script>") && page.header("content-security-policy").is_some(),
        "{page:?}"
    );

    let file = cluster.scratch("openapi.json");
    cluster.tenon_ok(&["openapi", "-o", &file.to_string_lossy()]);
    let written = std::fs::read_to_string(&file).expect("the file was written");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("it is JSON"), document);
    cluster.apply("rest-channel: [{name: late, path: /late, service: security.who}]");
    let later = get(&cluster.client, &url, &[("if-none-match", etag)]);
    assert!(later.json()["paths"]["/late"].is_object(), "{later:?}");
}

#[test]
fn a_limit_holds_over_all_servers() {
    const LIMIT: u32 = 400;
    let cluster = cluster(2, "http://127.0.0.1:9/keys");
    let url = cluster.url("/who/limited");
    let (granted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let client = Client::new();
                for _ in 0..LIMIT / 4 {
                    let answer = client.get(&url).expect("it is answered");
                    let count = match answer.status {
                        200 => &granted,
                        429 => &refused,
                        status => panic!("{status}: {answer:?}"),
                    };
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let granted = granted.load(Ordering::SeqCst);
    assert!(
        (LIMIT * 95 / 100..=LIMIT).contains(&granted),
        "{granted} of {LIMIT} were let through"
    );
    let answer = cluster.client.get(&url).expect("it is answered");
    assert_problem(&answer, 429);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"many\";q=400;w=2592000"));
    assert!(
        answer
            .header("ratelimit")
            .is_some_and(|text| text.starts_with("\"many\";r=0;t=")),
        "{answer:?}"
    );
    let seconds: u64 = answer
        .header("retry-after")
        .expect("it is said")
        .parse()
        .expect("it is a number");
    assert!(seconds >= 1);
    // Both servers were asked, and both refuse.
    for server in [1, 2] {
        assert_eq!(
            get(&cluster.client, &cluster.server_url(server, "/who/limited"), &[]).status,
            429
        );
    }
}
