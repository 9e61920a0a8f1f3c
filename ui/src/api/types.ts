// Short names for the server's types. They are generated from schemas/control-openapi.json; nothing is described twice.
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Access = Schemas["Access"];
export type BalancedServer = Schemas["BalancedServer"];
export type BalancerReport = Schemas["BalancerReport"];
export type BalancerState = Schemas["BalancerState"];
export type ClusterStatus = Schemas["ClusterStatus"];
export type ComponentStatus = Schemas["ComponentStatus"];
// Reading loses the generated type's pairs: they come as lists.
export type DeploymentDetail = Omit<Schemas["DeploymentDetail"], "file_hashes"> & { file_hashes: string[][] };
export type DeploymentState = Schemas["DeploymentState"];
export type DeploymentSummary = Schemas["DeploymentSummary"];
export type FieldProblem = Schemas["FieldProblem"];
export type InvokeReply = Schemas["InvokeReply"];
export type JobLedger = Schemas["JobLedger"];
export type JobSummary = Schemas["JobSummary"];
export type KindDescription = Schemas["KindDescription"];
export type KindGroup = Schemas["KindGroup"];
export type Problem = Schemas["Problem"];
export type RefusedFile = Schemas["RefusedFile"];
export type RunOutcome = Schemas["RunOutcome"];
export type RunSummary = Schemas["RunSummary"];
export type ServedCertificate = Schemas["ServedCertificate"];
export type ServiceSummary = Schemas["ServiceSummary"];
export type Session = Schemas["Session"];
export type TenonObject = Schemas["Object"];
