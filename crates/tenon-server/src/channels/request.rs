//! What a service is told of an HTTP request: its head, and the parameters that become part of the input.

use http::Method;
use http::request::Parts;
use serde_json::{Map, Value};
use tenon_connectors::{ParamsPriority, UrlParamsPriority};

use super::router::{Route, percent_decode};
use crate::call::HttpFacts;

/// Collects what a service may want to know of the request.
pub(super) fn facts(route: &Route, parts: Parts, values: Vec<String>, remote: String) -> HttpFacts {
    let names = route.http.path.params().map(str::to_owned);
    HttpFacts {
        method: method_of(route, parts.method),
        query: parts.uri.query().map(read_pairs).unwrap_or_default(),
        uri: parts.uri,
        params: names.zip(values).collect(),
        headers: parts.headers,
        remote,
        raw_at: None,
    }
}

/// The method that the service sees: of a HEAD request to a channel for GET it answers with what GET would.
fn method_of(route: &Route, method: Method) -> Method {
    if method == Method::HEAD && route.http.method == Some(Method::GET) {
        Method::GET
    } else {
        method
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
