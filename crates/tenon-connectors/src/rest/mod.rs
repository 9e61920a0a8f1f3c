//! REST: channels that HTTP clients call, and connections to HTTP servers.

mod channel;
mod config;
mod target;

use serde_json::Value;
use tenon_model::{Kind, KindConfig, ObjectName};

use self::config::{RestChannel, RestOutgoing};
use crate::connector::{ChannelBinding, Connector, ConnectorError, read_body};

/// The connector of kinds `rest-channel` and `rest-outgoing`.
#[derive(Debug)]
pub(crate) struct Rest;

impl Connector for Rest {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::of::<RestChannel>(), Kind::of::<RestOutgoing>()]
    }

    fn channel(&self, kind: &str, _name: &ObjectName, body: &Value) -> Option<Result<ChannelBinding, ConnectorError>> {
        (kind == RestChannel::NAME).then(|| read_body(body).and_then(channel::binding))
    }
}
