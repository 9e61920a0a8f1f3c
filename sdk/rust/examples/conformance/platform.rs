//! What services ask of the platform.

use std::time::Duration;

use serde_json::{Value, json};
use tenon_sdk::{Context, Error, HostError, Keys};

const TOLD: &str = "conformance.languages.told";

pub(crate) async fn invoke(ctx: Context, what: Value) -> Result<Value, Error> {
    let order = json!({"customer": "Anna", "lines": [{"sku": "A", "quantity": 2}]});
    let answered: Value = ctx.invoke("conformance.languages.typed_input", &order).await?;
    let refused = ctx
        .invoke::<Value>("conformance.languages.errors", &json!({"error": "conflict"}))
        .await;
    let missing = ctx.invoke::<Value>("conformance.languages.no_such", &()).await;
    let refused = match refused {
        Err(HostError::Answered(problem)) if what["pass_on"] != true => json!([problem.status, problem.detail]),
        passed_on => passed_on?,
    };
    Ok(
        json!({"answered": answered, "refused": refused, "is_missing": missing.is_err_and(|error| error.is_not_found())}),
    )
}

/// Calls itself in the background, and says what it was called with once that was done.
pub(crate) async fn invoke_async(ctx: Context, input: Value) -> Result<Value, Error> {
    let key = "languages-invoke-async";
    if input["ask"] == true {
        let told: Option<Value> = ctx.cache("default").get(key).await?;
        return Ok(json!({"told": told}));
    }
    let payload = json!({"key": key, "value": input["value"]});
    let cid = ctx.invoke_async(TOLD, &payload).await?;
    Ok(json!({"has_cid": !cid.is_empty()}))
}

/// Keeps what it is told under the key that it is told, or what a fan-out found.
pub(crate) async fn told(ctx: Context, input: Value) -> Result<Value, Error> {
    let (key, value) = match input["data"].as_array() {
        Some(found) => {
            let mut data: Vec<&Value> = found.iter().map(|one| &one["data"]).collect();
            data.sort_by_key(ToString::to_string);
            ("languages-fan-out", json!(data))
        }
        None => (input["key"].as_str().unwrap_or_default(), input["value"].clone()),
    };
    ctx.cache("default").set(key, &value).await?;
    Ok(value)
}

pub(crate) async fn fan_out(ctx: Context, input: Value) -> Result<Value, Error> {
    if input["ask"] == true {
        let told: Option<Value> = ctx.cache("default").get("languages-fan-out").await?;
        return Ok(json!({"told": told}));
    }
    let cid = ctx
        .fan_out()
        .target(TOLD, &json!({"key": "one", "value": 1}))
        .target(TOLD, &json!({"key": "two", "value": 2}))
        .on_final(TOLD)
        .await?;
    Ok(json!({"has_cid": !cid.is_empty()}))
}

pub(crate) async fn cache(ctx: Context) -> Result<Value, Error> {
    let cache = ctx.cache("languages");
    cache.delete_all(Keys::All).await?;
    let before: Option<Value> = cache.get("a").await?;
    cache.set("a", &json!({"b": [1, "Zürich"]})).await?;
    cache.set_for("short", &1, Duration::from_millis(1)).await?;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let absent = (
        cache.set_if_absent("c", &1, None).await?,
        cache.set_if_absent("c", &2, None).await?,
    );
    let sum = cache.increment("n", 5).await? + cache.increment("n", 1).await?;
    let mut keys = cache.keys(Keys::Regex("^[ac]$")).await?;
    keys.sort();
    // What only this language's part of the folder looks at, fails the case if it is wrong.
    if (absent, sum, keys.as_slice()) != ((true, false), 11, &["a".to_owned(), "c".to_owned()][..]) {
        return Err(Error::conflict(format!("{absent:?} {sum} {keys:?}")));
    }
    let answer = json!({
        "before": before, "value": cache.get::<Value>("a").await?, "short": cache.exists("short").await?,
        "after": cache.exists("b").await?,
    });
    match cache.delete_all(Keys::Prefix("a")).await? {
        1 => Ok(answer),
        other => Err(Error::conflict(format!("{other} keys were deleted"))),
    }
}

pub(crate) async fn locks(ctx: Context) -> Result<Value, Error> {
    let held = ctx
        .lock("languages")
        .acquire()
        .await?
        .ok_or_else(|| Error::conflict("held"))?;
    let other = ctx.lock("languages").wait(Duration::from_millis(50)).acquire().await?;
    let token = held.token();
    held.release().await?;
    let again = ctx
        .lock("languages")
        .acquire()
        .await?
        .ok_or_else(|| Error::conflict("held"))?;
    Ok(json!({"other": other.is_some(), "grows": again.token() > token}))
}

pub(crate) async fn crypto(ctx: Context) -> Result<Value, Error> {
    let crypto = ctx.crypto();
    let sealed = crypto.encrypt("Zürich").await?;
    let opened = crypto.decrypt(&sealed).await?;
    let hash = crypto.hash("secret").await?;
    Ok(json!({
        "is_sealed": !sealed.contains("rich"), "opened": String::from_utf8_lossy(&opened),
        "right": crypto.verify("secret", &hash).await?, "wrong": crypto.verify("guess", &hash).await?,
        "nonsense": crypto.decrypt("nonsense").await.is_ok(),
    }))
}

pub(crate) async fn configuration(ctx: Context) -> Result<Value, Error> {
    #[derive(serde::Deserialize)]
    struct Limits {
        orders_max: u32,
        greeting: String,
    }
    let limits: Limits = ctx.config().section("languages", "limits")?;
    Ok(json!({"orders_max": limits.orders_max, "greeting": limits.greeting}))
}

pub(crate) async fn schedule(ctx: Context, input: Value) -> Result<Value, Error> {
    let key = "languages-schedule";
    if input["ask"] == true {
        let told: Option<Value> = ctx.cache("default").get(key).await?;
        return Ok(json!({"told": told}));
    }
    let payload = json!({"key": key, "value": "ran"});
    let name = ctx
        .schedule(TOLD, &payload)
        .after(Duration::from_millis(100))
        .prefix("languages-")
        .await?;
    Ok(json!({"has_prefix": name.starts_with("languages-")}))
}

pub(crate) async fn outgoing_rest(ctx: Context) -> Result<Value, Error> {
    let connection = ctx.rest("Conformance languages");
    let body = json!({"customer": "Anna", "lines": []});
    let response = connection.post().param("name", "typed_input").json(&body).await?;
    let wrong = connection.post().param("name", "typed_input").json(&json!({})).await?;
    Ok(json!({"status": response.status, "data": response.json::<Value>()?, "wrong": wrong.status}))
}
