//! Sessions and secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tenon_model::{Access, ObjectName, Secret, Timestamp};

use super::endpoint::{NoParams, Nothing, Page, endpoint};

endpoint! {
    /// Logs a user in; the token of the answer is sent as `Authorization: Bearer`.
    LogIn = "logIn" Post "/v1/sessions" None, (NoParams, LogInRequest) -> Session;
    /// Who is logged in.
    GetSession = "getSession" Get "/v1/sessions/current" Some(Access::Viewer), (NoParams, Nothing) -> Session;
    /// Ends the session.
    LogOut = "logOut" Delete "/v1/sessions/current" Some(Access::Viewer), (NoParams, Nothing) -> Nothing;
    /// Names of the cluster's secrets; never their values.
    ListSecrets = "listSecrets" Get "/v1/secrets" Some(Access::Developer), (NoParams, Nothing) -> Page<SecretSummary>;
    /// Creates or replaces a secret that objects name as `secret:NAME`.
    PutSecret = "putSecret" Put "/v1/secrets/{name}" Some(Access::Admin), (SecretPath, SecretValue) -> SecretSummary;
    /// Removes a secret.
    DeleteSecret = "deleteSecret" Delete "/v1/secrets/{name}" Some(Access::Admin), (SecretPath, Nothing) -> Nothing;
}

/// A user's name and password.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LogInRequest {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// A session of a user.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The user's name.
    pub user: String,
    /// What the user may do.
    pub access: Access,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The token; only in the answer to logging in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// Which secret is meant.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretPath {
    /// Its name.
    pub name: ObjectName,
}

/// A secret's new value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretValue {
    /// The value.
    pub value: Secret,
}

/// A secret without its value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SecretSummary {
    /// Its name.
    pub name: ObjectName,
    /// When it was last written.
    pub updated_at: Timestamp,
}
