//! Flight: one request from its arrival to its end, however it ends.
//!
//! The guard travels with the work: first in the future that reads and waits, then in the body that is
//! being sent. When the caller leaves, the HTTP library drops whichever of them it holds, and the request
//! is counted as cancelled at that moment.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::ask::Usage;
use super::count::Outcome;
use super::endpoint::Kind;
use super::journal::{Arrival, Line, NUMBER_HEADER};
use super::record::{Draft, Record};
use super::server::Worker;
use super::wire::Conn;
use crate::clock;

/// Longest request body held in memory; longer ones are refused, except by `/mock/echo`.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A request that has arrived and not ended.
pub struct Flight {
    worker: Rc<Worker>,
    number: u64,
    draft: Option<Box<Draft>>,
    line: Option<Line>,
    status: u16,
    spent: Usage,
    /// When the first and the last token of the answer went out; 0: none has.
    tokens_us: (u64, u64),
    body_ended: bool,
    over: bool,
}

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// The caller broke off.
    Broken,
    /// Longer than the mock holds.
    TooLong,
}

impl Flight {
    /// Counts the request in, and starts its record if records are kept.
    pub fn arrive(worker: Rc<Worker>, conn: &Conn, head: &Parts, kind: Kind) -> Flight {
        let number = worker.shared.counters.arrive(worker.index, kind);
        let draft = worker.shared.recorder.as_ref().map(|recorder| {
            let record = record_of(&worker, conn, head, number);
            recorder.arrive(&record);
            Box::new(Draft::new(record))
        });
        let line = open_line(&worker, head);
        Flight {
            worker,
            number,
            draft,
            line,
            status: 0,
            spent: Usage::default(),
            tokens_us: (0, 0),
            body_ended: false,
            over: false,
        }
    }

    /// Number of the request within its worker.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// [`Unread`], with what came so far counted and recorded.
    pub async fn read(&mut self, body: &mut Incoming) -> Result<Bytes, Unread> {
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            let Ok(piece) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            self.receive(&piece);
            if first.is_empty() {
                first = piece; // the usual body is one piece, and needs no copy
            } else {
                rest.extend_from_slice(&piece);
            }
            if first.len() + rest.len() > BODY_BYTES_MAX {
                return Err(Unread::TooLong);
            }
        }
        self.body_ended();
        if rest.is_empty() {
            return Ok(first);
        }
        Ok([first, rest.freeze()].concat().into())
    }

    /// Counts and records a piece of the body.
    pub fn receive(&mut self, piece: &Bytes) {
        self.counter(|worker| &worker.bytes_in).fetch_add(piece.len() as u64, Relaxed);
        if let Some(draft) = &mut self.draft {
            draft.push(piece);
        }
    }

    /// Notes that the body has come to its proper end.
    pub fn body_ended(&mut self) {
        self.body_ended = true;
    }

    /// Notes the head of the answer.
    pub fn answered(&mut self, status: u16) {
        self.status = status;
        if let Some(draft) = &mut self.draft {
            draft.record.status = Some(status);
            draft.record.answered_us = Some(clock::mono_us());
        }
    }

    /// Notes the tokens of the question, and of the answer as far as it is sent.
    pub fn spent(&mut self, tokens: Usage) {
        self.spent = tokens;
        if tokens.completion > 0 && self.line.is_some() {
            self.time_tokens();
        }
    }

    /// Notes how much of a stream's answer has been sent.
    pub fn sent_tokens(&mut self, completion: u32) {
        if completion > self.spent.completion && self.line.is_some() {
            self.time_tokens();
        }
        self.spent.completion = completion;
    }

    fn time_tokens(&mut self) {
        let now_us = clock::mono_us();
        self.tokens_us = (if self.tokens_us.0 == 0 { now_us } else { self.tokens_us.0 }, now_us);
    }

    /// Counts the request out. The first call decides; [`Drop`] makes the last, as a cancellation.
    pub fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if !self.body_ended {
            self.counter(|worker| &worker.incomplete_bodies).fetch_add(1, Relaxed);
        }
        if let (Some(mut draft), Some(recorder)) = (self.draft.take(), &self.worker.shared.recorder) {
            draft.record.complete = self.body_ended;
            draft.record.outcome = Some(outcome);
            draft.record.ended_us = Some(clock::mono_us());
            recorder.keep(*draft);
        }
        if let (Some(line), Some(journal)) = (self.line, &self.worker.shared.journal) {
            journal.close(self.worker.index, line, |arrival| {
                arrival.ended_us = clock::mono_us();
                arrival.prompt_tokens = self.spent.prompt;
                arrival.completion_tokens = self.spent.completion;
                (arrival.first_token_us, arrival.last_token_us) = self.tokens_us;
                arrival.status = self.status;
                arrival.outcome = Some(outcome);
            });
        }
        // Last: who sees no request in flight may read the records.
        self.worker.shared.counters.leave(self.worker.index, outcome);
    }

    fn counter(&self, which: fn(&super::count::Worker) -> &AtomicU64) -> &AtomicU64 {
        which(self.worker.shared.counters.worker(self.worker.index))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.finish(Outcome::Cancelled);
    }
}

fn open_line(worker: &Worker, head: &Parts) -> Option<Line> {
    let journal = worker.shared.journal.as_ref()?;
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let number = text(NUMBER_HEADER).and_then(|number| number.parse().ok()).unwrap_or(0);
    let arrival = Arrival { number, arrived_us: clock::mono_us(), ..Arrival::default() };
    journal.open(worker.index, text(&worker.shared.tenant_header), arrival)
}

fn record_of(worker: &Worker, conn: &Conn, head: &Parts, number: u64) -> Record {
    let (target, headers) = match conn.take_head() {
        Some(raw) => (raw.target, raw.headers),
        None => {
            (head.uri.path_and_query().map_or_else(String::new, ToString::to_string), parsed_headers(head))
        }
    };
    Record {
        number,
        worker: worker.index,
        connection: conn.number,
        version: format!("{:?}", head.version),
        method: head.method.to_string(),
        target,
        headers,
        arrived_ms: clock::since_epoch().as_millis() as u64,
        arrived_us: clock::mono_us(),
        ..Record::default()
    }
}

/// Headers as the library keeps them; the authority of HTTP/2 stands for `host`.
fn parsed_headers(head: &Parts) -> Vec<(String, String)> {
    let authority = head.uri.authority().map(|authority| (":authority".to_owned(), authority.to_string()));
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let rest = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    authority.into_iter().chain(rest).collect()
}
