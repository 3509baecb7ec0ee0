//! Reads what an answer cost while it passes.

use super::ending;
use super::gate::{Gate, Passed};
use super::json::Scanner;
use super::said::Said;
use super::shape::Shape;
use super::short::Short;
use super::sse::{Piece, Splitter};
use super::tokens::{Text, Tokens};
use bytes::Bytes;
use std::sync::Arc;

/// How an answer is framed, by its `content-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`
    Sse,
    /// One JSON document.
    Json,
    /// Anything else: only its bytes are counted.
    Other,
}

/// When events wait until they are whole. Default: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// The event that `include_usage` adds, usage with no choices, is taken out, because the caller did not ask for
    /// it. What may become one waits, which nearly no event does: their choices come first.
    pub strip_usage: bool,
    /// Every event waits until it is whole, so that the stream may be cut at any time between two chunks.
    pub whole_events: bool,
}

/// What an answer has told so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Tokens of the prompt, once told.
    pub prompt: Option<u64>,
    /// Tokens generated, once told; what an upstream tells in every event is all so far.
    pub completion: Option<u64>,
    /// More was generated than was told: it was told as nothing, or text came after it was told last.
    pub exceeds_told: bool,
    /// Text generated so far: to count by where nothing is told, before it is, and where it is more than that.
    pub text: Text,
    /// A whole event or document had neither text nor a place for it, or is none: the answer is of a form that nobody knows.
    pub unread: bool,
    /// Events with data; 1 for a document once it has ended.
    pub events: u64,
    /// Bytes that came from upstream.
    pub bytes: u64,
    /// The upstream has said `[DONE]`, or the last event of a response.
    pub done: bool,
}

/// Reads one answer. Constant memory, but for events that wait, which are bounded by
/// [`HELD_MAX`](super::HELD_MAX).
#[derive(Debug)]
pub struct Reader {
    shape: Arc<Shape>,
    framing: Framing,
    holding: Holding,
    splitter: Splitter,
    document: Document,
    gate: Gate,
    bytes: u64,
}

/// The data of one event, or a whole answer.
#[derive(Debug, Default)]
struct Document {
    scanner: Scanner,
    said: Said,
    /// How the data begins, as far as `[DONE]` needs it.
    head: Short<6>,
    has_data: bool,
    events: u64,
    done: bool,
    /// A whole answer that is no JSON: what was read is not all.
    broken: bool,
}

impl Reader {
    /// Begins an answer. What the upstream compressed is [`Framing::Other`].
    pub fn new(shape: Arc<Shape>, framing: Framing, holding: Holding) -> Self {
        let (splitter, document, gate) = Default::default();
        Self { shape, framing, holding, splitter, document, gate, bytes: 0 }
    }

    /// Reads the next chunk and says what to send down now.
    ///
    /// Hot path, once per chunk: no allocation, and no copy unless an event waits.
    pub fn feed(&mut self, chunk: Bytes) -> Passed {
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        match self.framing {
            Framing::Sse => return self.events(chunk),
            Framing::Json => {
                self.document.read(&self.shape, &chunk);
                self.document.broken |= self.document.scanner.is_broken();
            }
            Framing::Other => {}
        }
        Passed::whole(chunk)
    }

    /// The answer has ended: what is left to send down.
    pub fn end(&mut self) -> Bytes {
        match self.framing {
            Framing::Sse => {
                self.splitter.finish();
                let strip = self.holding.strip_usage && self.document.said.only_usage();
                self.document.next();
                self.gate.finish(strip)
            }
            Framing::Json => {
                self.document.next();
                self.document.events = 1;
                Bytes::new()
            }
            Framing::Other => Bytes::new(),
        }
    }

    /// The answer goes no further: what has come of the event or the document at hand is all of it.
    pub fn break_off(&mut self) {
        let begun = match self.framing {
            Framing::Sse => self.document.has_data,
            Framing::Json => self.bytes > 0,
            Framing::Other => false,
        };
        self.document.events += u64::from(begun);
    }

    /// What was told so far. Cheap: may be asked after each chunk.
    #[inline]
    pub fn seen(&self) -> Seen {
        let Document { said, events, done, broken, .. } = &self.document;
        let begun = *events > 0 || self.splitter.has_strays();
        let usage = said.usage();
        Seen {
            prompt: usage.prompt,
            completion: usage.completion,
            exceeds_told: usage.completion.is_some() && said.exceeds_usage(),
            text: said.text,
            unread: *broken || begun && said.text.bytes() == 0 && !said.has_place,
            events: *events,
            bytes: self.bytes,
            done: *done,
        }
    }

    /// What to send down in place of the rest when the stream is cut here: an event that says that the answer ended
    /// for its length, and `[DONE]`, as the upstream would have written them; of these what it has not said. Empty if it
    /// has said all, and where nothing but the end of the connection tells an end.
    ///
    /// They tell what it `cost` as the API does: unasked in Pangu and the Responses API, where it was `asked` for in an
    /// event of its own.
    ///
    /// With [`Holding::whole_events`] what was sent so far ends with an event. Otherwise, and after an event of more
    /// than [`HELD_MAX`](super::HELD_MAX), the cut may be in the middle of one: it is ended first, and a caller who
    /// parses it will find it broken.
    pub fn cut_ending(&self, cost: Tokens, asked: bool) -> Bytes {
        if self.framing != Framing::Sse || self.document.done {
            return Bytes::new();
        }
        ending::of(self.shape.dialect, &self.document.said, self.gate.begun, cost, asked)
    }

    fn events(&mut self, chunk: Bytes) -> Passed {
        let Self { shape, holding, splitter, document, gate, .. } = self;
        let mut passing = gate.pass(chunk.clone());
        splitter.feed(&chunk, |piece| match piece {
            Piece::Data(data) => document.data(shape, data),
            Piece::DataEnd => document.read(shape, b"\n"),
            Piece::Event(data) => document.read(shape, data),
            Piece::EventEnd => document.next(),
            Piece::Boundary { at } => {
                let strip = holding.strip_usage && document.said.only_usage();
                document.event_end();
                passing.boundary(at, strip);
            }
        });
        passing.finish(holding.whole_events || holding.strip_usage && document.may_be_only_usage())
    }
}

impl Document {
    #[inline]
    fn data(&mut self, shape: &Shape, data: &[u8]) {
        self.has_data = true;
        if self.head.room() > 0 {
            self.head.push(&data[..data.len().min(self.head.room())]);
        }
        self.read(shape, data);
    }

    #[inline]
    fn read(&mut self, shape: &Shape, bytes: &[u8]) {
        self.scanner.feed(&shape.paths, bytes, &mut self.said);
    }

    fn may_be_only_usage(&self) -> bool {
        self.said.may_be_only_usage() && !self.scanner.is_broken()
    }

    #[inline]
    fn event_end(&mut self) {
        let done = self.head.as_bytes() == Some(b"[DONE]");
        self.done |= done || self.said.ends_response();
        self.events += u64::from(self.has_data && !done);
        self.has_data = false;
        self.head.clear();
        self.next();
    }

    #[inline]
    fn next(&mut self) {
        self.scanner.reset();
        self.said.next();
    }
}
