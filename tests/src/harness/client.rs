//! An HTTP client that never turns a status into an error.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

/// Sends requests; keeps connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    headers: Vec<(String, String)>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names and values as they came.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub body: String,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client that waits a minute for an answer.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build();
        Self {
            agent: config.into(),
            headers: Vec::new(),
        }
    }

    /// The same client with a header on every request.
    #[must_use]
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// A GET.
    pub fn get(&self, url: &str) -> Result<Answer, ureq::Error> {
        let request = self.headers.iter().fold(self.agent.get(url), |request, (name, value)| {
            request.header(name, value)
        });
        request.call().and_then(read)
    }

    /// A DELETE.
    pub fn delete(&self, url: &str) -> Result<Answer, ureq::Error> {
        let request = self
            .headers
            .iter()
            .fold(self.agent.delete(url), |request, (name, value)| {
                request.header(name, value)
            });
        request.call().and_then(read)
    }

    /// A POST of bytes.
    pub fn post(&self, url: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let request = self
            .headers
            .iter()
            .fold(self.agent.post(url), |request, (name, value)| {
                request.header(name, value)
            });
        request.send(body).and_then(read)
    }

    /// A PUT of bytes.
    pub fn put(&self, url: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let request = self.headers.iter().fold(self.agent.put(url), |request, (name, value)| {
            request.header(name, value)
        });
        request.send(body).and_then(read)
    }

    /// A request with any method.
    pub fn send(&self, method: &str, url: &str, body: Option<&[u8]>) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match body {
            Some(body) => {
                let request = self.agent.configure_request(request.body(body)?);
                self.agent.run(request.allow_non_standard_methods(true).build())
            }
            None => self.agent.run(request.body(())?),
        }
        .and_then(read)
    }

    /// A POST of JSON.
    pub fn post_json(&self, url: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.with_header("content-type", "application/json")
            .post(url, body.to_string().as_bytes())
    }
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in the answer {self:?}"))
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Checks that an answer is a problem (RFC 9457) of this status, with the call's correlation id; gives it back.
#[track_caller]
pub fn assert_problem(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["cid"].is_string(), "{problem}");
    assert_eq!(problem["cid"].as_str(), answer.header("x-tenon-cid"), "{answer:?}");
    problem
}

fn read(mut response: Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer {
        status: response.status().as_u16(),
        headers,
        body,
    })
}
