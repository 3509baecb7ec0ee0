//! How many tokens will a prompt be? From its bytes alone, with coefficients learned per model.
//!
//! A tokenizer run on every prompt costs a millisecond per 16 KB; counting bytes costs a microsecond, and
//! `usage.prompt_tokens` of every answer tells how far off the count was. So
//!
//! ```text
//! tokens = ascii * [bytes below 0x80] + wide * [bytes from 0x80 on] + message * [messages] + base
//! ```
//!
//! is fitted while it is used, by normalised least mean squares (B. Widrow, M. E. Hoff: Adaptive switching
//! circuits, 1960; J. Nagumo, A. Noda, 1967): after every answer the coefficients move against its error, a
//! twentieth of what would have made this one exact. Two things are our own. The error is shared out by what
//! each part of the sum would weigh by a first guess, not by bytes against messages: else `message` and
//! `base` would stand still beside thousands of bytes. And an error counts for at most as much as was
//! estimated: whatever an upstream claims, it moves the estimate for the same prompt by a twentieth at most.
//!
//! *Cost.* 5 ns to estimate, 15 to learn, no allocation, 20 bytes per model. Deterministic: the same answers in the same
//! order make the same coefficients.

use crate::usage::Text;

/// Coefficients before anything is learned: tokens per ASCII byte, per other byte, per message, per prompt.
/// English and code take about 3.7 bytes a token, Chinese about 4 of UTF-8.
const FIRST: Parts = [0.27, 0.25, 4.0, 3.0];

/// How an error is shared out: in proportion to the squares of these times what the prompt has of each. They
/// are the first guesses, but for the base, which may be a service's own instructions of any length.
const SHARES: Parts = [0.27, 0.25, 4.0, 32.0];

/// What a coefficient can be at least: no tokenizer makes one token of more than 20 bytes on average, and no
/// prompt is of no token, so an error can be told in parts of any estimate.
const LEAST: Parts = [0.05, 0.05, 0.0, 1.0];

/// What a coefficient can be at most. Byte-level tokenizers make a token of every byte at worst; some
/// services put long instructions of their own before every prompt.
const MOST: Parts = [1.0, 1.0, 64.0, 4096.0];

/// Part of an answer's error that is made good at once.
const STEP: f32 = 0.05;

/// Weight of the newest answer in the mean error.
const NEWEST: f32 = 1.0 / 32.0;

/// The error supposed before anything is learned.
const FIRST_ERROR: f32 = 0.2;

/// Mean errors that are reserved on top of the estimate.
const MARGIN: f32 = 1.5;

/// An answer this many times over or under the estimate says nothing about the text.
const ABSURD: f32 = 100.0;

/// Estimates below this are judged absurd as if they were this: a short question may follow a long prompt
/// that the service adds.
const JUDGED: f32 = 64.0;

/// By ASCII byte, other byte, message, prompt.
type Parts = [f32; 4];

/// What one model makes of a prompt's bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimator {
    coefficients: Parts,
    /// Mean of |error| relative to the estimate, the newest answers weighing most.
    error: f32,
}

impl Default for Estimator {
    fn default() -> Estimator {
        Estimator { coefficients: FIRST, error: FIRST_ERROR }
    }
}

impl Estimator {
    /// Tokens to hold for a prompt: the estimate, and one and a half times the mean error on top of it.
    ///
    /// Never 0, and never less for more text.
    #[inline]
    pub fn reserve(&self, text: Text, messages: u32) -> u64 {
        let tokens = self.tokens(&parts(text, messages));
        (tokens * self.margin()).ceil() as u64
    }

    /// Tokens that a prompt probably has; without a margin, for what must not refuse too early.
    #[inline]
    pub fn expect(&self, text: Text, messages: u32) -> u64 {
        self.tokens(&parts(text, messages)).round() as u64
    }

    /// Tokens of a streamed text whose usage the upstream did not tell; rounded up, 0 for no text.
    #[inline]
    pub fn completion_of(&self, text: Text) -> u64 {
        let [ascii, wide, ..] = self.coefficients;
        (ascii * text.ascii as f32 + wide * text.wide as f32).ceil() as u64
    }

    /// Learns that a prompt was `actual` tokens. What is a hundred times off teaches nothing, nor does 0,
    /// which means that nothing was counted.
    pub fn learn(&mut self, text: Text, messages: u32, actual: u64) {
        let parts = parts(text, messages);
        let tokens = self.tokens(&parts);
        let off = actual as f32 / tokens.max(JUDGED);
        if !(1.0 / ABSURD..=ABSURD).contains(&off) {
            return;
        }
        let wrong = (actual as f32 - tokens).clamp(-tokens, tokens);
        self.correct(&parts, wrong);
        self.error += NEWEST * (wrong.abs() / tokens - self.error);
    }

    /// Tokens per ASCII byte, per other byte, per message, per prompt, as it has learned them.
    pub fn coefficients(&self) -> [f32; 4] {
        self.coefficients
    }

    /// By how much [`reserve`](Estimator::reserve) is above the estimate: 1.3 is 30 %.
    pub fn margin(&self) -> f32 {
        1.0 + MARGIN * self.error
    }

    /// The mean error, as a part of the estimate: 0.2 is 20 %.
    pub fn error(&self) -> f32 {
        self.error
    }

    fn tokens(&self, parts: &Parts) -> f32 {
        let ([a, b, c, d], [ascii, wide, messages, one]) = (&self.coefficients, parts);
        a * ascii + b * wide + c * messages + d * one
    }

    /// Moves the coefficients so that the estimate for `parts` comes nearer by `STEP * wrong`.
    fn correct(&mut self, parts: &Parts, wrong: f32) {
        let weights: Parts = std::array::from_fn(|i| SHARES[i] * parts[i]);
        let power: f32 = weights.iter().map(|weight| weight * weight).sum(); // not 0: every prompt has a base
        for (i, coefficient) in self.coefficients.iter_mut().enumerate() {
            let moved = *coefficient + STEP * wrong * (weights[i] / power) * SHARES[i];
            *coefficient = moved.clamp(LEAST[i], MOST[i]);
        }
    }
}

fn parts(text: Text, messages: u32) -> Parts {
    [text.ascii as f32, text.wide as f32, messages as f32, 1.0]
}
