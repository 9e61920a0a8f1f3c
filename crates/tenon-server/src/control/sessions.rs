//! Logging in and out.

use tenon_model::{Problem, Timestamp};
use tenon_protocol::control::{GetSession, LogIn, LogOut, Nothing, Session};

use super::endpoint::{ApiCall, Routes, store_problem};
use crate::security::SignInError;

pub(super) fn add(routes: &mut Routes) {
    routes.add::<LogIn, _, _>(log_in);
    routes.add::<GetSession, _, _>(current);
    routes.add::<LogOut, _, _>(log_out);
}

async fn log_in(call: ApiCall<LogIn>) -> Result<Session, Problem> {
    let user = &call.body.user;
    match call.api.users.log_in(user, &call.body.password).await {
        Ok(session) => {
            tracing::info!(user, "the user '{user}' logged in");
            Ok(session)
        }
        Err(SignInError::Wrong) => {
            tracing::warn!(user, "logging in as '{user}' was refused");
            Err(Problem::new(401, "wrong-credentials", SignInError::Wrong.to_string()))
        }
        Err(SignInError::Store(error)) => Err(store_problem(&error)),
        Err(error @ SignInError::Hash(_)) => {
            tracing::error!(%error, user, "logging in failed");
            Err(Problem::new(
                500,
                "internal",
                "the password could not be checked; the log says why",
            ))
        }
    }
}

async fn current(call: ApiCall<GetSession>) -> Result<Session, Problem> {
    let Some(token) = &call.caller.token else {
        let access = call
            .caller
            .access
            .ok_or_else(|| Problem::new(401, "unauthorized", "log in first"))?;
        let expires_at = Timestamp::from_millis(253_402_300_799_000);
        return Ok(Session {
            user: call.caller.name,
            access,
            expires_at,
            token: None,
        });
    };
    let session = call
        .api
        .users
        .session(token)
        .await
        .map_err(|error| store_problem(&error))?;
    session.ok_or_else(|| Problem::new(401, "unauthorized", "the session has ended; log in again"))
}

async fn log_out(call: ApiCall<LogOut>) -> Result<Nothing, Problem> {
    if let Some(token) = &call.caller.token {
        call.api
            .users
            .log_out(token)
            .await
            .map_err(|error| store_problem(&error))?;
    }
    Ok(Nothing {})
}
