//! The demo that a new environment holds: a service, its REST channel and a job.

/// `services/demo.py`.
pub(crate) const SERVICE: &str = include_str!("demo/demo.py");

/// `manifests/demo.yaml`.
pub(crate) const MANIFEST: &str = include_str!("demo/demo.yaml");

/// `user-config/demo.ini`.
pub(crate) const USER_CONFIG: &str = include_str!("demo/demo.ini");

/// The path of the demo's REST channel.
pub(crate) const PATH: &str = "/demo/hello";
