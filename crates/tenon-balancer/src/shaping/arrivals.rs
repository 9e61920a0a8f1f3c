//! How many connections each address has.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections by address; of IPv6 by network of 64 bits, which one customer has at least.
#[derive(Debug, Default)]
pub(super) struct Arrivals([Mutex<HashMap<IpAddr, usize>>; SHARDS]);

const SHARDS: usize = 16;

/// A connection, counted while it lives.
#[derive(Debug)]
pub(crate) struct Arrival {
    arrivals: Arc<Arrivals>,
    key: IpAddr,
}

impl Arrivals {
    /// Counts one more connection of an address that may have `max`; none if it has them already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<Arrival> {
        let key = key_of(address);
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_default();
        if *count >= max {
            if *count == 0 {
                shard.remove(&key);
            }
            return None;
        }
        *count += 1;
        Some(Arrival {
            arrivals: Arc::clone(self),
            key,
        })
    }

    fn shard(&self, key: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let low = match key {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[7],
        };
        let shard = &self.0[usize::from(low) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let mut shard = self.arrivals.shard(self.key);
        if let Some(count) = shard.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                shard.remove(&self.key);
            }
        }
    }
}

fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}
