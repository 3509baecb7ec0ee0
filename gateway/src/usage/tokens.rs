//! Amounts: model tokens, and the text they are estimated from.

use memchr::memchr;

/// Model tokens of one exchange, as the model counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Tokens {
    /// What was asked: messages, tools, images.
    pub prompt: u64,
    /// What was generated, reasoning included.
    pub completion: u64,
}

impl Tokens {
    /// Both together.
    #[inline]
    pub fn total(self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// Bytes of text by kind. A token is about four ASCII bytes, but about one Chinese character, which is three bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text {
    /// Bytes below 0x80.
    pub ascii: u64,
    /// Bytes from 0x80 on: all of a Chinese character, in UTF-8.
    pub wide: u64,
}

impl Text {
    /// Counts text as it is.
    #[inline]
    pub fn plain(bytes: &[u8]) -> Self {
        let wide = wide(bytes);
        Self { ascii: bytes.len() as u64 - wide, wide }
    }

    /// Counts text as it stands in JSON: an escape counts as the UTF-8 bytes that it stands for, so that `\u4e2d`
    /// is three wide bytes and not six of ASCII. What is no proper escape counts as plain text.
    pub fn json(bytes: &[u8]) -> Self {
        let mut text = Self::plain(bytes);
        let mut rest = bytes;
        while let Some((unit, len, after)) = next_escape(rest) {
            // Every escape starts as so many ASCII bytes in `text`; what is no ASCII after a stray backslash is not
            // part of it.
            text.ascii -= len;
            match unit {
                ..0x80 => text.ascii += 1,
                0x80..0x800 | 0xd800..0xe000 => text.wide += 2, // a surrogate is one half of four bytes
                _ => text.wide += 3,
            }
            rest = after;
        }
        text
    }

    /// Adds what another counted.
    #[inline]
    pub fn add(&mut self, other: Self) {
        self.ascii = self.ascii.saturating_add(other.ascii);
        self.wide = self.wide.saturating_add(other.wide);
    }

    /// All bytes.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.ascii.saturating_add(self.wide)
    }
}

/// How many bytes are not ASCII. In blocks whose count fits a byte, which is the form that the compiler turns into
/// vector code.
#[inline]
fn wide(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<128>();
    let in_blocks: u64 =
        blocks.iter().map(|block| u64::from(block.iter().map(|byte| byte >> 7).sum::<u8>())).sum();
    in_blocks + u64::from(rest.iter().map(|byte| byte >> 7).sum::<u8>())
}

/// The next escape: the UTF-16 unit it stands for, its length, and what comes after it.
fn next_escape(bytes: &[u8]) -> Option<(u32, u64, &[u8])> {
    let escape = &bytes[memchr(b'\\', bytes)?..];
    let hex = escape.get(2..6).filter(|_| escape[1] == b'u').and_then(hex_unit);
    Some(match (hex, escape.get(1)) {
        (Some(unit), _) => (unit, 6, &escape[6..]),
        (None, Some(0..0x80)) => (0, 2, &escape[2..]),
        (None, _) => (0, 1, &escape[1..]),
    })
}

fn hex_unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(ascii: u64, wide: u64) -> Text {
        Text { ascii, wide }
    }

    #[test]
    fn totals_do_not_wrap() {
        let most = Tokens { prompt: u64::MAX, completion: 2 };
        assert_eq!(most.total(), u64::MAX);
        let mut sum = text(u64::MAX, 1);
        sum.add(text(1, 1));
        assert_eq!((sum, sum.bytes()), (text(u64::MAX, 2), u64::MAX));
    }

    #[test]
    fn plain_text_is_counted_by_kind_at_any_length() {
        for len in 0..700 {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 37 % 256) as u8).collect();
            let wide = bytes.iter().filter(|byte| !byte.is_ascii()).count() as u64;
            assert_eq!(Text::plain(&bytes), text(len as u64 - wide, wide), "{len}");
        }
    }

    #[test]
    fn an_escape_counts_as_what_it_stands_for() {
        #[rustfmt::skip]
        let cases: &[(&[u8], Text)] = &[
            (br"plain",             text(5, 0)),
            (br"\n",                text(1, 0)),
            (br"a\\u4e2d",          text(7, 0)), // a backslash and five letters
            (br"\u4e2d\u6587",      text(0, 6)),
            (br"\u00e9",            text(0, 2)),
            (br"\u0041",            text(1, 0)),
            (br"\ud83d\ude00",      text(0, 4)),
            ("中\\u6587".as_bytes(), text(0, 6)),
            (br"\u4e2",             text(4, 0)),
            (br"\u4g2d",            text(5, 0)),
            (br"\",                 text(1, 0)),
            ("\\中".as_bytes(),     text(1, 3)),
        ];
        for (json, expected) in cases {
            assert_eq!(Text::json(json), *expected, "{}", String::from_utf8_lossy(json));
        }
    }

    proptest! {
        #[test]
        fn escaped_or_not_is_the_same_text(value in ".{0,80}") {
            let escape = |unit: u16| match unit {
                0x22 | 0x5c => format!("\\{}", char::from(unit as u8)),
                0x20..0x80 => char::from(unit as u8).to_string(),
                _ => format!("\\u{unit:04x}"),
            };
            let escaped: String = value.encode_utf16().map(escape).collect();
            prop_assert_eq!(Text::json(escaped.as_bytes()), Text::plain(value.as_bytes()));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).ok(), Some(value));
        }

        #[test]
        fn no_bytes_are_too_strange_to_count(bytes in prop::collection::vec(prop_oneof![Just(b'\\'), Just(b'u'), any::<u8>()], 0..60)) {
            prop_assert!(Text::json(&bytes).bytes() <= bytes.len() as u64);
        }
    }
}
