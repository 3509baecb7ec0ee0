//! JSON numbers, digit by digit: a number may be split anywhere and be of any length.

/// A number being read. Only whole numbers that fit `u64` have a value; the others are numbers all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    part: Part,
    /// Its value, as long as a fraction is of zeros.
    whole: Option<u64>,
    /// It has neither fraction nor exponent.
    plain: bool,
}

/// What was read last; the grammar of RFC 8259, section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Default for Number {
    /// Zero.
    fn default() -> Self {
        Self { part: Part::Zero, whole: Some(0), plain: true }
    }
}

impl Number {
    /// Begins with a first byte, if a number can begin with it.
    #[inline]
    pub fn begin(first: u8) -> Option<Self> {
        let (part, whole) = match first {
            b'-' => (Part::Minus, None),
            b'0' => (Part::Zero, Some(0)),
            b'1'..=b'9' => (Part::Digits, Some(u64::from(first - b'0'))),
            _ => return None,
        };
        Some(Self { part, whole, plain: true })
    }

    /// Takes one more byte; `false` if it cannot be part of the number.
    #[inline]
    pub fn push(&mut self, byte: u8) -> bool {
        use Part::*;
        self.part = match (self.part, byte) {
            (Digits, b'0'..=b'9') => {
                let digit = u64::from(byte - b'0');
                self.whole = self.whole.and_then(|whole| whole.checked_mul(10)?.checked_add(digit));
                return true;
            }
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') => Digits,
            (Zero | Digits, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Digits | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            _ => return false,
        };
        match (self.part, byte) {
            (Zero | Digits, _) => {}
            (Point | Fraction, b'.' | b'0') => self.plain = false,
            _ => self.whole = None,
        }
        true
    }

    /// The number, if it ends here rightly: its value if it is whole, not negative, written without fraction or
    /// exponent, and fits.
    #[inline]
    pub fn end(self) -> Option<Option<u64>> {
        matches!(self.part, Part::Zero | Part::Digits | Part::Fraction | Part::Exponent)
            .then_some(self.whole.filter(|_| self.plain))
    }

    /// The value of one that is whole, but written with a fraction: `8.0`.
    #[inline]
    pub fn with_fraction(self) -> Option<u64> {
        self.whole.filter(|_| !self.plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<Option<u64>> {
        let (first, rest) = text.as_bytes().split_first()?;
        let mut number = Number::begin(*first)?;
        rest.iter().all(|&byte| number.push(byte)).then(|| number.end())?
    }

    #[test]
    fn only_plain_whole_numbers_have_a_value() {
        for (text, value) in [("0", 0), ("7", 7), ("120", 120), ("18446744073709551615", u64::MAX)] {
            assert_eq!(read(text), Some(Some(value)), "{text}");
        }
        for text in ["-1", "-0", "1.0", "0.5", "1e3", "1E+3", "18446744073709551616", &"9".repeat(10_000)] {
            assert_eq!(read(text), Some(None), "{text}");
        }
    }

    #[test]
    fn a_fraction_of_zeros_is_told_apart() {
        let told = |text: &str| {
            let mut number = Number::begin(text.as_bytes()[0]).expect(text);
            assert!(text.bytes().skip(1).all(|byte| number.push(byte)), "{text}");
            number.with_fraction()
        };
        assert_eq!(["8.0", "0.000", "120.0"].map(told), [Some(8), Some(0), Some(120)]);
        assert_eq!(["8", "-8.0", "8.01", "8.10", "8.0e1", "8e0", "0.5"].map(told), [None; 7]);
    }

    proptest! {
        #[test]
        fn numbers_are_what_others_take_for_numbers(text in "-?[0-9.eE+-]{1,8}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            prop_assume!(!matches!(&theirs, Err(error) if error.to_string().starts_with("number out of range")));
            let theirs = theirs.is_ok();
            prop_assert_eq!(read(&text).is_some(), theirs, "{}", text);
        }
    }
}
