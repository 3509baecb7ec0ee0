//! How long a backend is out whose requests fail: longer each time, until it behaves.

use super::rules::Eject;
use std::time::Duration;

/// The ejections of one backend.
#[derive(Debug, Default)]
pub struct Terms {
    /// When the last one ends or ended; 0: there was none.
    pub until_ms: u64,
    /// Ejections before it from which it had not recovered.
    level: u32,
    /// Its end has not been told yet.
    running: bool,
}

impl Terms {
    /// Takes it out; how long.
    pub fn begin(&mut self, rules: &Eject, now_ms: u64) -> Duration {
        let (first, longest) = (rules.first.as_millis() as u64, rules.longest.as_millis() as u64);
        let recovered = self.until_ms == 0 || now_ms.saturating_sub(self.until_ms) >= longest;
        self.level = if recovered { 0 } else { self.level.saturating_add(1) };
        let length_ms = first.saturating_mul(1 << self.level.min(32)).min(longest.max(first));
        self.until_ms = now_ms.saturating_add(length_ms);
        self.running = true;
        Duration::from_millis(length_ms)
    }

    /// Is it out now?
    pub fn is_out(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// Has the last one ended? Says so once.
    pub fn ended(&mut self, now_ms: u64) -> bool {
        let ended = self.running && !self.is_out(now_ms);
        self.running &= !ended;
        ended
    }
}
