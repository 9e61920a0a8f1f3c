//! REST: channels that HTTP clients call, and connections to HTTP servers.

mod channel;
mod channel_config;
mod channel_options;
mod client;
mod config;
mod connect;
mod document;
mod outgoing;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::document::WebDocument;

use serde_json::Value;
use tenon_model::{Kind, KindConfig, ObjectName};

use self::channel_config::RestChannel;
use self::config::RestOutgoing;
use self::outgoing::RestConnection;
use crate::connection::Connection;
use crate::connector::{ChannelBinding, Connector, ConnectorError, Outgoing, OutgoingContext, read_body};

/// The connector of kinds `rest-channel` and `rest-outgoing`.
#[derive(Debug)]
pub(crate) struct Rest;

impl Connector for Rest {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::of::<RestChannel>(), Kind::of::<RestOutgoing>()]
    }

    fn outgoing(
        &self,
        kind: &str,
        _name: &ObjectName,
        body: &Value,
        context: &OutgoingContext,
    ) -> Option<Result<Arc<dyn Outgoing>, ConnectorError>> {
        (kind == RestOutgoing::NAME).then(|| {
            let config: RestOutgoing = read_body(body)?;
            let connection = Connection::new(config.enabled, RestConnection::new(config, context)?);
            Ok(Arc::new(connection) as Arc<dyn Outgoing>)
        })
    }

    fn channel(&self, kind: &str, _name: &ObjectName, body: &Value) -> Option<Result<ChannelBinding, ConnectorError>> {
        (kind == RestChannel::NAME).then(|| read_body(body).and_then(channel::binding))
    }
}
