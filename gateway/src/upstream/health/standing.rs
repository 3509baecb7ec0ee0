//! What one probe has found out about a backend so far.

use super::rules::Probe;

/// A state machine: results in, whether the backend is let in out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In, because the program has just begun and nothing is known: the first result decides.
    Hoped,
    /// Not in, because it is new and has not shown yet that it is ready: the first success decides.
    Unproven,
    /// In; so many failures since the last success.
    In {
        /// Below `unhealthy_after`.
        failed: u32,
    },
    /// Out; so many successes since the last failure.
    Out {
        /// Below `healthy_after`.
        passed: u32,
    },
}

impl Standing {
    /// Does it get requests?
    pub fn lets_in(self) -> bool {
        matches!(self, Standing::Hoped | Standing::In { .. })
    }

    /// Where it stands after one more result.
    pub fn after(self, passed: bool, probe: &Probe) -> Standing {
        let (inside, outside) = (Standing::In { failed: 0 }, Standing::Out { passed: 0 });
        match (self, passed) {
            (Standing::Unproven, false) => Standing::Unproven,
            (Standing::Hoped, false) | (Standing::Out { .. }, false) => outside,
            (Standing::Hoped | Standing::Unproven | Standing::In { .. }, true) => inside,
            (Standing::In { failed }, false) if failed + 1 >= probe.unhealthy_after => outside,
            (Standing::In { failed }, false) => Standing::In { failed: failed + 1 },
            (Standing::Out { passed }, true) if passed + 1 >= probe.healthy_after => inside,
            (Standing::Out { passed }, true) => Standing::Out { passed: passed + 1 },
        }
    }
}
