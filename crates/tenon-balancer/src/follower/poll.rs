//! Asks the cluster again and again for something that it answers when it has changed.

use std::time::Duration;

use async_trait::async_trait;

use super::SourceError;

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Something that is followed.
#[async_trait]
pub(crate) trait Followed: Send + Sync {
    /// What it is called in the log.
    const WHAT: &'static str;
    /// What an answer is.
    type Reply: Send;

    /// Asks, with the cursor of the last answer; gives the next one with its cursor.
    async fn ask(&self, after: Option<u64>) -> Result<(u64, Self::Reply), SourceError>;

    /// Takes an answer.
    fn take(&self, reply: Self::Reply);
}

/// Follows for ever. An answer may take so long, waiting for a change included.
pub(crate) async fn poll<F: Followed>(followed: &F, timeout: Duration) {
    let mut after = None;
    let mut pause = RETRY_FIRST;
    loop {
        let asked = tokio::time::timeout(timeout, followed.ask(after)).await;
        match asked.unwrap_or_else(|_| Err("no answer in time".into())) {
            Ok((cursor, reply)) => {
                // An answer that came at once although nothing changed must not make this loop spin.
                if after == Some(cursor) {
                    tokio::time::sleep(RETRY_FIRST).await;
                }
                after = Some(cursor);
                pause = RETRY_FIRST;
                followed.take(reply);
            }
            Err(error) => {
                tracing::debug!(%error, "{} could not be learnt; going on with what is known", F::WHAT);
                after = None;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
        }
    }
}
