//! The router against a naive one, and by example.

use http::HeaderValue;
use http::header::ACCEPT;
use proptest::prelude::*;
use tenon_connectors::{PathPattern, PathSegment};

use super::*;

fn route(channel: &str, method: Option<Method>, path: &str) -> Arc<Route> {
    accepting(channel, method, "*/*", path)
}

fn accepting(channel: &str, method: Option<Method>, accept: &str, path: &str) -> Arc<Route> {
    let http = HttpRoute {
        method,
        accept: accept.parse().unwrap(),
        ..HttpRoute::new(path.parse().unwrap(), "")
    };
    Arc::new(Route {
        key: ObjectKey::new("rest-channel", channel.parse().unwrap()),
        http,
        gate: Gate::open(),
        serial: 0,
    })
}

fn router_of(routes: impl IntoIterator<Item = Arc<Route>>) -> Router {
    let mut router = Router::default();
    for route in routes {
        router.insert(route);
    }
    router
}

fn find(router: &Router, method: &Method, path: &str, accept: Option<&'static str>) -> String {
    let mut headers = HeaderMap::new();
    headers.extend(accept.map(|text| (ACCEPT, HeaderValue::from_static(text))));
    match router.find(path, method, &headers) {
        Found::Route(route, values) => format!("{} {}", route.channel(), values.join(",")).trim().to_owned(),
        Found::WrongMethod(allowed) => format!(
            "405 {}",
            allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(",")
        ),
        Found::NotAcceptable => "406".to_owned(),
        Found::Nothing => "404".to_owned(),
    }
}

#[test]
fn the_most_specific_route_wins() {
    let router = router_of([
        route("root", None, "/"),
        route("list", Some(Method::GET), "/users"),
        route("one", Some(Method::GET), "/users/{id}"),
        route("me", Some(Method::GET), "/users/me"),
        route("put-me", Some(Method::PUT), "/users/me"),
        route("delete", Some(Method::DELETE), "/users/{id}"),
        route("orders", None, "/users/{id}/orders"),
        route("files", Some(Method::GET), "/files/{path*}"),
        route("report", Some(Method::GET), "/users/{year}-{month}.pdf"),
        route("pdf", Some(Method::GET), "/users/{name}.pdf"),
        route("one-again", Some(Method::GET), "/users/{other}"),
    ]);
    let shadowed = router.shadowed();
    assert_eq!(
        shadowed.iter().map(|route| route.channel()).collect::<Vec<_>>(),
        ["one-again"]
    );
    for (method, path, expected) in [
        (Method::GET, "/", "root"),
        (Method::GET, "/users", "list"),
        (Method::HEAD, "/users", "list"),
        (Method::GET, "/users/", "404"),
        (Method::GET, "/users/me", "me"),
        (Method::GET, "/users/m%65", "me"),
        (Method::GET, "/users/a%2Fb", "one a/b"),
        (Method::GET, "/users/2026-01.pdf", "report 2026,01"),
        (Method::GET, "/users/x.pdf", "pdf x"),
        (Method::GET, "/users/.pdf", "one .pdf"),
        (Method::DELETE, "/users/me", "delete me"),
        (Method::POST, "/users/me", "405 GET,PUT,DELETE,HEAD"),
        (Method::POST, "/users", "405 GET,HEAD"),
        (Method::POST, "/users/7/orders", "orders 7"),
        (Method::GET, "/users/7/order", "404"),
        (Method::GET, "/files/a/b", "files a/b"),
        (Method::GET, "/files/", "404"),
        (Method::GET, "/files/../a", "404"),
        (Method::GET, "/files/%2e%2e/a", "404"),
        (Method::GET, "/users/a%00b", "404"),
        (Method::GET, "/users/%zz", "404"),
    ] {
        assert_eq!(find(&router, &method, path, None), expected, "{method} {path}");
    }
}

#[test]
fn among_channels_of_one_path_the_caller_chooses() {
    let router = router_of([
        accepting("json", Some(Method::GET), "application/json", "/report"),
        accepting("csv", Some(Method::GET), "text/csv", "/report"),
        accepting("text", None, "text/*", "/report"),
        accepting("only", None, "text/csv", "/only"),
        route("any", Some(Method::GET), "/any"),
    ]);
    for (path, accept, expected) in [
        ("/report", Some("application/json"), "json"),
        ("/report", Some("text/csv;q=0.4, application/json;q=0.6"), "json"),
        ("/report", Some("text/csv, application/json;q=0.6"), "csv"),
        ("/report", Some("text/html"), "text"),
        ("/report", Some("image/png"), "406"),
        ("/report", None, "csv"),
        ("/only", Some("application/json, */*;q=0.1"), "only"),
        ("/only", Some("*/*, text/csv;q=0"), "406"),
        ("/any", Some("image/png"), "any"),
    ] {
        assert_eq!(find(&router, &Method::GET, path, accept), expected, "{path} {accept:?}");
    }
}

#[test]
fn a_change_leaves_the_router_before_it_as_it_is() {
    let before = router_of([route("a", None, "/x/{id}"), route("b", None, "/x/y")]);
    let mut after = before.clone();
    let added = route("c", None, "/x/y/{rest*}");
    after.insert(Arc::clone(&added));
    after.remove(&route("b", None, "/x/y"));
    assert_eq!(find(&before, &Method::GET, "/x/y", None), "b");
    assert_eq!(find(&before, &Method::GET, "/x/y/z", None), "404");
    assert_eq!(find(&after, &Method::GET, "/x/y", None), "a y");
    assert_eq!(find(&after, &Method::GET, "/x/y/z", None), "c z");
    after.remove(&added);
    assert_eq!(after.iter().count(), 1);
    assert_eq!(find(&after, &Method::GET, "/x/y/z", None), "404");
}

/// Every pattern against the path, the best by the rules: what the tree must agree with.
fn naive<'r>(routes: &'r [Arc<Route>], method: &Method, path: &str) -> Option<&'r str> {
    let segments: Vec<String> = match path {
        "/" => Vec::new(),
        path => path[1..].split('/').map(|text| percent_decode(text).unwrap()).collect(),
    };
    let mut fitting: Vec<(Vec<usize>, u8, &str)> = Vec::new();
    for route in routes {
        let fit = match &route.http.method {
            Some(own) if own == method => 1,
            None => 0,
            Some(_) => continue,
        };
        if let Some(rank) = rank_of(&route.http.path, &segments) {
            fitting.push((rank, fit, route.channel()));
        }
    }
    fitting.sort_by(|one, other| {
        let by_method = other.1.cmp(&one.1);
        one.0.cmp(&other.0).then(by_method).then(one.2.cmp(other.2))
    });
    fitting.first().map(|(_, _, name)| *name)
}

/// Per segment how specific it is, the most specific the smallest; none if the pattern does not take the path.
fn rank_of(pattern: &PathPattern, segments: &[String]) -> Option<Vec<usize>> {
    let mut rank = Vec::new();
    for (index, part) in pattern.segments().iter().enumerate() {
        if let PathSegment::Rest(_) = part {
            let rest = segments.get(index..)?;
            rank.push(3_000);
            return (!rest.is_empty() && !rest.join("/").is_empty()).then_some(rank);
        }
        let text = segments.get(index)?;
        match part {
            PathSegment::Literal(literal) if literal == text => rank.push(0),
            PathSegment::Param(_) if !text.is_empty() => rank.push(2_000),
            PathSegment::Mixed(parts) => {
                let template = template::Template::new(parts);
                template.values(text)?;
                rank.push(1_000 - template.specificity());
            }
            _ => return None,
        }
    }
    (pattern.segments().len() == segments.len()).then_some(rank)
}

fn patterns() -> impl Strategy<Value = Vec<(String, Option<Method>)>> {
    let segment = prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("{P}".to_owned()),
        Just("a-{P}".to_owned()),
        Just("{P}-{Q}".to_owned()),
    ];
    let path = (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(segments, has_rest)| {
        let mut path = String::new();
        for (index, segment) in segments.iter().enumerate() {
            path.push('/');
            path.push_str(
                &segment
                    .replace('P', &format!("p{index}"))
                    .replace('Q', &format!("q{index}")),
            );
        }
        if has_rest {
            path.push_str("/{rest*}");
        }
        if path.is_empty() { "/".to_owned() } else { path }
    });
    let method = prop_oneof![Just(None), Just(Some(Method::GET)), Just(Some(Method::POST))];
    prop::collection::vec((path, method), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_agrees_with_trying_all(
        patterns in patterns(),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        paths in prop::collection::vec("(/(a|b|a-b|a-b-c|%61|c|)){0,4}", 1..8),
    ) {
        let mut routes: Vec<Arc<Route>> = patterns
            .iter()
            .enumerate()
            .map(|(index, (path, method))| route(&format!("c{index:02}"), method.clone(), path))
            .collect();
        let mut router = router_of(routes.iter().cloned());
        for index in removed {
            if !routes.is_empty() {
                let gone = routes.remove(index.index(routes.len()));
                router.remove(&gone);
            }
        }
        for path in paths {
            let path = if path.is_empty() { "/".to_owned() } else { path };
            let found = match router.find(&path, &Method::GET, &HeaderMap::new()) {
                Found::Route(route, values) => {
                    prop_assert_eq!(values.len(), route.http.path.params().count());
                    Some(route.channel().to_owned())
                }
                _ => None,
            };
            prop_assert_eq!(found.as_deref(), naive(&routes, &Method::GET, &path), "{}", path);
        }
    }

    #[test]
    fn no_path_and_no_pattern_is_too_strange(path in any::<String>(), pattern in "[/{}a*%\\-.0-9é]{0,24}") {
        let mut router = router_of([route("all", None, "/{rest*}"), route("mixed", None, "/{a}-{b}/x%20{c}")]);
        if let Ok(parsed) = format!("/{pattern}").parse::<PathPattern>() {
            prop_assert_eq!(parsed.as_str().parse::<PathPattern>().unwrap(), parsed.clone());
            router.insert(route("fuzz", None, parsed.as_str()));
        }
        for path in [&path, &pattern] {
            let _ = router.find(path, &Method::GET, &HeaderMap::new());
            let _ = router.find(&format!("/{path}"), &Method::GET, &HeaderMap::new());
        }
    }
}
