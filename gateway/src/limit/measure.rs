//! What a limit on spending measures: which tokens, or their price.

use super::Unit;
use super::money::Money;
use super::price::Price;
use crate::usage::Tokens;

/// Which part of a request's cost a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Prompt and completion.
    Total,
    /// Prompt only.
    Prompt,
    /// Completion only.
    Completion,
    /// What they cost by the model's price, in billionths of the currency.
    Money,
}

impl Measure {
    /// How much `tokens` are; saturates.
    #[inline]
    pub fn of(self, tokens: Tokens, price: Price) -> u64 {
        match self {
            Measure::Total => tokens.total(),
            Measure::Prompt => tokens.prompt,
            Measure::Completion => tokens.completion,
            Measure::Money => price.cost(tokens.prompt, tokens.completion),
        }
    }

    /// What it counts, in words.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Total => "tokens",
            Measure::Prompt => "prompt tokens",
            Measure::Completion => "completion tokens",
            Measure::Money => "of money",
        }
    }

    /// So much of it, as people write it.
    pub fn amount(self, most: u64) -> String {
        match self {
            Measure::Money => Money { nano: most }.to_string(),
            _ => most.to_string(),
        }
    }

    /// The unit it counts in.
    pub fn unit(self) -> Unit {
        match self {
            Measure::Total => Unit::Tokens,
            Measure::Prompt => Unit::PromptTokens,
            Measure::Completion => Unit::CompletionTokens,
            Measure::Money => Unit::Money,
        }
    }
}

/// What a request may cost, or did: an estimate at admission, then what is known so far, in the end the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Model tokens.
    pub tokens: Tokens,
    /// What they cost.
    pub price: Price,
}

impl Cost {
    /// As `measure` counts it.
    #[inline]
    pub fn by(self, measure: Measure) -> u64 {
        measure.of(self.tokens, self.price)
    }

    /// As each measure counts it.
    #[inline]
    pub(super) fn by_each(self) -> ByMeasure<u64> {
        ByMeasure::each(|measure| self.by(measure))
    }
}

/// Something by every measure, worked out once for all limits that are asked; in the order of [`Measure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByMeasure<T>([T; 4]);

impl<T> ByMeasure<T> {
    #[inline]
    pub(super) fn each(of: impl Fn(Measure) -> T) -> ByMeasure<T> {
        ByMeasure([of(Measure::Total), of(Measure::Prompt), of(Measure::Completion), of(Measure::Money)])
    }

    #[inline]
    pub(super) fn by(&self, measure: Measure) -> &T {
        &self.0[measure as usize]
    }
}

impl ByMeasure<u64> {
    /// Nothing.
    pub(super) const ZERO: ByMeasure<u64> = ByMeasure([0; 4]);

    /// The tokens, of whatever price.
    #[inline]
    pub(super) fn tokens(&self) -> Tokens {
        Tokens { prompt: *self.by(Measure::Prompt), completion: *self.by(Measure::Completion) }
    }
}
