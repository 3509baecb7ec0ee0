//! What of a stream goes down when: all of it at once, but for events that must be seen whole before they may pass.

use bytes::{Bytes, BytesMut};

/// Bytes that are held back at most; an event that is longer passes as it comes.
pub const HELD_MAX: usize = 64 * 1024;

/// Bytes to send down now, in order. Nearly always one piece, the very one that came; none if all is held back.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    pieces: [Bytes; 3],
}

impl Passed {
    /// All of a chunk as it came.
    pub(super) fn whole(chunk: Bytes) -> Self {
        Self { pieces: [chunk, Bytes::new(), Bytes::new()] }
    }

    fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        match self.pieces.iter_mut().find(|place| place.is_empty()) {
            Some(place) => *place = piece,
            // More than one event was taken out of one chunk: rare enough to copy.
            None => self.pieces[2] = [&self.pieces[2][..], &piece[..]].concat().into(),
        }
    }
}

impl IntoIterator for Passed {
    type Item = Bytes;
    type IntoIter = std::iter::Filter<std::array::IntoIter<Bytes, 3>, fn(&Bytes) -> bool>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter().filter(|piece| !piece.is_empty())
    }
}

/// Between the chunks of one stream.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// All so far of the event at hand, none of which has passed.
    held: BytesMut,
    /// Some of the event at hand has passed.
    pub begun: bool,
}

/// One chunk at the gate.
pub(super) struct Passing<'a> {
    gate: &'a mut Gate,
    /// Before this everything has passed or was taken out.
    from: usize,
    /// Where the event at hand begins; 0 if it began in an earlier chunk.
    event: usize,
    passed: Passed,
    chunk: Bytes,
}

impl Gate {
    pub fn pass(&mut self, chunk: Bytes) -> Passing<'_> {
        Passing { gate: self, from: 0, event: 0, passed: Passed::default(), chunk }
    }

    /// The stream has ended: what was held back, unless it is to be taken out.
    pub fn finish(&mut self, take_out: bool) -> Bytes {
        let held = self.held.split();
        if take_out { Bytes::new() } else { held.freeze() }
    }
}

impl Passing<'_> {
    /// The event at hand ends before `at`. It cannot be taken out if some of it has passed.
    #[inline]
    pub fn boundary(&mut self, at: usize, take_out: bool) {
        if take_out && !self.gate.begun {
            self.gate.held.clear();
            self.release(self.event);
            self.from = at;
        } else {
            self.release_held();
        }
        self.gate.begun = false;
        self.event = at;
    }

    /// The chunk ends: whether what has come of the event at hand waits for the rest.
    pub fn finish(mut self, hold: bool) -> Passed {
        let partial = self.chunk.len() - self.event;
        if hold && !self.gate.begun && (1..=HELD_MAX).contains(&(self.gate.held.len() + partial)) {
            self.release(self.event);
            self.gate.held.extend_from_slice(&self.chunk[self.event..]);
            return self.passed;
        }
        self.release_held();
        self.gate.begun |= partial > 0;
        if self.from == 0 {
            self.passed.push(self.chunk); // as it came: nothing is counted up or cut
        } else {
            self.release(self.chunk.len());
        }
        self.passed
    }

    /// Lets the chunk pass up to here.
    fn release(&mut self, until: usize) {
        if self.from < until {
            self.passed.push(self.chunk.slice(self.from..until));
            self.from = until;
        }
    }

    /// What was held back is older than anything in the chunk that has not passed yet.
    fn release_held(&mut self) {
        if !self.gate.held.is_empty() {
            self.passed.push(self.gate.held.split().freeze());
        }
    }
}
