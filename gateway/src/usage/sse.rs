//! Server-sent events, split as they pass: where the data of an event is, and where an event ends.
//!
//! After the WHATWG standard: a byte order mark before everything is ignored; lines end in `\n`, `\r\n` or `\r`; an empty line ends an event; one space after the
//! colon is not part of the value; a line that begins with a colon is a comment. A comment between two events counts
//! as something of its own, so that a heartbeat need not wait for the event after it.

use super::short::Short;
use memchr::memchr2;

/// What is found in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Some of the value of a `data` line.
    Data(&'a [u8]),
    /// A `data` line ends; the next one of the same event goes on after a line feed.
    DataEnd,
    /// Some of the value of an `event` line that is an object, which Pangu's last events may have there.
    Event(&'a [u8]),
    /// Such a line ends.
    EventEnd,
    /// Nothing is begun that is not ended: what comes next in the chunk, at `at`, is a new event.
    Boundary {
        /// In the chunk.
        at: usize,
    },
}

/// U+FEFF in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Splits one stream. A `\r` that could be half of a line end waits for the byte after it.
#[derive(Debug, Clone)]
pub struct Splitter {
    line: Line,
    name: Short<8>,
    /// In the first line of all, which may have a mark before it.
    first: bool,
    /// A line of the event at hand was more than a comment.
    begun: bool,
    /// There was a line of no field.
    strays: bool,
    /// The last byte was `\r`; whether a boundary is due after the `\n` that may follow.
    after_cr: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Name,
    /// Just after the colon.
    Colon(Field),
    Value(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    /// Of which nothing is known yet but its name.
    Event,
    /// An `event` line that is an object.
    Object,
    Comment,
    Other,
    /// Of a name that no field has.
    Stray,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            line: Line::Name,
            name: Short::EMPTY,
            first: true,
            begun: false,
            strays: false,
            after_cr: None,
        }
    }
}

impl Splitter {
    /// Splits the next chunk. Hot path: values are searched, not walked.
    #[inline]
    pub fn feed(&mut self, chunk: &[u8], mut found: impl FnMut(Piece<'_>)) {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if let Some(boundary) = self.after_cr.take() {
                let line_feed = byte == b'\n';
                at += usize::from(line_feed);
                if boundary {
                    found(Piece::Boundary { at });
                }
                if line_feed {
                    continue;
                }
            }
            match self.line {
                Line::Name if self.name.is_empty() && chunk[at..].starts_with(b"data:") => {
                    self.line = Line::Colon(Field::Data);
                    at += 5;
                }
                Line::Name => {
                    at += 1;
                    match byte {
                        b':' => {
                            let field = self.field();
                            self.strays |= field == Field::Stray;
                            self.line = Line::Colon(field);
                        }
                        b'\n' | b'\r' => self.line_end(byte, at, &mut found),
                        _ => {
                            self.name.push(&[byte]);
                            if self.first && self.name.as_bytes() == Some(MARK) {
                                self.name.clear();
                                self.first = false;
                            }
                        }
                    }
                }
                Line::Colon(field) => {
                    at += usize::from(byte == b' ');
                    self.line = Line::Value(field);
                }
                Line::Value(Field::Event) => {
                    self.line = Line::Value(if byte == b'{' { Field::Object } else { Field::Other });
                }
                Line::Value(field) => {
                    let value = &chunk[at..];
                    let run = memchr2(b'\n', b'\r', value).unwrap_or(value.len());
                    match field {
                        Field::Data if run > 0 => found(Piece::Data(&value[..run])),
                        Field::Object if run > 0 => found(Piece::Event(&value[..run])),
                        _ => {}
                    }
                    at += run;
                    if let Some(&end) = value.get(run) {
                        at += 1;
                        self.line_end(end, at, &mut found);
                    }
                }
            }
        }
    }

    /// A line was none of an event's, nor a comment: perhaps this is no stream of events.
    #[inline]
    pub fn has_strays(&self) -> bool {
        self.strays
    }

    /// The stream has ended; whether that was the end of a boundary that was due.
    pub fn finish(&mut self) -> bool {
        self.after_cr.take() == Some(true)
    }

    fn field(&self) -> Field {
        match self.name.as_bytes() {
            Some(b"data") => Field::Data,
            Some(b"event") => Field::Event,
            Some(b"") => Field::Comment,
            Some(b"id" | b"retry") => Field::Other,
            _ => Field::Stray,
        }
    }

    /// A line has ended just before `at`, with this byte.
    #[inline]
    fn line_end(&mut self, end: u8, at: usize, found: &mut impl FnMut(Piece<'_>)) {
        let comment = self.line == Line::Value(Field::Comment);
        self.strays |= self.line == Line::Name && !self.name.is_empty() && self.field() == Field::Stray;
        let boundary = match self.line {
            Line::Name => self.name.is_empty(),
            _ => comment && !self.begun,
        };
        match self.line {
            Line::Value(Field::Data) => found(Piece::DataEnd),
            Line::Value(Field::Object) => found(Piece::EventEnd),
            _ => {}
        }
        self.begun = !boundary && (self.begun || !comment);
        self.line = Line::Name;
        self.first = false;
        self.name.clear();
        if end == b'\r' {
            self.after_cr = Some(boundary);
        } else if boundary {
            found(Piece::Boundary { at });
        }
    }
}
