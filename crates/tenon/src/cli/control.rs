//! Calls to the cluster: any of its servers, as the operator of the environment.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::Request;
use tenon_control::{Addresses, ControlClient, ControlError, ControlSettings, Identity};
use tenon_model::{Problem, Role};
use tenon_protocol::control::{Endpoint, HealthReport, Nothing, Page, PageQuery};

use super::Global;
use crate::environment::Environment;
use crate::failure::{Exit, Failure, fail};

/// How many items of a list are asked for at a time: as many as servers give.
const PAGE: u32 = 1000;

/// How long a write waits until every live server serves it.
pub(super) const WAIT_MS: u64 = 10_000;

/// The cluster, for a command.
#[derive(Debug)]
pub(super) struct Cluster {
    client: ControlClient,
    runtime: tokio::runtime::Runtime,
    environment: Environment,
}

impl Cluster {
    /// The cluster of the environment that the command is about. Nothing is sent yet.
    pub(super) fn of(global: &Global) -> anyhow::Result<Self> {
        let environment = global.target(None)?.environment;
        let components = environment.components()?;
        let addresses: Vec<String> = components
            .iter()
            .filter(|component| component.role == Role::Server)
            .filter_map(|component| component.addresses.control)
            .map(|address| address.to_string())
            .collect();
        Self::at(&environment, addresses)
    }

    /// Those servers of an environment's cluster that have these control addresses. Nothing is sent yet.
    pub(super) fn at(environment: &Environment, addresses: Vec<String>) -> anyhow::Result<Self> {
        let root = environment.layout().root().display();
        if addresses.is_empty() {
            fail!(Unreachable, format!("{root} has no server to ask"), "");
        }
        let ca = environment.layout().ca();
        let operator = ca.join(Role::Operator.as_str());
        if !operator.exists() {
            fail!(
                Unreachable,
                format!("{root} has no operator's certificate, as its cluster is on another host"),
                "give the command there"
            );
        }
        let identity =
            Identity::load(&ca.join("ca.pem"), &operator).context("the operator's certificate can't be used")?;
        let client = ControlClient::new(
            &identity,
            Role::Server,
            Addresses::new(addresses),
            ControlSettings::default(),
        )?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            client,
            runtime,
            environment: environment.clone(),
        })
    }

    /// How the server is that answers, whether it is ready or not.
    pub(super) fn health(&self) -> anyhow::Result<HealthReport> {
        let request = Request::get("/readyz?verbose").body(Bytes::new())?;
        let answer = self.runtime.block_on(self.client.forward(request)).map_err(failure)?;
        serde_json::from_slice(answer.body()).context("the server does not say how it is")
    }

    /// The environment whose cluster this is.
    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Calls an endpoint.
    pub(super) fn call<E: Endpoint>(&self, params: &E::Params, body: &E::Body) -> anyhow::Result<E::Reply> {
        let called = self.runtime.block_on(self.client.call::<E>(params, body));
        called.map_err(failure)
    }

    /// All items of a list, page by page.
    pub(super) fn all<E, T>(&self) -> anyhow::Result<Page<T>>
    where
        E: Endpoint<Params = PageQuery, Body = Nothing, Reply = Page<T>>,
    {
        let mut all = Page {
            items: Vec::new(),
            next: None,
        };
        loop {
            let query = PageQuery {
                after: all.next.take(),
                limit: Some(PAGE),
            };
            let page = self.call::<E>(&query, &Nothing {})?;
            all.items.extend(page.items);
            all.next = page.next;
            if all.next.is_none() {
                return Ok(all);
            }
        }
    }

    /// Calls an endpoint whose answer may take so long.
    pub(super) fn call_within<E: Endpoint>(
        &self,
        params: &E::Params,
        body: &E::Body,
        timeout: Duration,
    ) -> anyhow::Result<E::Reply> {
        let called = self
            .runtime
            .block_on(self.client.call_within::<E>(params, body, timeout));
        called.map_err(failure)
    }

    /// Calls an endpoint and gives the problem that it answers with to the caller, who can say more about it.
    pub(super) fn try_call<E: Endpoint>(
        &self,
        params: &E::Params,
        body: &E::Body,
    ) -> anyhow::Result<Result<E::Reply, Problem>> {
        match self.runtime.block_on(self.client.call::<E>(params, body)) {
            Ok(reply) => Ok(Ok(reply)),
            Err(ControlError::Problem(problem)) => Ok(Err(*problem)),
            Err(error) => Err(failure(error)),
        }
    }
}

/// The failure that a problem is for the command line.
pub(super) fn problem_failure(problem: &Problem) -> Failure {
    let exit = match problem.status {
        _ if problem.is_called("unknown-outcome") => Exit::Unknown,
        400 | 409 | 412 | 413 | 422 => Exit::Invalid,
        404 => Exit::NotFound,
        503 => Exit::Unreachable,
        504 => Exit::TimedOut,
        _ => Exit::Failed,
    };
    let hint = if problem.cid.is_empty() {
        String::new()
    } else {
        format!("its correlation id in the logs is {}", problem.cid)
    };
    // What the user did wrong is in the answer; only defects are worth a look at the logs.
    let hint = if problem.status >= 500 { hint } else { String::new() };
    Failure::new(exit, problem.to_string(), hint)
}

fn failure(error: ControlError) -> anyhow::Error {
    match error {
        ControlError::Problem(problem) => problem_failure(&problem).into(),
        ControlError::Unreachable { addresses, .. } => Failure::new(
            Exit::Unreachable,
            format!("no server answers at {}", addresses.join(", ")),
            "look with `tenon status`, start with `tenon start`",
        )
        .into(),
        unknown @ ControlError::Unknown { .. } => Failure::new(Exit::Unknown, unknown.to_string(), "").into(),
        other => anyhow::Error::new(other),
    }
}
