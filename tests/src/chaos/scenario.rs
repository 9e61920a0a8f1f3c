//! What can happen to a cluster, as data.

use super::act::Act;
use super::part::Part;

/// Acts that are repeated while requests run.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: String,
    /// What is done, again and again.
    pub acts: Vec<Act>,
    /// Whether the next act is drawn, rather than the one after the last.
    pub is_random: bool,
    /// How many servers there are.
    pub servers: u32,
    /// Whether the cluster lies on a small disk of its own.
    pub has_small_disk: bool,
}

impl Scenario {
    fn of(name: impl Into<String>, acts: impl Into<Vec<Act>>) -> Self {
        Self {
            name: name.into(),
            acts: acts.into(),
            is_random: false,
            servers: 2,
            has_small_disk: false,
        }
    }

    /// Every scenario there is.
    pub fn all() -> Vec<Self> {
        let each = |what: &str, act: fn(Part) -> Act, parts: &[Part]| -> Vec<Self> {
            let of_part = |part: &Part| Self::of(format!("{what}-{}", part.name()), [act(*part)]);
            parts.iter().map(of_part).collect()
        };
        let components: Vec<Part> = Part::ALL.into_iter().filter(|part| part.is_component()).collect();
        let mut all = each("kill", Act::Kill, &Part::ALL);
        all.extend(each("stop", Act::Stop, &Part::ALL));
        all.extend(each("pause", Act::Pause, &Part::ALL));
        all.extend(each("restart", Act::Restart, &components));
        all.push(Self::of("rolling-restart", [Act::RestartAll]));
        all.push(Self::of("deploy", [Act::Deploy]));
        all.push(Self::of("roll-back", [Act::Deploy, Act::RollBack]));
        all.push(Self::of("apply", [Act::Apply]));
        all.push(Self::of("drain", [Act::Drain]));
        all.push(Self::of("add-and-remove", [Act::AddAndRemove]));
        all.push(Self::of("certificate", [Act::SwapCertificate]));
        all.push(Self {
            has_small_disk: true,
            ..Self::of("disk-full", [Act::FillDisk])
        });
        all.push(Self::random());
        all
    }

    fn random() -> Self {
        let kills = Part::ALL.map(Act::Kill);
        let restarts = [Part::Server, Part::LoadBalancer, Part::Store].map(Act::Restart);
        let stops = [Part::Server, Part::LoadBalancer, Part::Worker].map(Act::Pause);
        let changes = [
            Act::Deploy,
            Act::RollBack,
            Act::Apply,
            Act::RestartAll,
            Act::SwapCertificate,
        ];
        Self {
            is_random: true,
            ..Self::of("random", [&kills[..], &restarts, &stops, &changes].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_scenario_has_a_name_of_its_own_and_something_to_do() {
        let all = Scenario::all();
        let names: BTreeSet<&str> = all.iter().map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|scenario| !scenario.acts.is_empty()));
    }
}
