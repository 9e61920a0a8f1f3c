//! Binary frames between a server and a worker process, version 1. Sockets, processes and threads are not its business.
//!
//! A worker inherits one end of a Unix stream socket; the environment variable [`WORKER_FD_VARIABLE`] says which descriptor.
//! All numbers are little endian.
//!
//! ```text
//! frame  = u32 header length · u32 body length · header · body
//! header = u8 kind · u8 flags · u16 code · u32 call · u64 id · tail (the rest of the header, may be empty)
//! ```
//!
//! | kind | name | from | fields beside the kind |
//! |---|---|---|---|
//! | 0 | request | server | id; code = index of the service in the hello; flag 1 = the body is JSON; flag 8 = it goes on in chunks; tail = `u64` deadline (`CLOCK_MONOTONIC` in ns, 0 = none), `u16` length of the correlation id, the correlation id, then JSON metadata or nothing |
//! | 1 | reply | worker | id of the request; code = status, 0 means 200; flag 1 = the body is JSON; flag 2 = an exception escaped and the body is [`Raised`]; flag 8 = the body goes on in chunks; tail = [`ReplyHead`] as JSON or nothing |
//! | 2 | host call | worker | id of the request it belongs to; call = a number of the worker's choice; tail = JSON with `op`; body, which is JSON with flag 1 |
//! | 3 | host return | server | id and call of the host call; code = 0 or a status; tail = JSON or nothing; body, which is JSON with flag 1 |
//! | 4 | | | not used |
//! | 5 | cancel | server | id of a request nobody waits for any more |
//! | 6 | drain | server | nothing: finish what runs, take no more, exit |
//! | 7 | hello | worker | the first frame; body = [`Hello`] as JSON |
//! | 8 | ping | server | id; the worker sends the frame back as it is, even while it is busy |
//! | 9 | log | worker | body = [`LogLine`] as JSON |
//! | 10 | config | server | body = the user configuration as JSON, `{"version": n, "files": {"FILE": {"SECTION": {"KEY": value}}}}`; sent before the first request and whenever it changes, and the last one counts |
//! | 11 | metric | worker | body = [`Metric`] as JSON |
//! | 12 | chunk | both | id of a request; body = a piece of its body (from the server) or of its answer (from the worker), at most [`CHUNK_BYTES_MAX`]; flag 4 = nothing follows; flag 2 = cut off here: nothing follows, the body says why, code = status or 0 |
//! | 13 | credit | both | id of a request; call = how many bytes more of its chunks may be sent |
//!
//! # Bodies in chunks
//!
//! A request or reply with flag 8 is followed by chunks with its id, the last of which has flag 4 (it may be empty) or flag 2.
//! Other frames come between them. Each direction of each request has a credit of its own, which begins at
//! [`STREAM_WINDOW_BYTES`]: a chunk takes its length of it, but at least [`CHUNK_COST_MIN`] unless it is empty; chunks with flag
//! 2 take nothing. Who reads the chunks grants with credit frames what was taken by those that it has read, in parts of its
//! choice but never holding back more than a quarter of the window while it has nothing to read. A chunk beyond the credit, a
//! credit beyond the window, a chunk that is too long, an empty one that is not the last, and one after the last are violations.
//!
//! A request ends with its reply, or with the last chunk of a reply that has flag 8. A worker that answers before it has read the
//! whole request simply stops reading; the server then sends no more of it, and the worker ignores chunks and cancels of requests
//! that it has answered, as the server ignores credits of those that have ended. After a cancel the worker still sends the
//! reply, or the last chunk (with flag 2, if the answer is not whole). The deadline of a request counts until its end.
//!
//! # More
//!
//! In the metadata of a request, `query`, `params` and `headers` are objects whose values are a text, or a list of texts where
//! a name repeats. With `raw_at`, which a form, CSV or XML has, the body is two: so many bytes of JSON, which the server made of
//! what came, and then what came; flag 1 is not set. A frame that breaks these rules or a limit is a [`Violation`], and the side that sees it ends the connection.
//!
//! The folder `golden/` of this crate has a frame of every kind as bytes (`NAME.bin`) and described (`NAME.json`); each
//! implementation must read and write them. After a change, run the tests of this crate with `UPDATE_GOLDEN=1`.

mod frame;
mod hello;
mod message;
mod report;
mod request;
mod stream;
#[cfg(test)]
mod tests;

pub use frame::{
    FIXED_HEADER_BYTES, FLAG_END, FLAG_ERROR, FLAG_JSON, FLAG_STREAM, Frame, Kind, LENGTHS_BYTES, Limits, Violation,
    decode, encode, encode_head,
};
pub use hello::{Hello, RefusedImport, WorkerService};
pub use message::{HostCallFrame, HostReturnFrame, Message, Raised, ReplyFrame, ReplyHead, encode_host_return};
pub use report::{LogLine, Metric, MetricKind};
pub use request::{RequestFrame, RequestHead, encode_request};
pub use stream::{CHUNK_BYTES_MAX, CHUNK_COST_MIN, ChunkFrame, STREAM_WINDOW_BYTES, chunk_cost};

/// The version that a hello must name.
pub const PROTOCOL_VERSION: u32 = 1;

/// The environment variable that tells a worker the descriptor of its socket.
pub const WORKER_FD_VARIABLE: &str = "TENON_WORKER_FD";
