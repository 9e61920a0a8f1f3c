//! From an HTTP request to a call of a service: parameters, body, data format.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tenon_connectors::{DataFormat, ParamsPriority, UrlParamsPriority};
use tenon_model::{FieldProblem, Problem};

use super::router::{Route, percent_decode};
use crate::call::HttpFacts;

/// A request's body as the service gets it.
pub(super) struct ReadBody {
    pub(super) bytes: Bytes,
    pub(super) is_json: bool,
}

/// Reads the body within the channel's limit.
pub(super) async fn read_body(route: &Route, parts: &Parts, body: Incoming) -> Result<Bytes, Problem> {
    let limit = route
        .http
        .body_limit_bytes
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(usize::MAX);
    let too_large = || {
        Problem::new(
            413,
            "body-too-large",
            format!("the body of a request to this channel has at most {limit} bytes"),
        )
    };
    let announced = content_length(&parts.headers);
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    if announced == Some(0) {
        return Ok(Bytes::new());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::new(
            400,
            "body-cut-off",
            "the connection ended before the whole body came",
        )),
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Checks the body against the channel's data format. JSON is checked here, so that a service never sees broken JSON.
pub(super) fn check_body(route: &Route, body: Bytes) -> Result<ReadBody, Problem> {
    match route.http.data_format {
        DataFormat::Json if body.iter().all(u8::is_ascii_whitespace) => Ok(ReadBody {
            bytes: Bytes::new(),
            is_json: false,
        }),
        DataFormat::Json => {
            if let Err(error) = serde_json::from_slice::<IgnoredAny>(&body) {
                let place = format!("line {}, column {}", error.line(), error.column());
                return Err(Problem::new(400, "invalid-json", "the body is not valid JSON")
                    .with_errors(vec![FieldProblem::new(place, error.to_string())]));
            }
            Ok(ReadBody {
                bytes: body,
                is_json: true,
            })
        }
        DataFormat::Form | DataFormat::Csv | DataFormat::Xml | DataFormat::Raw => Ok(ReadBody {
            bytes: body,
            is_json: false,
        }),
    }
}

/// Collects what a service may want to know of the request.
pub(super) fn facts(route: &Route, parts: &Parts, values: Vec<String>, remote: String) -> HttpFacts {
    let names = route.http.path.params().map(str::to_owned);
    HttpFacts {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(read_pairs).unwrap_or_default(),
        params: names.zip(values).collect(),
        headers: read_headers(&parts.headers),
        remote,
    }
}

/// The parameters that become part of the service's input, by the channel's rules; and whether they win over the body.
pub(super) fn merged_params(route: &Route, facts: &HttpFacts) -> Map<String, Value> {
    if !route.http.merge_params {
        return Map::new();
    }
    let (weaker, stronger) = match route.http.url_params_pri {
        UrlParamsPriority::QueryOverPath => (&facts.params, &facts.query),
        UrlParamsPriority::PathOverQuery => (&facts.query, &facts.params),
    };
    weaker
        .iter()
        .chain(stronger)
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect()
}

/// Whether the body wins over parameters of the same name.
pub(super) fn message_wins(route: &Route) -> bool {
    route.http.params_pri == ParamsPriority::MessageOverParams
}

fn read_pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(name), decode_form(value))
        })
        .collect()
}

/// Undoes the encoding of query strings and forms; text whose percent-encoding is broken stays as it is.
fn decode_form(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(&spaced).unwrap_or(spaced)
}

fn read_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut read: Vec<(String, String)> = Vec::with_capacity(headers.keys_len());
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        match read.iter_mut().find(|(known, _)| known == name.as_str()) {
            Some((_, known)) => {
                known.push_str(", ");
                known.push_str(&value);
            }
            None => read.push((name.as_str().to_owned(), value.into_owned())),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_strings_are_decoded_and_duplicates_stay() {
        let pairs = read_pairs("a=1&b=x+y%26z&a=2&c&&=5&d=%zz");
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("a", "1"),
                ("b", "x y&z"),
                ("a", "2"),
                ("c", ""),
                ("", "5"),
                ("d", "%zz")
            ]
        );
    }
}
