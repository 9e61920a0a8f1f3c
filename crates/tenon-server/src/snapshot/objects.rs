//! All objects in order, in shared pieces: one more among fifty thousand copies a piece, not all.

use std::sync::Arc;

use tenon_model::{Object, ObjectKey};

use crate::channels::Route;

/// How many objects a piece has at most.
const PIECE_MAX: usize = 256;

/// An object, and what it became.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// As it was written.
    pub(super) object: Arc<Object>,
    /// The route that it makes, if it is a channel that can be used.
    pub(super) route: Option<Arc<Route>>,
}

/// Objects by key. A clone is cheap, and changing it leaves the original as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectMap {
    /// In order; none is empty.
    pieces: Vec<Arc<Vec<(ObjectKey, Part)>>>,
}

impl ObjectMap {
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.pieces.iter().flat_map(|piece| piece.iter().map(|(_, part)| part))
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&Part> {
        let piece = self.pieces.get(self.piece_of(key))?;
        let index = piece.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        Some(&piece[index].1)
    }

    pub(super) fn insert(&mut self, key: ObjectKey, part: Part) {
        let index = self.piece_of(&key);
        let Some(piece) = self.pieces.get_mut(index) else {
            self.pieces.push(Arc::new(vec![(key, part)]));
            return;
        };
        let piece = Arc::make_mut(piece);
        match piece.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => piece[place].1 = part,
            Err(place) => piece.insert(place, (key, part)),
        }
        if piece.len() > PIECE_MAX {
            let tail = piece.split_off(PIECE_MAX / 2);
            self.pieces.insert(index + 1, Arc::new(tail));
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Part> {
        let index = self.piece_of(key);
        let piece = self.pieces.get_mut(index)?;
        let place = piece.binary_search_by(|(known, _)| known.cmp(key)).ok()?;
        let piece = Arc::make_mut(piece);
        let (_, part) = piece.remove(place);
        if piece.is_empty() {
            self.pieces.remove(index);
        }
        Some(part)
    }

    /// The piece that has the key, or would take it.
    fn piece_of(&self, key: &ObjectKey) -> usize {
        let after = self
            .pieces
            .partition_point(|piece| piece.first().is_some_and(|(first, _)| first <= key));
        after.saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;
    use tenon_model::{Revision, Timestamp};

    use super::*;

    fn part(number: u64) -> Part {
        let object = Object {
            kind: "k".to_owned(),
            name: "n".parse().unwrap(),
            body: json!({}),
            version: number,
            revision: Revision(0),
            manifest: None,
            updated_at: Timestamp::from_millis(0),
        };
        Part {
            object: Arc::new(object),
            route: None,
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(changes in prop::collection::vec((0_u32..2_000, any::<bool>()), 0..1_500)) {
            let mut map = ObjectMap::default();
            let mut model = BTreeMap::new();
            for (index, (number, adds)) in changes.into_iter().enumerate() {
                let key = ObjectKey::new("k", format!("n{number}").parse().unwrap());
                if adds {
                    map.insert(key.clone(), part(index as u64));
                    model.insert(key, index as u64);
                } else {
                    prop_assert_eq!(map.remove(&key).map(|part| part.object.version), model.remove(&key));
                }
            }
            prop_assert_eq!(map.len(), model.len());
            let versions: Vec<u64> = map.parts().map(|part| part.object.version).collect();
            prop_assert_eq!(versions, model.values().copied().collect::<Vec<_>>());
            for (key, version) in &model {
                prop_assert_eq!(map.get(key).map(|part| part.object.version), Some(*version));
            }
        }
    }
}
