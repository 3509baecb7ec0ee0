//! One piece of a document: strings, and keys among them.

use super::walk::Walk;
use super::{DEPTH_MAX, State, Value, Visitor};
use crate::swar::{self, has};
use crate::usage::escape::Escape;
use memchr::memchr2;

impl<T: Copy, V: Visitor<T>> Walk<'_, T, V> {
    #[inline]
    pub(super) fn text(&mut self, at: usize) -> usize {
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
        if let (false, Some(within)) = (named, self.paths.tag(around)) {
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
    pub(super) fn backslash(&mut self, at: usize) -> usize {
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

    pub(super) fn hex(&mut self, digit: u8, at: usize) -> usize {
        match self.scanner.escape.digit(digit, &mut self.decoded) {
            Ok(true) => self.scanner.state = State::Text,
            Ok(false) => {}
            Err(()) => self.scanner.state = State::Broken,
        }
        at + 1
    }

    #[inline]
    pub(super) fn tell_decoded(&mut self) {
        if !self.decoded.is_empty() {
            let decoded = std::mem::take(&mut self.decoded);
            self.piece(decoded.as_bytes().unwrap_or_default());
        }
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
