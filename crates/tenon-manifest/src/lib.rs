//! Objects as files: read, validate, plan, apply, export.
//!
//! The way of a manifest: [`read_dir`], [`read_file`] or [`ManifestFile::parse`] read text with positions; [`validate`] tells
//! what is wrong without a cluster; [`plan`] compares with what the cluster has and gives the changes for the store; [`export`]
//! and [`to_yaml`] lead back to text. [`resolve_object`] gives values as they are used, and [`mask`] as they may be shown.
//!
//! Nothing here opens connections or writes objects; that is the server's and the command line's.

mod export;
mod field;
mod file;
mod plan;
mod resolve;
#[cfg(test)]
mod samples;
mod secrets;
mod settings;
mod suggest;
mod validate;
mod yaml;

pub use export::{export, to_yaml};
pub use file::{FileObject, FolderMark, ManifestFile, ManifestProblem, locate, mark_of_dir, read_dir, read_file};
pub use plan::{ObjectProblem, Objects, PlanContext, Planned, plan, plan_delete};
pub use resolve::{Lookup, has_reference, resolve, resolve_object};
pub use secrets::{MASK, SecretSealer, mask, seal};
pub use settings::Settings;
pub use validate::{check_fields, validate};
pub use yaml::Position;
