//! HTTP/1.1 as bytes: heads are read strictly, whatever is doubtful is refused, and bodies are followed without being
//! decoded. No I/O.

mod chunks;
mod fields;
mod forwarding;
mod refusal;
mod request;
mod response;
mod scan;
mod trace;

pub(crate) use chunks::ChunkScan;
pub(crate) use forwarding::Forwarding;
pub(crate) use refusal::Refusal;
pub(crate) use request::{Body, Method, Request, RequestLimits, read_request};
pub(crate) use response::{Persistence, Response, ResponseBody, read_response};
pub(crate) use scan::HeadScan;
pub(crate) use trace::TraceId;

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
