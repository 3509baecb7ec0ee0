//! Text: what the imitated models say, and how tokens are counted.
//!
//! Answers are the same words over and over, so their length is known before they are made. Some words are
//! Chinese: three bytes a character, which is what breaks readers that cut a stream in the wrong place.
//!
//! *Counting.* One word of an answer is one completion token. A prompt has one token for every four
//! characters (Unicode scalar values) of its texts, rounded up, and at least one.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The words of every answer. None needs escaping in JSON.
const WORDS: [&str; 16] = [
    "The ",
    "river ",
    "runs ",
    "east, ",
    "江水",
    "东流，",
    "past ",
    "mountains ",
    "and ",
    "cities, ",
    "日夜",
    "不息。",
    "until ",
    "it ",
    "meets ",
    "the sea. ",
];

/// Word number `i` of every answer.
pub fn word(i: u32) -> &'static str {
    WORDS[i as usize % WORDS.len()]
}

/// The first `count` words.
pub fn words(count: u32) -> String {
    (0..count).map(word).collect()
}

/// Length of the texts in a piece of JSON, in characters.
///
/// Strings count; so do the members of lists, and of objects the values of `content` and `text`. This
/// reads a prompt, a list of messages and content in parts alike, without keeping any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chars(pub u64);

impl Chars {
    /// Tokens of a prompt of this length.
    pub fn tokens(self) -> u64 {
        self.0.div_ceil(4).max(1)
    }
}

impl<'de> Deserialize<'de> for Chars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Chars, D::Error> {
        deserializer.deserialize_any(CharsVisitor)
    }
}

struct CharsVisitor;

impl<'de> Visitor<'de> for CharsVisitor {
    type Value = Chars;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or a list of texts or messages")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Chars, E> {
        Ok(Chars(text.chars().count() as u64))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Chars, E> {
        Ok(Chars(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Chars, A::Error> {
        let mut sum = 0;
        while let Some(Chars(chars)) = list.next_element()? {
            sum += chars;
        }
        Ok(Chars(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Chars, A::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Content,
            Text,
            #[serde(other)]
            Other,
        }
        let mut sum = 0;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Content | Key::Text => sum += map.next_value::<Chars>()?.0,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Chars(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_counted_in_characters_whatever_their_form() {
        let count = |json: &str| serde_json::from_str::<Chars>(json).unwrap().0;
        assert_eq!(count(r#""héllo 盘古""#), 8);
        assert_eq!(
            count(r#"[{"role":"user","content":"ab\n"},{"role":"x","content":null,"tool":{"text":"zz"}}]"#),
            3
        );
        assert_eq!(
            count(r#"[{"content":[{"type":"text","text":"abc"},{"type":"image_url","url":{"text":"no"}}]}]"#),
            3
        );
        assert!(serde_json::from_str::<Chars>("17").is_err());
        assert_eq!(Chars(0).tokens(), 1);
        assert_eq!(Chars(4).tokens(), 1);
        assert_eq!(Chars(5).tokens(), 2);
    }

    #[test]
    fn answers_need_no_escaping_and_hold_wide_characters() {
        let text = words(40);
        assert_eq!(serde_json::to_string(&text).unwrap(), format!("\"{text}\""));
        assert!(!text.is_ascii());
        assert!(text.starts_with(&words(39)));
    }
}
