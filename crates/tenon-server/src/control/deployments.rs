//! Deployments: list, look into, deploy, roll back, export.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tenon_model::{FieldProblem, Problem};
use tenon_protocol::control::{
    CreateDeployment, DeployFile, DeploymentDetail, DeploymentSummary, ExportDeployment, ExportedDeployment,
    GetDeployment, ListDeployments, Page, PromoteCanary, RollBack,
};
use tenon_store::{DEFAULT_GROUP, DeploymentFile};

use super::endpoint::{ApiCall, Routes, after_number, page_by_number, page_limit, store_problem};
use crate::deployments::{DeployError, DeploymentChange};

pub(super) fn add(routes: &mut Routes) {
    routes.add::<ListDeployments, _, _>(list);
    routes.add::<GetDeployment, _, _>(get);
    routes.add::<ExportDeployment, _, _>(export);
    routes.add::<CreateDeployment, _, _>(create);
    routes.add::<RollBack, _, _>(roll_back);
    routes.add::<PromoteCanary, _, _>(promote);
}

async fn list(call: ApiCall<ListDeployments>) -> Result<Page<DeploymentSummary>, Problem> {
    let after = after_number(call.params.after.as_deref())?;
    let limit = page_limit(call.params.limit);
    let group = call.params.group.as_deref();
    let listed = call.api.services.deployments().list(group, after, limit + 1).await;
    let items = listed.map_err(|error| deploy_problem(&error))?;
    Ok(page_by_number(items, limit, |deployment| deployment.number))
}

async fn get(call: ApiCall<GetDeployment>) -> Result<DeploymentDetail, Problem> {
    let found = call.api.services.deployments().detail(call.params.number).await;
    found.map_err(|error| deploy_problem(&error))
}

async fn export(call: ApiCall<ExportDeployment>) -> Result<ExportedDeployment, Problem> {
    let (deployments, number) = (call.api.services.deployments(), call.params.number);
    let detail = deployments
        .detail(number)
        .await
        .map_err(|error| deploy_problem(&error))?;
    let files = deployments
        .files(number)
        .await
        .map_err(|error| deploy_problem(&error))?;
    let encode = |file: DeploymentFile| DeployFile {
        path: file.path,
        content: STANDARD.encode(&file.content),
    };
    Ok(ExportedDeployment {
        summary: detail.summary,
        service_names: detail.service_names,
        contents: files.into_iter().map(encode).collect(),
    })
}

async fn create(call: ApiCall<CreateDeployment>) -> Result<DeploymentSummary, Problem> {
    let mut files = Vec::with_capacity(call.body.files.len());
    for (index, file) in call.body.files.into_iter().enumerate() {
        let content = STANDARD.decode(&file.content).map_err(|_| {
            let field = format!("files[{index}].content");
            Problem::new(400, "invalid-body", "a file can't be read")
                .with_errors(vec![FieldProblem::new(field, "this is not base64")])
        })?;
        files.push(DeploymentFile::new(file.path, content));
    }
    let deployments = call.api.services.deployments();
    let terms = |canary| deployments.canary_terms(canary);
    let canary = call.body.canary.map(terms).transpose();
    let canary = canary.map_err(|error| deploy_problem(&error))?;
    let change = DeploymentChange {
        group: call.body.group.unwrap_or_else(|| DEFAULT_GROUP.to_owned()),
        files,
        remove: call.body.remove,
        replace: call.body.replace,
        again: call.body.again,
        canary,
        source: format!("sent by {}", call.caller.name),
    };
    let deployed = deployments.deploy(change).await;
    deployed.map_err(|error| deploy_problem(&error))
}

async fn roll_back(call: ApiCall<RollBack>) -> Result<DeploymentSummary, Problem> {
    let deployments = call.api.services.deployments();
    let rolled_back = deployments.roll_back(call.params.number, &call.caller.name).await;
    rolled_back.map_err(|error| deploy_problem(&error))
}

async fn promote(call: ApiCall<PromoteCanary>) -> Result<DeploymentSummary, Problem> {
    let deployments = call.api.services.deployments();
    let promoted = deployments.promote(call.params.number, &call.caller.name).await;
    promoted.map_err(|error| deploy_problem(&error))
}

fn deploy_problem(error: &DeployError) -> Problem {
    match error {
        DeployError::Invalid(_) => Problem::new(422, "invalid", error.to_string()),
        DeployError::NotFound(_) => Problem::new(404, "not-found", error.to_string()),
        DeployError::Busy(_) | DeployError::CanaryRuns(_) => Problem::new(409, "conflict", error.to_string()),
        DeployError::Failed(_) => Problem::new(422, "not-deployed", error.to_string()),
        DeployError::Store(error) => store_problem(error),
        DeployError::User(_) => Problem::new(500, "internal", error.to_string()),
        DeployError::Io { .. } => {
            tracing::error!(%error, "a deployment could not be written");
            Problem::new(500, "internal", "the files could not be written; the log says why")
        }
    }
}
