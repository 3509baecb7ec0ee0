//! Reads JSON as it passes, in any pieces, and tells a visitor about the values at wanted places.
//!
//! It keeps the key or the number that it stands in, one byte per open container, and nothing else: strings go to the
//! visitor piece by piece, so that neither their length nor where a character is split matters. It checks the grammar
//! of everything it needs to find its way; what malformed text looked like before the mistake has been told, and
//! after it the scanner is quiet until [`Scanner::reset`].
//!
//! More lenient than RFC 8259 in three ways, none of which changes what stands where: strings may be any bytes but
//! quote and backslash, a lone surrogate becomes U+FFFD, and below [`DEPTH_MAX`] only brackets and strings are matched.

mod text;
mod walk;

use self::walk::Walk;
use super::escape::{Decoded, Escape};
use super::number::Number;
use super::paths::{Paths, Place};
use super::short::Short;

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
    /// A number like that, but written with a fraction of zeros (`8.0`), which not all decoders take for a whole one.
    Decimal(u64),
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

    /// An object at a wanted place has a key that no path names; `None` if it is longer than those may be.
    #[inline]
    fn other_key(&mut self, _within: T, _key: Option<&[u8]>) {}
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
