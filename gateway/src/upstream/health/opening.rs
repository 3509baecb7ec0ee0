//! From when on a backend is open, in one word: all that a pick reads.

/// Bits of the ramp; the rest, 42, hold milliseconds for 139 years.
const RAMP_BITS: u32 = 22;
const RAMP_MAX: u64 = (1 << RAMP_BITS) - 1;
const AT_MAX: u64 = u64::MAX >> RAMP_BITS;

/// All of a backend's weight.
pub const WHOLE: u32 = 256;

/// A time from which on a backend is open, and how long its share grows from there. The time, in milliseconds, stands
/// above the length of the ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening(pub u64);

impl Opening {
    /// Not before something is heard of it.
    pub const SHUT: Opening = Opening((AT_MAX - 1) << RAMP_BITS);
    /// The same, and it never was.
    pub const UNPROVEN: Opening = Opening(AT_MAX << RAMP_BITS);

    /// Open from `at_ms` on; whole `ramp_ms` later.
    pub fn at(at_ms: u64, ramp_ms: u64) -> Opening {
        Opening(at_ms.min(AT_MAX - 2) << RAMP_BITS | ramp_ms.min(RAMP_MAX))
    }

    /// The part of its weight, in 256ths: 0 before it is open, then 1 at least.
    #[inline]
    pub fn share(self, now_ms: u64) -> u32 {
        let (at, ramp) = (self.0 >> RAMP_BITS, self.0 & RAMP_MAX);
        match now_ms.checked_sub(at) {
            None => 0,
            Some(open) if open >= ramp => WHOLE,
            Some(open) => 1 + (open * u64::from(WHOLE - 1) / ramp) as u32, // below WHOLE, as open < ramp
        }
    }

    /// Has it ever been open?
    #[inline]
    pub fn is_proven(self) -> bool {
        self != Opening::UNPROVEN
    }
}
