//! Background calls: services that nobody waits for. The store keeps them until they have been made; here they are made.
//!
//! A call that is put while there is room is this server's at once; otherwise, and when its server dies, any server claims it.
//! The end of a call and what follows from it (who is told, the end of a fan-out) are one transaction, so that a crash in
//! between loses neither: the call is made again or what follows is there. So a service may be called twice, but not never.

mod in_hand;
mod step;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tenon_model::{Clock, CorrelationId, InstanceId};
use tenon_store::{
    BackgroundClaim, BackgroundClaimer, BackgroundOutcome, ClaimedBackground, Event, Events, NewBackground, Store,
    StoreError,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::in_hand::InHand;
pub use self::step::BackgroundKind;
pub(crate) use self::step::{CallStep, JoinStep, Step};
use self::step::{Ended, Passing, end_of_call, end_of_join};
use crate::call::{CallSource, ServiceCall};
use crate::invoke::Invoker;
use crate::settings::BackgroundSettings;

/// How often is looked for calls although nothing told that there are any.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The pause before a call that found no worker is tried again; it doubles with each time.
const RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// The pause before the end of a call is told to the store again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// What background calls are made with.
pub(crate) struct BackgroundParts {
    /// Where they are kept.
    pub(crate) store: Store,
    /// The path to services.
    pub(crate) invoker: Arc<Invoker>,
    /// This server's name.
    pub(crate) server: String,
    /// This life of its process.
    pub(crate) instance: InstanceId,
    /// What callbacks are told of the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Limits.
    pub(crate) settings: BackgroundSettings,
}

/// Puts and makes background calls. One per server.
pub(crate) struct Background {
    parts: BackgroundParts,
    in_hand: InHand,
    tasks: TaskTracker,
    /// No more calls are begun.
    closed: CancellationToken,
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("in_hand", &self.in_hand)
            .finish_non_exhaustive()
    }
}

impl Background {
    /// Takes calls at once, and makes them while it [runs](Self::run).
    pub(crate) fn new(parts: BackgroundParts) -> Arc<Self> {
        Arc::new(Self {
            in_hand: InHand::new(parts.settings.calls_max),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
            parts,
        })
    }

    /// How long a call may take if nobody says otherwise.
    pub(crate) fn default_timeout(&self) -> Duration {
        self.parts.settings.timeout.0
    }

    /// Keeps calls, all or none. When this returns they are on disk; `then` is made when the others have ended.
    pub(crate) async fn put(
        self: &Arc<Self>,
        calls: Vec<NewBackground>,
        then: Option<NewBackground>,
    ) -> Result<(), StoreError> {
        let places = if self.closed.is_cancelled() {
            None
        } else {
            self.in_hand.reserve(calls.len())
        };
        let Some(places) = places else {
            return self.parts.store.put_background(calls, then, None).await.map(drop);
        };
        let claimer = Some(self.claimer());
        let claims = self.parts.store.put_background(calls.clone(), then, claimer).await?;
        drop(places);
        let put_at = self.parts.clock.now();
        for (claim, call) in claims.into_iter().zip(calls) {
            self.begin(ClaimedBackground {
                claim,
                cid: call.cid,
                service: call.service,
                step: call.step,
                payload: call.payload,
                put_at,
                retries: 0,
                lost: 0,
                ends: Vec::new(),
            });
        }
        Ok(())
    }

    /// Makes calls until told to stop, while `ready` says that the server takes work. Then it takes no more, lets those that
    /// run end for a while, and gives the others back.
    pub(crate) async fn run(self: Arc<Self>, ready: impl Fn() -> bool + Send, stop: CancellationToken) {
        let renewing = CancellationToken::new();
        let renewal = tokio::spawn(Arc::clone(&self).renew(renewing.clone()));
        let mut events = self.parts.store.events();
        loop {
            if ready() {
                self.claim().await;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.in_hand.has_room() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = something_due(&mut events) => {}
            }
        }
        self.closed.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(self.parts.settings.drain_timeout.0, self.tasks.wait()).await;
        if drained.is_err() {
            let left = self.in_hand.end_all();
            self.tasks.wait().await;
            tracing::info!(
                calls = left.len(),
                "background calls that had not ended are left to other servers"
            );
            if let Err(error) = self.parts.store.release_background(left).await {
                tracing::warn!(%error, "background calls could not be given back; others take them when their claims end");
            }
        }
        renewing.cancel();
        let _ = renewal.await;
    }

    fn claimer(&self) -> BackgroundClaimer {
        BackgroundClaimer {
            server: self.parts.server.clone(),
            instance: self.parts.instance.clone(),
            lease_ms: self.lease_ms(),
        }
    }

    fn lease_ms(&self) -> u64 {
        u64::try_from(self.parts.settings.lease.0.as_millis()).unwrap_or(u64::MAX)
    }

    async fn claim(self: &Arc<Self>) {
        let room = self.in_hand.room();
        if room == 0 {
            return;
        }
        let max = u32::try_from(room).unwrap_or(u32::MAX);
        match self.parts.store.claim_background(self.claimer(), max).await {
            Ok(calls) => calls.into_iter().for_each(|call| self.begin(call)),
            Err(error) => tracing::warn!(%error, "background calls can't be claimed"),
        }
    }

    fn begin(self: &Arc<Self>, call: ClaimedBackground) {
        let claim = call.claim;
        let background = Arc::clone(self);
        self.in_hand.begin(claim, || {
            let task = self.tasks.spawn(async move {
                background.make(call).await;
                background.in_hand.remove(claim);
            });
            task.abort_handle()
        });
    }

    /// Makes a call and tells the store how it ended.
    async fn make(&self, call: ClaimedBackground) {
        let parts = &self.parts;
        let end = match serde_json::from_value::<Step>(call.step.clone()) {
            Ok(Step::Call(step)) => {
                let ended = self.attempt(&call, &step).await;
                if let Some((delay, error)) = self.why_again(&call, &step, &ended) {
                    self.put_back(call.claim, delay, &error).await;
                    return;
                }
                if !ended.is_ok() {
                    tracing::warn!(cid = %call.cid, service = %call.service, error = %ended.error,
                        "the background call of '{}' failed", call.service);
                }
                end_of_call(&call, &step, ended, parts.clock.now())
            }
            Ok(Step::Join(step)) => end_of_join(&call, &step, parts.clock.now()),
            Err(error) => Err(error),
        };
        let (outcome, next) = end.unwrap_or_else(|error| {
            let outcome = BackgroundOutcome {
                is_ok: false,
                end: serde_json::Value::Null,
                error: format!("what was kept of the call can't be read: {error}"),
            };
            (outcome, Vec::new())
        });
        self.finish(call.claim, outcome, next).await;
    }

    async fn attempt(&self, call: &ClaimedBackground, step: &CallStep) -> Ended {
        let most = self.parts.settings.lost_attempts_max;
        if call.lost >= most {
            let error = format!("{} servers died while they made it, or let it go", call.lost);
            return Ended::failed(error);
        }
        let cid = CorrelationId::from_text(call.cid.clone());
        let source = CallSource::Background(step.kind, step.by.clone());
        let deadline = Instant::now() + Duration::from_millis(step.timeout_ms);
        let service_call =
            ServiceCall::new(cid, &call.service, source, deadline).with_payload(call.payload.clone(), step.is_json);
        Ended::of(self.parts.invoker.invoke(service_call).await)
    }

    /// In how long and why a call that did not go well is made again; none if it is not.
    fn why_again(&self, call: &ClaimedBackground, step: &CallStep, ended: &Ended) -> Option<(Duration, String)> {
        if ended.is_ok() || call.lost >= self.parts.settings.lost_attempts_max {
            return None;
        }
        let retries_max = match ended.passing {
            None => 0,
            Some(Passing::NotBegun) => self.parts.settings.not_begun_max,
            Some(Passing::WorkerDied) => self.parts.settings.worker_deaths_max,
        };
        if call.retries < retries_max {
            let doublings = call.retries.min(16);
            let delay = RETRY_MIN.saturating_mul(1 << doublings).min(RETRY_MAX);
            return Some((delay, ended.error.clone()));
        }
        (call.retries < step.repeats).then(|| (Duration::from_millis(step.delay_ms), ended.error.clone()))
    }

    async fn put_back(&self, claim: BackgroundClaim, delay: Duration, error: &str) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        while !self.is_told(claim, self.parts.store.retry_background(claim, delay_ms, error).await) {
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }

    async fn finish(&self, claim: BackgroundClaim, outcome: BackgroundOutcome, next: Vec<NewBackground>) {
        loop {
            let told = self
                .parts
                .store
                .finish_background(claim, outcome.clone(), next.clone())
                .await;
            if self.is_told(claim, told) {
                return;
            }
            tokio::time::sleep(TELL_AGAIN).await;
        }
    }

    /// Whether the store knows how a call ended, or will never want to.
    fn is_told(&self, claim: BackgroundClaim, told: Result<(), StoreError>) -> bool {
        match told {
            Ok(()) => true,
            Err(error) if error.is_transient() => {
                tracing::warn!(call = claim.id, %error, "the end of a background call is told to the store again");
                false
            }
            Err(StoreError::Fenced(why)) => {
                tracing::info!(
                    call = claim.id,
                    "the background call was another server's when it ended: {why}"
                );
                true
            }
            Err(error) => {
                tracing::error!(call = claim.id, server = %self.parts.server, %error,
                    "the end of a background call was not recorded; it is made again");
                true
            }
        }
    }

    /// Keeps the claims of calls in hand, and ends those that are no longer ours.
    async fn renew(self: Arc<Self>, stop: CancellationToken) {
        let lease = self.parts.settings.lease.0;
        let mut renewed_at = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(lease / 4) => {}
            }
            let claims = self.in_hand.claims();
            if claims.is_empty() {
                renewed_at = Instant::now();
                continue;
            }
            match self.parts.store.renew_background(claims.clone(), self.lease_ms()).await {
                Ok(ours) => {
                    renewed_at = Instant::now();
                    let lost = claims.into_iter().filter(|claim| !ours.contains(claim));
                    lost.for_each(|claim| self.in_hand.end(claim));
                }
                Err(error) if renewed_at.elapsed() < lease => {
                    tracing::warn!(%error, "the claims of background calls can't be renewed");
                }
                Err(error) => {
                    tracing::error!(%error, "the claims of background calls ran out; other servers make them");
                    for claim in claims {
                        self.in_hand.end(claim);
                    }
                }
            }
        }
    }
}

/// Waits for an event after which there may be something to claim.
async fn something_due(events: &mut Events) {
    loop {
        match events.recv().await {
            Some(Event::Background | Event::Reconnected) | None => return,
            Some(_) => {}
        }
    }
}
