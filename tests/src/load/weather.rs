//! Who is being killed, and when: what explains a request whose end is unknown.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Whose death may be the reason of what a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dying {
    /// The load balancer: it holds the clients' connections.
    Front,
    /// A server or a worker: it has requests that the load balancer sent.
    Back,
}

#[derive(Debug)]
struct Spell {
    who: Dying,
    from: Instant,
    to: Option<Instant>,
}

/// The spells in which processes were killed.
#[derive(Debug, Default)]
pub struct Weather {
    spells: Mutex<Vec<Spell>>,
}

impl Weather {
    /// From now on, a process of this kind may be dead. Said before it is killed.
    pub fn begin(&self, who: Dying) {
        self.lock().push(Spell {
            who,
            from: Instant::now(),
            to: None,
        });
    }

    /// All is well again. Said after others are ready in the place of those that were killed.
    pub fn clear(&self) {
        let now = Instant::now();
        for spell in self.lock().iter_mut() {
            spell.to.get_or_insert(now);
        }
    }

    /// Whether such a process may have been dead at any moment of this time.
    pub fn had(&self, who: Dying, from: Instant, to: Instant) -> bool {
        let spells = self.lock();
        let mut of_it = spells.iter().filter(|spell| spell.who == who);
        of_it.any(|spell| spell.from <= to && spell.to.is_none_or(|end| from <= end))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Spell>> {
        self.spells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_explains_what_it_overlaps() {
        let weather = Weather::default();
        let before = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(2));
        weather.begin(Dying::Back);
        let during = Instant::now();
        assert!(weather.had(Dying::Back, before, during));
        assert!(!weather.had(Dying::Front, before, during));
        assert!(!weather.had(Dying::Back, before, before));
        weather.clear();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let after = Instant::now();
        assert!(weather.had(Dying::Back, during, after));
        assert!(!weather.had(Dying::Back, after, after));
    }
}
