//! Randomness as a parameter.

use std::fmt::Debug;
use std::sync::Mutex;

use rand::{RngCore, SeedableRng};

/// Where random bytes come from.
pub trait Random: Send + Sync + Debug + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A random number below `bound`; 0 if `bound` is 0.
    fn below(&self, bound: u64) -> u64 {
        let mut bytes = [0_u8; 8];
        self.fill(&mut bytes);
        if bound == 0 {
            0
        } else {
            u64::from_le_bytes(bytes) % bound
        }
    }
}

/// The thread's cryptographically secure generator, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rng().fill_bytes(buffer);
    }
}

/// A generator with a known seed, for simulations and tests.
#[derive(Debug)]
pub struct ManualRandom(Mutex<rand::rngs::StdRng>);

impl ManualRandom {
    /// The generator of this seed: the same seed gives the same bytes.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(rand::rngs::StdRng::seed_from_u64(seed)))
    }
}

impl Random for ManualRandom {
    fn fill(&self, buffer: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .fill_bytes(buffer);
    }
}
