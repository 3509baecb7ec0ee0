//! All gates by the names of their pools, kept across reloads.

use super::{Config, Gate};
use ahash::AHashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// One per gateway. Requests hold their gate and never look here.
#[derive(Default)]
pub struct Gates(Mutex<AHashMap<Arc<str>, Arc<Gate>>>);

impl Gates {
    /// Puts the gates of a policy in force: new ones are made, those that stay get their new numbers, and who waits
    /// keeps its place. A gate that no pool asks for any more serves its requests to the end and is forgotten.
    pub fn apply(&self, wanted: Vec<(Arc<str>, Config)>, now_us: u64) -> Vec<Arc<Gate>> {
        let mut known = self.0.lock();
        known.retain(|name, gate| {
            Arc::strong_count(gate) > 1 || wanted.iter().any(|(other, _)| other == name)
        });
        let gates = wanted.into_iter().map(|(name, config)| match known.get(&name) {
            Some(gate) => {
                gate.configure(config, now_us);
                Arc::clone(gate)
            }
            None => {
                let gate = Gate::new(config);
                known.insert(name, Arc::clone(&gate));
                gate
            }
        });
        gates.collect()
    }

    /// The gates in the order of their names: those of the policy in force, and those that one before it still holds.
    pub fn all(&self) -> Vec<(Arc<str>, Arc<Gate>)> {
        let mut known = self.0.lock();
        known.retain(|_, gate| Arc::strong_count(gate) > 1);
        let mut all: Vec<_> = known.iter().map(|(name, gate)| (Arc::clone(name), Arc::clone(gate))).collect();
        drop(known);
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// [`Gate::tick`] for each of them: who waits has its deadline also when no pool asks for its gate any more.
    pub fn tick(&self, now_us: u64) {
        self.all().iter().for_each(|(_, gate)| gate.tick(now_us));
    }
}
