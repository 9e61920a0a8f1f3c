//! What the server must listen to for a REST channel.

use tenon_model::FieldProblem;

use super::config::RestChannel;
use crate::connector::{ChannelBinding, ConnectorError, HttpRoute};

/// The route of a channel.
pub(super) fn binding(config: RestChannel) -> Result<ChannelBinding, ConnectorError> {
    if !config.enabled {
        return Ok(ChannelBinding::Off);
    }
    let path = config
        .path
        .parse()
        .map_err(|error| ConnectorError::Body(vec![FieldProblem::new("path", format!("{error}"))]))?;
    Ok(ChannelBinding::Http(HttpRoute {
        method: config.method.map(Into::into),
        path,
        service: config.service,
        security: config.security,
        data_format: config.data_format,
        content_type: config.content_type,
        timeout: config.timeout.0,
        body_limit_bytes: config.body_limit_bytes,
        merge_params: config.merge_params,
        url_params_pri: config.url_params_pri,
        params_pri: config.params_pri,
    }))
}
