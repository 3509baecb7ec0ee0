//! Escapes in JSON strings, and the pairs of them that are one character.

use super::short::Short;

/// What a run of escapes stands for, until it is told in one piece.
pub(super) type Decoded = Short<64>;

/// Longest in UTF-8 of what one escape can add, the replacement of a lone surrogate before it included.
const LONGEST: usize = 6;

/// Between the escapes of one string.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Escape {
    /// The first half of a pair, whose second should follow.
    high: Option<u16>,
    /// A `\u` that is split over pieces: digits so far, and their value.
    digits: u8,
    unit: u16,
}

impl Escape {
    /// What follows a backslash, if it is all there: adds what it stands for, and says how many bytes it took.
    /// `Err` if it is no escape; `Ok(None)` for a `\u` that goes on in the next piece, after its `u`.
    #[inline]
    pub fn whole(&mut self, after: &[u8], decoded: &mut Decoded) -> Result<Option<usize>, ()> {
        let stands_for = match after.first() {
            Some(b'u') => {
                let Some(digits) = after.get(1..5) else {
                    (self.digits, self.unit) = (0, 0);
                    return Ok(None);
                };
                let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | hex(*digit)?));
                self.add(unit.ok_or(())?, decoded);
                return Ok(Some(5));
            }
            Some(&plain @ (b'"' | b'\\' | b'/')) => plain,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            _ => return Err(()),
        };
        self.add(u16::from(stands_for), decoded);
        Ok(Some(1))
    }

    /// One digit of a `\u` that was split: whether it was the last.
    pub fn digit(&mut self, digit: u8, decoded: &mut Decoded) -> Result<bool, ()> {
        self.unit = self.unit << 4 | hex(digit).ok_or(())?;
        self.digits += 1;
        if self.digits == 4 {
            self.add(self.unit, decoded);
        }
        Ok(self.digits == 4)
    }

    /// No second half follows: what is half a pair becomes U+FFFD.
    #[inline]
    pub fn end(&mut self, decoded: &mut Decoded) {
        if self.high.take().is_some() {
            add(u32::from(char::REPLACEMENT_CHARACTER), decoded);
        }
    }

    /// Forgets a string that was not read to its end.
    #[inline]
    pub fn reset(&mut self) {
        self.high = None;
    }

    /// Whether what one more escape adds may not fit.
    #[inline]
    pub fn is_full(decoded: &Decoded) -> bool {
        decoded.room() < LONGEST
    }

    #[inline]
    fn add(&mut self, unit: u16, decoded: &mut Decoded) {
        if let (Some(high), 0xdc00..0xe000) = (self.high, unit) {
            self.high = None;
            let [high, low] = [high, unit].map(|half| u32::from(half & 0x3ff));
            return add(0x1_0000 + (high << 10 | low), decoded);
        }
        self.end(decoded);
        match unit {
            0xd800..0xdc00 => self.high = Some(unit),
            _ => add(u32::from(unit), decoded),
        }
    }
}

#[inline]
fn add(code: u32, decoded: &mut Decoded) {
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    decoded.push(character.encode_utf8(&mut [0; 4]).as_bytes());
}

#[inline]
fn hex(digit: u8) -> Option<u16> {
    char::from(digit).to_digit(16).map(|digit| digit as u16)
}
