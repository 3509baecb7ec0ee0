//! One piece of a document: what stands between strings.

use super::{At, DEPTH_MAX, Kind, Literal, Scanner, State, Value, Visitor};
use crate::usage::escape::Decoded;
use crate::usage::number::Number;
use crate::usage::paths::Paths;

/// One piece being read.
pub(super) struct Walk<'a, T, V> {
    pub(super) scanner: &'a mut Scanner,
    pub(super) paths: &'a Paths<T>,
    pub(super) visitor: &'a mut V,
    pub(super) bytes: &'a [u8],
    /// What escapes stand for that has not been told yet; they are short and come in runs.
    pub(super) decoded: Decoded,
}

impl<T: Copy, V: Visitor<T>> Walk<'_, T, V> {
    /// Reads all of it.
    #[inline]
    pub(super) fn all(mut self) {
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
    pub(super) fn end(&mut self, value: Value, at: usize) {
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

    pub(super) fn number_end(&mut self, end: usize) {
        let number = self.scanner.number;
        match (number.end(), number.with_fraction()) {
            (Some(_), Some(value)) => self.end(Value::Decimal(value), end),
            (Some(value), None) => self.end(Value::Number(value), end),
            (None, _) => self.scanner.state = State::Broken,
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
