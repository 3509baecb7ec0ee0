//! How long are the answers? What nine of ten stay below, for one tenant on one model.
//!
//! `max_tokens` is no estimate of an answer: callers ask for 4,096 and take 150, and a limit that held
//! 4,096 for each would be idle nine tenths of the time. The nine-in-ten mark of what they took before is.
//!
//! The mark is followed by stochastic approximation (H. Robbins, S. Monro, 1951) on the logarithm of the
//! length: an answer above the mark lifts it by 0.9 steps, one below lowers it by 0.1, which balances where
//! one in ten is above. A step is a part of an octave, so short and long answers are followed equally well.
//! How long a step is follows the accelerated form (H. Kesten, 1958): while the mark is passed to and fro it
//! is near, and the step shrinks; when answers stay on one side for longer than chance would have it, the
//! answers have changed, and the step grows. A move ends at the answer that caused it, as in frugal streaming
//! (Q. Ma, S. Muthukrishnan, M. Sandler, arXiv:1407.1121), so equal answers are hit exactly.
//!
//! *Cost.* 16 bytes, 1 ns to ask, 7 to learn, no allocation, no randomness.

/// Part of the answers that stay below the mark.
const BELOW: f32 = 0.9;

/// Surprise, in bits, of one more answer above or below the mark: -log2 of its chance.
const BITS_ABOVE: f32 = 3.322;
const BITS_BELOW: f32 = 0.152;

/// The mark before anything is learned, in octaves: 256 tokens.
const FIRST: f32 = 8.0;

/// The mark stays between 16 tokens and what no model answers in one go: 16,777,216.
const LEAST: f32 = 4.0;
const MOST: f32 = 24.0;

/// Shortest step, in octaves: for steady answers the mark strays by about a tenth.
const STEP_MIN: f32 = 1.0 / 16.0;

/// Longest step, in octaves, and the first.
const STEP_MAX: f32 = 1.0;

/// What is left of a step when answers change sides.
const SHRINK: f32 = 0.8;

/// A run of answers on one side is chance up to this many bits: about one in a thousand.
const CHANCE: f32 = 10.0;

/// A mark as a number of tokens.
fn whole(mark: f32) -> u32 {
    (mark.exp2() + 0.5) as u32
}

/// The length that nine of ten answers stay below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// The mark: log2 of tokens.
    mark: f32,
    /// Length of a step, in octaves.
    step: f32,
    /// Surprise of the present run of answers on one side, in bits; negative below the mark.
    run: f32,
    /// The mark in whole tokens: worked out when it moves, not for every request.
    tokens: u32,
}

impl Default for Quantile {
    fn default() -> Quantile {
        Quantile { mark: FIRST, step: STEP_MAX, run: 0.0, tokens: whole(FIRST) }
    }
}

impl Quantile {
    /// Tokens to hold for an answer: the mark, at least 16; never more than the caller asked for.
    #[inline]
    pub fn reserve(&self, max_tokens: Option<u64>) -> u64 {
        let mark = u64::from(self.tokens);
        max_tokens.map_or(mark, |max_tokens| mark.min(max_tokens))
    }

    /// Learns that an answer was `actual` tokens long.
    pub fn learn(&mut self, actual: u64) {
        let answer = (actual.max(1) as f32).log2().clamp(LEAST, MOST);
        if answer > self.mark {
            self.pace(self.run > 0.0, BITS_ABOVE);
            self.mark = answer.min(self.mark + BELOW * self.step);
        } else if answer < self.mark {
            self.pace(self.run < 0.0, -BITS_BELOW);
            self.mark = answer.max(self.mark - (1.0 - BELOW) * self.step);
        } else {
            self.pace(false, 0.0);
        }
        self.tokens = whole(self.mark);
    }

    /// Makes the step longer if one more answer on the same side is too many, shorter if it ends their run.
    fn pace(&mut self, same_side: bool, bits: f32) {
        if !same_side {
            self.run = bits;
            self.step = (self.step * SHRINK).max(STEP_MIN);
            return;
        }
        self.run += bits;
        if self.run.abs() > CHANCE {
            self.step = (self.step * (bits.abs() / BITS_ABOVE).exp2()).min(STEP_MAX);
        }
    }
}
