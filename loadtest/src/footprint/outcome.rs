//! Outcome: what was measured, part by part.

use serde::{Deserialize, Serialize};

use crate::measure::Machine;

/// Everything; what `--json` writes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Day, UTC.
    pub date: String,
    /// Commit of the tree, with `-dirty` if changed; empty if unknown.
    pub commit: String,
    /// The command line.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// If it was asked for, as the others.
    pub idle: Option<Idle>,
    /// Many tenants.
    pub tenants: Option<Tenants>,
    /// Many connections.
    pub connections: Option<Connections>,
    /// Many reloads.
    pub reloads: Option<Reloads>,
}

impl Outcome {
    /// Whether a reload has cost a request: the only thing here that is wrong on any machine.
    pub fn is_sound(&self) -> bool {
        self.reloads.as_ref().is_none_or(|reloads| reloads.failed == 0 && reloads.requests > 0)
    }
}

/// Memory before there was any load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// Resident set.
    pub bytes: u64,
}

/// Memory and times with many tenants.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tenants {
    /// How many, with one user each and a plan of three limits.
    pub tenants: u32,
    /// From the gateway's start until it served, milliseconds.
    pub ready_ms: f64,
    /// Resident set then.
    pub loaded_bytes: u64,
    /// From a change of the policy to its effect, milliseconds.
    pub effect_ms: f64,
    /// Resident set afterwards.
    pub reloaded_bytes: u64,
}

/// Memory of idle connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// How many, each of which has served one request.
    pub connections: u32,
    /// Resident set before them.
    pub before_bytes: u64,
    /// Resident set with them.
    pub after_bytes: u64,
}

impl Connections {
    /// Bytes for each.
    pub fn each_bytes(&self) -> f64 {
        self.after_bytes.saturating_sub(self.before_bytes) as f64 / f64::from(self.connections)
    }
}

/// Policies written again and again under load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reloads {
    /// Policies that were to be written.
    pub wanted: u32,
    /// Policies that were written and took effect while the load lasted.
    pub made: u32,
    /// From a rename to its effect, milliseconds: the middle one.
    pub effect_median_ms: f64,
    /// The longest.
    pub effect_max_ms: f64,
    /// Requests sent.
    pub requests: u64,
    /// Streams among them that came to their end.
    pub streams: u64,
    /// Requests that were not answered well.
    pub failed: u64,
    /// Why not.
    pub failures: Vec<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every bar met, but for memory with tenants after a reload.
    pub fn example() -> Outcome {
        const MIB: u64 = 1 << 20;
        Outcome {
            date: "2026-01-02".into(),
            commit: "0123456789abcdef".into(),
            command: "pangu-loadtest footprint".into(),
            machine: Machine {
                processor: "A processor".into(),
                cores: 2,
                kernel: "6.1".into(),
                load_average: 0.1,
            },
            idle: Some(Idle { bytes: 12 * MIB }),
            tenants: Some(Tenants {
                tenants: 100_000,
                ready_ms: 900.0,
                loaded_bytes: 60 * MIB,
                effect_ms: 700.0,
                reloaded_bytes: 110 * MIB,
            }),
            connections: Some(Connections {
                connections: 1024,
                before_bytes: 10 * MIB,
                after_bytes: 30 * MIB,
            }),
            reloads: Some(Reloads {
                wanted: 1000,
                made: 1000,
                effect_median_ms: 25.0,
                effect_max_ms: 61.0,
                requests: 20_000,
                streams: 1300,
                failed: 0,
                failures: vec![],
            }),
        }
    }

    #[test]
    fn a_request_that_failed_is_wrong_and_slowness_is_not() {
        let mut outcome = example();
        assert!(outcome.is_sound());
        assert!(Outcome::default().is_sound(), "nothing was asked for");
        let reloads = outcome.reloads.as_mut().unwrap();
        reloads.effect_max_ms = 5000.0;
        assert!(outcome.is_sound());
        outcome.reloads.as_mut().unwrap().failed = 1;
        assert!(!outcome.is_sound());
        outcome.reloads.as_mut().unwrap().failed = 0;
        outcome.reloads.as_mut().unwrap().requests = 0;
        assert!(!outcome.is_sound(), "no load, no evidence");
    }

    #[test]
    fn memory_is_shared_out_among_connections() {
        assert_eq!(example().connections.unwrap().each_bytes(), 20.0 * 1024.0);
        let fewer = Connections { connections: 5, before_bytes: 9, after_bytes: 8 };
        assert_eq!(fewer.each_bytes(), 0.0);
    }

    #[test]
    fn the_json_form_can_be_read_back() {
        let text = serde_json::to_string(&example()).unwrap();
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), example());
    }
}
