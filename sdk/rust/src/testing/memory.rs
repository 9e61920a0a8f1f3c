//! What the platform keeps in memory for a test: the cache and the locks.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::platform::{Answered, number, ok, refused, text};

/// Caches by name. Regular expressions match as plain text that is contained.
#[derive(Debug, Default)]
pub(super) struct Caches(HashMap<String, BTreeMap<String, Kept>>);

#[derive(Debug, Clone)]
struct Kept {
    body: Bytes,
    is_json: bool,
    ends: Option<Instant>,
}

impl Caches {
    pub(super) fn act(&mut self, request: &Map<String, Value>, body: Bytes, is_json: bool) -> Answered {
        let cache = self.0.entry(text(request, "cache")).or_default();
        let now = Instant::now();
        cache.retain(|_, kept| kept.ends.is_none_or(|ends| ends > now));
        let key = text(request, "key");
        let ends = number(request, "expiry_ms").map(|ms| now + Duration::from_millis(ms));
        let before = cache.get(&key).cloned();
        let chosen = |name: &str| is_chosen(request, name);
        match text(request, "action").as_str() {
            "get" => found(before),
            "exists" => ok(json!({"found": before.is_some()})),
            "set" => {
                let keeps = before.is_some() && request.get("if_absent") == Some(&Value::Bool(true));
                if !keeps {
                    cache.insert(key, Kept { body, is_json, ends });
                }
                found(before)
            }
            "delete" => {
                cache.remove(&key);
                found(before)
            }
            "expire" => {
                if let Some(kept) = cache.get_mut(&key) {
                    kept.ends = ends;
                }
                ok(json!({"found": before.is_some()}))
            }
            "increment" => {
                let had: i64 = before
                    .and_then(|kept| serde_json::from_slice(&kept.body).ok())
                    .unwrap_or(0);
                let sum = had + request.get("amount").and_then(Value::as_i64).unwrap_or(1);
                let body = sum.to_string().into();
                let is_json = true;
                cache.insert(key, Kept { body, is_json, ends });
                ok(json!({"found": true, "count": sum}))
            }
            "keys" => body_of(&json!(cache.keys().filter(|name| chosen(name)).collect::<Vec<_>>())),
            "get-by" => {
                let value = |kept: &Kept| serde_json::from_slice::<Value>(&kept.body).unwrap_or_default();
                let chosen: Map<_, _> = cache
                    .iter()
                    .filter(|(name, _)| chosen(name))
                    .map(|(name, kept)| (name.clone(), value(kept)))
                    .collect();
                body_of(&Value::Object(chosen))
            }
            "delete-by" | "clear" => {
                let count = cache.len();
                cache.retain(|name, _| !chosen(name));
                ok(json!({"count": count - cache.len()}))
            }
            other => refused(400, "BadRequest", &format!("a cache has no action '{other}'")),
        }
    }
}

fn is_chosen(request: &Map<String, Value>, name: &str) -> bool {
    let wanted = text(request, "text");
    match text(request, "by").as_str() {
        "prefix" => name.starts_with(&wanted),
        "suffix" => name.ends_with(&wanted),
        "contains" | "regex" => name.contains(&wanted),
        _ => true,
    }
}

fn found(kept: Option<Kept>) -> Answered {
    let Some(kept) = kept else {
        return ok(json!({"found": false}));
    };
    Answered {
        tail: json!({"found": true, "is_json": kept.is_json}),
        body: kept.body,
        ..Answered::default()
    }
}

fn body_of(value: &Value) -> Answered {
    Answered {
        tail: json!({"found": true, "is_json": true}),
        body: value.to_string().into(),
        ..Answered::default()
    }
}

/// Locks by name: who holds them. They are given to whoever asks first, and nobody waits.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: HashMap<String, (u64, Instant)>,
    last_token: u64,
}

impl Locks {
    pub(super) fn act(&mut self, request: &Map<String, Value>) -> Answered {
        let name = text(request, "name");
        let now = Instant::now();
        self.held.retain(|_, (_, ends)| *ends > now);
        let ends = now + Duration::from_millis(number(request, "ttl_ms").unwrap_or(0));
        let token = number(request, "token").unwrap_or(0);
        let is_holder = self.held.get(&name).is_some_and(|(holder, _)| *holder == token);
        match text(request, "action").as_str() {
            "acquire" if self.held.contains_key(&name) => ok(json!({"acquired": false, "token": null})),
            "acquire" => {
                self.last_token += 1;
                self.held.insert(name, (self.last_token, ends));
                ok(json!({"acquired": true, "token": self.last_token}))
            }
            "renew" => {
                if is_holder {
                    self.held.insert(name, (token, ends));
                }
                ok(json!({"acquired": is_holder}))
            }
            _ => {
                if is_holder {
                    self.held.remove(&name);
                }
                ok(json!({"acquired": is_holder}))
            }
        }
    }
}
