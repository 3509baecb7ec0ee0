//! What a tenant may use of a stream, as policy says it.

use std::num::NonZeroU32;
use std::time::Duration;

/// What a tenant may use of a stream. The default is as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// Open at the same time.
    pub connections: Option<NonZeroU32>,
    /// Begun, in a period.
    pub connects: Option<(NonZeroU32, Duration)>,
    /// Bytes per second from the callers.
    pub bytes_in: Option<NonZeroU32>,
    /// Bytes per second to the callers.
    pub bytes_out: Option<NonZeroU32>,
    /// Bytes per second, both ways together.
    pub bytes: Option<NonZeroU32>,
}

impl Rules {
    /// The stricter of both, number by number.
    pub fn and(self, other: Rules) -> Rules {
        let slower = |(n, period): &(NonZeroU32, Duration)| period.as_nanos() as u64 / u64::from(n.get());
        Rules {
            connections: lesser(self.connections, other.connections),
            connects: self.connects.into_iter().chain(other.connects).max_by_key(slower),
            bytes_in: lesser(self.bytes_in, other.bytes_in),
            bytes_out: lesser(self.bytes_out, other.bytes_out),
            bytes: lesser(self.bytes, other.bytes),
        }
    }

    /// Does it limit nothing?
    pub fn is_empty(&self) -> bool {
        *self == Rules::default()
    }
}

/// The lesser of two numbers, where nothing is more than any.
pub(super) fn lesser(one: Option<NonZeroU32>, other: Option<NonZeroU32>) -> Option<NonZeroU32> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(n: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(n)
    }

    #[test]
    fn the_stricter_of_two_rules_counts_number_by_number() {
        let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
        let one =
            Rules { connections: some(5), connects: Some((some(120).unwrap(), minute)), ..Rules::default() };
        let two =
            Rules { connections: some(9), connects: Some((some(1).unwrap(), second)), bytes: some(7), ..one };
        let both = Rules { connections: some(5), bytes: some(7), ..two };
        assert_eq!(one.and(two), both);
        assert_eq!(two.and(one), both);
    }
}
