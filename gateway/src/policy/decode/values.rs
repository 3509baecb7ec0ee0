//! Values of an entry: text, and what it is read as.

use super::{At, Entry};
use crate::policy::keys::{Kind, Need, Object};
use crate::policy::problem::{Located, Place, Problems, nearest, quoted};
use crate::policy::units;
use crate::policy::yaml::{Node, Value};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The longest name, in bytes.
const NAME_MAX: usize = 64;

impl<'a> Entry<'a> {
    /// The text at `key`, or its default; None if neither is there or it is not a scalar.
    pub fn text(&self, key: &'a str) -> Option<Located<&'a str>> {
        let Some(node) = self.get(key) else {
            return self.default_of(key).map(|value| Located { value, place: self.place() });
        };
        text(node, self.at.key(key), self.problems)
    }

    /// A name: what others refer to.
    pub fn name(&self, key: &'a str) -> Option<Located<Arc<str>>> {
        self.name_or(key, "")
    }

    /// A name; `more`: what else helps whoever wrote something that is none.
    pub fn name_or(&self, key: &'a str, more: &str) -> Option<Located<Arc<str>>> {
        let Located { value, place } = self.text(key)?;
        if is_name(value) {
            return Some(Located { value: value.into(), place });
        }
        let help = format!(
            "a name has letters, digits, `.`, `_` and `-`, begins with a letter or digit, and is at most {NAME_MAX} long{more}"
        );
        self.wrong(key, format!("{} is not a name", quoted(value)), help);
        None
    }

    /// Bytes, within `range`.
    pub fn size(&self, key: &'a str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let bytes = self.parsed(key, units::size, "a size", units::SIZE_HELP)?;
        if range.contains(&bytes) {
            return Some(bytes);
        }
        self.wrong(key, "out of range", format!("{} to {} bytes are possible", range.start(), range.end()));
        None
    }

    /// A whole number within the table's range for `key`.
    pub fn count(&self, key: &'a str) -> Option<u32> {
        let count = self.parsed(key, units::large, "a count", units::COUNT_HELP)?;
        let range = range(self.object, key);
        if let Some(count) = u32::try_from(count).ok().filter(|count| range.contains(count)) {
            return Some(count);
        }
        self.wrong(
            key,
            format!("{count} is out of range"),
            format!("{} to {} are possible", range.start(), range.end()),
        );
        None
    }

    /// A time span from 1 ms to `max`.
    pub fn duration(&self, key: &'a str, max: Duration) -> Option<Duration> {
        let span = self.parsed(key, units::duration, "a duration", units::DURATION_HELP)?;
        if !span.is_zero() && span <= max {
            return Some(span);
        }
        self.wrong(
            key,
            "out of range",
            format!("more than 0 and at most {} is possible", humantime::format_duration(max)),
        );
        None
    }

    /// A rate above zero.
    pub fn rate(&self, key: &'a str) -> Option<units::Rate> {
        self.parsed(key, units::rate, "a rate", units::RATE_HELP)
    }

    /// A percentage within `range`.
    pub fn percent(&self, key: &'a str, range: std::ops::RangeInclusive<u8>) -> Option<u8> {
        let percent = self.parsed(key, units::percent, "a percentage", units::PERCENT_HELP)?;
        if range.contains(&percent) {
            return Some(percent);
        }
        self.wrong(
            key,
            format!("{percent}% is out of range"),
            format!("{}% to {}% are possible", range.start(), range.end()),
        );
        None
    }

    /// Bytes per second.
    pub fn speed(&self, key: &'a str) -> Option<std::num::NonZeroU32> {
        self.parsed(key, units::speed, "a number of bytes per second", units::SPEED_HELP)
    }

    /// `true` or `false`; anything else counts as false after it was recorded.
    pub fn flag(&self, key: &'a str) -> bool {
        let read = |text: &str| text.parse::<bool>().ok();
        self.parsed(key, read, "true or false", "write `true` or `false`").unwrap_or(false)
    }

    /// Reads `key` with `parse`.
    pub fn parsed<T>(
        &self,
        key: &'a str,
        parse: impl Fn(&str) -> Option<T>,
        wanted: &str,
        help: &str,
    ) -> Option<T> {
        let text = self.text(key)?.value;
        let value = parse(text);
        if value.is_none() {
            self.wrong(key, format!("{} is not {wanted}", quoted(text)), help);
        }
        value
    }

    /// One of the table's words for `key`; `later`: those of a later version.
    pub fn word(&self, key: &'a str, later: &[&str]) -> Option<&'a str> {
        let text = self.text(key)?;
        let words = words(self.object, key);
        check_word(text.value, words, later, self.at.key(key), text.place, self.problems)
    }

    /// A list of the table's words for `key`; wrong ones are left out.
    pub fn words(&self, key: &'a str, later: &[&str]) -> Vec<&'a str> {
        let words = words(self.object, key);
        let at = self.at.key(key);
        let mut found: Vec<&str> = Vec::new();
        for (i, node) in self.items(key).iter().enumerate() {
            let at = at.index(i);
            let Some(text) = text(node, at, self.problems) else { continue };
            let Some(word) = check_word(text.value, words, later, at, text.place, self.problems) else {
                continue;
            };
            if found.contains(&word) {
                self.problems.add(text.place, at, format!("`{word}` is there already"), "keep one of them");
            } else {
                found.push(word);
            }
        }
        found
    }

    fn default_of(&self, key: &str) -> Option<&'static str> {
        match self.object.keys.iter().find(|known| known.name == key)?.need {
            Need::Default(text) => Some(text),
            _ => None,
        }
    }
}

/// The scalar `node` is.
pub fn text<'a>(node: &'a Node<'a>, at: At<'_>, problems: &Problems) -> Option<Located<&'a str>> {
    let place = at.place(node.mark);
    match &node.value {
        Value::Text(text) => return Some(Located { value: text, place }),
        Value::Null => {
            problems.add(place, at, "nothing is written here", "write a value, or leave the key out")
        }
        _ => problems.add(place, at, "a single value is needed here", "no list and no mapping"),
    }
    None
}

fn check_word<'a>(
    word: &'a str,
    words: &[&str],
    later: &[&str],
    at: At<'_>,
    place: Place,
    problems: &Problems,
) -> Option<&'a str> {
    if words.contains(&word) {
        return Some(word);
    }
    if later.contains(&word) {
        let help = format!("for now: {}", words.join(", "));
        problems.add(place, at, format!("`{word}` is not supported yet by this version"), help);
        return None;
    }
    let near = nearest(word, words.iter().copied());
    let help = if near.is_empty() { format!("one of: {}", words.join(", ")) } else { near };
    problems.add(place, at, format!("{} is not possible here", quoted(word)), help);
    None
}

/// The words the table lists for `key`, whether it takes one or many.
fn words(object: &'static Object, key: &str) -> &'static [&'static str] {
    fn of(kind: &'static Kind) -> &'static [&'static str] {
        match kind {
            Kind::Word(words) => words,
            Kind::List(kind) | Kind::Many(kind) | Kind::Either(_, kind) => of(kind),
            _ => &[],
        }
    }
    object.keys.iter().find(|known| known.name == key).map_or(&[], |known| of(&known.kind))
}

/// May this be the name of an entry?
pub(super) fn is_name(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty()
        && text.len() <= NAME_MAX
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(rest)
}

/// Of what the table does not count, no number is possible.
const NONE: &RangeInclusive<u32> = &RangeInclusive::new(1, 0);

/// The range the table has for `key`.
fn range(object: &'static Object, key: &str) -> &'static RangeInclusive<u32> {
    match object.keys.iter().find(|known| known.name == key).map(|known| &known.kind) {
        Some(Kind::Count(range)) => range,
        _ => NONE,
    }
}
