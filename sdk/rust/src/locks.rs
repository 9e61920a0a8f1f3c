//! Locks of the whole cluster.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::context::{Context, Payload};
use crate::{HostError, millis};

/// How long a lock is held at most if its holder does not say.
const TTL: Duration = Duration::from_secs(20);

/// How long a lock is waited for if its caller does not say.
const BLOCK: Duration = Duration::from_secs(10);

impl Context {
    /// A lock of the whole cluster by its name.
    ///
    /// ```
    /// # use tenon_sdk::{Context, Error};
    /// # use std::time::Duration;
    /// async fn close_books(ctx: Context) -> Result<(), Error> {
    ///     let Some(lock) = ctx.lock("books").wait(Duration::from_secs(2)).acquire().await? else {
    ///         return Err(Error::conflict("somebody else is closing the books"));
    ///     };
    ///     ctx.sql("Books").execute("UPDATE books SET closed = 1, holder = :token", &serde_json::json!({"token": lock.token()})).await?;
    ///     lock.release().await?; // or let it go out of scope
    ///     Ok(())
    /// }
    /// ```
    pub fn lock(&self, name: impl Into<String>) -> Lock {
        Lock {
            context: self.clone(),
            name: name.into(),
            ttl: TTL,
            block: BLOCK,
        }
    }
}

/// A lock about to be taken. Made by [`Context::lock`].
#[derive(Debug)]
#[must_use = "nothing is locked before `acquire`"]
pub struct Lock {
    context: Context,
    name: String,
    ttl: Duration,
    block: Duration,
}

#[derive(Serialize)]
struct LockRequest<'a> {
    op: &'static str,
    action: &'static str,
    name: &'a str,
    ttl_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Described {
    acquired: bool,
    /// None if it was not acquired.
    token: Option<u64>,
}

impl Lock {
    /// How long it is held at most, even if its holder does not come back; 20 s if nothing is said.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long it is waited for while somebody else holds it; 10 s if nothing is said.
    pub fn wait(mut self, block: Duration) -> Self {
        self.block = block;
        self
    }

    /// Takes the lock; none if somebody else held it for as long as it was waited for.
    pub async fn acquire(self) -> Result<Option<LockGuard>, HostError> {
        let mut pending = LockGuard {
            context: self.context,
            name: self.name,
            ttl: self.ttl,
            token: 0,
            is_held: false,
        };
        let described = pending.ask("acquire", Some(millis(self.block)), None).await?;
        pending.token = described.token.unwrap_or(0);
        pending.is_held = described.acquired;
        Ok(pending.is_held.then_some(pending))
    }
}

/// A lock that is held. It ends when it is dropped, with the call that holds it, with the worker or server of that call, and
/// after its time in any case.
#[derive(Debug)]
#[must_use = "the lock ends when this is dropped"]
pub struct LockGuard {
    context: Context,
    name: String,
    ttl: Duration,
    token: u64,
    is_held: bool,
}

impl LockGuard {
    /// A number that grows with each holder: what is locked can refuse a holder that is late.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Holds the lock for its time from now on; false if it was lost meanwhile.
    pub async fn renew(&mut self) -> Result<bool, HostError> {
        let described = self.ask("renew", None, Some(self.token)).await?;
        self.is_held = described.acquired;
        Ok(self.is_held)
    }

    /// Gives the lock back and waits until it is free.
    pub async fn release(mut self) -> Result<(), HostError> {
        self.is_held = false;
        self.ask("release", None, Some(self.token)).await.map(drop)
    }

    async fn ask(
        &self,
        action: &'static str,
        block_ms: Option<u64>,
        token: Option<u64>,
    ) -> Result<Described, HostError> {
        let request = self.request(action, block_ms, token);
        self.context.ask(&request, Payload::none()).await?.described()
    }

    fn request(&self, action: &'static str, block_ms: Option<u64>, token: Option<u64>) -> LockRequest<'_> {
        LockRequest {
            op: "lock",
            action,
            name: &self.name,
            ttl_ms: millis(self.ttl),
            block_ms,
            token,
        }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if self.is_held {
            self.context.tell(&self.request("release", None, Some(self.token)));
        }
    }
}
