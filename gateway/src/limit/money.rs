//! Money in whole numbers: billionths of a currency unit, from decimal text and back, never through floats.

use std::fmt;

/// Places after the point: a billionth is the least that is counted.
const PLACES: u32 = 9;

/// An amount of money, in billionths ("nano") of its currency's unit: at most 18.4 thousand millions of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money {
    /// Billionths of the unit.
    pub nano: u64,
}

/// Three letters, such as `CNY`. Amounts of different currencies are never added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAmount {
    /// Something else than digits and one point.
    #[error(
        "not an amount of money; write digits and at most one point between them, such as `100` or `0.5`"
    )]
    NotDecimal,
    /// More places after the point than are counted.
    #[error("finer than is counted; round it to {places} places after the point")]
    TooFine {
        /// Places that are counted.
        places: u32,
    },
    /// More than fits.
    #[error("more than can be counted; write at most {most}")]
    TooLarge {
        /// The greatest whole amount.
        most: u64,
    },
}

/// Not three capital letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a currency; write its three capital letters (ISO 4217), such as `CNY`")]
pub struct NoCurrency;

impl Money {
    /// Reads a decimal such as `100` or `0.5`, exactly.
    ///
    /// # Errors
    /// [`NoAmount`] for signs, exponents, separators and more than nine places.
    pub fn parse(text: &str) -> Result<Money, NoAmount> {
        Ok(Money { nano: scaled(text, PLACES)? })
    }
}

impl fmt::Display for Money {
    /// The shortest decimal that is exact: `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u64.pow(PLACES);
        let (whole, rest) = (self.nano / unit, self.nano % unit);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:09}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Currency {
    /// No currency.
    pub const NONE: Currency = Currency(*b"XXX");

    /// Reads a code such as `CNY`.
    ///
    /// # Errors
    /// [`NoCurrency`] for all but three capital letters.
    pub fn parse(text: &str) -> Result<Currency, NoCurrency> {
        match *text.as_bytes() {
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Currency([a, b, c])),
            _ => Err(NoCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

/// The decimal `text` times ten to the power of `places`, which must be whole.
pub(super) fn scaled(text: &str, places: u32) -> Result<u64, NoAmount> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if ![whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())) {
        return Err(NoAmount::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    let width = places as usize;
    if fraction.len() > width {
        return Err(NoAmount::TooFine { places });
    }
    let digits = format!("{whole}{fraction:0<width$}");
    digits.parse().map_err(|_| NoAmount::TooLarge { most: u64::MAX / 10u64.pow(places) })
}
