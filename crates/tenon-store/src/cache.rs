//! The cache that all services of a cluster share. Best effort: kept in the memory of the process that has the files open,
//! of a bounded size, empty when that restarts.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::engine::{Reply, Store, answer};
use crate::error::StoreError;

/// A value as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheValue {
    /// The bytes.
    pub body: Bytes,
    /// Whether they are JSON.
    pub is_json: bool,
}

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// The value.
    pub value: CacheValue,
    /// When it ends, in milliseconds from now; none if it does not by itself.
    pub expires_in_ms: Option<u64>,
}

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMatch {
    /// Those that begin with the text.
    Prefix,
    /// Those that end with it.
    Suffix,
    /// Those in which it is somewhere.
    Contains,
    /// Those that the regular expression finds something in.
    Regex,
}

/// Which keys are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFilter {
    /// How they are chosen.
    pub by: CacheMatch,
    /// The text or the expression.
    pub text: String,
}

/// What is done in a cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheAction {
    /// See [`Store::cache_get`].
    Get {
        /// The key.
        key: String,
    },
    /// See [`Store::cache_set`].
    Set {
        /// The key.
        key: String,
        /// The value.
        value: CacheValue,
        /// How long it lives; none: until it is evicted.
        expiry_ms: Option<u64>,
        /// Only if the key has no value.
        if_absent: bool,
    },
    /// See [`Store::cache_delete`].
    Delete {
        /// The key.
        key: String,
    },
    /// See [`Store::cache_expire`].
    Expire {
        /// The key.
        key: String,
        /// How long it lives from now on; none: until it is evicted.
        expiry_ms: Option<u64>,
    },
    /// See [`Store::cache_increment`].
    Increment {
        /// The key.
        key: String,
        /// What is added.
        amount: i64,
        /// How long a value that was not there lives.
        expiry_ms: Option<u64>,
    },
    /// See [`Store::cache_keys`].
    Keys {
        /// Which; none: all.
        filter: Option<CacheFilter>,
    },
    /// See [`Store::cache_get_by`].
    GetBy {
        /// Which.
        filter: CacheFilter,
    },
    /// See [`Store::cache_delete_by`].
    DeleteBy {
        /// Which; none: all.
        filter: Option<CacheFilter>,
    },
}

/// Requests about the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRequest {
    /// The name of the cache.
    pub cache: String,
    /// What is done in it.
    pub action: CacheAction,
}

/// Answers about the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CacheReply {
    /// What the key has; after a write: what it had before.
    Entry(Option<CacheEntry>),
    /// Keys, in their order.
    Keys(Vec<String>),
    /// Values by key.
    Values(BTreeMap<String, CacheValue>),
    /// How many there were, or the sum.
    Count(i64),
}

impl Store {
    /// The value of a key.
    pub async fn cache_get(&self, cache: &str, key: &str) -> Result<Option<CacheEntry>, StoreError> {
        let action = CacheAction::Get { key: key.to_owned() };
        self.cached_entry(cache, action).await
    }

    /// Keeps a value for a time, or until it is evicted; with `if_absent` only if the key has none. Returns what the key had
    /// before. [`StoreError::Invalid`] if key or value are larger than the engine's settings allow.
    pub async fn cache_set(
        &self,
        cache: &str,
        key: &str,
        value: CacheValue,
        expiry_ms: Option<u64>,
        if_absent: bool,
    ) -> Result<Option<CacheEntry>, StoreError> {
        let action = CacheAction::Set {
            key: key.to_owned(),
            value,
            expiry_ms,
            if_absent,
        };
        self.cached_entry(cache, action).await
    }

    /// Forgets a key. Returns what it had.
    pub async fn cache_delete(&self, cache: &str, key: &str) -> Result<Option<CacheEntry>, StoreError> {
        let action = CacheAction::Delete { key: key.to_owned() };
        self.cached_entry(cache, action).await
    }

    /// Changes how long a value lives. Returns what the key had.
    pub async fn cache_expire(
        &self,
        cache: &str,
        key: &str,
        expiry_ms: Option<u64>,
    ) -> Result<Option<CacheEntry>, StoreError> {
        let action = CacheAction::Expire {
            key: key.to_owned(),
            expiry_ms,
        };
        self.cached_entry(cache, action).await
    }

    /// Adds to a value that is a whole number, or to 0 if there is none; the end of a value stays as it was. Returns the sum.
    /// [`StoreError::Invalid`] if the value is no number.
    pub async fn cache_increment(
        &self,
        cache: &str,
        key: &str,
        amount: i64,
        expiry_ms: Option<u64>,
    ) -> Result<i64, StoreError> {
        let action = CacheAction::Increment {
            key: key.to_owned(),
            amount,
            expiry_ms,
        };
        answer!(self, request(cache, action), Reply::Cache(CacheReply::Count(sum)) => sum)
    }

    /// The keys that a filter chooses, or all, in their order.
    pub async fn cache_keys(&self, cache: &str, filter: Option<CacheFilter>) -> Result<Vec<String>, StoreError> {
        let action = CacheAction::Keys { filter };
        answer!(self, request(cache, action), Reply::Cache(CacheReply::Keys(keys)) => keys)
    }

    /// The values of the keys that a filter chooses. [`StoreError::Invalid`] if they are together larger than the engine's
    /// settings allow.
    pub async fn cache_get_by(
        &self,
        cache: &str,
        filter: CacheFilter,
    ) -> Result<BTreeMap<String, CacheValue>, StoreError> {
        let action = CacheAction::GetBy { filter };
        answer!(self, request(cache, action), Reply::Cache(CacheReply::Values(values)) => values)
    }

    /// Forgets the keys that a filter chooses, or all. Returns how many they were.
    pub async fn cache_delete_by(&self, cache: &str, filter: Option<CacheFilter>) -> Result<i64, StoreError> {
        let action = CacheAction::DeleteBy { filter };
        answer!(self, request(cache, action), Reply::Cache(CacheReply::Count(count)) => count)
    }

    async fn cached_entry(&self, cache: &str, action: CacheAction) -> Result<Option<CacheEntry>, StoreError> {
        answer!(self, request(cache, action), Reply::Cache(CacheReply::Entry(entry)) => entry)
    }
}

fn request(cache: &str, action: CacheAction) -> CacheRequest {
    CacheRequest {
        cache: cache.to_owned(),
        action,
    }
}
