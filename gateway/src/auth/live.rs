//! What outlives a policy: signatures seen, derived keys, failures.

use super::derived::DerivedKeys;
use super::lockout::Lockout;
use super::replay::Replay;
use crate::clock::Now;
use crate::signing::{sha256, wipe};
use ahash::HashMap;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// Replay caches and lockouts, kept across reloads; one per gateway.
#[derive(Default)]
pub struct Live {
    pub(super) lockout: Arc<Lockout>,
    credentials: Mutex<HashMap<Identity, State>>,
}

/// The first half of a SHA-256 over access key and secret key: the same pair finds its state again, also under
/// another tenant's name; a pair with a new secret starts afresh, as its old signatures verify no more.
type Identity = [u8; 16];

/// The state of one AK/SK pair.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) replay: Arc<Replay>,
    pub(super) derived: Arc<DerivedKeys>,
}

/// How much is held, for gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Signatures in all replay caches.
    pub signatures: usize,
    /// Pairs of credential and address that failed lately.
    pub failing: usize,
}

impl Live {
    /// Forgets what no longer counts: expired signatures, old failures, and the state of removed credentials
    /// once none of their signatures could pass for new. Call it about once a minute, off the workers.
    pub fn sweep(&self, now: Now) -> Held {
        let mut signatures = 0;
        self.credentials.lock().retain(|_, state| {
            let remembered = state.replay.sweep(now);
            signatures += remembered;
            remembered > 0 || Arc::strong_count(&state.replay) > 1
        });
        Held { signatures, failing: self.lockout.sweep(now) }
    }

    /// The state of a pair, new or as it was under the policy before.
    pub(super) fn state(&self, access_key: &str, secret_key: &[u8]) -> State {
        let mut identity = Vec::with_capacity(8 + access_key.len() + secret_key.len());
        identity.extend_from_slice(&(access_key.len() as u64).to_be_bytes());
        identity.extend_from_slice(access_key.as_bytes());
        identity.extend_from_slice(secret_key);
        let digest = sha256(&identity);
        wipe(&mut identity);

        let (identity, _) = digest.split_first_chunk().expect("16 <= 32");
        self.credentials.lock().entry(*identity).or_default().clone()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("credentials", &self.credentials.lock().len()).finish_non_exhaustive()
    }
}
