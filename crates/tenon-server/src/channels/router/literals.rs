//! The children of a node by their text: a hash table in small shared pieces, so that a change copies one of them.

use std::sync::Arc;

use super::tree::Node;

/// How many entries a piece has on average at most.
const PIECE_ENTRIES: usize = 8;

/// Nodes by the literal segment that leads to them.
#[derive(Debug, Clone)]
pub(super) struct Literals {
    /// A power of two of them.
    pieces: Vec<Arc<Vec<Entry>>>,
    count: usize,
}

#[derive(Debug, Clone)]
struct Entry {
    hash: u64,
    text: Arc<str>,
    node: Arc<Node>,
}

impl Default for Literals {
    fn default() -> Self {
        Self {
            pieces: vec![Arc::default()],
            count: 0,
        }
    }
}

impl Literals {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.pieces
            .iter()
            .flat_map(|piece| piece.iter().map(|entry| &*entry.node))
    }

    pub(super) fn get(&self, text: &str) -> Option<&Node> {
        if self.count == 0 {
            return None;
        }
        let hash = hash_of(text);
        let piece = &self.pieces[self.piece_of(hash)];
        let entry = piece.iter().find(|entry| entry.hash == hash && &*entry.text == text)?;
        Some(&entry.node)
    }

    pub(super) fn get_or_insert(&mut self, text: &str) -> &mut Node {
        let hash = hash_of(text);
        let known = |entries: &[Entry]| {
            entries
                .iter()
                .position(|entry| entry.hash == hash && &*entry.text == text)
        };
        let mut index = self.piece_of(hash);
        let place = known(&self.pieces[index]).unwrap_or_else(|| {
            if self.count >= self.pieces.len() * PIECE_ENTRIES {
                self.grow();
                index = self.piece_of(hash);
            }
            self.count += 1;
            let entries = Arc::make_mut(&mut self.pieces[index]);
            entries.push(Entry {
                hash,
                text: text.into(),
                node: Arc::default(),
            });
            entries.len() - 1
        });
        Arc::make_mut(&mut Arc::make_mut(&mut self.pieces[index])[place].node)
    }

    pub(super) fn remove(&mut self, text: &str) {
        let hash = hash_of(text);
        let index = self.piece_of(hash);
        let entries = Arc::make_mut(&mut self.pieces[index]);
        let before = entries.len();
        entries.retain(|entry| entry.hash != hash || &*entry.text != text);
        self.count -= before - entries.len();
    }

    fn piece_of(&self, hash: u64) -> usize {
        // The low bits suffice: a table never has more than 2^32 pieces.
        usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & (self.pieces.len() - 1)
    }

    fn grow(&mut self) {
        let mut pieces: Vec<Vec<Entry>> = vec![Vec::new(); self.pieces.len() * 2];
        let mask = pieces.len() - 1;
        for entry in self.pieces.iter().flat_map(|piece| piece.iter()) {
            let index = usize::try_from(entry.hash & 0xffff_ffff).unwrap_or(0) & mask;
            pieces[index].push(entry.clone());
        }
        self.pieces = pieces.into_iter().map(Arc::new).collect();
    }
}

/// FNV-1a with its high half folded in. Callers only look up, so that nobody outside can fill a piece.
fn hash_of(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ (hash >> 32)
}
