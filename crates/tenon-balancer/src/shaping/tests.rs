//! What is configured, and who gets in then.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::rules::HeadView;

fn shaping(config: Value, rules: &[(&str, Value)]) -> Shaping {
    let settings = Settings {
        trusted: vec!["10.0.0.1".into()],
        ..Settings::default()
    };
    let shaping = Shaping::new(&settings, Some(11_224)).unwrap();
    let rules: Vec<_> = rules
        .iter()
        .map(|(name, rule)| ((*name).to_owned(), serde_json::from_value(rule.clone()).unwrap()))
        .collect();
    let config = serde_json::from_value(config).unwrap();
    assert_eq!(shaping.apply(&settings, &config, &rules, Instant::now()), []);
    shaping
}

fn from(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 1)
}

const HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 192.0.2.7, 10.0.0.1\r\n\r\n";

fn asker(peer: IpAddr, is_trusted: bool) -> Asker<'static> {
    Asker {
        peer,
        is_trusted,
        is_secure: false,
        cid: "c1",
    }
}

fn view() -> HeadView<'static> {
    HeadView::new(HEAD, "GET / ".len())
}

#[test]
fn addresses_are_looked_at_before_anything_is_read() {
    let shaping = shaping(
        json!({"allow": ["192.0.2.0/24", "2001:db8::/32"], "deny": ["192.0.2.66"], "connections_per_address_max": 2}),
        &[],
    );
    assert_eq!(shaping.meet(from("198.51.100.1")).unwrap_err(), Reason::Address);
    assert_eq!(shaping.meet(from("192.0.2.66")).unwrap_err(), Reason::Address);
    let two = [
        shaping.meet(from("192.0.2.7")).unwrap(),
        shaping.meet(from("192.0.2.7")).unwrap(),
    ];
    assert_eq!(
        shaping.meet(from("192.0.2.7")).unwrap_err(),
        Reason::ConnectionsPerAddress
    );
    let networks = [
        shaping.meet(from("2001:db8::1")).unwrap(),
        shaping.meet(from("2001:db8::2")).unwrap(),
    ];
    assert!(shaping.meet(from("2001:db8::3")).is_err() && shaping.meet(from("2001:db8:0:1::3")).is_ok());
    drop(two);
    assert!(shaping.meet(from("192.0.2.7")).is_ok());
    drop(networks);
    let proxies: Vec<_> = (0..10).map(|_| shaping.meet(from("10.0.0.1")).unwrap()).collect();
    assert_eq!(proxies.len(), 10, "a trusted proxy has the connections of many");
    let counted: Vec<_> = shaping.rejected().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("address", 2), ("connections-per-address", 2)]);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_looked_at() {
    let shaping = shaping(json!({"deny": ["192.0.2.0/24"]}), &[]);
    assert!(!shaping.is_idle());
    let peer = "10.0.0.1".parse().unwrap();
    let rejection = shaping.admit(&view(), asker(peer, true)).await.unwrap_err();
    assert_eq!(rejection.status, 403);
    assert!(
        shaping.admit(&view(), asker(peer, false)).await.is_ok(),
        "what a stranger says is nothing"
    );
}

#[tokio::test]
async fn the_id_of_a_request_has_the_name_that_is_wanted() {
    let shaping = shaping(json!({"request_id_header": "X-Request-ID"}), &[]);
    let peer = "10.0.0.1".parse().unwrap();
    let head = b"GET / HTTP/1.1\r\nhost: t\r\nx-request-id: abc\r\n\r\n";
    let view = HeadView::new(head, "GET / ".len());
    for (is_trusted, cid, told) in [(true, Some("abc"), "abc"), (false, None, "c1")] {
        let admitted = shaping.admit(&view, asker(peer, is_trusted)).await.unwrap();
        assert_eq!(admitted.cid.as_deref(), cid);
        let edits = |edits: &[Arc<crate::rules::HeaderEdits>]| -> Vec<String> {
            let all = edits.iter().flat_map(|edits| edits.iter());
            all.map(|(name, value, _)| format!("{name}: {}", value.unwrap_or_default()))
                .collect()
        };
        assert_eq!(
            edits(&admitted.terms.request),
            [format!("x-request-id: {told}"), format!("x-tenon-cid: {told}")]
        );
        assert_eq!(edits(&admitted.terms.response), [format!("x-request-id: {told}")]);
    }
}

#[tokio::test]
async fn nothing_configured_is_nothing_to_do_and_changes_come_at_once() {
    let shaping = shaping(json!({}), &[]);
    assert!(shaping.is_idle());
    assert_eq!(shaping.limits.headers_max(), Settings::default().headers_max);
    let config =
        json!({"headers_max": 7, "body_bytes_max": 9, "head_timeout": "2s", "in_flight_max": 1, "queue_max": 0});
    shaping.apply(
        &Settings::default(),
        &serde_json::from_value(config).unwrap(),
        &[],
        Instant::now(),
    );
    assert!(!shaping.is_idle());
    assert_eq!((shaping.limits.headers_max(), shaping.limits.body_bytes_max()), (7, 9));
    assert_eq!(shaping.limits.head_timeout(), Duration::from_secs(2));
    let peer = "192.0.2.1".parse().unwrap();
    let inside = shaping.admit(&view(), asker(peer, false)).await.unwrap();
    let rejection = shaping.admit(&view(), asker(peer, false)).await.unwrap_err();
    assert_eq!(rejection.status, 503);
    assert!(rejection.fields.contains("retry-after: 1\r\n"));
    shaping.apply(&Settings::default(), &BalancerConfig::default(), &[], Instant::now());
    assert!(shaping.is_idle());
    drop(inside);
}

#[tokio::test]
async fn a_rejection_says_what_a_client_needs() {
    let shaping = shaping(
        json!({}),
        &[
            ("mark", json!({"action": {"set_header": {"response": {"X-Mark": "1"}}}})),
            (
                "one",
                json!({"order": 1, "action": {"rate_limit": {"requests": 1, "per": "hour"}}}),
            ),
        ],
    );
    let peer = "192.0.2.1".parse().unwrap();
    let admitted = shaping.admit(&view(), asker(peer, false)).await.unwrap();
    assert_eq!(admitted.terms.response.len(), 2);
    let rejection = shaping.admit(&view(), asker(peer, false)).await.unwrap_err();
    assert_eq!((rejection.status, rejection.rule.as_deref()), (429, Some("one")));
    for field in [
        "x-mark: 1\r\n",
        "ratelimit-policy: \"one\";q=1;w=3600\r\n",
        "ratelimit: \"one\";r=0;t=3600\r\n",
        "retry-after: 3600\r\n",
    ] {
        assert!(rejection.fields.contains(field), "{field}: {}", rejection.fields);
    }
}

#[tokio::test]
async fn clients_of_http_are_sent_to_https_and_browsers_are_told_to_stay() {
    let config = json!({"redirect_to_https": "permanent", "hsts_max_age": "1h"});
    let shaping = shaping(config, &[]);
    assert!(!shaping.is_idle());
    let client = asker("192.0.2.7".parse().unwrap(), false);
    let rejection = shaping.admit(&view(), client).await.unwrap_err();
    assert_eq!(rejection.status, 308);
    assert_eq!(rejection.fields, "location: https://t:11224/\r\n");
    let secure = Asker {
        is_secure: true,
        ..client
    };
    let admitted = shaping.admit(&view(), secure).await.unwrap();
    let told: Vec<_> = admitted.terms.response.iter().flat_map(|edits| edits.iter()).collect();
    assert_eq!(told, [("strict-transport-security", Some("max-age=3600"), false)]);
}
