//! What serves at one moment, and which of it a call has.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use tenon_model::CorrelationId;

use super::tally::{Side, Tally};
use crate::call::{CallSource, ServiceCall};
use crate::workers::{Pool, ServiceEntry};

/// What serves at one moment: one deployment of each group, and its canary. A change makes a new one; calls keep the one they
/// began with.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) groups: BTreeMap<String, GroupRoute>,
    pub(super) by_name: HashMap<String, Named>,
}

impl Live {
    pub(super) fn of(groups: BTreeMap<String, GroupRoute>) -> Self {
        let mut by_name: HashMap<String, Named> = HashMap::new();
        for route in groups.values() {
            for service in route.pool.iter().flat_map(Pool::services) {
                // Names are unique over groups when a deployment is committed; the first group keeps what is not.
                let target = route.pool.clone().map(|pool| (pool, service.clone()));
                let named = by_name.entry(service.name.clone()).or_default();
                named.live = named.live.take().or(target);
            }
        }
        for route in groups.values() {
            let Some(canary) = &route.canary else { continue };
            // Also the services that it lacks: it is to be known that a call of them stays with the live one.
            let lacking = route.pool.iter().flat_map(Pool::services);
            for service in canary.pool.services().iter().chain(lacking) {
                let named = by_name.entry(service.name.clone()).or_default();
                if named.live.as_ref().is_none_or(|(pool, _)| route.is_live(pool)) {
                    let target = canary.pool.service(&service.name);
                    let target = target.map(|entry| (canary.pool.clone(), entry.clone()));
                    named.canary = Some((canary.clone(), target));
                }
            }
        }
        Self { groups, by_name }
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = &Pool> {
        let canaries = self.groups.values().filter_map(|route| route.canary.as_ref());
        let live = self.groups.values().filter_map(|route| route.pool.as_ref());
        live.chain(canaries.map(|canary| &canary.pool))
    }
}

/// A service and what runs it.
pub(super) type Target = (Pool, Arc<ServiceEntry>);

/// What a name stands for.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) live: Option<Target>,
    /// The canary of its group, and the service there, if that has it.
    pub(super) canary: Option<(Canary, Option<Target>)>,
}

/// What serves a group.
#[derive(Debug, Clone)]
pub(super) struct GroupRoute {
    pub(super) deployment: u64,
    /// None for a deployment that has nothing to run.
    pub(super) pool: Option<Pool>,
    pub(super) canary: Option<Canary>,
}

impl GroupRoute {
    fn is_live(&self, pool: &Pool) -> bool {
        self.pool.as_ref().is_some_and(|live| live.is_same(pool))
    }
}

/// A deployment that serves a share of a group's calls. A clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    /// Its number.
    pub(crate) deployment: u64,
    /// What runs it.
    pub(crate) pool: Pool,
    /// How many of 100 calls it gets.
    pub(crate) share_percent: u8,
    /// What became of the calls of both since it began.
    pub(crate) tally: Arc<Tally>,
}

/// What served when a call began, in all groups. The services that it invokes are those of the same deployments, whatever was
/// deployed since; their workers stay until no call holds them any more. A clone is the same.
#[derive(Clone)]
pub struct DeploymentPin {
    live: Arc<Live>,
    /// Says, with the number of a canary, whether the call is one of those that it gets.
    dice: u64,
    /// The canary for which it is decided otherwise, and whether the call goes to it.
    forced: Option<(u64, bool)>,
}

impl DeploymentPin {
    /// The service of this name, and what runs it.
    pub(crate) fn find(&self, name: &str) -> Option<&Target> {
        let named = self.live.by_name.get(name)?;
        match &named.canary {
            Some((canary, target)) if self.goes_to(canary) => target.as_ref(),
            _ => named.live.as_ref(),
        }
    }

    /// The deployments of a call of a service that begins now.
    pub(super) fn new(live: Arc<Live>, cid: &CorrelationId, service: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        cid.hash(&mut hasher);
        let mut pin = Self {
            live,
            dice: hasher.finish(),
            forced: None,
        };
        pin.begin_with(service);
        pin
    }

    /// For the service that a call begins with: which one serves it, if it has one of them only, and so all that it invokes.
    fn begin_with(&mut self, name: &str) {
        let Some(named) = self.live.by_name.get(name) else {
            return;
        };
        if let Some((canary, target)) = &named.canary
            && (target.is_none() || named.live.is_none())
        {
            self.forced = Some((canary.deployment, target.is_some()));
        }
    }

    fn goes_to(&self, canary: &Canary) -> bool {
        match self.forced {
            Some((deployment, goes)) if deployment == canary.deployment => goes,
            _ => is_chosen(self.dice, canary.deployment, canary.share_percent),
        }
    }

    /// Where the outcome of a call is counted: while a canary of its group runs, if both have the service, and if it is not
    /// invoked by a service of the same deployment, whose own outcome counts.
    pub(crate) fn tally(&self, call: &ServiceCall) -> Option<(Arc<Tally>, Side)> {
        let named = self.live.by_name.get(&call.service)?;
        let (canary, target) = named.canary.as_ref()?;
        let ((live_pool, _), (canary_pool, _)) = (named.live.as_ref()?, target.as_ref()?);
        let (side, pool) = if self.goes_to(canary) {
            (Side::Canary, canary_pool)
        } else {
            (Side::Live, live_pool)
        };
        let is_inner = match &call.source {
            CallSource::Service(caller) => self.find(caller).is_some_and(|(other, _)| other.is_same(pool)),
            _ => false,
        };
        (!is_inner).then(|| (canary.tally.clone(), side))
    }
}

/// Whether a canary gets a call: the same for all calls of a correlation id, and independent of other canaries.
fn is_chosen(dice: u64, canary: u64, share_percent: u8) -> bool {
    // The numbers are those of splitmix64, which spreads neighbours over all values.
    let mut mixed = dice ^ canary.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % 100 < u64::from(share_percent)
}

impl fmt::Debug for DeploymentPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = self.live.groups.iter().map(|(group, route)| {
            let canary = route.canary.as_ref().filter(|canary| self.goes_to(canary));
            (group, canary.map_or(route.deployment, |canary| canary.deployment))
        });
        f.debug_map().entries(numbers).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_gets_its_share_whatever_others_get() {
        let calls = 0..20_000_u64;
        for share in [1, 10, 50, 99] {
            let chosen = calls.clone().filter(|dice| is_chosen(*dice, 7, share)).count();
            let expected = 200 * usize::from(share);
            assert!(chosen.abs_diff(expected) < 400, "{share} %: {chosen}");
        }
        let both = calls
            .filter(|dice| is_chosen(*dice, 7, 50) && is_chosen(*dice, 8, 50))
            .count();
        assert!(both.abs_diff(5_000) < 400, "{both}");
    }
}
