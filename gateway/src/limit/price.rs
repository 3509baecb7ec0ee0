//! What tokens cost on one model.

use super::money::{Currency, NoAmount, scaled};

/// How many tokens a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lot {
    /// `1k`: a thousand.
    Thousand,
    /// `1M`: a million.
    Million,
}

/// Billionths of a currency unit per token; no rounding anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Per prompt token.
    prompt: u64,
    /// Per completion token.
    completion: u64,
    currency: Currency,
}

/// Nothing, in no currency (ISO 4217: `XXX`).
impl Default for Price {
    fn default() -> Price {
        Price { prompt: 0, completion: 0, currency: Currency::NONE }
    }
}

/// Why a text is no price: what is wrong with which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPrice {
    /// The prompt's.
    #[error("the price of prompt tokens is {0}")]
    Prompt(NoAmount),
    /// The completion's.
    #[error("the price of completion tokens is {0}")]
    Completion(NoAmount),
}

impl Lot {
    /// Reads `1k` or `1M`.
    pub fn parse(text: &str) -> Option<Lot> {
        match text {
            "1k" => Some(Lot::Thousand),
            "1M" => Some(Lot::Million),
            _ => None,
        }
    }

    /// Places after the point that leave whole billionths per token.
    fn places(self) -> u32 {
        match self {
            Lot::Thousand => 6,
            Lot::Million => 3,
        }
    }
}

impl Price {
    /// Reads two decimals such as `0.008`: the prices of a lot of tokens.
    ///
    /// # Errors
    /// [`NoPrice`], also if a token costs anything finer than a billionth of the unit.
    pub fn new(prompt: &str, completion: &str, per: Lot, currency: Currency) -> Result<Price, NoPrice> {
        let prompt = scaled(prompt, per.places()).map_err(NoPrice::Prompt)?;
        let completion = scaled(completion, per.places()).map_err(NoPrice::Completion)?;
        Ok(Price { prompt, completion, currency })
    }

    /// What a request costs, in billionths; what does not fit is the greatest amount there is.
    #[inline]
    pub fn cost(&self, prompt_tokens: u64, completion_tokens: u64) -> u64 {
        let prompt = self.prompt.saturating_mul(prompt_tokens);
        prompt.saturating_add(self.completion.saturating_mul(completion_tokens))
    }

    /// In which money.
    pub fn currency(&self) -> Currency {
        self.currency
    }
}
