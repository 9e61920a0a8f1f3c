//! What is kept, given and forgotten.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::header::{CACHE_CONTROL, IF_NONE_MATCH};
use http::{Request, Response, StatusCode};

use super::*;
use crate::channels::reply_body::ReplyBody;

fn policy() -> ResponseCache {
    ResponseCache {
        ttl: Duration::from_mins(1),
        shared_across_callers: false,
        vary_by_headers: Vec::new(),
        ignored_query_parameters: Vec::new(),
        include_body_in_key: false,
        max_body_bytes: 1000,
        on_second_request: false,
        etag: true,
        coalesce_timeout: Duration::from_secs(5),
    }
}

fn visit(known: Option<&str>) -> Visit {
    let mut request = Request::builder().method("GET");
    if let Some(known) = known {
        request = request.header(IF_NONE_MATCH, known);
    }
    Visit::of(&request.body(()).unwrap().into_parts().0)
}

/// A service that counts its calls.
#[derive(Default)]
struct Counting(AtomicU32);

impl Counting {
    async fn ask(&self, cache: &AnswerCache, policy: &ResponseCache, key: u8, known: Option<&str>) -> (Reply, String) {
        self.ask_of(cache, policy, key, known, 1).await
    }

    async fn ask_of(
        &self,
        cache: &AnswerCache,
        policy: &ResponseCache,
        key: u8,
        known: Option<&str>,
        deployment: u64,
    ) -> (Reply, String) {
        let run = async || {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Response::new(ReplyBody::from(format!("answer {number}")))
        };
        let reply = cache
            .serve([key; 32], policy, &visit(known), Some(deployment), run)
            .await;
        let how = reply
            .headers()
            .get(&X_CACHE)
            .map_or("", |how| how.to_str().unwrap())
            .to_owned();
        (reply, how)
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_until_it_is_too_old_or_something_changed() {
    let (cache, policy, service) = (AnswerCache::new(10_000), policy(), Counting::default());
    assert_eq!(service.ask(&cache, &policy, 1, None).await.1, "miss");
    tokio::time::advance(Duration::from_secs(7)).await;
    let (reply, how) = service.ask(&cache, &policy, 1, None).await;
    assert_eq!((how.as_str(), &reply.headers()[AGE]), ("hit", &HeaderValue::from(7)));
    let tag = reply.headers()[ETAG].to_str().unwrap().to_owned();
    let compressed = format!("\"{}-gzip\"", tag.trim_matches('"'));
    for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned(), compressed] {
        let (reply, _) = service.ask(&cache, &policy, 1, Some(&known)).await;
        assert_eq!(reply.status(), StatusCode::NOT_MODIFIED, "{known}");
        assert!(reply.body().whole().unwrap().is_empty());
    }
    assert_eq!(
        service.ask(&cache, &policy, 1, Some("\"other\"")).await.0.status(),
        StatusCode::OK
    );
    assert_eq!(service.ask(&cache, &policy, 2, None).await.1, "miss");
    assert_eq!(service.ask_of(&cache, &policy, 1, None, 2).await.1, "miss");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(service.ask_of(&cache, &policy, 1, None, 2).await.1, "miss");
}

#[tokio::test(start_paused = true)]
async fn the_same_requests_at_once_are_one_call() {
    let (cache, policy, service) = (AnswerCache::new(10_000), policy(), Counting::default());
    let all = futures_util::future::join_all((0..8).map(|_| service.ask(&cache, &policy, 1, None))).await;
    let count = |how: &str| all.iter().filter(|(_, other)| other == how).count();
    assert_eq!((count("miss"), count("coalesced")), (1, 7));
    assert_eq!(service.0.load(Ordering::SeqCst), 1);
    // Who does not wait calls, too.
    let hasty = ResponseCache {
        coalesce_timeout: Duration::ZERO,
        ..policy.clone()
    };
    futures_util::future::join_all((0..3).map(|_| service.ask(&cache, &hasty, 2, None))).await;
    assert_eq!(service.0.load(Ordering::SeqCst), 4);
    // Who ran it goes away: one of those who wait runs it.
    let gone = tokio::time::timeout(Duration::from_millis(10), service.ask(&cache, &policy, 3, None));
    let (gone, waiting) = tokio::join!(gone, service.ask(&cache, &policy, 3, None));
    assert!(gone.is_err());
    assert_eq!(waiting.1, "miss");
}

#[tokio::test(start_paused = true)]
async fn what_an_answer_depends_on_is_told_and_has_to_be_known() {
    let cache = AnswerCache::new(10_000);
    let policy = ResponseCache {
        vary_by_headers: vec!["accept-language".to_owned(), "x-tenant".to_owned()],
        ..policy()
    };
    for (key, own, kept) in [
        (1, None, true),
        (2, Some("X-Tenant"), true),
        (3, Some("X-Tenant, X-Other"), false),
        (4, Some("*"), false),
        (5, Some("Accept-Encoding"), true),
    ] {
        let mut last = None;
        for _ in 0..2 {
            let run = async || {
                let mut reply = Response::new(ReplyBody::from("answer"));
                reply
                    .headers_mut()
                    .extend(own.map(|own| (VARY, HeaderValue::from_static(own))));
                reply
            };
            last = Some(cache.serve([key; 32], &policy, &visit(None), Some(1), run).await);
        }
        let headers = last.unwrap().headers().clone();
        assert_eq!(headers.get(&X_CACHE).is_some_and(|how| how == "hit"), kept, "{own:?}");
        let told = if kept { Some("accept-language, x-tenant") } else { own };
        assert_eq!(headers.get(VARY).map(|value| value.to_str().unwrap()), told);
    }
    let run = async || panic!("it is kept");
    let again = cache.serve([1; 32], &policy, &visit(Some("*")), Some(1), run).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[VARY], "accept-language, x-tenant");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_for_others_is_not_kept() {
    let (cache, policy) = (AnswerCache::new(10_000), policy());
    for (status, control, body, kept) in [
        (200, None, 10, true),
        (404, None, 10, false),
        (206, None, 10, false),
        (200, Some("no-store"), 10, false),
        (200, Some("max-age=60, private"), 10, false),
        (200, None, 2_000, false),
    ] {
        let key = [u8::try_from(status % 200 + control.map_or(0, str::len) + body / 100).unwrap(); 32];
        let mut hows = Vec::new();
        for _ in 0..2 {
            let run = async || {
                let mut reply = Response::new(ReplyBody::from("x".repeat(body)));
                *reply.status_mut() = StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
                reply
                    .headers_mut()
                    .extend(control.map(|control| (CACHE_CONTROL, HeaderValue::from_static(control))));
                reply
            };
            let reply = cache.serve(key, &policy, &visit(None), Some(1), run).await;
            hows.push(reply.headers().get(&X_CACHE).is_some_and(|how| how == "hit"));
        }
        assert_eq!(hows, [false, kept], "{status} {control:?} {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_second_request_and_within_the_bounds() {
    let second = ResponseCache {
        on_second_request: true,
        ..policy()
    };
    let (cache, service) = (AnswerCache::new(2_000), Counting::default());
    let mut hows = Vec::new();
    for _ in 0..3 {
        hows.push(service.ask(&cache, &second, 1, None).await.1);
    }
    assert_eq!(hows, ["miss", "miss", "hit"]);
    for key in 2..30 {
        service.ask(&cache, &policy(), key, None).await;
        assert!(cache.lock().bytes <= 2_000);
    }
    assert_eq!(service.ask(&cache, &policy(), 29, None).await.1, "hit");
    assert_eq!(service.ask(&cache, &policy(), 2, None).await.1, "miss");
}
