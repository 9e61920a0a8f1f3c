//! All kinds there are, as a value that the binary assembles and hands down.

use std::collections::BTreeMap;

use crate::kind::Kind;

/// The kinds of objects that this cluster knows, by name.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    kinds: BTreeMap<&'static str, Kind>,
}

impl Catalog {
    /// A catalog of these kinds. The last of two with one name wins.
    pub fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self {
            kinds: kinds.into_iter().map(|kind| (kind.name, kind)).collect(),
        }
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    /// Every kind, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.values()
    }

    /// The names of all kinds, for messages that list them.
    pub fn names(&self) -> Vec<&'static str> {
        self.kinds.keys().copied().collect()
    }
}
