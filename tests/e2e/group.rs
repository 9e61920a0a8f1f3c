//! Tests that share one set of clusters: starting those takes longer than most of what is tested on them.
//!
//! The first test that is asked for runs all of its group, one after the other in the order of the list, and ends the clusters;
//! each test then tells how its own part ended. So nothing is left running, whichever tests are chosen and however they end.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

/// How each test of a group ended: nothing, or why it failed.
pub(crate) type Outcomes = BTreeMap<&'static str, Result<(), String>>;

/// Tests on the same clusters.
pub(crate) struct Group {
    run: fn() -> Outcomes,
    outcomes: OnceLock<Outcomes>,
}

impl Group {
    /// A group whose tests this runs.
    pub(crate) const fn new(run: fn() -> Outcomes) -> Self {
        Self {
            run,
            outcomes: OnceLock::new(),
        }
    }

    /// Fails as this test of the group has failed.
    #[track_caller]
    pub(crate) fn check(&self, name: &str) {
        let outcomes = self.outcomes.get_or_init(self.run);
        if let Err(why) = &outcomes[name] {
            panic!("{name}: {why}");
        }
    }
}

/// A test of a group: its name and what it does with what the group shares.
pub(crate) type Member<F> = (&'static str, fn(&F));

/// Makes the fixture, runs every test on it, and takes it down.
pub(crate) fn run_on<F>(make: fn() -> F, tests: &[Member<F>]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let fixture = match caught(make) {
        Ok(fixture) => fixture,
        Err(why) => {
            let failed =
                |(name, _): &(&'static str, fn(&F))| (*name, Err(format!("what it needs can't be made: {why}")));
            return tests.iter().map(failed).collect();
        }
    };
    for (name, test) in tests {
        let outcome = caught(|| test(&fixture));
        if let Err(why) = &outcome {
            println!("{name} failed: {why}");
        }
        outcomes.insert(name, outcome);
    }
    outcomes
}

/// What a function returns, or why it panicked.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it panicked".to_owned())
    })
}

/// A group: what its tests share, and the functions of these names in the module `$steps`, each of which becomes a test.
macro_rules! group {
    ($make:path, $steps:ident: $($name:ident),+ $(,)?) => {
        static GROUP: $crate::group::Group = $crate::group::Group::new(|| {
            $crate::group::run_on($make, &[$((stringify!($name), $steps::$name)),+])
        });
        $(
            #[test]
            fn $name() {
                GROUP.check(stringify!($name));
            }
        )+
    };
}

pub(crate) use group;
