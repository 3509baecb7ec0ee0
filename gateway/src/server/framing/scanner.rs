//! Follows the messages of one connection, byte for byte.

use super::chunked::{Chunked, Step};
use super::head::{Body, Head};
use super::{Framing, FramingCaps};

/// Judges the bytes of one connection. Pure: fed bytes, it says how many may pass.
#[derive(Debug)]
pub struct FramingScanner {
    caps: FramingCaps,
    at: At,
    heads: u32,
    broken: Option<Framing>,
}

/// Where in a message we are.
#[derive(Debug)]
enum At {
    Head(Head),
    /// Before this many bytes of body; at least one.
    Length(u64),
    Chunked(Chunked),
}

/// What came of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// This many bytes at the front may pass. Those after them are to be kept, and be at the front of
    /// what is scanned next.
    pub pass: usize,
    /// What is wrong with the bytes after those. Nothing passes any more.
    pub violation: Option<Framing>,
}

impl FramingScanner {
    /// A scanner before the first byte of a connection.
    pub fn new(caps: FramingCaps) -> FramingScanner {
        FramingScanner { caps, at: At::Head(Head::default()), heads: 0, broken: None }
    }

    /// Judges `bytes`: all that did not pass so far, those of the last call included. Hot path, once per
    /// read. A head passes as a whole, everything else as far as it goes.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut pass = 0;
        while self.broken.is_none() && pass < bytes.len() {
            match self.step(&bytes[pass..]) {
                Ok(Some(passed)) => pass += passed,
                Ok(None) => break,
                Err(violation) => self.broken = Some(violation),
            }
        }
        Scan { pass, violation: self.broken }
    }

    /// What was wrong, once something is.
    pub fn violation(&self) -> Option<Framing> {
        self.broken
    }

    /// Heads that have passed; wraps around.
    pub fn heads_complete(&self) -> u32 {
        self.heads
    }

    /// Has a head begun that is not complete?
    pub fn head_started(&self) -> bool {
        matches!(&self.at, At::Head(head) if head.has_started())
    }

    /// Is there body to come, or a violation within it?
    pub fn reading_body(&self) -> bool {
        !matches!(self.at, At::Head(_))
    }

    /// Judges what stands at the front of `bytes`; None: too few to tell.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>, Framing> {
        match &mut self.at {
            At::Head(head) => {
                let Some((len, body)) = head.judge(bytes, &self.caps)? else { return Ok(None) };
                self.heads = self.heads.wrapping_add(1);
                self.at = match body {
                    Body::None => At::Head(Head::default()),
                    Body::Length(length) => At::Length(length),
                    Body::Chunked => At::Chunked(Chunked::begin()),
                };
                Ok(Some(len))
            }
            At::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.at = At::Head(Head::default());
                }
                Ok(Some(taken))
            }
            At::Chunked(chunked) => match chunked.judge(bytes)? {
                Step::Pass(len) => Ok(Some(len)),
                Step::Wait => Ok(None),
                Step::End(len) => {
                    self.at = At::Head(Head::default());
                    Ok(Some(len))
                }
            },
        }
    }
}
