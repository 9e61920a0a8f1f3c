//! What a worker says first: who it is, which services it has, which files it could not load.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::frame::{Kind, Violation};

/// The body of a hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the protocol that the worker speaks.
    pub protocol: u32,
    /// Its process id.
    pub pid: u32,
    /// The version of its interpreter, such as `3.11.2`; empty for a worker that is none.
    #[serde(default)]
    pub python: String,
    /// How many calls it can run at once on threads.
    #[serde(default = "one")]
    pub threads: u32,
    /// Its services; a request names one by its index.
    #[serde(default)]
    pub services: Vec<WorkerService>,
    /// Files that it could not load.
    #[serde(default)]
    pub refused: Vec<RefusedImport>,
}

fn one() -> u32 {
    1
}

impl Hello {
    /// Reads a hello and checks its version.
    pub fn parse(body: &[u8]) -> Result<Self, Violation> {
        let hello: Hello = serde_json::from_slice(body).map_err(|source| Violation::Malformed {
            kind: Kind::Hello,
            part: "body",
            source: Some(source),
        })?;
        if hello.protocol != super::PROTOCOL_VERSION {
            return Err(Violation::Version(hello.protocol));
        }
        if hello.services.len() > usize::from(u16::MAX) {
            return Err(Violation::Malformed {
                kind: Kind::Hello,
                part: "number of services",
                source: None,
            });
        }
        Ok(hello)
    }
}

/// A service of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerService {
    /// Its name.
    pub name: String,
    /// The file that defines it, relative to the root of the deployment.
    #[serde(default)]
    pub file: String,
    /// The class or function that implements it.
    #[serde(default)]
    pub class: String,
    /// What its documentation says.
    #[serde(default)]
    pub doc: Option<String>,
    /// Whether it runs on the worker's event loop.
    #[serde(default)]
    pub is_async: bool,
    /// Whether a call may be repeated when a worker dies in it.
    #[serde(default)]
    pub idempotent: bool,
    /// How long a call may take, in milliseconds, if the service says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The HTTP methods that it has handlers for, if it has one for each method that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_methods: Option<Vec<String>>,
    /// Whether it reads its input as a stream; the input of any other service is whole before it is called.
    #[serde(default)]
    pub streams: bool,
    /// Its input as JSON Schema.
    #[serde(default)]
    pub input: Option<Value>,
    /// Its output as JSON Schema.
    #[serde(default)]
    pub output: Option<Value>,
}

/// A file that does not load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedImport {
    /// Its path, relative to the root of the deployment.
    pub path: String,
    /// What is wrong, in one line.
    pub error: String,
    /// Where.
    #[serde(default)]
    pub traceback: String,
    /// Whether the version under `.previous/` was loaded in its place.
    #[serde(default)]
    pub kept_previous: bool,
}
