//! Tokens: every algorithm, every way of cheating that is known, and issuers that change their keys or go away.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::{any, prop, proptest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA384, RsaEncoding, RsaKeyPair,
};
use ring::{digest, hmac};
use serde_json::{Value, json};
use tenon_model::{Clock, KindConfig, ManualClock, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::keys::{Algorithm, PublicKey};
use super::{Denied, JwtConfig, JwtVerifier, KeySets, Token};

const RSA_PRIVATE: &[u8] = include_bytes!("testdata/rsa.pk8");
const RSA_PUBLIC: &str = include_str!("testdata/rsa.pem");
const SECRET: &str = "a secret of more than thirty-two bytes";
const NOW: i64 = 1_800_000_000;

/// Signs a text.
type Signer = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn with_secret(algorithm: hmac::Algorithm, secret: &[u8]) -> Signer {
    let key = hmac::Key::new(algorithm, secret);
    Box::new(move |text| hmac::sign(&key, text).as_ref().to_vec())
}

fn with_rsa(encoding: &'static dyn RsaEncoding) -> Signer {
    let key = RsaKeyPair::from_pkcs8(RSA_PRIVATE).unwrap();
    Box::new(move |text| {
        let mut sign = vec![0; key.public().modulus_len()];
        key.sign(encoding, &SystemRandom::new(), text, &mut sign).unwrap();
        sign
    })
}

/// A new key on a curve: how it signs, and its two coordinates.
fn with_curve(algorithm: &'static EcdsaSigningAlgorithm) -> (Signer, Value) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
    let point = key.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({ "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
    let sign = move |text: &[u8]| key.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec();
    (Box::new(sign), jwk)
}

fn with_ed25519() -> (Signer, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(key.public_key().as_ref()) });
    (Box::new(move |text| key.sign(text).as_ref().to_vec()), jwk)
}

fn token(header: &Value, claims: &Value, sign: &Signer) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let sign = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{sign}")
}

fn claims() -> Value {
    json!({ "iss": "https://issuer", "aud": ["orders", "x"], "sub": "ann", "exp": NOW + 60, "scope": "read write" })
}

fn config(fields: &Value) -> JwtConfig {
    let config: JwtConfig = serde_json::from_value(fields.clone()).unwrap();
    assert_eq!(config.check(), []);
    config
}

fn verifier_in(sets: &mut KeySets, fields: &Value) -> JwtVerifier {
    let clock = ManualClock::new(Timestamp::from_millis(NOW * 1000));
    JwtVerifier::new(config(fields), sets, Arc::new(clock) as Arc<dyn Clock>).unwrap()
}

fn verifier(fields: &Value) -> JwtVerifier {
    verifier_in(&mut KeySets::default(), fields)
}

async fn verify(verifier: &JwtVerifier, text: &str) -> Result<String, Denied> {
    match Token::read(text) {
        Some(token) => verifier.verify(&token).await,
        None => Err(Denied::Invalid("unreadable")),
    }
}

fn shared(algorithms: &[&str]) -> Value {
    json!({ "algorithms": algorithms, "secret": SECRET, "issuer": "https://issuer", "audience": ["orders"] })
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_is_accepted() {
    let (p256, mut p256_jwk) = with_curve(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let (p384, mut p384_jwk) = with_curve(&ECDSA_P384_SHA384_FIXED_SIGNING);
    let (ed25519, ed25519_jwk) = with_ed25519();
    p256_jwk["crv"] = json!("P-256");
    p384_jwk["crv"] = json!("P-384");
    let set = json!({ "keys": [p256_jwk, p384_jwk, ed25519_jwk, { "kty": "oct", "k": "AAAA" }] });
    let keys = super::keys::read_key_set(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.len(), 3);
    for (algorithm, sign, key) in [
        (Algorithm::ES256, &p256, &keys[0].key),
        (Algorithm::ES384, &p384, &keys[1].key),
        (Algorithm::EdDSA, &ed25519, &keys[2].key),
    ] {
        let text = token(&json!({ "alg": algorithm }), &claims(), sign);
        let read = Token::read(&text).unwrap();
        assert!(read.is_signed_with(key), "{algorithm}");
        for other in keys.iter().filter(|other| !Arc::ptr_eq(&other.key, key)) {
            assert!(!read.is_signed_with(&other.key), "{algorithm} with {:?}", other.key);
        }
    }
    for (name, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let text = token(
            &json!({ "alg": name, "typ": "JWT" }),
            &claims(),
            &with_secret(algorithm, SECRET.as_bytes()),
        );
        assert_eq!(
            verify(&verifier(&shared(&[name])), &text).await.as_deref(),
            Ok("ann"),
            "{name}"
        );
    }
    for (name, encoding) in [
        ("RS256", &RSA_PKCS1_SHA256 as &'static dyn RsaEncoding),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS384", &RSA_PSS_SHA384),
    ] {
        let text = token(&json!({ "alg": name }), &claims(), &with_rsa(encoding));
        let accepts = verifier(&json!({ "algorithms": [name], "public_key": RSA_PUBLIC }));
        assert_eq!(verify(&accepts, &text).await.as_deref(), Ok("ann"), "{name}");
    }
}

#[tokio::test]
async fn nobody_signs_with_what_is_public_or_not_at_all() {
    let rsa = verifier(&json!({ "algorithms": ["RS256"], "public_key": RSA_PUBLIC }));
    // The public key as a shared secret, in the forms in which it may be at hand.
    let (_, der) = super::der::read_pem(RSA_PUBLIC).unwrap();
    for secret in [RSA_PUBLIC.as_bytes(), RSA_PUBLIC.trim().as_bytes(), der.as_slice()] {
        let text = token(
            &json!({ "alg": "HS256" }),
            &claims(),
            &with_secret(hmac::HMAC_SHA256, secret),
        );
        assert!(matches!(verify(&rsa, &text).await, Err(Denied::Invalid(_))));
    }
    let unsigned: Signer = Box::new(|_| Vec::new());
    let good = token(
        &json!({ "alg": "HS256" }),
        &claims(),
        &with_secret(hmac::HMAC_SHA256, SECRET.as_bytes()),
    );
    let (message, sign) = good.rsplit_once('.').unwrap();
    let changed = URL_SAFE_NO_PAD.encode(json!({ "sub": "admin", "exp": NOW + 60 }).to_string());
    let header = message.split('.').next().unwrap();
    let key_of_its_own = json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" }, "crit": ["jwk"] });
    for text in [
        token(&json!({ "alg": "none" }), &claims(), &unsigned),
        token(&json!({ "alg": "None" }), &claims(), &unsigned),
        token(&json!({ "alg": "HS256" }), &claims(), &unsigned),
        token(
            &json!({ "alg": "hs256" }),
            &claims(),
            &with_secret(hmac::HMAC_SHA256, SECRET.as_bytes()),
        ),
        token(
            &json!({ "alg": "HS384" }),
            &claims(),
            &with_secret(hmac::HMAC_SHA384, SECRET.as_bytes()),
        ),
        token(
            &json!({ "alg": "HS256" }),
            &claims(),
            &with_secret(hmac::HMAC_SHA256, b"another"),
        ),
        token(
            &key_of_its_own,
            &claims(),
            &with_secret(hmac::HMAC_SHA256, SECRET.as_bytes()),
        ),
        token(
            &json!({}),
            &claims(),
            &with_secret(hmac::HMAC_SHA256, SECRET.as_bytes()),
        ),
        format!("{header}.{changed}.{sign}"),
        format!("{message}."),
        message.to_owned(),
        format!("{good}."),
        format!("{good}="),
        format!("{good}.{sign}"),
        format!("{}{good}", "A".repeat(20_000)),
        String::new(),
        "..".to_owned(),
    ] {
        let denied = verify(&verifier(&shared(&["HS256"])), &text).await;
        assert!(matches!(denied, Err(Denied::Invalid(_))), "{text}");
    }
    assert_eq!(
        verify(&verifier(&shared(&["HS256"])), &good).await.as_deref(),
        Ok("ann")
    );
}

/// A token whose claims are changed like this.
fn token_with(changes: &Value) -> String {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let sign = with_secret(hmac::HMAC_SHA256, SECRET.as_bytes());
    token(&json!({ "alg": "HS256" }), &claims, &sign)
}

/// A verifier whose definition is changed like this.
fn strict(changes: &Value) -> JwtVerifier {
    let mut fields = shared(&["HS256"]);
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    verifier(&fields)
}

#[tokio::test]
async fn claims_are_held_to_what_the_definition_says() {
    let invalid = |result: Result<String, Denied>| matches!(result, Err(Denied::Invalid(_)));
    let usual = strict(&json!({}));
    for (changes, is_accepted) in [
        (json!({ "exp": NOW - 29 }), true),
        (json!({ "exp": NOW - 30 }), false),
        (serde_json::from_str(&format!("{{\"exp\": {NOW}.5}}")).unwrap(), true),
        (json!({ "exp": "soon" }), false),
        (json!({ "exp": null }), false),
        (json!({ "nbf": NOW + 30 }), true),
        (json!({ "nbf": NOW + 31 }), false),
        (json!({ "iat": NOW + 3600 }), false),
        (json!({ "iss": "https://issuer/" }), false),
        (json!({ "iss": ["https://issuer"] }), false),
        (json!({ "aud": "orders" }), true),
        (json!({ "aud": "order" }), false),
        (json!({ "aud": [] }), false),
        (json!({ "aud": null }), false),
    ] {
        let result = verify(&usual, &token_with(&changes)).await;
        assert_eq!(result.is_ok(), is_accepted, "{changes}: {result:?}");
        assert!(is_accepted || invalid(result), "{changes}");
    }
    let named = strict(&json!({ "subject_claim": "level" }));
    assert_eq!(
        verify(&named, &token_with(&json!({ "level": 3 }))).await.as_deref(),
        Ok("3")
    );
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("exp");
    let sign = with_secret(hmac::HMAC_SHA256, SECRET.as_bytes());
    let endless = token(&json!({ "alg": "HS256" }), &endless, &sign);
    assert!(invalid(verify(&usual, &endless).await));
    assert!(
        verify(&strict(&json!({ "require_expiry": false })), &endless)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn required_claims_and_scopes_decide_who_is_allowed() {
    let realm = json!({ "realm_access": { "roles": ["a", "b"] }, "level": 3 });
    for (required, is_allowed) in [
        (json!({ "required_claims": { "sub": null } }), true),
        (json!({ "required_claims": { "sub": ["bob", "ann"] } }), true),
        (json!({ "required_claims": { "sub": "bob" } }), false),
        (json!({ "required_claims": { "realm_access.roles": "b" } }), true),
        (
            json!({ "required_claims": { "realm_access.roles": ["c", "d"] } }),
            false,
        ),
        (json!({ "required_claims": { "level": 3 } }), true),
        (json!({ "required_claims": { "level": "3" } }), false),
        (json!({ "scopes": ["write"] }), true),
        (json!({ "scopes": ["read", "admin"] }), false),
    ] {
        let result = verify(&strict(&required), &token_with(&realm)).await;
        let expected = if is_allowed {
            Ok("ann".to_owned())
        } else {
            Err(Denied::NotAllowed)
        };
        assert_eq!(result, expected, "{required}");
    }
}

#[test]
fn definitions_that_would_let_anybody_in_are_refused() {
    let problems = |fields: Value| {
        let config: JwtConfig = serde_json::from_value(fields).unwrap();
        config.check()
    };
    for (fields, field) in [
        (json!({ "algorithms": [], "secret": SECRET }), "algorithms"),
        (json!({ "algorithms": ["HS256"], "secret": "short" }), "secret"),
        (
            json!({ "algorithms": ["HS256", "RS256"], "secret": SECRET }),
            "algorithms",
        ),
        (
            json!({ "algorithms": ["HS256"], "public_key": RSA_PUBLIC }),
            "algorithms",
        ),
        (
            json!({ "algorithms": ["HS256"], "jwks_url": "https://issuer/keys" }),
            "algorithms",
        ),
        (
            json!({ "algorithms": ["ES256"], "public_key": RSA_PUBLIC }),
            "public_key",
        ),
        (
            json!({ "algorithms": ["RS256"], "public_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----" }),
            "public_key",
        ),
        (
            json!({ "algorithms": ["RS256"], "public_key": include_str!("testdata/rsa-1024.pem") }),
            "public_key",
        ),
        (
            json!({ "algorithms": ["ES384"], "public_key": include_str!("testdata/p521.pem") }),
            "public_key",
        ),
        (
            json!({ "algorithms": ["RS256"], "jwks_url": "file:///keys" }),
            "jwks_url",
        ),
        (json!({ "algorithms": ["RS256"] }), "public_key"),
        (
            json!({ "algorithms": ["HS256"], "secret": SECRET, "jwks_url": "https://a" }),
            "secret",
        ),
        (
            json!({ "algorithms": ["HS256"], "secret": SECRET, "leeway": "1h" }),
            "leeway",
        ),
    ] {
        assert_eq!(
            problems(fields.clone()).first().map(|problem| problem.field.as_str()),
            Some(field),
            "{fields}"
        );
    }
    assert!(serde_json::from_value::<JwtConfig>(json!({ "algorithms": ["none"], "secret": SECRET })).is_err());
}

#[test]
fn public_keys_are_found_in_each_form() {
    let whole = PublicKey::from_pem(RSA_PUBLIC).unwrap();
    for other in [
        include_str!("testdata/rsa-pkcs1.pem"),
        include_str!("testdata/rsa-certificate.pem"),
    ] {
        assert_eq!(PublicKey::from_pem(other).unwrap(), whole);
    }
    assert!(
        PublicKey::from_pem(include_str!("testdata/p384.pem"))
            .unwrap()
            .fits(Algorithm::ES384)
    );
    assert!(
        PublicKey::from_pem(include_str!("testdata/ed25519.pem"))
            .unwrap()
            .fits(Algorithm::EdDSA)
    );
}

proptest! {
    #[test]
    fn whatever_is_sent_is_answered(text in "[A-Za-z0-9_.=-]{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = Token::read(&text);
        let _ = super::keys::read_key_set(&bytes);
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"] {
            let _ = super::der::read_key(label, &bytes);
        }
    }
}

/// An issuer on loopback whose keys can be changed, and that can be made to fail.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Value>>,
    fails: Arc<AtomicBool>,
    fetches: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(keys: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Self {
            url: format!("http://{}/keys", listener.local_addr().unwrap()),
            keys: Arc::new(Mutex::new(keys)),
            fails: Arc::default(),
            fetches: Arc::default(),
        };
        let (keys, fails, fetches) = (issuer.keys.clone(), issuer.fails.clone(), issuer.fetches.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                fetches.fetch_add(1, Ordering::SeqCst);
                let status = if fails.load(Ordering::SeqCst) {
                    "503 X"
                } else {
                    "200 OK"
                };
                let body = keys.lock().unwrap().to_string();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        issuer
    }

    fn definition(&self) -> Value {
        json!({ "algorithms": ["EdDSA"], "jwks_url": self.url, "jwks_retry": "100ms", "jwks_refresh": "1h" })
    }
}

fn named(mut jwk: Value, id: &str) -> Value {
    jwk["kid"] = json!(id);
    jwk
}

#[tokio::test]
async fn keys_that_an_issuer_changes_are_found_and_old_ones_go() {
    let ((old, old_jwk), (new, new_jwk)) = (with_ed25519(), with_ed25519());
    let issuer = Issuer::start(json!({ "keys": [named(old_jwk, "old")] })).await;
    let accepts = verifier(&issuer.definition());
    let of = |id: &str, sign: &Signer| token(&json!({ "alg": "EdDSA", "kid": id }), &claims(), sign);
    assert_eq!(
        verify(&accepts, &of("old", &old)).await.as_deref(),
        Ok("ann"),
        "the first token waits for the keys"
    );
    assert!(verify(&accepts, &of("old", &new)).await.is_err());
    *issuer.keys.lock().unwrap() = json!({ "keys": [named(new_jwk, "new")] });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while verify(&accepts, &of("new", &new)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new key was not found");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        verify(&accepts, &of("old", &old)).await.is_err(),
        "the old key is no longer the issuer's"
    );
}

#[tokio::test]
async fn unknown_keys_do_not_make_a_storm_and_known_ones_outlive_the_issuer() {
    let (sign, jwk) = with_ed25519();
    let issuer = Issuer::start(json!({ "keys": [named(jwk, "a")] })).await;
    let mut definition = issuer.definition();
    definition["jwks_retry"] = json!("1h");
    let mut sets = KeySets::default();
    let accepts = verifier_in(&mut sets, &definition);
    let good = token(&json!({ "alg": "EdDSA", "kid": "a" }), &claims(), &sign);
    assert!(verify(&accepts, &good).await.is_ok());
    issuer.fails.store(true, Ordering::SeqCst);
    for number in 0..50 {
        let text = token(
            &json!({ "alg": "EdDSA", "kid": format!("b{number}") }),
            &claims(),
            &sign,
        );
        assert!(matches!(verify(&accepts, &text).await, Err(Denied::Invalid(_))));
    }
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1);
    assert!(verify(&accepts, &good).await.is_ok());
    // Another snapshot with the same definition has the keys already.
    let mut next = KeySets::following(Some(&sets.complete()), std::path::PathBuf::new());
    assert!(verify(&verifier_in(&mut next, &definition), &good).await.is_ok());
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_it_is_said_why() {
    let (sign, jwk) = with_ed25519();
    let issuer = Issuer::start(json!({ "keys": [jwk] })).await;
    issuer.fails.store(true, Ordering::SeqCst);
    let accepts = verifier(&issuer.definition());
    let text = token(&json!({ "alg": "EdDSA" }), &claims(), &sign);
    assert_eq!(verify(&accepts, &text).await, Err(Denied::NoKeys));
    issuer.fails.store(false, Ordering::SeqCst);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while verify(&accepts, &text).await.is_err() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the keys were not fetched again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_key_set_of_nothing_usable_is_an_error() {
    for wrong in [
        "",
        "[]",
        "{}",
        "{\"keys\": []}",
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AA\"}]}",
    ] {
        assert!(super::keys::read_key_set(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let with = |name: &str, value: Value| {
        let x = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, b""));
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        key[name] = value;
        super::keys::read_key_set(json!({ "keys": [key] }).to_string().as_bytes())
    };
    assert!(with("use", json!("enc")).is_err());
    assert!(with("key_ops", json!(["sign", "encrypt"])).is_err());
    assert!(with("use", json!("sig")).is_ok() && with("key_ops", json!(["verify"])).is_ok());
}
