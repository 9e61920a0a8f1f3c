//! The cache that all servers of a cluster share.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::context::{Context, Payload};
use crate::input::decode;
use crate::link::HostAnswer;
use crate::{HostError, millis};

impl Context {
    /// A cache of the cluster by its name; `default` if there is no reason for another one.
    ///
    /// It is best effort: it is emptied when the process that holds it starts anew, and when it is full the values that were
    /// not used for longest go first. What has to last belongs into a database.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use std::time::Duration;
    /// async fn rate(ctx: Context, currency: String) -> Result<f64, Error> {
    ///     let cache = ctx.cache("rates");
    ///     if let Some(rate) = cache.get(&currency).await? {
    ///         return Ok(rate);
    ///     }
    ///     let rate: f64 = ctx.invoke("rates.ask-bank", &currency).await?;
    ///     cache.set_for(&currency, &rate, Duration::from_mins(1)).await?;
    ///     Ok(rate)
    /// }
    /// ```
    pub fn cache(&self, name: impl Into<String>) -> Cache {
        Cache {
            context: self.clone(),
            name: name.into(),
        }
    }
}

/// A cache of the cluster. Made by [`Context::cache`]. Values are what serde writes as JSON.
#[derive(Debug, Clone)]
pub struct Cache {
    context: Context,
    name: String,
}

/// Which keys of a cache are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys<'a> {
    /// All of them.
    All,
    /// Those that begin with a text.
    Prefix(&'a str),
    /// Those that end with a text.
    Suffix(&'a str),
    /// Those that contain a text.
    Containing(&'a str),
    /// Those that match a regular expression.
    Regex(&'a str),
}

impl<'a> Keys<'a> {
    fn parts(self) -> (Option<&'static str>, Option<&'a str>) {
        match self {
            Keys::All => (None, None),
            Keys::Prefix(text) => (Some("prefix"), Some(text)),
            Keys::Suffix(text) => (Some("suffix"), Some(text)),
            Keys::Containing(text) => (Some("contains"), Some(text)),
            Keys::Regex(text) => (Some("regex"), Some(text)),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct CacheRequest<'a> {
    op: &'static str,
    action: &'static str,
    cache: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    if_absent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    found: bool,
    is_json: bool,
    count: Option<i64>,
}

impl Cache {
    /// The value of a key; none if it has none.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, HostError> {
        let answer = self.ask(self.request("get", key), Payload::none()).await?;
        let described: Described = answer.described()?;
        if !described.found {
            return Ok(None);
        }
        let what = || format!("the value of '{key}' in the cache '{}'", self.name);
        decode(&answer.body, described.is_json || answer.is_json, what).map(Some)
    }

    /// Sets the value of a key, until it is set anew or there is no room for it.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), HostError> {
        self.put(self.request("set", key), value).await.map(drop)
    }

    /// Sets the value of a key for so long.
    pub async fn set_for<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        expiry: Duration,
    ) -> Result<(), HostError> {
        let mut request = self.request("set", key);
        request.expiry_ms = Some(millis(expiry));
        self.put(request, value).await.map(drop)
    }

    /// Sets the value of a key if it has none; whether it was set.
    pub async fn set_if_absent<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
        expiry: Option<Duration>,
    ) -> Result<bool, HostError> {
        let mut request = self.request("set", key);
        request.expiry_ms = expiry.map(millis);
        request.if_absent = true;
        Ok(!self.put(request, value).await?.found)
    }

    async fn put<T: Serialize + ?Sized>(&self, request: CacheRequest<'_>, value: &T) -> Result<Described, HostError> {
        let text = serde_json::to_vec(value).map_err(|source| HostError::Encode {
            what: format!("the value for the cache '{}'", self.name),
            source,
        })?;
        self.ask(request, Payload::json(text)).await?.described()
    }

    /// Forgets a key; whether it had a value.
    pub async fn delete(&self, key: &str) -> Result<bool, HostError> {
        self.found(self.request("delete", key)).await
    }

    /// Lets a value end after so long from now, or never; whether there is one.
    pub async fn expire(&self, key: &str, expiry: Option<Duration>) -> Result<bool, HostError> {
        let mut request = self.request("expire", key);
        request.expiry_ms = expiry.map(millis);
        self.found(request).await
    }

    /// Whether a key has a value.
    pub async fn exists(&self, key: &str) -> Result<bool, HostError> {
        self.found(self.request("exists", key)).await
    }

    /// Adds to the number that a key has, or to 0, and gives the sum. No two calls see the same one.
    pub async fn increment(&self, key: &str, amount: i64) -> Result<i64, HostError> {
        let mut request = self.request("increment", key);
        request.amount = Some(amount);
        let answer = self.ask(request, Payload::none()).await?;
        Ok(answer.described::<Described>()?.count.unwrap_or(0))
    }

    /// The keys.
    pub async fn keys(&self, which: Keys<'_>) -> Result<Vec<String>, HostError> {
        self.many("keys", which).await?.result()
    }

    /// Keys with their values.
    pub async fn get_all<T: DeserializeOwned>(&self, which: Keys<'_>) -> Result<BTreeMap<String, T>, HostError> {
        self.many("get-by", which).await?.result()
    }

    /// Forgets keys; how many.
    pub async fn delete_all(&self, which: Keys<'_>) -> Result<u64, HostError> {
        let action = if which == Keys::All { "clear" } else { "delete-by" };
        let described: Described = self.many(action, which).await?.described()?;
        Ok(u64::try_from(described.count.unwrap_or(0)).unwrap_or(0))
    }

    async fn found(&self, request: CacheRequest<'_>) -> Result<bool, HostError> {
        let answer = self.ask(request, Payload::none()).await?;
        Ok(answer.described::<Described>()?.found)
    }

    async fn many(&self, action: &'static str, which: Keys<'_>) -> Result<HostAnswer, HostError> {
        let (by, text) = which.parts();
        let request = CacheRequest {
            op: "cache",
            action,
            cache: &self.name,
            by,
            text,
            ..CacheRequest::default()
        };
        self.ask(request, Payload::none()).await
    }

    fn request<'a>(&'a self, action: &'static str, key: &'a str) -> CacheRequest<'a> {
        CacheRequest {
            op: "cache",
            action,
            cache: &self.name,
            key: Some(key),
            ..CacheRequest::default()
        }
    }

    async fn ask(&self, request: CacheRequest<'_>, payload: Payload) -> Result<HostAnswer, HostError> {
        self.context.ask(&request, payload).await
    }
}
