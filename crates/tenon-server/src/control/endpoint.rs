//! From an endpoint's description to a route: reads parameters and body, checks who calls, writes the answer.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawPathParams, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use tenon_control::Peer;
use tenon_model::{Access, CorrelationId, FieldProblem, Problem, Role};
use tenon_protocol::control::{Endpoint, Method, Page};
use tenon_store::StoreError;

use super::Api;
use crate::aside::{JSON_BYTES_MAX, aside};

/// Who calls an endpoint.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The user's or component's name, for the record of changes.
    pub(super) name: String,
    /// What it may do; none before logging in.
    pub(super) access: Option<Access>,
    /// The component that the call came from.
    pub(super) role: Role,
    /// The session's token, if the call has one.
    pub(super) token: Option<String>,
}

/// A call of an endpoint.
pub(super) struct ApiCall<E: Endpoint> {
    pub(super) api: Arc<Api>,
    pub(super) caller: Caller,
    pub(super) params: E::Params,
    pub(super) body: E::Body,
    /// The version in the header `If-Match`, if there is one.
    pub(super) if_match: Option<u64>,
    pub(super) cid: CorrelationId,
}

/// The routes so far, by path.
pub(super) struct Routes {
    api: Arc<Api>,
    paths: Vec<(&'static str, MethodRouter)>,
    /// Whether what is added now answers from what the server has loaded.
    need_loaded: bool,
}

impl Routes {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            paths: Vec::new(),
            need_loaded: false,
        }
    }

    /// What is added from here on is answered only by a server that has loaded objects and services.
    pub(super) fn need_loaded(&mut self) {
        self.need_loaded = true;
    }

    /// Adds the handler of an endpoint.
    pub(super) fn add<E, F, Fut>(&mut self, handler: F)
    where
        E: Endpoint,
        F: Fn(ApiCall<E>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<E::Reply, Problem>> + Send + 'static,
    {
        let api = Arc::clone(&self.api);
        let need_loaded = self.need_loaded;
        let route = on(
            filter_of(E::METHOD),
            move |Extension(peer): Extension<Peer>,
                  path: RawPathParams,
                  RawQuery(query): RawQuery,
                  headers: HeaderMap,
                  body: Bytes| {
                let api = Arc::clone(&api);
                let handler = handler.clone();
                async move {
                    let cid = CorrelationId::generate(&*api.random);
                    let raw = RawCall {
                        peer,
                        path,
                        query,
                        headers,
                        body,
                    };
                    let knows_enough = !need_loaded || api.health.knows_cluster();
                    let answered = match raw.read::<E>(api, cid.clone()).await {
                        Ok(_) if !knows_enough => Err(starting()),
                        Ok(call) => handler(call).await,
                        Err(problem) => Err(problem),
                    };
                    match answered {
                        Ok(reply) => answer(reply).await,
                        Err(problem) => problem_response(&problem.with_cid(cid.as_str())),
                    }
                }
            },
        );
        match self.paths.iter_mut().find(|(path, _)| *path == E::PATH) {
            Some((_, methods)) => *methods = std::mem::take(methods).merge(route),
            None => self.paths.push((E::PATH, route)),
        }
    }

    pub(super) fn into_router(self) -> axum::Router {
        let document = axum::routing::get(|| async { json_response(&tenon_protocol::control::openapi_document()) });
        let router = axum::Router::new().route("/v1/openapi.json", document);
        self.paths
            .into_iter()
            .fold(router, |router, (path, methods)| router.route(path, methods))
    }
}

struct RawCall {
    peer: Peer,
    path: RawPathParams,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl RawCall {
    async fn read<E: Endpoint>(self, api: Arc<Api>, cid: CorrelationId) -> Result<ApiCall<E>, Problem> {
        let caller = self.caller(&api).await?;
        check_access(&caller, E::ACCESS)?;
        let params = self.params::<E>()?;
        let bytes = self.body.clone();
        let body = if bytes.len() > JSON_BYTES_MAX {
            aside(move || body_of::<E>(&bytes)).await?
        } else {
            body_of::<E>(&bytes)?
        };
        Ok(ApiCall {
            api,
            caller,
            params,
            body,
            if_match: self.if_match(),
            cid,
        })
    }

    /// The component by its certificate; on behalf of a user if it sends a session's token.
    async fn caller(&self, api: &Api) -> Result<Caller, Problem> {
        let role = self
            .peer
            .role
            .ok_or_else(|| unauthorized("this call needs a certificate of the cluster"))?;
        if let Some(token) = self.bearer() {
            let session = api.users.session(&token).await.map_err(|error| store_problem(&error))?;
            let session = session.ok_or_else(|| unauthorized("the session has ended; log in again"))?;
            return Ok(Caller {
                name: session.user,
                access: Some(session.access),
                role,
                token: Some(token),
            });
        }
        let access = match role {
            Role::Operator => Some(Access::Admin),
            Role::Server | Role::Scheduler | Role::LoadBalancer | Role::Store => Some(Access::Viewer),
            Role::Dashboard => None,
        };
        Ok(Caller {
            name: role.as_str().to_owned(),
            access,
            role,
            token: None,
        })
    }

    fn bearer(&self) -> Option<String> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(str::to_owned)
    }

    fn if_match(&self) -> Option<u64> {
        let value = self.headers.get(header::IF_MATCH)?.to_str().ok()?;
        value.trim().trim_matches('"').parse().ok()
    }

    /// Parameters of the path and of the query string, as one struct.
    fn params<E: Endpoint>(&self) -> Result<E::Params, Problem> {
        let mut pairs: Vec<(String, String)> = serde_urlencoded::from_str(self.query.as_deref().unwrap_or_default())
            .map_err(|error| invalid_params(&error))?;
        pairs.extend(
            self.path
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let encoded = serde_urlencoded::to_string(pairs).map_err(|error| invalid_params(&error))?;
        serde_urlencoded::from_str(&encoded).map_err(|error| invalid_params(&error))
    }
}

fn body_of<E: Endpoint>(bytes: &[u8]) -> Result<E::Body, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { field };
        Problem::new(400, "invalid-body", "the body is not what this call takes")
            .with_errors(vec![FieldProblem::new(field, error.into_inner().to_string())])
    })
}

fn filter_of(method: Method) -> MethodFilter {
    match method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Delete => MethodFilter::DELETE,
    }
}

/// A dashboard without a session may call only what needs no access; nobody may do more than their access says.
fn check_access(caller: &Caller, needed: Option<Access>) -> Result<(), Problem> {
    let Some(needed) = needed else { return Ok(()) };
    match caller.access {
        None => Err(unauthorized("log in first")),
        Some(access) if access < needed => Err(Problem::new(
            403,
            "forbidden",
            format!("this needs {needed} access; {} has {access}", caller.name),
        )),
        Some(_) => Ok(()),
    }
}

/// Callers try another server when they are told this.
pub(super) fn starting() -> Problem {
    Problem::new(
        503,
        Problem::STARTING,
        "the server is starting; nothing was done; try again soon",
    )
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(401, "unauthorized", detail)
}

fn invalid_params(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        400,
        "invalid-parameters",
        format!("the parameters can't be read: {error}"),
    )
}

/// How an error of the store looks to a caller of the API.
pub(super) fn store_problem(error: &StoreError) -> Problem {
    match error {
        StoreError::VersionConflict { .. } => Problem::new(
            412,
            "version-conflict",
            format!("{error}; read it again and repeat the change"),
        ),
        StoreError::NotFound(_) => Problem::new(404, "not-found", error.to_string()),
        StoreError::Conflict(_) | StoreError::Fenced(_) => Problem::new(409, "conflict", error.to_string()),
        StoreError::Invalid(_) => Problem::new(422, "invalid", error.to_string()),
        StoreError::Unavailable { maybe_done: true, .. } => Problem::new(
            504,
            "unknown-outcome",
            "the store did not answer in time; look whether the change was made before you repeat it",
        ),
        _ => {
            tracing::error!(%error, "the store could not do what was asked");
            Problem::new(
                503,
                "store-unavailable",
                "the store does not answer; nothing was changed; try again later",
            )
        }
    }
}

/// The answer; what turns out to be long is written beside the runtime.
async fn answer(reply: impl serde::Serialize + Send + 'static) -> Response {
    let mut short = Short(Vec::new());
    match serde_json::to_writer(&mut short, &reply) {
        Ok(()) => json_body(short.0),
        Err(_) => aside(move || json_response(&reply)).await,
    }
}

/// Takes short texts only.
struct Short(Vec<u8>);

impl io::Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > JSON_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn json_body(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn json_response(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_body(body),
        Err(error) => {
            tracing::error!(%error, "an answer of the control API can't be written as JSON");
            problem_response(&Problem::new(500, "internal", "the answer could not be written"))
        }
    }
}

fn problem_response(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [(header::CONTENT_TYPE, Problem::CONTENT_TYPE)],
        problem.to_json(),
    )
        .into_response()
}

/// The limit of a page: 100 if the caller says nothing, 1 to 1,000 otherwise.
pub(super) fn page_limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(100).clamp(1, 1000)
}

/// The `after` of a list that is ordered by number.
pub(super) fn after_number(after: Option<&str>) -> Result<Option<u64>, Problem> {
    after
        .map(|text| {
            text.parse()
                .map_err(|_| invalid_params(&format!("'{text}' is not the 'next' of a page")))
        })
        .transpose()
}

/// A page of items that are ordered by number, of which one more than the limit was asked for.
pub(super) fn page_by_number<T>(mut items: Vec<T>, limit: u32, number_of: impl Fn(&T) -> u64) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more {
        items.last().map(|item| number_of(item).to_string())
    } else {
        None
    };
    Page { items, next }
}

/// Cuts a sorted list of items with texts as keys into a page.
pub(super) fn page_of<T>(
    items: impl Iterator<Item = T>,
    key_of: impl Fn(&T) -> String,
    after: Option<&str>,
    limit: Option<u32>,
) -> Page<T> {
    let limit = usize::try_from(page_limit(limit)).unwrap_or(usize::MAX);
    let mut rest = items.filter(|item| after.is_none_or(|after| key_of(item).as_str() > after));
    let items: Vec<T> = rest.by_ref().take(limit).collect();
    let more = rest.next().is_some();
    let next = if more { items.last().map(&key_of) } else { None };
    Page { items, next }
}
