//! What the server must listen to for a REST channel.

use std::fmt::Display;

use tenon_model::FieldProblem;

use super::channel_config::RestChannel;
use super::channel_options::{CacheConfig, CorsConfig, CsvConfig, DeprecatedConfig, seconds_of};
use crate::connector::{ChannelBinding, ConnectorError};
use crate::http_route::{Cors, CsvFormat, Deprecation, HttpRoute, ResponseCache};
use crate::path::PathPattern;

/// How large the body of a request may be in a channel that says nothing and does not stream.
const BODY_LIMIT_BYTES: u64 = 10 * 1024 * 1024;

/// The route of a channel.
pub(super) fn binding(config: RestChannel) -> Result<ChannelBinding, ConnectorError> {
    if !config.enabled {
        return Ok(ChannelBinding::Off);
    }
    let mut path: PathPattern = config.path.parse().map_err(|error| wrong("path", error))?;
    if config.match_slash {
        path = path.taking_slashes();
    }
    Ok(ChannelBinding::Http(Box::new(HttpRoute {
        method: config.method.map(Into::into),
        path,
        accept: config.accept.parse().map_err(|error| wrong("accept", error))?,
        service: config.service,
        security: config.security,
        rate_limit: config.rate_limit,
        data_format: config.data_format,
        csv: config.csv.as_ref().map(csv).unwrap_or_default(),
        content_type: config.content_type,
        timeout: config.timeout.0,
        body_limit_bytes: match config.body_limit_bytes {
            None if !config.stream => Some(BODY_LIMIT_BYTES),
            limit => limit,
        },
        merge_params: config.merge_params,
        url_params_pri: config.url_params_pri,
        params_pri: config.params_pri,
        compression: config.compression,
        stream: config.stream,
        errors: config.errors,
        cors: config.cors.map(cors),
        cache: config.cache.map(cache),
        idempotency_ttl: config.idempotency_key.ttl().map(|ttl| ttl.0),
        deprecated: config.deprecated.map(deprecation),
        include_in_openapi: config.include_in_openapi,
    })))
}

fn wrong(field: &str, error: impl Display) -> ConnectorError {
    ConnectorError::Body(vec![FieldProblem::new(field, error.to_string())])
}

fn csv(config: &CsvConfig) -> CsvFormat {
    CsvFormat {
        delimiter: u8::try_from(config.delimiter).unwrap_or(b','),
        header: config.header,
    }
}

fn cors(config: CorsConfig) -> Cors {
    Cors {
        origins: config.origins,
        methods: config.methods.into_iter().map(Into::into).collect(),
        headers: config.headers,
        expose_headers: config.expose_headers,
        credentials: config.credentials,
        max_age: config.max_age.0,
    }
}

fn cache(config: CacheConfig) -> ResponseCache {
    ResponseCache {
        ttl: config.ttl.0,
        shared_across_callers: config.shared_across_callers,
        vary_by_headers: config
            .vary_by_headers
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect(),
        ignored_query_parameters: config.ignored_query_parameters,
        include_body_in_key: config.include_body_in_key,
        max_body_bytes: config.max_body_bytes,
        on_second_request: config.on_second_request,
        etag: config.etag,
        coalesce_timeout: config.coalesce_timeout.0,
    }
}

fn deprecation(config: DeprecatedConfig) -> Deprecation {
    let seconds = |text: Option<String>| text.as_deref().and_then(seconds_of);
    Deprecation {
        since: seconds(config.since),
        sunset: seconds(config.sunset),
        successor: config.successor,
    }
}
