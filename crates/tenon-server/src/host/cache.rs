//! `cache`: values that all services of the cluster share, best effort.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tenon_store::{CacheEntry, CacheFilter, CacheMatch, CacheValue};

use super::{Host, HostFailure, HostResult, described, needed, text};
use crate::call::{HostCall, HostReturn};

impl Host {
    /// One action in one cache.
    pub(super) async fn cache(&self, call: HostCall) -> HostResult {
        let request = &call.request;
        let (store, name) = (&self.store, text(request, "cache").unwrap_or("default"));
        let expiry_ms = request
            .get("expiry_ms")
            .and_then(Value::as_u64)
            .filter(|expiry| *expiry > 0);
        // An empty key is a key too.
        let key = request.get("key").and_then(Value::as_str).unwrap_or_default();
        match needed(request, "action")? {
            "get" => Ok(found(store.cache_get(name, key).await?, true)),
            "exists" => Ok(found(store.cache_get(name, key).await?, false)),
            "set" => {
                let if_absent = request.get("if_absent").and_then(Value::as_bool).unwrap_or(false);
                let value = CacheValue {
                    body: call.body.clone(),
                    is_json: call.body_is_json,
                };
                let before = store.cache_set(name, key, value, expiry_ms, if_absent).await?;
                Ok(found(before, true))
            }
            "delete" => Ok(found(store.cache_delete(name, key).await?, true)),
            "expire" => Ok(found(store.cache_expire(name, key, expiry_ms).await?, true)),
            "increment" => {
                let amount = request.get("amount").and_then(Value::as_i64).unwrap_or(1);
                let sum = store.cache_increment(name, key, amount, expiry_ms).await?;
                Ok(described(json!({ "found": true, "count": sum })))
            }
            "keys" => {
                let keys = store.cache_keys(name, filter(request)?).await?;
                let count = keys.len();
                Ok(json_body(count, &json!(keys)))
            }
            "get-by" => {
                let filter = filter(request)?.ok_or_else(|| HostFailure::bad_request("'by' is missing in the call"))?;
                let values = store.cache_get_by(name, filter).await?;
                let count = values.len();
                let values: Map<String, Value> =
                    values.into_iter().map(|(key, value)| (key, json_of(&value))).collect();
                Ok(json_body(count, &Value::Object(values)))
            }
            "delete-by" => {
                let filter = filter(request)?.ok_or_else(|| HostFailure::bad_request("'by' is missing in the call"))?;
                let count = store.cache_delete_by(name, Some(filter)).await?;
                Ok(described(json!({ "count": count })))
            }
            "clear" => {
                let count = store.cache_delete_by(name, None).await?;
                Ok(described(json!({ "count": count })))
            }
            other => Err(HostFailure::bad_request(format!("a cache has no action '{other}'"))),
        }
    }
}

fn filter(request: &Map<String, Value>) -> Result<Option<CacheFilter>, HostFailure> {
    let by = match text(request, "by") {
        None => return Ok(None),
        Some("prefix") => CacheMatch::Prefix,
        Some("suffix") => CacheMatch::Suffix,
        Some("contains") => CacheMatch::Contains,
        Some("regex") => CacheMatch::Regex,
        Some(other) => return Err(HostFailure::bad_request(format!("keys can't be chosen by '{other}'"))),
    };
    let text = request.get("text").and_then(Value::as_str).unwrap_or_default();
    Ok(Some(CacheFilter {
        by,
        text: text.to_owned(),
    }))
}

/// A value with its kind and its end; without its bytes if only that is asked for.
fn found(entry: Option<CacheEntry>, with_body: bool) -> HostReturn {
    let Some(CacheEntry { value, expires_in_ms }) = entry else {
        return described(json!({ "found": false }));
    };
    HostReturn {
        code: 0,
        tail: json!({ "found": true, "is_json": value.is_json, "expires_in_ms": expires_in_ms }),
        body_is_json: value.is_json && with_body,
        body: if with_body { value.body } else { Bytes::new() },
    }
}

fn json_body(count: usize, value: &Value) -> HostReturn {
    HostReturn {
        code: 0,
        tail: json!({ "found": count > 0, "is_json": true, "count": count }),
        body_is_json: true,
        body: Bytes::from(value.to_string()),
    }
}

/// A value among others: what is no JSON is text there.
fn json_of(value: &CacheValue) -> Value {
    let json = value
        .is_json
        .then(|| serde_json::from_slice(&value.body).ok())
        .flatten();
    json.unwrap_or_else(|| Value::String(String::from_utf8_lossy(&value.body).into_owned()))
}
