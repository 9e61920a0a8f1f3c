//! What services ask of the platform.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tenon_sdk::testing::{RestAnswer, Tester};
use tenon_sdk::{Context, Error, Keys, Worker};

fn fixed<F, Fut>(handler: F) -> Tester
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Value, Error>> + Send + 'static,
{
    Tester::start(Worker::new().service("test", handler))
}

#[tokio::test]
async fn a_rest_connection_is_called_with_all_that_it_is_given() {
    let tester = fixed(async |ctx: Context| {
        let crm = ctx.rest("CRM");
        let request = crm
            .post()
            .param("id", 7)
            .header("X-A", "b")
            .json(&json!({"name": "Anna"}));
        let response = request.timeout(Duration::from_secs(1)).await?;
        let etag = response.header("ETag").map(str::to_owned);
        Ok(json!({"status": response.status, "etag": etag, "name": response.json::<Value>()?["name"]}))
    });
    tester.on_rest("CRM", |call| {
        assert_eq!(
            (call.method.as_str(), &call.params["id"], &call.headers["X-A"]),
            ("post", &json!("7"), &json!("b"))
        );
        assert_eq!(call.headers["Content-Type"], "application/json");
        RestAnswer::json(201, &call.json()).header("ETag", "v1")
    });
    let answer: Value = tester.request("test").await.json();
    assert_eq!(answer, json!({"status": 201, "etag": "v1", "name": "Anna"}));
}

#[tokio::test]
async fn a_connection_that_is_down_is_503_without_details() {
    let tester = fixed(async |ctx: Context| Ok(ctx.rest("CRM").get().await?.success()?.json()?));
    tester.on_rest("CRM", |_| RestAnswer::down("10.0.0.1 refuses connections"));
    let answer = tester.request("test").await;
    assert_eq!(answer.status, 503);
    assert!(!answer.text().contains("10.0.0.1"), "{}", answer.text());
    assert!(
        tester.logs().iter().any(|(_, text)| text.contains("10.0.0.1")),
        "{:?}",
        tester.logs()
    );
    tester.on_rest("CRM", |_| RestAnswer::json(404, &json!({})));
    assert_eq!(tester.request("test").await.status, 502);
}

#[tokio::test]
async fn rows_are_read_as_types() {
    #[derive(Deserialize)]
    struct Account {
        id: i64,
        balance: f64,
    }
    let tester = fixed(async |ctx: Context| {
        let sql = ctx.sql("Billing");
        let all: Vec<Account> = sql.all("SELECT id, balance FROM accounts", &()).await?;
        let one: Option<Account> = sql.one("SELECT … WHERE id = :id", &json!({"id": 9})).await?;
        let changed = sql.execute("DELETE …", &BTreeMap::from([("id", 1)])).await?;
        let wrong = sql.execute("DELETE …", &[1]).await.unwrap_err();
        let total: f64 = all.iter().map(|account| account.balance).sum();
        Ok(
            json!({"ids": all.iter().map(|account| account.id).collect::<Vec<_>>(), "total": total, "one": one.is_some(),
            "changed": changed, "wrong": wrong.to_string()}),
        )
    });
    tester.on_sql("Billing", |call| match call.operation.as_str() {
        "all" => Ok(json!([{"id": 1, "balance": 1.5}, {"id": 2, "balance": 2.5}])),
        "one" => Ok(json!([])),
        _ => Ok(json!(3)),
    });
    let answer: Value = tester.request("test").await.json();
    let expected = json!({"ids": [1, 2], "total": 4.0, "one": false, "changed": 3,
        "wrong": "the parameters for Billing can't be written as JSON"});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn the_cache_keeps_values_by_key() {
    let tester = fixed(async |ctx: Context| {
        let cache = ctx.cache("default");
        let before: Option<u32> = cache.get("a").await?;
        cache.set("a", &1).await?;
        cache.set_for("gone", &1, Duration::ZERO).await?;
        let first = cache.set_if_absent("b", &vec![2], None).await?;
        let second = cache.set_if_absent("b", &vec![3], None).await?;
        let sum = cache.increment("n", 5).await? + cache.increment("n", 1).await?;
        let keys = cache.keys(Keys::Prefix("a")).await?;
        let all: BTreeMap<String, Value> = cache.get_all(Keys::All).await?;
        let deleted = (cache.delete("a").await?, cache.delete("a").await?);
        let wrong = cache.get::<u32>("b").await.unwrap_err().to_string();
        let rest = cache.delete_all(Keys::All).await?;
        Ok(
            json!({"before": before, "set": [first, second], "sum": sum, "keys": keys, "all": all, "deleted": deleted,
            "wrong": wrong, "rest": rest, "exists": cache.exists("b").await?}),
        )
    });
    let answer: Value = tester.request("test").await.json();
    let expected = json!({"before": null, "set": [true, false], "sum": 11, "keys": ["a"],
        "all": {"a": 1, "b": [2], "n": 6}, "deleted": [true, false],
        "wrong": "the value of 'b' in the cache 'default' is not of the type u32", "rest": 2, "exists": false});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn a_lock_ends_when_it_is_dropped() {
    let tester = fixed(async |ctx: Context| {
        let first = ctx
            .lock("x")
            .acquire()
            .await?
            .ok_or_else(|| Error::internal("not free"))?;
        let other = ctx.lock("x").wait(Duration::ZERO).acquire().await?.is_some();
        let token = first.token();
        drop(first);
        let mut again = ctx
            .lock("x")
            .acquire()
            .await?
            .ok_or_else(|| Error::internal("not free again"))?;
        let (renewed, later) = (again.renew().await?, again.token());
        again.release().await?;
        let last = ctx.lock("x").acquire().await?.is_some();
        Ok(json!({"other": other, "grows": later > token, "renewed": renewed, "last": last}))
    });
    let answer: Value = tester.request("test").await.json();
    assert_eq!(
        answer,
        json!({"other": false, "grows": true, "renewed": true, "last": true})
    );
}

#[tokio::test]
async fn calls_and_jobs_are_left_for_later() {
    let tester = fixed(async |ctx: Context| {
        ctx.invoke_async("one", &json!({"a": 1}))
            .callback("done")
            .timeout(Duration::from_secs(1))
            .await?;
        ctx.retry_async("two", &(), 3, Duration::from_secs(1)).await?;
        ctx.fan_out()
            .target("three", &3)
            .target("four", &4)
            .on_final("all")
            .await?;
        ctx.parallel("each").target("five", &5).await?;
        let job = ctx
            .schedule("six", &6)
            .after(Duration::from_mins(1))
            .prefix("job-")
            .await?;
        Ok(json!(job))
    });
    assert_eq!(tester.request("test").await.json::<String>(), "job-1");
    let calls: Vec<_> = tester
        .background_calls()
        .into_iter()
        .map(|call| (call.service, call.payload, call.callbacks.join(",")))
        .collect();
    let expected = [
        ("one", json!({"a": 1}), "done"),
        ("two", Value::Null, ""),
        ("three", json!(3), "all"),
        ("four", json!(4), "all"),
        ("five", json!(5), "each"),
    ];
    assert_eq!(
        calls,
        expected.map(|(service, payload, heard)| (service.to_owned(), payload, heard.to_owned()))
    );
    let job = &tester.jobs()[0];
    assert_eq!(
        (job.service.as_str(), &job.payload, job.after_ms),
        ("six", &json!(6), 60_000)
    );
}

#[tokio::test]
async fn secrets_are_sealed_and_hashed() {
    let tester = fixed(async |ctx: Context| {
        let crypto = ctx.crypto();
        let sealed = crypto.encrypt("secret").await?;
        let opened = crypto.decrypt(&sealed).await?;
        let hash = crypto.hash("secret").await?;
        let verified = (
            crypto.verify("secret", &hash).await?,
            crypto.verify("other", &hash).await?,
        );
        let wrong = crypto.decrypt("nonsense").await.is_err();
        Ok(
            json!({"differs": sealed != "secret", "opened": String::from_utf8_lossy(&opened), "verified": verified, "wrong": wrong}),
        )
    });
    let answer: Value = tester.request("test").await.json();
    assert_eq!(
        answer,
        json!({"differs": true, "opened": "secret", "verified": [true, false], "wrong": true})
    );
}

#[tokio::test]
async fn configuration_is_read_as_a_type_and_changes() {
    #[derive(Deserialize)]
    struct Limits {
        max: u32,
        strict: bool,
    }
    let tester = fixed(async |ctx: Context| {
        let config = ctx.config();
        let limits: Limits = config.section("app", "limits")?;
        Ok(json!([
            limits.max,
            limits.strict,
            config.get("app", "limits", "max"),
            config.version()
        ]))
    });
    let failure = tester.request("test").await.failure.unwrap();
    assert!(
        failure.contains("the user configuration app, section limits is missing"),
        "{failure}"
    );
    tester
        .set_config("app", json!({"limits": {"max": "5", "strict": "true"}}))
        .await;
    assert_eq!(tester.request("test").await.json::<Value>(), json!([5, true, "5", 1]));
    tester
        .set_config("app", json!({"limits": {"max": "many", "strict": false}}))
        .await;
    let failure = tester.request("test").await.failure.unwrap();
    assert!(
        failure.contains("/max: expected a whole number, found text 'many'"),
        "{failure}"
    );
}

#[tokio::test]
async fn metrics_are_sent_as_they_are_measured() {
    let tester = fixed(async |ctx: Context| {
        let metrics = ctx.metrics();
        metrics.count("calls", 2.0, &[("a", "b")]);
        metrics.count("calls", -1.0, &[]);
        metrics.gauge("depth", f64::NAN, &[]);
        metrics.gauge("depth", 7.0, &[]);
        drop(metrics.timer("seconds", &[]));
        Ok(Value::Null)
    });
    tester.request("test").await;
    let metrics = tester.metrics();
    let names: Vec<_> = metrics.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["calls", "depth", "seconds"]);
    assert_eq!((metrics[0].1, metrics[1].1), (2.0, 7.0));
}
