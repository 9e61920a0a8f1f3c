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
//! | 0 | request | server | id; code = index of the service in the hello; flag 1 = the body is JSON; tail = `u64` deadline (`CLOCK_MONOTONIC` in ns, 0 = none), `u16` length of the correlation id, the correlation id, then JSON metadata or nothing |
//! | 1 | reply | worker | id of the request; code = status, 0 means 200; flag 1 = the body is JSON; flag 2 = an exception escaped and the body is [`Raised`]; tail = [`ReplyHead`] as JSON or nothing |
//! | 2 | host call | worker | id of the request it belongs to; call = a number of the worker's choice; tail = JSON with `op`; raw body |
//! | 3 | host return | server | id and call of the host call; code = 0 or a status; tail = JSON or nothing; raw body |
//! | 4 | later | server | id and call of a host call whose answer takes input or output: somebody else should read the socket meanwhile |
//! | 5 | cancel | server | id of a request nobody waits for any more |
//! | 6 | drain | server | nothing: finish what runs, take no more, exit |
//! | 7 | hello | worker | the first frame; body = [`Hello`] as JSON |
//! | 8 | ping | server | id; the worker sends the frame back as it is, even while it is busy |
//! | 9 | log | worker | body = [`LogLine`] as JSON |
//!
//! In the metadata of a request, `query`, `params` and `headers` are objects whose values are a text, or a list of texts where
//! a name repeats. A frame that breaks these rules or a limit is a [`Violation`], and the side that sees it ends the connection.
//!
//! The folder `golden/` of this crate has a frame of every kind as bytes (`NAME.bin`) and described (`NAME.json`); each
//! implementation must read and write them. After a change, run the tests of this crate with `UPDATE_GOLDEN=1`.

mod frame;
mod hello;
mod message;
#[cfg(test)]
mod tests;

pub use frame::{
    FIXED_HEADER_BYTES, FLAG_ERROR, FLAG_JSON, Frame, Kind, LENGTHS_BYTES, Limits, Violation, decode, encode,
    encode_head,
};
pub use hello::{Hello, RefusedImport, WorkerService};
pub use message::{
    HostCallFrame, HostReturnFrame, LogLine, Message, Raised, ReplyFrame, ReplyHead, RequestFrame, RequestHead,
    encode_host_return, encode_request,
};

/// The version that a hello must name.
pub const PROTOCOL_VERSION: u32 = 1;

/// The environment variable that tells a worker the descriptor of its socket.
pub const WORKER_FD_VARIABLE: &str = "TENON_WORKER_FD";
