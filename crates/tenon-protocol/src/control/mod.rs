//! The control protocol: what components, the command line and the dashboard ask of each other.
//!
//! To add an endpoint, add it to one of the files of this folder with [`endpoint!`] and to [`ENDPOINTS`]; a server must then
//! route it (a test holds that), and the typed client and the OpenAPI document have it.

mod balancer;
mod channels;
mod cluster;
mod deployments;
mod endpoint;
mod jobs;
mod manifests;
mod objects;
mod openapi;
mod security;
mod services;

pub use balancer::{
    BALANCER_CERTIFICATE_KIND, BALANCER_KIND, BALANCER_RULE_KIND, BalancedServer, BalancedState, BalancerConfiguration,
    BalancerPath, BalancerReport, BalancerState, BalancerTraffic, ConfigurationPart, ConfigurationProblem,
    ConfigurationQuery, GetBalancerConfiguration, ListBalancers, ReportBalancer, RuleCount, ServedCertificate,
};
pub use channels::GetOpenApi;
pub use cluster::{
    AnnounceMember, ClusterStatus, ComponentStatus, ForgetMember, GetStatus, HealthCheck, HealthReport, ListMembers,
    MemberPath, MembersQuery, MembersReply,
};
pub use deployments::{
    CanaryRequest, CanaryTerms, CreateDeployment, DeployFile, DeployRequest, DeploymentDetail, DeploymentPath,
    DeploymentState, DeploymentSummary, DeploymentsQuery, ExportDeployment, ExportedDeployment, GetDeployment,
    ListDeployments, PromoteCanary, RefusedFile, RollBack,
};
pub use endpoint::{Endpoint, EndpointDescription, Method, NoParams, Nothing, Page, PageQuery};
pub use jobs::{
    GetJob, JobLedger, JobPath, JobSummary, ListJobs, ListRuns, RunJob, RunOutcome, RunSummary, RunsQuery, VerifyJob,
};
pub use manifests::{
    Action, ApplyManifests, ApplyReply, ApplyRequest, ExportManifests, FieldChange, ManifestObject, ObjectChange, Plan,
    PlanManifests,
};
pub use objects::{
    DeleteObject, GetObject, KindDescription, ListKinds, ListObjects, ObjectPath, ObjectWrite, ObjectsQuery,
    PingOutgoing, PingReply, PutObject, WriteParams, WriteReply,
};
pub use openapi::openapi_document;
pub use security::{
    DeleteSecret, GetSession, ListSecrets, LogIn, LogInRequest, LogOut, PutSecret, SecretPath, SecretSummary,
    SecretValue, Session,
};
pub use services::{
    GetService, InvokeReply, InvokeRequest, InvokeService, ListServices, RelayInvoke, RelayReply, RelayRequest,
    ServicePath, ServiceSummary,
};

/// Every endpoint of the control API of a server, in the order of the OpenAPI document.
pub const ENDPOINTS: &[fn() -> EndpointDescription] = &[
    EndpointDescription::of::<GetStatus>,
    EndpointDescription::of::<ListMembers>,
    EndpointDescription::of::<AnnounceMember>,
    EndpointDescription::of::<ForgetMember>,
    EndpointDescription::of::<GetBalancerConfiguration>,
    EndpointDescription::of::<ListBalancers>,
    EndpointDescription::of::<ReportBalancer>,
    EndpointDescription::of::<LogIn>,
    EndpointDescription::of::<GetSession>,
    EndpointDescription::of::<LogOut>,
    EndpointDescription::of::<ListKinds>,
    EndpointDescription::of::<ListObjects>,
    EndpointDescription::of::<GetObject>,
    EndpointDescription::of::<PutObject>,
    EndpointDescription::of::<DeleteObject>,
    EndpointDescription::of::<PingOutgoing>,
    EndpointDescription::of::<PlanManifests>,
    EndpointDescription::of::<ApplyManifests>,
    EndpointDescription::of::<ExportManifests>,
    EndpointDescription::of::<GetOpenApi>,
    EndpointDescription::of::<ListServices>,
    EndpointDescription::of::<GetService>,
    EndpointDescription::of::<InvokeService>,
    EndpointDescription::of::<RelayInvoke>,
    EndpointDescription::of::<ListDeployments>,
    EndpointDescription::of::<GetDeployment>,
    EndpointDescription::of::<ExportDeployment>,
    EndpointDescription::of::<CreateDeployment>,
    EndpointDescription::of::<RollBack>,
    EndpointDescription::of::<ListJobs>,
    EndpointDescription::of::<GetJob>,
    EndpointDescription::of::<RunJob>,
    EndpointDescription::of::<ListRuns>,
    EndpointDescription::of::<VerifyJob>,
    EndpointDescription::of::<ListSecrets>,
    EndpointDescription::of::<PutSecret>,
    EndpointDescription::of::<DeleteSecret>,
];
