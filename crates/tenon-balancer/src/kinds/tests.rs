//! What users may write, and what they are told of what they may not.

use serde_json::{Value, json};
use tenon_model::{Kind, KindConfig};

use super::*;

/// The fields that are wrong, in order.
fn wrong<T: KindConfig>(body: &Value) -> Vec<String> {
    let problems = Kind::of::<T>().check(body);
    problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn a_balancer_needs_nothing_and_names_what_is_wrong() {
    let kind = Kind::of::<BalancerConfig>();
    assert_eq!(kind.only_name, Some("main"));
    let normal = kind.normalize(&json!({"servers": [{"name": "server2"}]})).unwrap();
    assert_eq!(
        normal["servers"],
        json!([{"name": "server2", "weight": 1, "state": "in"}])
    );
    assert_eq!(normal["ejection"]["failures"], 10);
    let read: BalancerConfig = serde_json::from_value(kind.normalize(&json!({})).unwrap()).unwrap();
    assert_eq!(read.queue_max, 1_000);
    for (body, fields) in [
        (
            json!({"servers": [{"name": "a", "weight": 0}]}),
            vec!["servers[0].weight"],
        ),
        (
            json!({"servers": [{"name": "a"}, {"name": "a"}]}),
            vec!["servers[1].name"],
        ),
        (
            json!({"servers": [{"name": "a", "state": "gone"}]}),
            vec!["servers[0].state"],
        ),
        (
            json!({"allow": ["10.0.0.0/8", "x"], "deny": ["1.2.3.4/40"]}),
            vec!["allow[1]", "deny[0]"],
        ),
        (
            json!({"tls": {"client_certificates": "required"}}),
            vec!["tls.client_ca"],
        ),
        (json!({"tls": {"client_ca": "x"}}), vec!["tls.client_ca"]),
        (json!({"tls": {"min_version": "1.1"}}), vec!["tls.min_version"]),
        (
            json!({"in_flight_max": 0, "headers_max": 129}),
            vec!["in_flight_max", "headers_max"],
        ),
        (json!({"request_id_header": "X-Tenon-Cid"}), vec!["request_id_header"]),
        (json!({"queue_timeout": "0s"}), vec!["queue_timeout"]),
    ] {
        assert_eq!(wrong::<BalancerConfig>(&body), fields, "{body}");
    }
}

#[test]
fn a_rule_has_exactly_one_action() {
    for (action, fields) in [
        (json!({}), vec!["action"]),
        (json!({"allow": true, "deny": {}}), vec!["action"]),
        (json!({"allow": true}), vec![]),
        (json!({"deny": {"status": 200}}), vec!["action.deny.status"]),
        (json!({"rate_limit": {"requests": 10, "by": "header:X-Key"}}), vec![]),
        (
            json!({"rate_limit": {"requests": 10, "by": "header:"}}),
            vec!["action.rate_limit.by"],
        ),
        (
            json!({"rate_limit": {"requests": 0}}),
            vec!["action.rate_limit.requests"],
        ),
        (json!({"concurrency": {"max": 1}}), vec![]),
        (
            json!({"concurrency": {"max": 1, "queue": 1}}),
            vec!["action.concurrency.queue"],
        ),
        (json!({"redirect": {"to": "https://{host}{path}{query}"}}), vec![]),
        (
            json!({"redirect": {"to": "ftp://x", "status": 304}}),
            vec!["action.redirect.to", "action.redirect.status"],
        ),
        (
            json!({"set_header": {"request": {"Content-Length": "1"}}}),
            vec!["action.set_header.request.Content-Length"],
        ),
        (
            json!({"set_header": {"response": {"X-A": "b\r\nc"}}}),
            vec!["action.set_header.response.X-A"],
        ),
        (json!({"limits": {}}), vec!["action.limits"]),
        (json!({"limits": {"request_timeout": "2s"}}), vec![]),
    ] {
        let body = json!({"action": action});
        assert_eq!(wrong::<RuleConfig>(&body), fields, "{body}");
    }
}

#[test]
fn a_rule_names_the_element_that_can_not_match() {
    for (matches, fields) in [
        (
            json!({"paths": ["/a/{id}", "/b/*", "/", "/f/{rest*}", "/r/{y}-{m}.pdf"]}),
            vec![],
        ),
        (json!({"paths": ["/a", "b"]}), vec!["match.paths[1]"]),
        (json!({"paths": ["/a/{id"]}), vec!["match.paths[0]"]),
        (json!({"paths": ["/a*b"]}), vec!["match.paths[0]"]),
        (
            json!({"paths": ["/{a}{b}", "/{a}*"]}),
            vec!["match.paths[0]", "match.paths[1]"],
        ),
        (json!({"paths": ["/{all*}/b"]}), vec!["match.paths[0]"]),
        (json!({"methods": ["GET", "get"]}), vec!["match.methods[1]"]),
        (
            json!({"hosts": ["*.example.com", "a b", "127.0.0.1"]}),
            vec!["match.hosts[1]"],
        ),
        (json!({"headers": {"X A": "*"}}), vec!["match.headers.X A"]),
        (json!({"addresses": ["::1", "300.0.0.1"]}), vec!["match.addresses[1]"]),
    ] {
        let body = json!({"match": matches, "action": {"allow": true}});
        assert_eq!(wrong::<RuleConfig>(&body), fields, "{body}");
    }
}

#[test]
fn a_certificate_comes_with_its_own_key() {
    let make = || rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
    let (one, other) = (make(), make());
    let (pem, key) = (one.cert.pem(), one.signing_key.serialize_pem());
    for (body, fields) in [
        (json!({"certificate": pem, "private_key": key}), vec![]),
        (
            json!({"certificate": pem, "private_key": other.signing_key.serialize_pem()}),
            vec!["private_key"],
        ),
        (json!({"certificate": pem, "private_key": "secret:key"}), vec![]),
        (json!({"certificate": pem, "private_key": "********"}), vec![]),
        (json!({"certificate": pem, "private_key": "x"}), vec!["private_key"]),
        (json!({"certificate": "x", "private_key": key}), vec!["certificate"]),
        (json!({"certificate": pem}), vec!["private_key"]),
        (json!({}), vec!["certificate"]),
        (
            json!({"certificate_file": "/a.pem", "private_key_file": "b.pem"}),
            vec!["private_key_file"],
        ),
        (
            json!({"certificate_file": "/a.pem", "private_key_file": "/b.pem", "hosts": ["*.x.y"]}),
            vec![],
        ),
        (
            json!({"certificate": pem, "private_key": key, "certificate_file": "/a", "hosts": ["-"]}),
            vec!["hosts[0]", "certificate_file"],
        ),
    ] {
        assert_eq!(wrong::<CertificateConfig>(&body), fields, "{body}");
    }
    let kind = Kind::of::<CertificateConfig>();
    assert_eq!(kind.secret_fields, ["private_key"]);
}

#[test]
fn a_certificate_is_ordered_for_hosts_that_can_be_proved_and_with_consent() {
    let acme = json!({"directory": "https://ca.test/dir", "contact": ["mailto:ops@example.com"], "terms_agreed": true});
    let with = |field: &str, value: Value| {
        let mut acme = acme.clone();
        acme[field] = value;
        json!({"hosts": ["a.test"], "acme": acme})
    };
    for (body, fields) in [
        (json!({"hosts": ["a.test", "b.test"], "acme": acme}), vec![]),
        (json!({"acme": acme}), vec!["hosts"]),
        (json!({"hosts": ["*.a.test"], "acme": acme}), vec!["hosts[0]"]),
        (json!({"hosts": ["a.test", "10.0.0.1"], "acme": acme}), vec!["hosts[1]"]),
        (with("directory", json!("http://ca.test/dir")), vec!["acme.directory"]),
        (with("directory", json!("ca.test")), vec!["acme.directory"]),
        (with("contact", json!(["ops@example.com"])), vec!["acme.contact[0]"]),
        (with("terms_agreed", json!(false)), vec!["acme.terms_agreed"]),
        (with("ca", json!("x")), vec!["acme.ca"]),
        (
            json!({"hosts": ["a.test"], "acme": acme, "certificate": "x", "private_key": "y"}),
            vec!["acme"],
        ),
        (
            json!({"hosts": ["a.test"], "acme": acme, "certificate_file": "/a", "private_key_file": "/b"}),
            vec!["certificate_file"],
        ),
    ] {
        assert_eq!(wrong::<CertificateConfig>(&body), fields, "{body}");
    }
}
