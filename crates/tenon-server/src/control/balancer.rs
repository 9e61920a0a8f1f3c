//! Load balancers: what they are told, and what they tell.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tenon_model::{FieldProblem, Object, Problem, Role};
use tenon_protocol::control::{
    BALANCER_CERTIFICATE_KIND, BALANCER_KIND, BALANCER_RULE_KIND, BalancerConfiguration, BalancerState,
    ConfigurationPart, GetBalancerConfiguration, ListBalancers, Nothing, Page, ReportBalancer,
};
use tokio::time::Instant;

use super::Api;
use super::cluster::DRAINING_PAUSE;
use super::endpoint::{ApiCall, Caller, Routes, starting, store_problem};
use crate::secrets::Resolver;
use crate::snapshot::Snapshot;

const WAIT_MAX: Duration = Duration::from_secs(25);

pub(super) fn add(routes: &mut Routes) {
    routes.add::<GetBalancerConfiguration, _, _>(configuration);
    routes.add::<ListBalancers, _, _>(list);
    routes.add::<ReportBalancer, _, _>(report);
}

async fn configuration(call: ApiCall<GetBalancerConfiguration>) -> Result<BalancerConfiguration, Problem> {
    check_is_balancer(&call.caller)?;
    let wait = call
        .params
        .wait_ms
        .map_or(WAIT_MAX, Duration::from_millis)
        .min(WAIT_MAX);
    let deadline = Instant::now() + wait;
    let health = &call.api.health;
    let mut revisions = health.revisions();
    loop {
        if revisions.borrow_and_update().is_none() {
            return Err(starting());
        }
        let configuration = current(&call.api).await?;
        if call.params.after != Some(configuration.cursor) || Instant::now() >= deadline {
            return Ok(configuration);
        }
        if health.is_draining() {
            // Who waits here must not hold up the end of the server, nor ask again and again.
            tokio::time::sleep(DRAINING_PAUSE).await;
            return Ok(configuration);
        }
        tokio::select! {
            _ = revisions.changed() => {}
            () = health.drains() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// Only a load balancer gets private keys: neither a user whose session came through one, nor anybody else.
fn check_is_balancer(caller: &Caller) -> Result<(), Problem> {
    if caller.token.is_none() && caller.role == Role::LoadBalancer {
        Ok(())
    } else {
        Err(Problem::new(403, "forbidden", "only a load balancer may do this"))
    }
}

/// The objects of load balancers as they are in force, ready for use.
async fn current(api: &Api) -> Result<BalancerConfiguration, Problem> {
    let snapshot = api.snapshot.load_full();
    let resolver = api.secrets.resolver(&api.store).await;
    let resolver = resolver.map_err(|error| store_problem(&error))?;
    let parts = |kind: &str| -> Vec<ConfigurationPart> { parts(api, &snapshot, &resolver, kind) };
    let mut configuration = BalancerConfiguration {
        cursor: 0,
        revision: snapshot.revision,
        balancer: parts(BALANCER_KIND).into_iter().next(),
        certificates: parts(BALANCER_CERTIFICATE_KIND),
        rules: parts(BALANCER_RULE_KIND),
    };
    configuration.cursor = cursor_of(&configuration);
    Ok(configuration)
}

fn parts(api: &Api, snapshot: &Snapshot, resolver: &Resolver, kind: &str) -> Vec<ConfigurationPart> {
    let objects = snapshot.of_kind(kind);
    objects.map(|object| part(api, resolver, object)).collect()
}

fn part(api: &Api, resolver: &Resolver, object: &Object) -> ConfigurationPart {
    let resolved = match api.catalog.get(&object.kind) {
        Some(kind) => resolver
            .resolve(kind, &object.body)
            .and_then(|body| kind.normalize(&body)),
        None => Err(vec![FieldProblem::new(
            "",
            "this version of the server does not know it",
        )]),
    };
    let (body, problem) = match resolved {
        Ok(body) => (body, String::new()),
        Err(problems) => {
            let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
            (serde_json::Value::Null, texts.join("; "))
        }
    };
    ConfigurationPart {
        name: object.name.to_string(),
        version: object.version,
        body,
        problem,
    }
}

/// A number for what a load balancer acts on; changes of other objects do not change it.
fn cursor_of(configuration: &BalancerConfiguration) -> u64 {
    let mut hasher = DefaultHasher::new();
    let parts = [
        configuration.balancer.as_slice(),
        &configuration.certificates,
        &configuration.rules,
    ];
    for (number, parts) in parts.into_iter().enumerate() {
        (number, parts.len()).hash(&mut hasher);
        for part in parts {
            (&part.name, part.version, &part.problem, part.body.to_string()).hash(&mut hasher);
        }
    }
    // JSON numbers are exact up to 2^53 in every client.
    hasher.finish() >> 11
}

async fn list(call: ApiCall<ListBalancers>) -> Result<Page<BalancerState>, Problem> {
    let store = &call.api.store;
    let reports = store.reports().await.map_err(|error| store_problem(&error))?;
    let now = store.now().await.map_err(|error| store_problem(&error))?;
    let items = reports.into_iter().filter_map(|report| {
        Some(BalancerState {
            age_ms: u64::try_from(now.since(report.at).as_millis()).unwrap_or(u64::MAX),
            // One that another version wrote may have another form; the next will be along in a second.
            report: serde_json::from_str(&report.body).ok()?,
        })
    });
    Ok(Page {
        items: items.collect(),
        next: None,
    })
}

async fn report(call: ApiCall<ReportBalancer>) -> Result<Nothing, Problem> {
    check_is_balancer(&call.caller)?;
    if call.body.name != call.params.name {
        return Err(Problem::new(
            403,
            "forbidden",
            "a component can only say how it is itself",
        ));
    }
    let body = serde_json::to_string(&call.body)
        .map_err(|error| Problem::new(422, "invalid", format!("the report can't be kept: {error}")))?;
    let kept = call.api.store.put_report(&call.body.name, body).await;
    kept.map_err(|error| store_problem(&error))?;
    Ok(Nothing {})
}
