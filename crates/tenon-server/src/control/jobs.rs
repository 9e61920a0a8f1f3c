//! Jobs: what is planned, what ran, run now.

use tenon_model::{KindConfig, Problem};
use tenon_protocol::control::{GetJob, JobLedger, JobSummary, ListJobs, ListRuns, Page, RunJob, RunSummary, VerifyJob};

use tenon_scheduler::JobConfig;

use super::Api;
use super::endpoint::{ApiCall, Routes, after_number, page_by_number, page_limit, page_of, store_problem};

pub(super) fn add(routes: &mut Routes) {
    routes.add::<ListJobs, _, _>(list);
    routes.add::<GetJob, _, _>(get);
    routes.add::<RunJob, _, _>(run);
    routes.add::<ListRuns, _, _>(runs);
    routes.add::<VerifyJob, _, _>(verify);
}

async fn list(call: ApiCall<ListJobs>) -> Result<Page<JobSummary>, Problem> {
    let summaries = summaries(&call.api).await?;
    Ok(page_of(
        summaries.into_iter(),
        |job| job.name.clone(),
        call.params.after.as_deref(),
        call.params.limit,
    ))
}

async fn get(call: ApiCall<GetJob>) -> Result<JobSummary, Problem> {
    let name = &call.params.name;
    let found = summaries(&call.api).await?.into_iter().find(|job| job.name == *name);
    found.ok_or_else(|| no_job(name))
}

async fn summaries(api: &Api) -> Result<Vec<JobSummary>, Problem> {
    let snapshot = api.snapshot.load_full();
    let objects: Vec<_> = snapshot
        .of_kind(JobConfig::NAME)
        .map(|object| (**object).clone())
        .collect();
    tenon_scheduler::summaries(&api.store, &objects)
        .await
        .map_err(|error| store_problem(&error))
}

async fn run(call: ApiCall<RunJob>) -> Result<RunSummary, Problem> {
    let snapshot = call.api.snapshot.load_full();
    let name = &call.params.name;
    let object = snapshot
        .of_kind(JobConfig::NAME)
        .find(|object| object.name.as_str() == name);
    let object = object.ok_or_else(|| no_job(name))?;
    let now = call.api.store.now().await.map_err(|error| store_problem(&error))?;
    let run = tenon_scheduler::manual_run(object, now)
        .map_err(|problems| Problem::new(422, "invalid", "the job can't be run").with_errors(problems))?;
    call.api
        .store
        .add_manual_run(run)
        .await
        .map_err(|error| store_problem(&error))
}

async fn runs(call: ApiCall<ListRuns>) -> Result<Page<RunSummary>, Problem> {
    let after = after_number(call.params.after.as_deref())?;
    let limit = page_limit(call.params.limit);
    let listed = call.api.store.runs(&call.params.name, after, limit + 1).await;
    let items = listed.map_err(|error| store_problem(&error))?;
    if items.is_empty() && after.is_none() && !is_job(&call.api, &call.params.name) {
        return Err(no_job(&call.params.name));
    }
    Ok(page_by_number(items, limit, |run| run.id))
}

async fn verify(call: ApiCall<VerifyJob>) -> Result<JobLedger, Problem> {
    let name = &call.params.name;
    let ledger = call
        .api
        .store
        .job_ledger(name)
        .await
        .map_err(|error| store_problem(&error))?;
    // A job that was deleted has its account as long as its runs are kept.
    if ledger.planned == 0 && !is_job(&call.api, name) {
        return Err(no_job(name));
    }
    Ok(ledger)
}

fn is_job(api: &Api, name: &str) -> bool {
    let snapshot = api.snapshot.load_full();
    snapshot
        .of_kind(JobConfig::NAME)
        .any(|object| object.name.as_str() == name)
}

fn no_job(name: &str) -> Problem {
    Problem::new(404, "not-found", format!("no job is called '{name}'"))
}
