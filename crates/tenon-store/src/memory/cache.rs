//! The values of all caches, of a bounded size: what was not used for longest goes first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use regex::Regex;
use tenon_model::Timestamp;

use crate::cache::{CacheAction, CacheEntry, CacheFilter, CacheMatch, CacheReply, CacheRequest, CacheValue};
use crate::error::StoreError;
use crate::settings::CacheSettings;

/// What an entry takes besides its key and value, about.
const ENTRY_BYTES: usize = 200;
/// How large a compiled expression may be.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Every cache.
#[derive(Debug)]
pub(crate) struct Cache {
    settings: CacheSettings,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    caches: BTreeMap<String, BTreeMap<String, Slot>>,
    /// Entries by when they were last used.
    uses: BTreeMap<u64, (String, String)>,
    last_use: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Slot {
    value: CacheValue,
    expires_at: Option<Timestamp>,
    used: u64,
}

impl Slot {
    fn lives(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    fn entry(&self, now: Timestamp) -> CacheEntry {
        let left = |end: Timestamp| u64::try_from(end.since(now).as_millis()).unwrap_or(u64::MAX);
        CacheEntry {
            value: self.value.clone(),
            expires_in_ms: self.expires_at.map(left),
        }
    }
}

impl Cache {
    /// An empty cache of this size.
    pub(crate) fn new(settings: CacheSettings) -> Self {
        Self {
            settings,
            kept: Mutex::default(),
        }
    }

    /// Does a request.
    pub(crate) fn answer(&self, request: CacheRequest, now: Timestamp) -> Result<CacheReply, StoreError> {
        let CacheRequest { cache, action } = request;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match action {
            CacheAction::Get { key } => Ok(CacheReply::Entry(kept.get(&cache, &key, now))),
            CacheAction::Set {
                key,
                value,
                expiry_ms,
                if_absent,
            } => {
                self.check(&key, &value)?;
                let before = kept.get(&cache, &key, now);
                if !(if_absent && before.is_some()) {
                    kept.put(&cache, &key, value, end(now, expiry_ms));
                    kept.make_room(&self.settings);
                }
                Ok(CacheReply::Entry(before))
            }
            CacheAction::Delete { key } => {
                let before = kept.get(&cache, &key, now);
                kept.remove(&cache, &key);
                Ok(CacheReply::Entry(before))
            }
            CacheAction::Expire { key, expiry_ms } => {
                let before = kept.get(&cache, &key, now);
                if let Some(slot) = kept.slot(&cache, &key) {
                    slot.expires_at = end(now, expiry_ms);
                }
                Ok(CacheReply::Entry(before))
            }
            CacheAction::Increment { key, amount, expiry_ms } => {
                let sum = kept.increment(&cache, &key, amount, end(now, expiry_ms), now)?;
                kept.make_room(&self.settings);
                Ok(CacheReply::Count(sum))
            }
            CacheAction::Keys { filter } => Ok(CacheReply::Keys(kept.keys(&cache, filter.as_ref(), now)?)),
            CacheAction::GetBy { filter } => {
                let bytes_max = self.settings.answer_max_bytes;
                Ok(CacheReply::Values(kept.values(&cache, &filter, now, bytes_max)?))
            }
            CacheAction::DeleteBy { filter } => {
                let keys = kept.keys(&cache, filter.as_ref(), now)?;
                for key in &keys {
                    kept.remove(&cache, key);
                }
                Ok(CacheReply::Count(i64::try_from(keys.len()).unwrap_or(i64::MAX)))
            }
        }
    }

    /// Drops what has ended.
    pub(crate) fn tidy(&self, now: Timestamp) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ended = Vec::new();
        for (cache, slots) in &kept.caches {
            let old = slots.iter().filter(|(_, slot)| !slot.lives(now));
            ended.extend(old.map(|(key, _)| (cache.clone(), key.clone())));
        }
        for (cache, key) in ended {
            kept.remove(&cache, &key);
        }
    }

    fn check(&self, key: &str, value: &CacheValue) -> Result<(), StoreError> {
        let too_large = |what: &str, max: usize| {
            Err(StoreError::Invalid(format!(
                "{what} is larger than a cache takes ({max} bytes)"
            )))
        };
        if key.len() > self.settings.key_max_bytes {
            return too_large("the key", self.settings.key_max_bytes);
        }
        if value.body.len() > self.settings.value_max_bytes {
            return too_large("the value", self.settings.value_max_bytes);
        }
        Ok(())
    }
}

impl Kept {
    /// What a key has now; using it keeps it from being evicted.
    fn get(&mut self, cache: &str, key: &str, now: Timestamp) -> Option<CacheEntry> {
        if self.slot(cache, key).is_some_and(|slot| !slot.lives(now)) {
            self.remove(cache, key);
        }
        let next_use = self.last_use + 1;
        let slot = self.slot(cache, key)?;
        let (entry, used) = (slot.entry(now), slot.used);
        slot.used = next_use;
        if let Some(name) = self.uses.remove(&used) {
            self.uses.insert(next_use, name);
        }
        self.last_use = next_use;
        Some(entry)
    }

    fn slot(&mut self, cache: &str, key: &str) -> Option<&mut Slot> {
        self.caches.get_mut(cache)?.get_mut(key)
    }

    fn put(&mut self, cache: &str, key: &str, value: CacheValue, expires_at: Option<Timestamp>) {
        self.remove(cache, key);
        self.last_use += 1;
        self.bytes += size(cache, key, &value);
        self.uses.insert(self.last_use, (cache.to_owned(), key.to_owned()));
        let slot = Slot {
            value,
            expires_at,
            used: self.last_use,
        };
        self.caches
            .entry(cache.to_owned())
            .or_default()
            .insert(key.to_owned(), slot);
    }

    fn remove(&mut self, cache: &str, key: &str) {
        let Some(slots) = self.caches.get_mut(cache) else {
            return;
        };
        let Some(slot) = slots.remove(key) else { return };
        if slots.is_empty() {
            self.caches.remove(cache);
        }
        self.uses.remove(&slot.used);
        self.bytes -= size(cache, key, &slot.value);
    }

    fn make_room(&mut self, settings: &CacheSettings) {
        while self.bytes > settings.bytes_max || self.uses.len() > settings.entries_max {
            let Some((_, (cache, key))) = self.uses.first_key_value().map(|(at, name)| (*at, name.clone())) else {
                return;
            };
            self.remove(&cache, &key);
        }
    }

    fn increment(
        &mut self,
        cache: &str,
        key: &str,
        amount: i64,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let before = self.get(cache, key, now);
        let (number, expires_at) = match before {
            None => (0, expires_at),
            Some(entry) => {
                let text = std::str::from_utf8(&entry.value.body).unwrap_or_default();
                let number: i64 = text
                    .trim()
                    .parse()
                    .map_err(|_| StoreError::Invalid(format!("the value of '{key}' is no whole number")))?;
                (number, self.slot(cache, key).and_then(|slot| slot.expires_at))
            }
        };
        let sum = number
            .checked_add(amount)
            .ok_or_else(|| StoreError::Invalid(format!("the value of '{key}' would be too large a number")))?;
        let value = CacheValue {
            body: sum.to_string().into(),
            is_json: true,
        };
        self.put(cache, key, value, expires_at);
        Ok(sum)
    }

    fn keys(&self, cache: &str, filter: Option<&CacheFilter>, now: Timestamp) -> Result<Vec<String>, StoreError> {
        let found = self.found(cache, filter, now)?;
        Ok(found.map(|(key, _)| key.clone()).collect())
    }

    fn values(
        &self,
        cache: &str,
        filter: &CacheFilter,
        now: Timestamp,
        bytes_max: usize,
    ) -> Result<BTreeMap<String, CacheValue>, StoreError> {
        let mut values = BTreeMap::new();
        let mut bytes = 0;
        for (key, slot) in self.found(cache, Some(filter), now)? {
            bytes += key.len() + slot.value.body.len();
            if bytes > bytes_max {
                return Err(StoreError::Invalid(format!(
                    "the values that were asked for are together larger than {bytes_max} bytes"
                )));
            }
            values.insert(key.clone(), slot.value.clone());
        }
        Ok(values)
    }

    fn found<'a>(
        &'a self,
        cache: &str,
        filter: Option<&'a CacheFilter>,
        now: Timestamp,
    ) -> Result<impl Iterator<Item = (&'a String, &'a Slot)>, StoreError> {
        let wanted = Wanted::new(filter)?;
        let slots = self.caches.get(cache);
        let all = slots.into_iter().flatten();
        Ok(all.filter(move |(key, slot)| slot.lives(now) && wanted.is(key)))
    }
}

/// A filter, ready to be asked.
enum Wanted<'a> {
    All,
    Prefix(&'a str),
    Suffix(&'a str),
    Contains(&'a str),
    Regex(Box<Regex>),
}

impl<'a> Wanted<'a> {
    fn new(filter: Option<&'a CacheFilter>) -> Result<Self, StoreError> {
        let Some(CacheFilter { by, text }) = filter else {
            return Ok(Wanted::All);
        };
        Ok(match by {
            CacheMatch::Prefix => Wanted::Prefix(text),
            CacheMatch::Suffix => Wanted::Suffix(text),
            CacheMatch::Contains => Wanted::Contains(text),
            CacheMatch::Regex => {
                let built = regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build();
                Wanted::Regex(Box::new(built.map_err(|error| StoreError::Invalid(error.to_string()))?))
            }
        })
    }

    fn is(&self, key: &str) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Prefix(text) => key.starts_with(text),
            Wanted::Suffix(text) => key.ends_with(text),
            Wanted::Contains(text) => key.contains(text),
            Wanted::Regex(regex) => regex.is_match(key),
        }
    }
}

fn size(cache: &str, key: &str, value: &CacheValue) -> usize {
    // The key is kept twice, once by itself and once by its use.
    ENTRY_BYTES + cache.len() + 2 * key.len() + value.body.len()
}

fn end(now: Timestamp, expiry_ms: Option<u64>) -> Option<Timestamp> {
    expiry_ms.map(|millis| now.plus(std::time::Duration::from_millis(millis)))
}
