//! Where a request goes: the URL of a connection with its path parameters filled in.

use std::fmt::Write as _;
use std::str::FromStr;

use http::Uri;
use serde_json::{Map, Value};

/// The URL of a connection, read once: `https://host:port/path/{id}?fixed=1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlTemplate {
    /// Where to connect.
    pub origin: Origin,
    path: Vec<PathPart>,
    query: Option<String>,
}

/// Scheme, host and port: what a connection is made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Whether it is `https`.
    pub is_tls: bool,
    /// Host name or address; IPv6 addresses without brackets.
    pub host: String,
    pub port: u16,
    /// The `Host` header: as it was written, without the scheme's own port.
    pub authority: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathPart {
    /// Sent as it is.
    Text(String),
    Param(String),
}

impl FromStr for UrlTemplate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let after_scheme = text
            .find("://")
            .map(|at| at + 3)
            .ok_or_else(|| wrong(text, "it must begin with http:// or https://"))?;
        let rest = &text[after_scheme..];
        let path_start = rest.find(['/', '?', '#']).map_or(text.len(), |at| after_scheme + at);
        if text.contains('#') {
            return Err(wrong(text, "it has a fragment ('#'), which is never sent"));
        }
        let origin = Origin::parse(&text[..path_start])?;
        let tail = &text[path_start..];
        let (path, query) = tail
            .split_once('?')
            .map_or((tail, None), |(path, query)| (path, Some(query)));
        if query.is_some_and(|query| query.contains(['{', '}'])) {
            return Err(wrong(
                text,
                "parameters in braces belong into the path; others go to the query string by themselves",
            ));
        }
        let path = parse_path(if path.is_empty() { "/" } else { path }).map_err(|reason| wrong(text, &reason))?;
        let template = Self {
            origin,
            path,
            query: query.filter(|query| !query.is_empty()).map(str::to_owned),
        };
        // What the HTTP library would refuse with each request is refused here, once.
        let sample = template.fill_with(|_| Some("x".to_owned())).unwrap_or_default();
        sample.parse::<Uri>().map_err(|error| wrong(text, &error.to_string()))?;
        Ok(template)
    }
}

/// The message does not repeat what may be a user name and password in the URL.
fn wrong(text: &str, reason: &str) -> String {
    if text.contains('@') {
        format!("this is not a usable URL: {reason}")
    } else {
        format!("'{text}' is not a usable URL: {reason}")
    }
}

impl Origin {
    /// Reads `http://host:port`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(text, &error.to_string()))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong(text, "it must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong(text, "it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong(
                text,
                "credentials do not belong into it; refer to a basic-auth object in 'security'",
            ));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err(wrong(text, "it has no host"));
        }
        let own_port = if is_tls { 443 } else { 80 };
        let port = match authority.as_str().rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| wrong(text, "the port is no port"))?,
            _ => own_port,
        };
        let shown = authority.host();
        let authority = if port == own_port {
            shown.to_owned()
        } else {
            format!("{shown}:{port}")
        };
        Ok(Self {
            is_tls,
            host,
            port,
            authority,
        })
    }
}

fn parse_path(path: &str) -> Result<Vec<PathPart>, String> {
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or("a '{' has no '}'")? + open;
        let name = &rest[open + 1..close];
        if name.is_empty() || name.contains(['{', '/']) {
            return Err(format!("'{{{name}}}' is not a parameter"));
        }
        if open > 0 {
            parts.push(PathPart::Text(rest[..open].to_owned()));
        }
        parts.push(PathPart::Param(name.to_owned()));
        rest = &rest[close + 1..];
    }
    if rest.contains('}') {
        return Err("a '}' has no '{'".to_owned());
    }
    if !rest.is_empty() {
        parts.push(PathPart::Text(rest.to_owned()));
    }
    Ok(parts)
}

impl UrlTemplate {
    /// Path and query string of a request with these parameters: those named in the path go there, the others become the
    /// query string. Lists repeat a parameter; null leaves it out.
    pub(super) fn fill(&self, params: &Map<String, Value>) -> Result<String, String> {
        let mut target = self
            .fill_with(|name| params.get(name).and_then(scalar_text))
            .map_err(|name| {
                format!(
                    "the URL needs the parameter '{name}'; give it in 'params' as a text or number that is not empty"
                )
            })?;
        for (name, value) in params {
            if self
                .path
                .iter()
                .any(|part| matches!(part, PathPart::Param(known) if known == name))
            {
                continue;
            }
            let values = match value {
                Value::Null => continue,
                Value::Array(items) => items.iter().map(scalar_text).collect::<Option<Vec<_>>>(),
                value => scalar_text(value).map(|text| vec![text]),
            };
            let values = values.ok_or_else(|| {
                format!("the parameter '{name}' must be a text, a number, true, false, or a list of those")
            })?;
            for value in values {
                target.push(if target.contains('?') { '&' } else { '?' });
                encode(&mut target, name);
                target.push('=');
                encode(&mut target, &value);
            }
        }
        Ok(target)
    }

    /// The error is the name of the parameter that is missing.
    fn fill_with(&self, value_of: impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let mut target = String::new();
        for part in &self.path {
            match part {
                PathPart::Text(text) => target.push_str(text),
                PathPart::Param(name) => {
                    // `.` and `..` can't be encoded; as segments they would lead elsewhere.
                    let value = value_of(name)
                        .filter(|value| !matches!(value.as_str(), "" | "." | ".."))
                        .ok_or_else(|| name.clone())?;
                    encode(&mut target, &value);
                }
            }
        }
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        Ok(target)
    }
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Percent-encodes everything but unreserved characters (RFC 3986, section 2.3).
fn encode(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            target.push(char::from(byte));
        } else {
            write!(target, "%{byte:02X}").expect("writing to a string can't fail");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(url: &str, params: &Value) -> Result<String, String> {
        url.parse::<UrlTemplate>().unwrap().fill(params.as_object().unwrap())
    }

    #[test]
    fn parameters_go_to_the_path_and_the_rest_to_the_query_string() {
        let url = "http://h/a/{id}/x.{ext}?fixed=1";
        assert_eq!(
            fill(
                url,
                &json!({"id": "a/b c", "ext": "json", "q": ["1", 2], "none": null, "ü": true})
            )
            .unwrap(),
            "/a/a%2Fb%20c/x.json?fixed=1&q=1&q=2&%C3%BC=true"
        );
        assert_eq!(fill("http://h", &json!({"a": 1})).unwrap(), "/?a=1");
        assert_eq!(fill("http://h?x=1", &json!({})).unwrap(), "/?x=1");
        for wrong in [json!({}), json!({"id": ""}), json!({"id": ".."}), json!({"id": {}})] {
            assert!(fill("http://h/{id}", &wrong).unwrap_err().contains("'id'"), "{wrong}");
        }
        assert!(fill("http://h", &json!({"q": {}})).unwrap_err().contains("'q'"));
    }

    #[test]
    fn urls_are_split_into_where_to_connect_and_what_to_ask() {
        let origin = |url: &str| {
            let origin = url.parse::<UrlTemplate>().unwrap().origin;
            (origin.is_tls, origin.host, origin.port, origin.authority)
        };
        assert_eq!(
            origin("http://a.example"),
            (false, "a.example".into(), 80, "a.example".into())
        );
        assert_eq!(origin("https://a:443/x"), (true, "a".into(), 443, "a".into()));
        assert_eq!(
            origin("http://[::1]:81/x"),
            (false, "::1".into(), 81, "[::1]:81".into())
        );
        assert_eq!(origin("http://[::1]/x"), (false, "::1".into(), 80, "[::1]".into()));
        for wrong in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://u:p@h/",
            "http://h:99999/",
            "http://h/{",
            "http://h/}",
            "http://h/{}",
            "http://h/#x",
            "http://h/ x",
            "http://h/?a={b}",
            "http:///x",
        ] {
            assert!(wrong.parse::<UrlTemplate>().is_err(), "{wrong:?}");
        }
        assert!(
            !"http://u:secret@h/"
                .parse::<UrlTemplate>()
                .unwrap_err()
                .contains("secret")
        );
    }
}
