//! The API of the dashboard, as a browser uses it.

use serde_json::{Value, json};

use super::client::Answer;
use super::cluster::Cluster;

/// A user's session through the dashboard.
#[derive(Debug)]
pub struct Session<'a> {
    cluster: &'a Cluster,
    cookie: String,
}

impl<'a> Session<'a> {
    /// Logs the first administrator in.
    pub fn of_admin(cluster: &'a Cluster) -> Self {
        let password = std::fs::read_to_string(cluster.path().join("secrets/admin-password")).unwrap();
        let client = cluster.client.with_header("x-tenon-dashboard", "1");
        let login = json!({"user": "admin", "password": password.trim()});
        let answer = client.post_json(&cluster.dashboard_url("/api/login"), &login).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        Self { cluster, cookie }
    }

    /// Calls the API; `version` is what `If-Match` says.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value, version: Option<u64>) -> Answer {
        let client = self.cluster.client.with_header("x-tenon-dashboard", "1");
        let client = client.with_header("cookie", &self.cookie);
        let client = match version {
            Some(version) => client.with_header("if-match", &format!("\"{version}\"")),
            None => client,
        };
        let url = self.cluster.dashboard_url(path);
        let answer = match method {
            "PUT" => client
                .with_header("content-type", "application/json")
                .put(&url, body.to_string().as_bytes()),
            "DELETE" => client.delete(&url),
            _ => client.get(&url),
        };
        answer.unwrap()
    }
}
