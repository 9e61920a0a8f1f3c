//! What a request goes through: the route, who may call, the body, the service, and back.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request};
use hyper::body::Incoming;
use tenon_connectors::ErrorFormat;
use tenon_model::{CorrelationId, Random};
use tenon_store::Store;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::cache::{self, AnswerCache};
use super::compression::Coding;
use super::format::{self, ReadBody};
use super::incoming::{self, Arriving};
use super::openapi::OpenApi;
use super::origin::Origin;
use super::reply::{self, Reply};
use super::router::{Found, Route, Router};
use super::{compression, cors, deprecation, idempotency, own_paths, request};
use crate::body::BodyStream;
use crate::call::{CallSource, CallerIdentity, ServiceCall};
use crate::invoke::Invoker;
use crate::security::{Admission, Visitor};
use crate::settings::DataSettings;
use crate::snapshot::SnapshotCell;

/// How deep elements may be nested whatever the settings say: readers in workers are recursive.
const NESTING_MAX: usize = 500;

/// Whether something holds at this moment.
pub(super) type Check = Arc<dyn Fn() -> bool + Send + Sync>;

/// What a request goes through.
pub(crate) struct DataPlane {
    /// The objects in force.
    pub(crate) snapshot: Arc<SnapshotCell>,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// Where answers to idempotency keys are kept.
    pub(crate) store: Store,
    /// Answers that channels keep.
    pub(crate) cache: AnswerCache,
    /// Whether the server takes work, as `/tenon/ready` says it.
    pub(crate) ready: Check,
    /// Whether the objects are loaded: before, a path without a channel says nothing.
    pub(crate) loaded: Check,
    /// Whether the server is about to end: connections are not kept after their next answer.
    pub(crate) draining: Check,
    /// Correlation ids.
    pub(crate) random: Arc<dyn Random>,
    /// The document of all channels.
    pub(crate) openapi: Arc<OpenApi>,
    /// Limits.
    pub(crate) settings: DataSettings,
    /// What reads bodies that are streamed.
    pub(crate) tasks: TaskTracker,
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataPlane")
    }
}

/// A request at its channel.
pub(super) struct Arrival {
    /// The channel.
    pub(super) route: Arc<Route>,
    /// The values of its path's parameters.
    pub(super) values: Vec<String>,
    /// The request's head.
    pub(super) parts: Parts,
    /// The client's address.
    pub(super) remote: String,
    /// Names the call.
    pub(super) cid: CorrelationId,
}

impl DataPlane {
    /// Answers a request.
    pub(super) async fn handle(&self, request: Request<Incoming>, origin: &Origin) -> Reply {
        let cid = origin.cid(request.headers());
        let cid = cid.unwrap_or_else(|| CorrelationId::generate(&*self.random));
        let path = request.uri().path();
        if let Some(inner) = own_paths::name_of(path)
            && let Some(reply) = own_paths::answer(self, inner, request.method(), &cid)
        {
            return reply;
        }
        let snapshot = self.snapshot.load();
        let found = snapshot.router.find(path, request.method(), request.headers());
        if *request.method() == Method::OPTIONS
            && let Some(reply) = self.options(&snapshot.router, &request, &found)
        {
            return reply::finish(reply, &cid, ErrorFormat::Problem);
        }
        drop(snapshot);
        let (route, values) = match found {
            Found::Route(route, values) => (route, values),
            other => {
                let reply = match Box::pin(own_paths::openapi(self, &request, &other, origin)).await {
                    Some(reply) => reply,
                    None => self.nobody(other),
                };
                return reply::finish(reply, &cid, ErrorFormat::Problem);
            }
        };
        let (parts, body) = request.into_parts();
        let coding = if route.http.compression {
            compression::wanted(&parts.headers)
        } else {
            Coding::Identity
        };
        let page = cors::page_of(&route.http, &parts.headers);
        let arrival = Arrival {
            remote: origin.client(&parts.headers),
            route: Arc::clone(&route),
            values,
            parts,
            cid: cid.clone(),
        };
        let reply = match self.serve(arrival, body, origin.is_trusted()).await {
            Ok(reply) => reply,
            Err(refused) => *refused,
        };
        let mut reply = reply::finish(reply, &cid, route.http.errors);
        if let Some(deprecated) = &route.http.deprecated {
            deprecation::mark(reply.headers_mut(), deprecated);
        }
        if let Some(rules) = &route.http.cors {
            cors::mark(reply.headers_mut(), rules, page.as_ref());
        }
        if route.http.compression {
            reply = compression::compress(reply, coding, self.settings.compressed_bytes_min).await;
        }
        reply
    }

    /// Why no channel takes a request.
    fn nobody(&self, found: Found) -> Reply {
        match found {
            Found::Nothing if !(self.loaded)() => reply::starting(),
            Found::WrongMethod(allowed) => reply::wrong_method(&allowed),
            Found::NotAcceptable => reply::not_acceptable(),
            Found::Nothing | Found::Route(..) => reply::not_found(),
        }
    }

    /// The answer to OPTIONS where no service gives it: to browsers that ask before they call, and for paths whose channels
    /// have other methods only.
    fn options(&self, router: &Router, request: &Request<Incoming>, found: &Found) -> Option<Reply> {
        if let Some(reply) = cors::preflight(router, request) {
            return Some(reply);
        }
        match found {
            Found::WrongMethod(allowed) => Some(reply::options(allowed.clone())),
            Found::Route(route, _) if route.http.method.is_none() => {
                let methods = self.invoker.http_methods(&route.http.service)?;
                let methods: Vec<Method> = methods.iter().filter_map(|method| method.parse().ok()).collect();
                (!methods.contains(&Method::OPTIONS)).then(|| reply::options(methods))
            }
            _ => None,
        }
    }

    /// Lets a request in, reads its body, and answers it from what is kept or by the service.
    async fn serve(&self, arrival: Arrival, body: Incoming, is_trusted: bool) -> Result<Reply, Box<Reply>> {
        let route = &arrival.route.http;
        let visitor = Visitor {
            headers: &arrival.parts.headers,
            query: arrival.parts.uri.query(),
            remote: &arrival.remote,
            is_trusted,
        };
        let admission = arrival.route.gate.admit(&visitor).await;
        let admission = admission.map_err(|refusal| Box::new(reply::refused(*refusal)))?;
        let Admission { caller, headers } = admission;
        let problem = |problem| Box::new(reply::with_headers(reply::problem_reply(problem), headers.clone()));
        let arriving = Arriving::new(route, &arrival.parts, body).map_err(problem)?;
        let mut arrival = arrival;
        let reply = if arrival.route.http.stream {
            let stream = arriving.into_stream(&self.tasks, self.settings.stream_pieces_max);
            incoming::forget_coding(&mut arrival.parts.headers);
            let call = call_of(arrival, caller, ReadBody::default(), Some(stream));
            self.run(&call.0, call.1).await
        } else {
            let bytes = arriving.read().await.map_err(problem)?;
            incoming::forget_coding(&mut arrival.parts.headers);
            let depth_max = self.settings.nesting_max.min(NESTING_MAX);
            let body = format::read_beside(&arrival.route, bytes, depth_max)
                .await
                .map_err(problem)?;
            self.answer(arrival, caller, body).await
        };
        Ok(reply::with_headers(reply, headers))
    }

    /// Answers from what is kept, or by the service.
    async fn answer(&self, arrival: Arrival, caller: Option<Arc<CallerIdentity>>, body: ReadBody) -> Reply {
        let route = Arc::clone(&arrival.route);
        if let Some(policy) = &route.http.cache
            && cache::may_be_kept(policy, &arrival.parts.method)
        {
            let key = cache::key_of(policy, &arrival, caller.as_deref(), &body);
            let visit = cache::Visit::of(&arrival.parts);
            let deployment = self.invoker.deployment_of(&route.http.service);
            let call = call_of(arrival, caller, body, None);
            let run = async || self.run(&call.0, call.1).await;
            return Box::pin(self.cache.serve(key, policy, &visit, deployment, run)).await;
        }
        if let Some(ttl) = route.http.idempotency_ttl
            && let Some(key) = idempotency::key_of(&arrival)
        {
            let visit = match key {
                Ok(key) => idempotency::Repeat::of(&key, &arrival, caller.as_deref(), &body),
                Err(problem) => return reply::problem_reply(problem),
            };
            let call = call_of(arrival, caller, body, None);
            let claim = idempotency::Claims {
                store: &self.store,
                ttl,
                patience: route.http.timeout,
                answer_bytes_max: self.settings.idempotent_answer_bytes_max,
            };
            return Box::pin(claim.serve(visit, async || self.invoke(&call.0, call.1).await)).await;
        }
        let (route, call) = call_of(arrival, caller, body, None);
        self.run(&route, call).await
    }

    async fn run(&self, route: &Route, call: ServiceCall) -> Reply {
        self.invoke(route, call).await.0
    }

    /// The service's answer, or what went wrong; and whether the service was certainly not run.
    async fn invoke(&self, route: &Route, call: ServiceCall) -> (Reply, bool) {
        match self.invoker.invoke(call).await {
            Ok(answer) => (reply::answer(route, answer).await, false),
            Err(error) => (reply::failure(&error), reply::was_not_run(&error)),
        }
    }
}

/// The call that a request makes, and its channel.
fn call_of(
    arrival: Arrival,
    caller: Option<Arc<CallerIdentity>>,
    body: ReadBody,
    stream: Option<BodyStream>,
) -> (Arc<Route>, ServiceCall) {
    let Arrival {
        route,
        values,
        parts,
        remote,
        cid,
    } = arrival;
    let is_idempotent = parts.method.is_idempotent() && stream.is_none();
    let mut facts = request::facts(&route, parts, values, remote);
    let mut bytes = body.bytes;
    let is_json = body.is_json && body.raw.is_none();
    if let Some(raw) = body.raw {
        // Behind what it became, so that its size is no matter.
        facts.raw_at = Some(bytes.len());
        bytes = [&bytes[..], &raw[..]].concat().into();
    }
    let call = ServiceCall {
        cid,
        service: route.http.service.clone(),
        source: CallSource::Channel(route.channel().to_owned()),
        caller,
        data_format: route.http.data_format.as_str(),
        merged_params: request::merged_params(&route, &facts),
        message_wins: request::message_wins(&route),
        idempotent: is_idempotent,
        http: Some(Box::new(facts)),
        body: bytes,
        body_is_json: is_json,
        body_stream: stream,
        deadline: Instant::now() + route.http.timeout,
        deployment: None,
        depth: 0,
    };
    (route, call)
}
