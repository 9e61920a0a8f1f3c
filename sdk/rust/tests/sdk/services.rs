//! What handlers may do, and how calls end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tenon_sdk::testing::Tester;
use tenon_sdk::{Caller, Context, Error, HostError, Response, Service, Worker};

async fn facts(ctx: Context) -> Result<Value, Error> {
    let http = ctx.http().ok_or_else(|| Error::bad_request("no HTTP"))?;
    Ok(json!({
        "cid": ctx.cid(), "service": ctx.service(), "method": http.method, "path": http.path, "remote": http.remote,
        "id": http.param("id"), "tag": http.query.get("tag"), "agent": http.header("User-Agent"),
        "channel": ctx.channel().kind, "caller": ctx.caller().map(|caller| caller.username.clone()),
        "has_time": ctx.time_left().is_some_and(|left| left > Duration::from_secs(1)), "body": ctx.body().len(),
    }))
}

#[tokio::test]
async fn a_handler_sees_what_its_call_came_with() {
    let tester = Tester::start(Worker::new().service("facts", facts));
    let caller = Caller {
        username: "anna".to_owned(),
        ..Caller::default()
    };
    let answer = tester
        .request("facts")
        .http("POST", "/facts/7")
        .param("id", "7")
        .query("tag", "a")
        .header("User-Agent", "test")
        .caller(&caller)
        .body("abc")
        .await;
    assert_eq!(
        answer.json::<Value>(),
        json!({
            "cid": "test-1", "service": "facts", "method": "POST", "path": "/facts/7", "remote": "192.0.2.7:50000", "id": "7",
            "tag": "a", "agent": "test", "channel": "rest", "caller": "anna", "has_time": true, "body": 3,
        })
    );
    let answer = tester.request("facts").await;
    assert_eq!((answer.status, answer.problem().detail.as_str()), (400, "no HTTP"));
}

#[tokio::test]
async fn errors_for_the_caller_are_problems_and_others_are_not_told() {
    async fn fail(_: Context, how: String) -> Result<(), Error> {
        match how.as_str() {
            "conflict" => Err(Error::conflict("taken")),
            "busy" => Err(Error::unavailable("later", Duration::from_millis(2500))),
            "custom" => Err(Error::new(418, "short and stout").with_header("X-Pot", "tea")),
            "number" => {
                "x".parse::<u32>()?;
                Ok(())
            }
            _ => panic!("no way to fail like {how}"),
        }
    }
    let tester = Tester::start(Worker::new().service("fail", fail));
    let answer = tester.call("fail", "conflict").await;
    let problem = answer.problem();
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(
        (
            answer.status,
            problem.kind.as_str(),
            problem.title.as_str(),
            problem.detail.as_str(),
            problem.cid.as_str()
        ),
        (409, "tenon:conflict", "Conflict", "taken", "test-1")
    );
    let busy = tester.call("fail", "busy").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("2")));
    let custom = tester.call("fail", "custom").await;
    assert_eq!((custom.status, custom.header("x-pot")), (418, Some("tea")));

    let failed = tester.call("fail", "number").await;
    assert_eq!((failed.status, failed.body.len()), (500, 0));
    let failure = failed.failure.unwrap();
    assert!(failure.starts_with("ParseIntError: invalid digit"), "{failure}");
    let panicked = tester.call("fail", "this").await.failure.unwrap();
    assert!(panicked.starts_with("panic: no way to fail like this"), "{panicked}");
    assert!(panicked.contains("services.rs"), "{panicked}");
    assert_eq!(tester.call("fail", "conflict").await.status, 409, "the worker goes on");
}

#[tokio::test]
async fn an_error_of_any_type_becomes_one_of_ours() {
    async fn parse(_: Context, text: String) -> Result<i32, std::num::ParseIntError> {
        text.parse()
    }
    let tester = Tester::start(Worker::new().service("parse", parse));
    assert_eq!(tester.call("parse", "5").await.json::<i32>(), 5);
    assert_eq!(tester.call("parse", "five").await.status, 500);
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_where_it_waits() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = dropped.clone();
    let worker = Worker::new().service("wait", move |_: Context| {
        let flag = Flag(flag.clone());
        async move {
            std::future::pending::<()>().await;
            drop(flag);
            Ok::<_, Error>(())
        }
    });
    let tester = Tester::start(worker);
    let answer = tester.request("wait").cancel_after(Duration::from_millis(20)).await;
    assert_eq!(answer.status, 499);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_call_whose_time_is_up_is_not_run() {
    async fn never(_: Context) -> Result<(), Error> {
        Err(Error::internal("it was run"))
    }
    let tester = Tester::start(Worker::new().service("never", never));
    assert_eq!(tester.request("never").timeout(Duration::ZERO).await.status, 504);
}

#[tokio::test]
async fn calls_run_side_by_side_and_blocking_ones_on_threads() {
    #[expect(clippy::needless_pass_by_value, reason = "a handler owns what it is given")]
    fn block(ctx: Context, name: String) -> Result<String, Error> {
        tracing::info!("blocking");
        let answered: String = ctx.block_on(async { ctx.invoke("echo", &name).await })?;
        Ok(answered + "!")
    }
    async fn echo(_: Context, name: String) -> Result<String, Error> {
        Ok(name)
    }
    async fn bad(ctx: Context) -> Result<(), Error> {
        ctx.spawn_blocking(|| panic!("on a thread")).await
    }
    let worker = Worker::new()
        .service("block", Service::blocking(block))
        .service("echo", echo)
        .service("bad", bad);
    let tester = Tester::start(worker);
    let (one, two) = tokio::join!(tester.call("block", "a"), tester.call("block", "b"));
    assert_eq!(
        (one.json::<String>(), two.json::<String>()),
        ("a!".to_owned(), "b!".to_owned())
    );
    assert!(
        tester.logs().contains(&("info".to_owned(), "blocking".to_owned())),
        "{:?}",
        tester.logs()
    );
    let failure = tester.request("bad").await.failure.unwrap();
    assert!(failure.starts_with("panic: on a thread"), "{failure}");
}

#[tokio::test]
async fn what_is_logged_comes_with_its_fields() {
    async fn log(_: Context) -> Result<(), Error> {
        tracing::warn!(count = 3, name = "x", "something");
        Ok(())
    }
    let tester = Tester::start(Worker::new().service("log", log));
    tester.request("log").await;
    assert_eq!(
        tester.logs(),
        [("warning".to_owned(), "something count=3 name=x".to_owned())]
    );
}

#[tokio::test]
async fn services_invoke_each_other_and_pass_on_what_they_are_told() {
    async fn outer(ctx: Context, what: String) -> Result<Value, Error> {
        Ok(ctx.invoke("inner", &what).await?)
    }
    async fn inner(_: Context, what: String) -> Result<Response<String>, Error> {
        match what.as_str() {
            "missing" => Err(Error::not_found("nothing here").with_element("/what", "is missing")),
            "broken" => Err(Error::failure("broken")),
            other => Ok(Response::new(other.to_uppercase()).status(201)),
        }
    }
    async fn lost(ctx: Context) -> Result<String, Error> {
        match ctx.invoke::<Value>("no.such", &()).await {
            Err(error @ HostError::Refused { .. }) if error.is_not_found() => Ok(error.to_string()),
            other => Err(Error::internal(format!("{other:?}"))),
        }
    }
    async fn retried(ctx: Context) -> Result<Value, Error> {
        Ok(ctx.invoke("flaky", &()).retry(3, Duration::from_millis(1)).await?)
    }
    let worker = Worker::new()
        .service("outer", outer)
        .service("inner", inner)
        .service("lost", lost)
        .service("retried", retried);
    let tester = Tester::start(worker);
    assert_eq!(tester.call("outer", "a").await.json::<Value>(), "A");
    let missing = tester.call("outer", "missing").await;
    assert_eq!(
        (missing.status, missing.problem().errors[0].field.as_str()),
        (404, "/what")
    );
    let broken = tester.call("outer", "broken").await;
    assert_eq!(broken.status, 500);
    assert!(!broken.text().contains("broken"), "{}", broken.text());
    assert_eq!(
        tester.request("lost").await.json::<String>(),
        "no service is called 'no.such'"
    );

    let left = std::sync::Mutex::new(2);
    tester.on_service("flaky", move |_| {
        let mut left = left.lock().unwrap();
        if *left == 0 {
            return Ok(json!("at last"));
        }
        *left -= 1;
        Err(Error::new(503, "not yet"))
    });
    assert_eq!(tester.request("retried").await.json::<String>(), "at last");
}

#[tokio::test]
async fn a_shared_value_is_found_by_its_type() {
    struct Rates(BTreeMap<String, f64>);
    async fn rate(ctx: Context, currency: String) -> Result<Option<f64>, Error> {
        Ok(ctx.shared::<Rates>()?.0.get(&currency).copied())
    }
    async fn none(ctx: Context) -> Result<String, Error> {
        Ok(ctx.shared::<String>()?.to_string())
    }
    let worker = Worker::new()
        .share(Rates(BTreeMap::from([("EUR".to_owned(), 1.5)])))
        .service("rate", rate)
        .service("none", none);
    let tester = Tester::start(worker);
    assert_eq!(tester.call("rate", "EUR").await.json::<Option<f64>>(), Some(1.5));
    let failure = tester.request("none").await.failure.unwrap();
    assert!(failure.contains("shares no"), "{failure}");
}
