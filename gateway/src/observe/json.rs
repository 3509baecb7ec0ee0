//! JSON values appended to a line. Hot path: a line has some twenty of them.

use crate::swar::{self, below, has};
use std::io::Write;
use std::net::IpAddr;

/// Appends to a line of JSON; what stands around the values is written as it is.
pub struct Json<'a>(pub &'a mut Vec<u8>);

impl Json<'_> {
    /// Appends bytes as they are: keys and punctuation.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends what stands between the quotes of a string.
    #[inline]
    pub fn text(&mut self, text: &str) -> &mut Self {
        if needs_escape(text.as_bytes()) { self.escaped(text) } else { self.raw(text.as_bytes()) }
    }

    /// Appends what stands between the quotes of a string that is known to need no escape.
    #[inline]
    pub fn plain(&mut self, text: &str) -> &mut Self {
        debug_assert!(!needs_escape(text.as_bytes()), "{text:?} is not plain");
        self.raw(text.as_bytes())
    }

    /// Appends such a string with its quotes, or `null`.
    #[inline]
    pub fn name(&mut self, name: Option<&str>) -> &mut Self {
        match name {
            Some(name) => self.raw(b"\"").plain(name).raw(b"\""),
            None => self.raw(b"null"),
        }
    }

    /// Appends a number.
    #[inline]
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number).as_bytes())
    }

    /// Appends the text of an address.
    #[inline]
    pub fn address(&mut self, address: IpAddr) -> &mut Self {
        match address {
            // What nearly all callers have, without the machinery of `fmt`.
            IpAddr::V4(v4) => {
                let mut text = [b'.'; 16];
                let mut len = 0;
                for octet in v4.octets() {
                    for (least, digit) in [(100, octet / 100), (10, octet / 10 % 10), (0, octet % 10)] {
                        if octet >= least {
                            text[len & 15] = b'0' + digit; // at most 15, but the compiler cannot know
                            len += 1;
                        }
                    }
                    len += 1; // the dot that is there already
                }
                self.raw(&text[..len - 1])
            }
            IpAddr::V6(v6) => {
                write!(self.0, "{v6}").expect("a Vec takes every byte");
                self
            }
        }
    }

    /// As rare as a caller who sends such a path; serde_json knows how.
    #[cold]
    fn escaped(&mut self, text: &str) -> &mut Self {
        let quoted = serde_json::to_vec(text).expect("every string has its JSON");
        self.raw(&quoted[1..quoted.len() - 1])
    }
}

/// Is there a byte that may not stand in a JSON string as it is (RFC 8259 section 7)?
#[inline]
fn needs_escape(text: &[u8]) -> bool {
    let maybe = |word| below(word, b' ') | has(word, b'"') | has(word, b'\\');
    swar::any(text, maybe, |byte| matches!(byte, ..b' ' | b'"' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn as_serde_writes<T: serde::Serialize>(value: T) -> Vec<u8> {
        serde_json::to_vec(&value).unwrap()
    }

    fn written(write: impl FnOnce(&mut Json<'_>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Json(&mut out));
        out
    }

    proptest! {
        #[test]
        fn strings_are_written_as_serde_writes_them(
            text in prop_oneof![any::<String>(), "[ -~]{0,40}", r#"[a-z"\\\x00-\x20\x7f]{0,40}"#],
        ) {
            prop_assert_eq!(written(|json| _ = json.raw(b"\"").text(&text).raw(b"\"")), as_serde_writes(&text));
        }

        #[test]
        fn addresses_are_written_as_serde_writes_them(which in any::<IpAddr>()) {
            prop_assert_eq!(written(|json| _ = json.raw(b"\"").address(which).raw(b"\"")), as_serde_writes(which));
        }

        #[test]
        fn numbers_are_written_as_serde_writes_them(which in any::<u64>()) {
            prop_assert_eq!(written(|json| _ = json.number(which)), as_serde_writes(which));
        }
    }

    #[test]
    fn every_byte_that_needs_an_escape_gets_one_at_every_place() {
        for byte in 0..=0x7fu8 {
            for at in 0..17 {
                let mut text = "z".repeat(17);
                text.replace_range(at..=at, char::from(byte).encode_utf8(&mut [0; 4]));
                assert_eq!(
                    written(|json| _ = json.raw(b"\"").text(&text).raw(b"\"")),
                    as_serde_writes(&text),
                    "{byte:#x} at {at}"
                );
            }
        }
    }
}
