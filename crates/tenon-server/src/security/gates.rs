//! From security definitions and rate limits to what stands before each channel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tenon_connectors::Credentials;
use tenon_model::Clock;

use super::callers::{CallerId, Callers};
use super::definitions::Definition;
use super::gate::Gate;
use super::guard::{CallerLimits, Guard};
use super::jwt::KeySets;
use super::scheme::Scheme;
use crate::rate_limits::{Limiter, Limits};

/// Makes gates of the definitions of one moment. Channels that let in the same share one guard.
pub(crate) struct Gates {
    definitions: BTreeMap<String, Definition>,
    callers: Arc<Callers>,
    limits: Limits,
    made: Mutex<Made>,
    /// Kept, so that keys of issuers that were fetched stay from one moment to the next.
    keys: KeySets,
}

/// What was made of definitions so far.
#[derive(Default)]
struct Made {
    limiters: HashMap<String, Arc<Limiter>>,
    guards: HashMap<Vec<String>, Guard>,
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gates")
    }
}

impl Gates {
    /// Takes all definitions, by name; says which can't be used, and why. Keys of issuers are taken over from the gates of
    /// before; `ca_file` has the certificate authorities that are trusted when they are fetched. Must be called within a tokio
    /// runtime.
    pub(crate) fn new(
        definitions: BTreeMap<String, Definition>,
        limits: Limits,
        before: Option<&Self>,
        ca_file: &Path,
        clock: &Arc<dyn Clock>,
    ) -> (Self, Vec<(String, String)>) {
        let mut keys = KeySets::following(before.map(|gates| &gates.keys), ca_file.to_owned());
        let mut callers = Callers::default();
        let mut unusable = Vec::new();
        for (name, definition) in &definitions {
            if let Err(reason) = callers.add(name, definition, &mut keys, clock) {
                unusable.push((name.clone(), reason));
            }
        }
        let gates = Self {
            definitions,
            callers: Arc::new(callers),
            limits,
            made: Mutex::default(),
            keys: keys.complete(),
        };
        (gates, unusable)
    }

    /// What stands before a channel: whom it lets in (empty: everybody), and its own limit.
    pub(crate) fn gate(&self, channel: &str, security: &[String], rate_limit: Option<&str>) -> Gate {
        let limiter = rate_limit.map(|name| self.limits.limiter(name, &format!("channel/{channel}")));
        Gate::new(self.guard(security), limiter)
    }

    /// What an outgoing connection sends that names a definition.
    pub(crate) fn credentials(&self, name: &str) -> Option<Credentials> {
        self.definitions.get(name)?.credentials()
    }

    /// How callers show who they are whom these definitions let in, each way once.
    pub(crate) fn schemes(&self, security: &[String]) -> Vec<Scheme> {
        let mut schemes = BTreeSet::new();
        for definition in security.iter().filter_map(|name| self.definitions.get(name)) {
            schemes.extend(Scheme::of(definition));
            if let Definition::Group(group) = definition {
                let members = group.members.iter().filter_map(|name| self.definitions.get(name));
                schemes.extend(members.flat_map(Scheme::of));
            }
        }
        schemes.into_iter().collect()
    }

    /// A channel that refers to definitions none of which can be used lets in nobody.
    fn guard(&self, security: &[String]) -> Guard {
        if security.is_empty() {
            return Guard::open();
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.guards.get(security) {
            return known.clone();
        }
        let mut allowed = HashMap::new();
        for name in security {
            self.allow(name, &mut made, &mut allowed);
        }
        let guard = Guard::new(&self.callers, allowed);
        made.guards.insert(security.to_vec(), guard.clone());
        guard
    }

    fn allow(&self, name: &str, made: &mut Made, allowed: &mut HashMap<CallerId, CallerLimits>) {
        let members = match self.definitions.get(name) {
            Some(Definition::Group(group)) => group.members.clone(),
            Some(_) => vec![name.to_owned()],
            None => return,
        };
        let of_group = self.limiter(name, made);
        let shared: CallerLimits = of_group.clone().into_iter().collect();
        for member in members {
            let Some(id) = self.callers.id_of(&member) else {
                continue;
            };
            let own = if member == name {
                None
            } else {
                self.limiter(&member, made)
            };
            let limits = match own {
                None => Arc::clone(&shared),
                Some(own) => of_group.iter().cloned().chain([own]).collect(),
            };
            // Named directly and in a group, or in two groups: the first one counts.
            allowed.entry(id).or_insert(limits);
        }
    }

    /// The limit of a definition or group.
    fn limiter(&self, name: &str, made: &mut Made) -> Option<Arc<Limiter>> {
        let limit = self.definitions.get(name)?.rate_limit()?;
        let limiter = made.limiters.entry(name.to_owned());
        let limiter = limiter.or_insert_with(|| self.limits.limiter(limit, &format!("security/{name}")));
        Some(Arc::clone(limiter))
    }
}
