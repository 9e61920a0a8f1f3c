//! Rules with a clock of their own.

use proptest::prelude::{Strategy, prop, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::*;

struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    authority: &'a str,
    headers: &'a [(&'a str, &'a str)],
}

impl RequestView for Asked<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn target(&self) -> &str {
        self.target
    }

    fn authority(&self) -> &str {
        self.authority
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_bytes())
    }
}

fn get(target: &str) -> Asked<'_> {
    Asked {
        method: "GET",
        target,
        authority: "Api.Example.org:81",
        headers: &[("x-key", "k1")],
    }
}

fn configs(rules: &[(&str, Value)]) -> Vec<(String, RuleConfig)> {
    let read = |(name, body): &(&str, Value)| ((*name).to_owned(), serde_json::from_value(body.clone()).unwrap());
    rules.iter().map(read).collect()
}

fn set_of(rules: &[(&str, Value)], now: Instant) -> RuleSet {
    let (set, unusable) = RuleSet::compile(&configs(rules), &RuleSet::default(), 1_000, now);
    assert_eq!(unusable, []);
    set
}

fn client() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

fn by(judgement: &Judgement) -> Option<&str> {
    judgement.ban.as_ref().map(|(_, rule)| &*rule.name)
}

#[test]
fn the_first_that_decides_ends_the_rules() {
    let now = Instant::now();
    let set = set_of(
        &[
            (
                "last",
                json!({"order": 9, "action": {"deny": {"status": 410, "delay": "2s"}}}),
            ),
            (
                "inside",
                json!({"order": 1, "match": {"addresses": ["10.0.0.0/8"]}, "action": {"allow": true}}),
            ),
            (
                "env",
                json!({"match": {"paths": ["/.env", "/.git/*"]}, "action": {"deny": {}}}),
            ),
            ("off", json!({"is_active": false, "action": {"deny": {"status": 500}}})),
            (
                "old",
                json!({"order": 2, "match": {"paths": ["/old/*"], "methods": ["GET"]},
                "action": {"redirect": {"to": "https://{host}/new{path}{query}", "status": 301}}}),
            ),
        ],
        now,
    );
    let judge = |asked: &Asked<'_>, client: &str| set.judge(asked, client.parse().unwrap(), now);
    assert_eq!(by(&judge(&get("/a"), "10.1.2.3")), None);
    assert_eq!(by(&judge(&get("/.env?x"), "10.1.2.3")), Some("env"));
    assert_eq!(by(&judge(&get("/%2egit/config"), "10.1.2.3")), Some("env"));
    let denied = judge(&get("/a"), "192.0.2.7").ban.unwrap().0;
    let delay = Some(Duration::from_secs(2));
    assert_eq!(denied, Ban::Denied { status: 410, delay });
    let sent = judge(&get("//old/x"), "192.0.2.7");
    assert_eq!(by(&sent), Some("last"), "not the path that it looks like");
    let Ban::Redirected { status: 301, to } = judge(&get("/old/x?y=1"), "192.0.2.7").ban.unwrap().0 else {
        unreachable!("a redirect is configured");
    };
    assert_eq!(to, "https://api.example.org/new/old/x?y=1");
    let report = set.report();
    let counted: Vec<_> = report
        .iter()
        .map(|rule| (rule.name.as_str(), rule.hits, rule.refused))
        .collect();
    assert_eq!(
        counted,
        [("env", 2, 2), ("inside", 1, 0), ("old", 1, 1), ("last", 2, 2)]
    );
}

/// Two requests a minute for each key, three a second in all.
fn limits(now: Instant) -> RuleSet {
    let key = json!({"match": {"headers": {"X-Key": "*"}},
        "action": {"rate_limit": {"requests": 2, "per": "minute", "by": "header:X-Key"}}});
    let all = json!({"order": 1, "action": {"rate_limit": {"requests": 3, "by": "all"}}});
    set_of(&[("key", key), ("all", all)], now)
}

fn ask(set: &RuleSet, key: &str, now: Instant) -> Judgement {
    let asked = Asked {
        headers: &[("x-key", key)],
        ..get("/")
    };
    set.judge(&asked, client(), now)
}

fn headers(judgement: &Judgement) -> Vec<(String, String)> {
    let edits = judgement.terms.response.iter().flat_map(|edits| edits.iter());
    edits
        .map(|(name, value, _)| (name.to_owned(), value.unwrap_or_default().to_owned()))
        .collect()
}

#[test]
fn limits_say_how_they_stand() {
    let now = Instant::now();
    let set = limits(now);
    let first = ask(&set, "a", now);
    assert_eq!(by(&first), None);
    assert_eq!(
        headers(&first),
        [
            ("ratelimit-policy".into(), "\"key\";q=2;w=60, \"all\";q=3;w=1".into()),
            ("ratelimit".into(), "\"key\";r=1;t=30, \"all\";r=2;t=1".into())
        ]
    );
    assert_eq!(by(&ask(&set, "a", now)), None);
    let over = ask(&set, "a", now);
    let Some((Ban::TooMany { retry_after }, rule)) = &over.ban else {
        unreachable!("there were two");
    };
    assert_eq!((&*rule.name, *retry_after), ("key", Duration::from_secs(30)));
    assert_eq!(headers(&over)[1].1, "\"key\";r=0;t=60");
    let without = Asked {
        headers: &[],
        ..get("/")
    };
    let later = set.judge(&without, client(), now + Duration::from_secs(5));
    assert_eq!(headers(&later)[1].1, "\"all\";r=2;t=1");
}

#[test]
fn what_is_refused_in_the_end_takes_nothing_of_the_limits_before() {
    let now = Instant::now();
    let set = limits(now);
    for key in ["a", "a", "b"] {
        assert_eq!(by(&ask(&set, key, now)), None);
    }
    assert_eq!(by(&ask(&set, "c", now)), Some("all"));
    let later = now + Duration::from_secs(1);
    for expected in [None, None, Some("key")] {
        assert_eq!(by(&ask(&set, "c", later)), expected);
    }
}

#[test]
fn addresses_of_one_network_share_a_limit_only_in_ipv6() {
    let now = Instant::now();
    let set = set_of(&[("one", json!({"action": {"rate_limit": {"requests": 1}}}))], now);
    for (address, expected) in [
        ("192.0.2.1", true),
        ("192.0.2.2", true),
        ("::ffff:192.0.2.2", false),
        ("2001:db8::1", true),
        ("2001:db8::ffff:1", false),
        ("2001:db8:0:1::1", true),
    ] {
        let judgement = set.judge(&get("/"), address.parse().unwrap(), now);
        assert_eq!(judgement.ban.is_none(), expected, "{address}");
    }
}

#[test]
fn what_is_unchanged_goes_on_counting() {
    let now = Instant::now();
    let limit = |requests: u32| json!({"action": {"rate_limit": {"requests": requests, "per": "hour", "by": "all"}}});
    let set = set_of(
        &[("limit", limit(1)), ("z-gone", json!({"action": {"allow": true}}))],
        now,
    );
    assert_eq!(by(&set.judge(&get("/"), client(), now)), None);
    let mut moved = limit(1);
    moved["order"] = json!(5);
    let (set, _) = RuleSet::compile(&configs(&[("limit", moved)]), &set, 1_000, now);
    assert_eq!(by(&set.judge(&get("/"), client(), now)), Some("limit"));
    assert_eq!(set.report()[0].hits, 2);
    let mut broken = configs(&[("limit", limit(2))]);
    broken[0].1.matches.paths = vec!["no path".into()];
    let (set, unusable) = RuleSet::compile(&broken, &set, 1_000, now);
    assert_eq!(unusable.len(), 1);
    assert_eq!(
        by(&set.judge(&get("/"), client(), now)),
        Some("limit"),
        "the last good one holds"
    );
    let (set, _) = RuleSet::compile(&configs(&[("limit", limit(2))]), &set, 1_000, now);
    assert_eq!(
        by(&set.judge(&get("/"), client(), now)),
        None,
        "another limit begins anew"
    );
    assert_eq!(set.report()[0].hits, 4);
}

#[test]
fn headers_and_limits_gather() {
    let now = Instant::now();
    let set = set_of(
        &[
            (
                "a",
                json!({"action": {"set_header": {"request": {"X-A": "1"}, "response": {"Server": ""}}}}),
            ),
            (
                "b",
                json!({"match": {"hosts": ["*.example.org"]}, "action": {"limits": {"body_bytes_max": 10, "request_timeout": "2s"}}}),
            ),
            (
                "c",
                json!({"match": {"paths": ["/up/{id}"]}, "action": {"limits": {"body_bytes_max": 5}}}),
            ),
            (
                "d",
                json!({"match": {"hosts": ["example.org"]}, "action": {"deny": {}}}),
            ),
            ("e", json!({"action": {"concurrency": {"max": 1}}})),
        ],
        now,
    );
    let judgement = set.judge(&get("/up/7"), client(), now);
    assert_eq!(by(&judgement), None);
    assert_eq!((judgement.terms.request.len(), judgement.terms.response.len()), (1, 1));
    assert_eq!(judgement.terms.body_bytes_max, Some(5));
    assert_eq!(judgement.terms.request_timeout, Some(Duration::from_secs(2)));
    assert_eq!(judgement.gates.len(), 1);
    assert_eq!(set.judge(&get("/"), client(), now).terms.body_bytes_max, Some(10));
    assert!(RuleSet::default().judge(&get("/"), client(), now).terms.is_plain());
}

fn some_rules() -> impl Strategy<Value = Vec<(String, RuleConfig)>> {
    let paths = prop::sample::subsequence(vec!["/a", "/a/b", "/{x}/b", "/a*", "/b/*", "/{r*}", "/"], 0..3);
    let hosts = prop::sample::subsequence(vec!["x.org", "*.x.org", "y.org"], 0..2);
    let rule = (paths, hosts, -2_i32..2);
    prop::collection::vec(rule, 0..12).prop_map(|rules| {
        let named = rules.into_iter().enumerate().map(|(number, (paths, hosts, order))| {
            let body = json!({"order": order, "match": {"paths": paths, "hosts": hosts},
                "action": {"set_header": {"request": {"x": number.to_string()}}}});
            (format!("r{number:02}"), serde_json::from_value(body).unwrap())
        });
        named.collect()
    })
}

proptest! {
    #[test]
    fn the_index_leaves_out_nothing_and_keeps_the_order(
        rules in some_rules(),
        target in prop::sample::select(vec!["/", "/a", "/a/b", "/%61/b", "/ab?c", "/b/", "/c/b", "*", "//a"]),
        authority in prop::sample::select(vec!["x.org", "A.x.org:1", "y.org.", "z", ""]),
    ) {
        let now = Instant::now();
        let (set, _) = RuleSet::compile(&rules, &RuleSet::default(), 10, now);
        let asked = Asked { authority, ..get(target) };
        let found: Vec<usize> = set.index.candidates(&asked).filter(|number| set.rules[*number].matches.hold(&asked, client())).collect();
        let all: Vec<usize> = (0..set.rules.len()).filter(|number| set.rules[*number].matches.hold(&asked, client())).collect();
        prop_assert_eq!(found, all);
    }
}
