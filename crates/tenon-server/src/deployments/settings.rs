//! Limits of deployments.

use serde::{Deserialize, Serialize};
use tenon_model::DurationText;

use super::canary::CanarySettings;

/// How deployments are made and followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentSettings {
    /// How many files a deployment may have.
    pub files_max: usize,
    /// How large one file may be.
    pub file_bytes_max: usize,
    /// How large all files together may be.
    pub total_bytes_max: usize,
    /// How long the servers may take to prepare a deployment.
    pub prepare_timeout: DurationText,
    /// How long servers may take to serve a deployment that was committed, before whoever deployed it is answered anyway.
    pub serve_timeout: DurationText,
    /// How long to wait for a deployment that another server makes.
    pub coordinator_wait: DurationText,
    /// How long a lease lasts that is not renewed.
    pub lease_ttl: DurationText,
    /// How often a server looks by itself whether something was deployed.
    pub look_every: DurationText,
    /// How long the services folder must be quiet before it is read.
    pub folder_quiet: DurationText,
    /// The longest wait for that.
    pub folder_quiet_max: DurationText,
    /// How often the services folder is looked at even if nothing was heard of it.
    pub folder_look_every: DurationText,
    /// How many workers a group may ask for.
    pub group_workers_max: u64,
    /// How many threads in a worker a group may ask for.
    pub group_threads_max: u64,
    /// How long resolving the requirements of a group may take, and installing them.
    pub requirements_timeout: DurationText,
    /// How large the packages of a group's requirements may be together to be kept with the deployment. Of larger ones only the
    /// hashes are kept, and each server fetches the packages itself.
    pub requirements_bytes_max: usize,
    /// How many changed files are tried one by one when not all are good together; of more, all are refused.
    pub tried_alone_max: usize,
    /// How canaries are decided.
    pub canary: CanarySettings,
}

impl Default for DeploymentSettings {
    fn default() -> Self {
        Self {
            files_max: 10_000,
            file_bytes_max: 100 << 20,
            total_bytes_max: 200 << 20,
            prepare_timeout: DurationText::from_secs(60),
            serve_timeout: DurationText::from_secs(10),
            coordinator_wait: DurationText::from_secs(60),
            lease_ttl: DurationText::from_secs(5),
            look_every: DurationText::from_secs(5),
            folder_quiet: DurationText::from_millis(50),
            folder_quiet_max: DurationText::from_millis(500),
            folder_look_every: DurationText::from_secs(5),
            group_workers_max: 64,
            group_threads_max: 1024,
            requirements_timeout: DurationText::from_secs(300),
            requirements_bytes_max: 100 << 20,
            tried_alone_max: 100,
            canary: CanarySettings::default(),
        }
    }
}
