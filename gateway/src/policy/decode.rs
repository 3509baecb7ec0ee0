//! Reading a located tree by the table of keys: the part that knows nothing of routes or tenants.
//!
//! Every getter records what is wrong and goes on, so that one load reports every mistake. A getter of a
//! value that is wrong or missing returns None; the problem is recorded already.

use super::keys::{Key, Kind, Need, Object};
use super::problem::{Located, Place, Problems, nearest, quoted};
use super::units;
use super::yaml::{Mark, Node, Value};
use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The longest name, in bytes.
const NAME_MAX: usize = 64;

/// Where the decoder is: prints as `routes.chat.limits[0].per`.
#[derive(Clone, Copy)]
pub struct At<'a> {
    file: u16,
    up: Option<&'a At<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The top of a file.
    pub fn file(file: u16) -> At<'static> {
        At { file, up: None, part: Part::Root }
    }

    /// A key of the mapping here, or an entry known by its name.
    pub fn key(&'a self, key: &'a str) -> At<'a> {
        At { file: self.file, up: Some(self), part: Part::Key(key) }
    }

    /// An item of the list here; an entry with a name of its own goes by that.
    pub fn item(&'a self, index: usize, node: &'a Node<'_>) -> At<'a> {
        let part = own_name(node).map_or(Part::Index(index), Part::Key);
        At { file: self.file, up: Some(self), part }
    }

    pub fn place(&self, mark: Mark) -> Place {
        Place { file: self.file, line: mark.line, column: mark.column }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        let below_root = !matches!(self.up, None | Some(At { part: Part::Root, .. }));
        match self.part {
            Part::Root => Ok(()),
            Part::Key(key) if below_root => write!(f, ".{}", shown(key)),
            Part::Key(key) => f.write_str(&shown(key)),
            Part::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// As in [`quoted`], without the quotes.
fn shown(key: &str) -> String {
    quoted(key).trim_matches('`').to_string()
}

/// Text of the entry's `name`, if it is fit to stand for the entry.
fn own_name<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, name) = entries.iter().find(|(key, _)| key.name == "name")?;
    match &name.value {
        Value::Text(text) if is_name(text) => Some(text),
        _ => None,
    }
}

fn is_name(text: &str) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !text.is_empty()
        && text.len() <= NAME_MAX
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(rest)
}

/// A mapping that was checked against its table: no unknown key, none twice, none missing.
pub struct Entry<'a> {
    pub at: At<'a>,
    pub mark: Mark,
    entries: &'a [(super::yaml::Key<'a>, Node<'a>)],
    object: &'static Object,
    pub problems: &'a Problems,
}

impl<'a> Entry<'a> {
    /// None if it is no mapping at all. Wrong keys are recorded, the rest can be read.
    pub fn open(
        node: &'a Node<'a>,
        object: &'static Object,
        at: At<'a>,
        problems: &'a Problems,
    ) -> Option<Entry<'a>> {
        let Value::Map(entries) = &node.value else {
            let keys = names(object).collect::<Vec<_>>().join(", ");
            problems.add(at.place(node.mark), at, "a mapping is needed here", format!("its keys: {keys}"));
            return None;
        };
        let entry = Entry { at, mark: node.mark, entries, object, problems };
        entry.check_keys();
        Some(entry)
    }

    fn check_keys(&self) {
        let mut seen = HashSet::new();
        for (key, _) in self.entries {
            let name = key.name.as_ref();
            let problem = |what: &str, help: String| {
                self.problems.add(self.at.place(key.mark), self.at.key(name), what, help);
            };
            if self.problems.full() {
                return;
            }
            match self.object.keys.iter().find(|known| known.name == name) {
                _ if !seen.insert(name) => problem("written twice", "keep one of them".into()),
                Some(Key { kind: Kind::Later, .. }) => {
                    problem("not supported yet by this version", "leave it out".into());
                }
                Some(_) => {}
                None => problem("unknown key", self.help_for_unknown(name)),
            }
        }
        for key in self.object.keys {
            if matches!(key.need, Need::Required) && !seen.contains(key.name) {
                let help = format!("for instance `{}: {}`; {}", key.name, key.example, lowered(key.doc));
                self.problems.add(self.place(), self.at, format!("`{}` is missing", key.name), help);
            }
        }
    }

    fn help_for_unknown(&self, name: &str) -> String {
        if name == "<<" {
            return "merge keys are not part of a policy; write the keys out".into();
        }
        let near = nearest(name, names(self.object));
        if near.is_empty() {
            format!("keys here: {}", names(self.object).collect::<Vec<_>>().join(", "))
        } else {
            near
        }
    }

    pub fn place(&self) -> Place {
        self.at.place(self.mark)
    }

    /// The first value written at `key`.
    pub fn get(&self, key: &str) -> Option<&'a Node<'a>> {
        self.entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where a key, or else the whole entry, is.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place(), |node| self.at.place(node.mark))
    }

    /// Records a problem at the value of `key`.
    pub fn wrong(&self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        self.problems.add(self.place_of(key), self.at.key(key), what, help);
    }

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
        let count = self.parsed(key, units::count, "a count", units::COUNT_HELP)?;
        let range = range(self.object, key);
        if range.contains(&count) {
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
            let at = At { file: at.file, up: Some(&at), part: Part::Index(i) };
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

    /// Items of the list at `key`; none if it is absent or no list.
    pub fn items(&self, key: &str) -> &'a [Node<'a>] {
        match self.get(key).map(|node| (&node.value, node)) {
            None => &[],
            Some((Value::List(items), _)) => items,
            Some((Value::Null, _)) => {
                self.wrong(key, "nothing is written here", format!("write a list, or leave `{key}` out"));
                &[]
            }
            Some(_) => {
                self.wrong(key, "a list is needed here", "write `[...]`, or one `- ` line for each");
                &[]
            }
        }
    }

    /// Items of the list at `key`, or the one value there.
    pub fn many(&self, key: &str) -> &'a [Node<'a>] {
        match self.get(key) {
            Some(node) if !matches!(node.value, Value::List(_) | Value::Null) => std::slice::from_ref(node),
            _ => self.items(key),
        }
    }

    /// The mapping at `key`, checked against its own table; an absent one reads as empty: all defaults.
    pub fn object(&'a self, key: &'a str, object: &'static Object) -> Option<Entry<'a>> {
        match self.get(key) {
            Some(node) => Entry::open(node, object, self.at.key(key), self.problems),
            None => Some(Entry {
                at: self.at.key(key),
                mark: self.mark,
                entries: &[],
                object,
                problems: self.problems,
            }),
        }
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

/// Of what the table does not count, no number is possible.
const NONE: &RangeInclusive<u32> = &RangeInclusive::new(1, 0);

/// The range the table has for `key`.
fn range(object: &'static Object, key: &str) -> &'static RangeInclusive<u32> {
    match object.keys.iter().find(|known| known.name == key).map(|known| &known.kind) {
        Some(Kind::Count(range)) => range,
        _ => NONE,
    }
}

fn names(object: &'static Object) -> impl Iterator<Item = &'static str> {
    object.keys.iter().filter(|key| !matches!(key.kind, Kind::Later)).map(|key| key.name)
}

/// A sentence as the middle of another.
fn lowered(doc: &str) -> String {
    let mut chars = doc.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str().trim_end_matches('.')
}
