//! Reads JSON as it passes, in any pieces, and tells a visitor about the values at wanted places.
//!
//! It keeps the key or the number that it stands in, one byte per open container, and nothing else: strings go to the
//! visitor piece by piece, so that neither their length nor where a character is split matters. It checks the grammar
//! of everything it needs to find its way; what malformed text looked like before the mistake has been told, and
//! after it the scanner is quiet until [`Scanner::reset`].
//!
//! More lenient than RFC 8259 in three ways, none of which changes what stands where: strings may be any bytes but
//! quote and backslash, a lone surrogate becomes U+FFFD, and below [`DEPTH_MAX`] only brackets and strings are matched.

use super::escape::{Decoded, Escape};
use super::number::Number;
use super::paths::{Paths, Place};
use super::short::Short;
use crate::swar::{self, has};
use memchr::memchr2;

/// Containers within one another whose kinds and places are kept; what is deeper is skipped.
pub const DEPTH_MAX: u32 = 64;

/// What a value begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    Text,
    /// A number, `true`, `false` or `null`.
    Other,
}

/// What a value was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// The value, if the number is whole, not negative, and fits.
    Number(Option<u64>),
    /// A string, whose pieces went before.
    Text,
    /// An array.
    Array {
        /// `[]`
        empty: bool,
    },
    /// An object.
    Object {
        /// `{}`
        empty: bool,
    },
}

/// Where a value begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Containers around the value.
    pub depth: u32,
    /// Of its first byte, or of the byte after its last; counted from the last reset.
    pub offset: usize,
}

/// Is told what stands at wanted places, in the order in which it is read.
pub trait Visitor<T> {
    /// A value begins.
    #[inline]
    fn begin(&mut self, _tag: T, _kind: Kind, _at: At) {}

    /// A piece of a string: bytes as they came, or what an escape stands for.
    #[inline]
    fn text(&mut self, _tag: T, _piece: &[u8]) {}

    /// A value ends.
    #[inline]
    fn end(&mut self, _tag: T, _value: Value, _at: At) {}

    /// An object at a wanted place has a key that no path names.
    #[inline]
    fn other_key(&mut self, _within: T, _key: &[u8]) {}
}

/// Reads one document.
#[derive(Debug, Clone)]
pub struct Scanner {
    state: State,
    /// The string being read is a key.
    in_key: bool,
    /// Of the value that comes next or is being read.
    place: Place,
    depth: u32,
    /// Bit by depth: an object, not an array.
    objects: u64,
    /// By depth: where the container stands.
    places: [Place; DEPTH_MAX as usize],
    key: Short<64>,
    escape: Escape,
    literal: Literal,
    number: Number,
    /// Bytes of the pieces before this one.
    before: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// First in an array.
    ValueOrEnd,
    Key,
    /// First in an object.
    KeyOrEnd,
    Colon,
    /// After a value in a container.
    Next,
    Text,
    Backslash,
    /// A `\u` that is split over pieces.
    Hex,
    Literal,
    Number,
    /// Below [`DEPTH_MAX`].
    Deep,
    Done,
    Broken,
}

#[derive(Debug, Clone, Copy)]
struct Literal {
    rest: &'static [u8],
    value: Value,
}

impl Default for Scanner {
    fn default() -> Self {
        Self {
            state: State::Value,
            in_key: false,
            place: Place::ROOT,
            depth: 0,
            objects: 0,
            places: [Place::NOWHERE; DEPTH_MAX as usize],
            key: Short::EMPTY,
            escape: Escape::default(),
            literal: Literal { rest: b"", value: Value::Null },
            number: Number::default(),
            before: 0,
        }
    }
}

impl Scanner {
    /// Begins a new document.
    #[inline]
    pub fn reset(&mut self) {
        // All else is set before it is read.
        (self.state, self.place, self.depth, self.before) = (State::Value, Place::ROOT, 0, 0);
        self.escape.reset();
    }

    /// Reads the next piece of the document.
    ///
    /// Hot path: no allocation, and strings are searched and not walked.
    #[inline]
    pub fn feed<T: Copy>(&mut self, paths: &Paths<T>, bytes: &[u8], visitor: &mut impl Visitor<T>) {
        let before = self.before;
        Walk { scanner: self, paths, visitor, bytes, decoded: Decoded::EMPTY }.all();
        self.before = before.saturating_add(bytes.len());
    }

    /// Ends the document: whether it was one JSON value, with nothing but blanks after it.
    pub fn finish<T: Copy>(&mut self, paths: &Paths<T>, visitor: &mut impl Visitor<T>) -> bool {
        if self.state == State::Number && self.depth == 0 {
            Walk { scanner: self, paths, visitor, bytes: b"", decoded: Decoded::EMPTY }.number_end(0);
        }
        self.state == State::Done
    }

    /// The document cannot be JSON.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    fn in_object(&self) -> bool {
        self.objects >> (self.depth.wrapping_sub(1) & 63) & 1 == 1
    }

    /// Where the innermost container stands.
    fn around(&self) -> Place {
        self.places[(self.depth.wrapping_sub(1) & 63) as usize]
    }
}

/// One piece being read.
struct Walk<'a, T, V> {
    scanner: &'a mut Scanner,
    paths: &'a Paths<T>,
    visitor: &'a mut V,
    bytes: &'a [u8],
    /// What escapes stand for that has not been told yet; they are short and come in runs.
    decoded: Decoded,
}

impl<T: Copy, V: Visitor<T>> Walk<'_, T, V> {
    #[inline]
    fn all(mut self) {
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            at = match self.scanner.state {
                State::Text => self.text(at),
                State::Backslash => self.backslash(at),
                State::Hex => self.hex(byte, at),
                State::Number => self.number(at),
                State::Literal => self.literal(byte, at),
                State::Deep => self.deep(byte, at),
                State::Broken => break,
                _ => self.token(byte, at),
            };
        }
        self.tell_decoded();
    }

    /// What stands between values; each of these takes one byte or more and returns where to go on.
    #[inline]
    fn token(&mut self, byte: u8, at: usize) -> usize {
        match (self.scanner.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (State::Key | State::KeyOrEnd, b'"') => {
                (self.scanner.state, self.scanner.in_key) = (State::Text, true);
                self.scanner.key.clear();
            }
            (State::KeyOrEnd, b'}') => self.close(true, at),
            (State::ValueOrEnd, b']') => self.close(true, at),
            (State::Colon, b':') => self.scanner.state = State::Value,
            (State::Next, b',') if self.scanner.in_object() => self.scanner.state = State::Key,
            (State::Next, b',') => {
                self.scanner.place = self.scanner.around();
                self.scanner.state = State::Value;
            }
            (State::Next, b'}') if self.scanner.in_object() => self.close(false, at),
            (State::Next, b']') if !self.scanner.in_object() => self.close(false, at),
            (State::Value | State::ValueOrEnd, _) => self.value(byte, at),
            _ => self.scanner.state = State::Broken,
        }
        at + 1
    }

    #[inline]
    fn value(&mut self, byte: u8, at: usize) {
        let kind = match byte {
            b'"' => {
                (self.scanner.state, self.scanner.in_key) = (State::Text, false);
                Kind::Text
            }
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b't' => self.begin_literal(b"rue", Value::Bool(true)),
            b'f' => self.begin_literal(b"alse", Value::Bool(false)),
            b'n' => self.begin_literal(b"ull", Value::Null),
            _ => match Number::begin(byte) {
                Some(number) => {
                    (self.scanner.state, self.scanner.number) = (State::Number, number);
                    Kind::Other
                }
                None => return self.scanner.state = State::Broken,
            },
        };
        if let Some(tag) = self.paths.tag(self.scanner.place) {
            let at = self.at(at);
            self.visitor.begin(tag, kind, at);
        }
        if matches!(kind, Kind::Object | Kind::Array) {
            self.open(kind == Kind::Object);
        }
    }

    fn begin_literal(&mut self, rest: &'static [u8], value: Value) -> Kind {
        (self.scanner.state, self.scanner.literal) = (State::Literal, Literal { rest, value });
        Kind::Other
    }

    #[inline]
    fn open(&mut self, object: bool) {
        let scanner = &mut *self.scanner;
        if scanner.depth == DEPTH_MAX {
            scanner.depth += 1;
            return scanner.state = State::Deep;
        }
        let bit = 1 << scanner.depth;
        scanner.objects = if object { scanner.objects | bit } else { scanner.objects & !bit };
        scanner.places[scanner.depth as usize] = scanner.place;
        scanner.depth += 1;
        scanner.state = if object { State::KeyOrEnd } else { State::ValueOrEnd };
    }

    #[inline]
    fn close(&mut self, empty: bool, at: usize) {
        let object = self.scanner.in_object();
        self.scanner.place = self.scanner.around();
        self.scanner.depth -= 1;
        self.end(if object { Value::Object { empty } } else { Value::Array { empty } }, at + 1);
    }

    /// A value has ended just before `at`.
    #[inline]
    fn end(&mut self, value: Value, at: usize) {
        self.scanner.state = if self.scanner.depth == 0 { State::Done } else { State::Next };
        if let Some(tag) = self.paths.tag(self.scanner.place) {
            let at = self.at(at);
            self.visitor.end(tag, value, at);
        }
    }

    fn at(&self, at: usize) -> At {
        At { depth: self.scanner.depth, offset: self.scanner.before + at }
    }

    #[inline]
    fn text(&mut self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        let run = run(rest);
        if run > 0 {
            self.scanner.escape.end(&mut self.decoded);
            self.tell_decoded();
            self.piece(&rest[..run]);
        }
        match rest.get(run) {
            None => return self.bytes.len(),
            Some(b'"') => self.text_end(at + run + 1),
            Some(_) => self.scanner.state = State::Backslash,
        }
        at + run + 1
    }

    #[inline]
    fn text_end(&mut self, end: usize) {
        self.scanner.escape.end(&mut self.decoded);
        self.tell_decoded();
        if self.scanner.depth > DEPTH_MAX {
            self.scanner.state = State::Deep;
        } else if self.scanner.in_key {
            self.key_end();
        } else {
            self.end(Value::Text, end);
        }
    }

    #[inline]
    fn key_end(&mut self) {
        self.scanner.state = State::Colon;
        let around = self.scanner.around();
        let key = self.scanner.key.as_bytes();
        let (place, named) = self.paths.child(around, key);
        self.scanner.place = place;
        if let (false, Some(within), Some(key)) = (named, self.paths.tag(around), key) {
            self.visitor.other_key(within, key);
        }
    }

    #[inline]
    fn piece(&mut self, piece: &[u8]) {
        if self.scanner.depth > DEPTH_MAX {
        } else if self.scanner.in_key {
            self.scanner.key.push(piece);
        } else if let Some(tag) = self.paths.tag(self.scanner.place) {
            self.visitor.text(tag, piece);
        }
    }

    #[inline]
    fn backslash(&mut self, at: usize) -> usize {
        if Escape::is_full(&self.decoded) {
            self.tell_decoded();
        }
        let (state, taken) = match self.scanner.escape.whole(&self.bytes[at..], &mut self.decoded) {
            Ok(Some(taken)) => (State::Text, taken),
            Ok(None) => (State::Hex, 1),
            Err(()) => (State::Broken, 1),
        };
        self.scanner.state = state;
        at + taken
    }

    fn hex(&mut self, digit: u8, at: usize) -> usize {
        match self.scanner.escape.digit(digit, &mut self.decoded) {
            Ok(true) => self.scanner.state = State::Text,
            Ok(false) => {}
            Err(()) => self.scanner.state = State::Broken,
        }
        at + 1
    }

    #[inline]
    fn tell_decoded(&mut self) {
        if !self.decoded.is_empty() {
            let decoded = std::mem::take(&mut self.decoded);
            self.piece(decoded.as_bytes().unwrap_or_default());
        }
    }

    #[inline]
    fn number(&mut self, at: usize) -> usize {
        let rest = &self.bytes[at..];
        let number = &mut self.scanner.number;
        match rest.iter().position(|&byte| !number.push(byte)) {
            None => self.bytes.len(),
            Some(len) => {
                self.number_end(at + len);
                at + len
            }
        }
    }

    fn number_end(&mut self, end: usize) {
        match self.scanner.number.end() {
            Some(number) => self.end(Value::Number(number), end),
            None => self.scanner.state = State::Broken,
        }
    }

    #[inline]
    fn literal(&mut self, byte: u8, at: usize) -> usize {
        let Literal { rest, value } = self.scanner.literal;
        if self.bytes[at..].starts_with(rest) {
            self.end(value, at + rest.len());
            return at + rest.len();
        }
        match rest.split_first() {
            Some((&expected, rest)) if expected == byte => self.scanner.literal.rest = rest,
            _ => self.scanner.state = State::Broken,
        }
        at + 1
    }

    fn deep(&mut self, byte: u8, at: usize) -> usize {
        match byte {
            b'"' => (self.scanner.state, self.scanner.in_key) = (State::Text, false),
            b'{' | b'[' => self.scanner.depth = self.scanner.depth.saturating_add(1),
            b'}' | b']' => {
                self.scanner.depth -= 1;
                if self.scanner.depth == DEPTH_MAX {
                    self.end(Value::Object { empty: false }, at + 1);
                }
            }
            _ => {}
        }
        at + 1
    }
}

/// How many bytes stand before the next quote or backslash. Most strings end within the first bytes, before a
/// vector search has warmed up.
#[inline]
fn run(bytes: &[u8]) -> usize {
    let (near, far) = bytes.split_at(bytes.len().min(16));
    let maybe = |word| has(word, b'"') | has(word, b'\\');
    swar::first(near, maybe, |byte| matches!(byte, b'"' | b'\\'))
        .or_else(|| memchr2(b'"', b'\\', far).map(|at| near.len() + at))
        .unwrap_or(bytes.len())
}
