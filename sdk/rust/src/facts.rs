//! What a service may want to know of its call beside the input: the channel, the HTTP request, who is let in.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a request's metadata say. The parts that few services look at stay text until somebody does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    channel: String,
    channel_name: String,
    security: Option<Caller>,
    method: Option<String>,
    path: String,
    remote: String,
    query: Option<Box<RawValue>>,
    params: Option<Box<RawValue>>,
    headers: Option<Box<RawValue>>,
    data_format: String,
    /// Where in the body what came begins, behind the JSON that the server made of it.
    pub(crate) raw_at: Option<usize>,
}

/// The part of the metadata that says what an input is read from. Most calls need nothing else of them, so that it copies
/// nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InputFacts<'a> {
    #[serde(borrow)]
    data_format: Cow<'a, str>,
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    merged_params: Option<&'a RawValue>,
    pub(crate) message_wins: bool,
    /// As in [`Facts`].
    pub(crate) raw_at: Option<usize>,
}

impl<'a> InputFacts<'a> {
    pub(crate) fn parse(metadata: &'a [u8]) -> Self {
        // That all of it is text is quicker to see at once than for each string.
        let text = std::str::from_utf8(metadata).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }

    pub(crate) fn is_form(&self) -> bool {
        matches!(&*self.data_format, "form" | "post")
    }

    /// The body as it is read: of a form, CSV or XML what the server made of it.
    pub(crate) fn readable<'b>(&self, body: &'b [u8]) -> &'b [u8] {
        body.get(..self.raw_at.unwrap_or(body.len())).unwrap_or_default()
    }

    /// The parameters that the channel merges into the input; without a channel that says so, those of path and query string.
    pub(crate) fn merged_params(&self) -> Map<String, Value> {
        if let Some(merged) = self.merged_params {
            return match merged.get() {
                "{}" => Map::new(),
                text => serde_json::from_str(text).unwrap_or_default(),
            };
        }
        let mut merged = last_of_each(self.params);
        merged.extend(last_of_each(self.query));
        merged
    }
}

impl Facts {
    pub(crate) fn parse(metadata: &[u8]) -> Self {
        serde_json::from_slice(metadata).unwrap_or_default()
    }

    pub(crate) fn channel(&self) -> Channel<'_> {
        Channel {
            kind: &self.channel,
            name: &self.channel_name,
            data_format: &self.data_format,
        }
    }

    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.security.as_ref()
    }

    pub(crate) fn method(&self) -> Option<&str> {
        self.method.as_deref()
    }

    pub(crate) fn http(&self) -> Option<Http> {
        Some(Http {
            method: self.method.clone()?,
            path: self.path.clone(),
            remote: self.remote.clone(),
            query: Values::parse(self.query.as_deref()),
            params: Values::parse(self.params.as_deref()),
            headers: Values::parse(self.headers.as_deref()),
        })
    }
}

fn last_of_each(pairs: Option<&RawValue>) -> Map<String, Value> {
    let pairs: Map<String, Value> = pairs
        .and_then(|text| serde_json::from_str(text.get()).ok())
        .unwrap_or_default();
    let last = |value: Value| match value {
        Value::Array(mut values) => values.pop().unwrap_or_default(),
        value => value,
    };
    pairs.into_iter().map(|(name, value)| (name, last(value))).collect()
}

/// What a call came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel<'a> {
    /// `rest`, `scheduler`, `invoke`, `invoke-async`, `cli` and the like.
    pub kind: &'a str,
    /// The name of the channel, job, service or user.
    pub name: &'a str,
    /// The channel's data format: `json`, `form`, `csv`, `xml`, or empty for raw data.
    pub data_format: &'a str,
}

/// Who a channel's security let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Caller {
    /// The name of the security definition.
    pub name: String,
    /// Its kind, such as `basic-auth` or `jwt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The user name, or the subject of a token or a certificate; empty if the kind has none.
    pub username: String,
    /// The claims of a token, the fields of a certificate.
    pub claims: Map<String, Value>,
}

/// The HTTP request behind a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Http {
    /// Its method, in capitals.
    pub method: String,
    /// Its path as it came, without the query string.
    pub path: String,
    /// The client's address.
    pub remote: String,
    /// Parameters of the query string.
    pub query: Values,
    /// Parameters of the channel's path pattern.
    pub params: Values,
    /// Headers, with lower-case names.
    pub headers: Values,
}

impl Http {
    /// A header, whatever the case it is asked for in.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase())
    }

    /// A parameter of the path, or of the query string if the path has none of this name.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).or_else(|| self.query.get(name))
    }
}

/// Texts by name, some names with several of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(Vec<(String, Vec<String>)>);

impl Values {
    fn parse(text: Option<&RawValue>) -> Self {
        let pairs: Map<String, Value> = text
            .and_then(|text| serde_json::from_str(text.get()).ok())
            .unwrap_or_default();
        let texts = |value| match value {
            Value::String(text) => vec![text],
            Value::Array(values) => values
                .into_iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect(),
            other => vec![other.to_string()],
        };
        Self(pairs.into_iter().map(|(name, value)| (name, texts(value))).collect())
    }

    /// The value of this name; of several the last.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    /// All values of this name.
    pub fn all(&self, name: &str) -> &[String] {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map_or(&[], |(_, values)| values)
    }

    /// Names and values; a name with several values comes once for each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
    }
}
