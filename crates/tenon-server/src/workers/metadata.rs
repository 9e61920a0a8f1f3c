//! What a request says beside its payload, written straight into the frame.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::call::ServiceCall;

/// The metadata of a call.
pub(crate) struct Metadata<'a> {
    pub(crate) call: &'a ServiceCall,
    pub(crate) deployment: u64,
}

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let call = self.call;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("channel", call.source.channel_type())?;
        map.serialize_entry("channel_name", call.source.name())?;
        if let Some(caller) = &call.caller {
            map.serialize_entry("security", caller)?;
        }
        if let Some(http) = &call.http {
            map.serialize_entry("method", http.method.as_str())?;
            map.serialize_entry("path", http.uri.path())?;
            map.serialize_entry("query", &Pairs(&http.query))?;
            map.serialize_entry("params", &Pairs(&http.params))?;
            map.serialize_entry("headers", &Headers(&http.headers))?;
            map.serialize_entry("remote", &http.remote)?;
            if let Some(raw_at) = &http.raw_at {
                map.serialize_entry("raw_at", raw_at)?;
            }
        }
        if !call.data_format.is_empty() {
            map.serialize_entry("data_format", call.data_format)?;
        }
        // Over HTTP an empty object says that the channel merges nothing; without it the worker would merge by itself.
        if call.http.is_some() || !call.merged_params.is_empty() {
            map.serialize_entry("merged_params", &call.merged_params)?;
        }
        if call.message_wins {
            map.serialize_entry("message_wins", &true)?;
        }
        map.serialize_entry("deployment", &self.deployment)?;
        map.end()
    }
}

/// Headers as an object with lower-case names; the values of one that repeats are joined with `, `.
struct Headers<'a>(&'a HeaderMap);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // The values of one name follow each other.
        let mut rest = self.0.iter().peekable();
        while let Some((name, value)) = rest.next() {
            let mut all = text_of(value);
            while let Some((_, value)) = rest.next_if(|(next, _)| *next == name) {
                all += ", ";
                all += text_of(value);
            }
            map.serialize_entry(name.as_str(), &all)?;
        }
        map.end()
    }
}

fn text_of(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// Pairs as an object; a name that repeats has the list of its values.
struct Pairs<'a>(&'a [(String, String)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.has_repeats() {
            return serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)));
        }
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in self.0 {
            all.entry(name).or_default().push(value);
        }
        let mut map = serializer.serialize_map(Some(all.len()))?;
        for (name, values) in all {
            match values.as_slice() {
                [value] => map.serialize_entry(name, value)?,
                values => map.serialize_entry(name, values)?,
            }
        }
        map.end()
    }
}

impl Pairs<'_> {
    fn has_repeats(&self) -> bool {
        // Comparing each with each is quickest for the few pairs that requests have; many go the long way.
        self.0.len() > 64
            || self
                .0
                .iter()
                .enumerate()
                .any(|(index, (name, _))| self.0[..index].iter().any(|(earlier, _)| earlier == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_an_object_in_their_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("X-B", "1"), ("accept", "a/b"), ("x-b", "\u{e9}"), ("x-b", "")] {
            let name: http::HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers.append("x-latin-1", HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(
            serde_json::to_string(&Headers(&headers)).unwrap(),
            "{\"x-b\":\"1, \u{e9}, \",\"accept\":\"a/b\",\"x-latin-1\":\"\u{fffd}\"}"
        );
    }

    #[test]
    fn names_that_repeat_have_lists() {
        let pairs = |names: &[(&str, &str)]| {
            let owned: Vec<_> = names.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            serde_json::to_string(&Pairs(&owned)).unwrap()
        };
        assert_eq!(pairs(&[("b", "1"), ("a", "2")]), r#"{"b":"1","a":"2"}"#);
        assert_eq!(
            pairs(&[("b", "1"), ("a", "2"), ("b", "3")]),
            r#"{"a":"2","b":["1","3"]}"#
        );
        assert_eq!(pairs(&[]), "{}");
    }
}
