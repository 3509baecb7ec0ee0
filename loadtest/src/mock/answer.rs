//! Answer: the body on its way out, with its pace, its pieces, and its accidents.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::behaviour::Plan;
use super::count::Outcome;
use super::fault::{Drip, Fault, Mid};
use super::flight::Flight;
use super::reply::Content;
use super::sse::Events;
use super::wire::Conn;

/// Filler is sent from one static block of this length.
const FILLER: &[u8] = &[b'.'; 64 * 1024];

/// What was sent before an accident gets this long to leave the process.
const CUT_PAUSE: Duration = Duration::from_millis(5);

/// The body of one answer.
pub struct Answer {
    source: Source,
    /// Given by the source, not yet sent.
    ready: Bytes,
    pieces: Option<Drip>,
    cut: Option<Cut>,
    trailers: Option<HeaderMap>,
    pause: Option<Pin<Box<Sleep>>>,
    close_quietly: bool,
    version: Version,
    conn: Rc<Conn>,
    flight: Flight,
}

/// An answer, or a request, that was broken off on purpose or by the caller.
#[derive(Debug)]
pub struct Broken;

enum Source {
    Whole { length: u64 },
    Filler { length: u64, left: u64 },
    Events(Events),
    Echo { body: Incoming, ended: bool },
}

/// An accident that waits in the body.
struct Cut {
    what: Mid,
    /// Pieces to be sent before it.
    after: usize,
}

impl Answer {
    /// Makes a body of `content`, and `trailers` behind it; `body` is the request's, for an echo.
    pub fn new(
        content: Content,
        trailers: Option<HeaderMap>,
        body: Incoming,
        plan: &Plan,
        version: Version,
        conn: Rc<Conn>,
        flight: Flight,
    ) -> Answer {
        let (source, ready) = match content {
            Content::Whole(bytes) => (Source::Whole { length: bytes.len() as u64 }, bytes),
            Content::Filler(length) => (Source::Filler { length, left: length }, Bytes::new()),
            Content::Events(script) => (Source::Events(Events::new(script, plan)), Bytes::new()),
            Content::Echo => (Source::Echo { body, ended: false }, Bytes::new()),
        };
        let mut answer = Answer {
            source,
            ready,
            pieces: plan.pieces,
            cut: None,
            trailers,
            pause: None,
            close_quietly: plan.fault == Some(Fault::CloseQuiet),
            version,
            conn,
            flight,
        };
        if let Some(Fault::Mid(what)) = plan.fault {
            answer.plan_cut(what);
        }
        if answer.is_end_stream() {
            answer.complete(); // the library never asks an empty body for anything
        }
        answer
    }

    /// Counts the request as answered, for answers whose body is not sent (HEAD).
    pub fn complete(&mut self) {
        self.flight.finish(Outcome::Completed);
        if self.close_quietly {
            self.conn.close();
        }
    }

    /// Puts the accident about half-way. Pieces other than the source's own would only blur where that is.
    fn plan_cut(&mut self, what: Mid) {
        let whole = |length: usize| Drip { bytes: length.div_ceil(2).max(1), every: Duration::ZERO };
        self.pieces = None;
        let after = match &self.source {
            Source::Whole { length: 0 } | Source::Filler { length: 0, .. } => return, // nothing to cut
            Source::Whole { length } => {
                self.pieces = Some(whole(*length as usize));
                1
            }
            Source::Filler { length, .. } => {
                let half = (length / 2).clamp(1, FILLER.len() as u64);
                self.pieces = Some(Drip { bytes: half as usize, every: Duration::ZERO });
                (length / 2 / half).max(1) as usize
            }
            Source::Events(events) => (events.left() / 2).max(1),
            Source::Echo { .. } => 1,
        };
        self.cut = Some(Cut { what, after });
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        while self.ready.is_empty() {
            match ready!(self.poll_source(cx)) {
                Some(Ok(bytes)) => self.ready = bytes,
                end => return Poll::Ready(end),
            }
        }
        if let Some(Drip { every, .. }) = self.pieces {
            ready!(self.poll_pause(every, cx));
        }
        let length = self.pieces.map_or(usize::MAX, |pieces| pieces.bytes).min(self.ready.len());
        Poll::Ready(Some(Ok(self.ready.split_to(length))))
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        match &mut self.source {
            Source::Whole { .. } => Poll::Ready(None),
            Source::Filler { left: 0, .. } => Poll::Ready(None),
            Source::Filler { left, .. } => {
                let now = (*left).min(FILLER.len() as u64);
                *left -= now;
                Poll::Ready(Some(Ok(Bytes::from_static(&FILLER[..now as usize]))))
            }
            Source::Events(events) => {
                let event = ready!(events.poll_next(cx));
                self.flight.sent_tokens(events.tokens_given());
                Poll::Ready(event.map(Ok))
            }
            Source::Echo { body, ended } => loop {
                match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                    None => {
                        *ended = true;
                        self.flight.body_ended();
                        return Poll::Ready(None);
                    }
                    Some(Err(_)) => return Poll::Ready(Some(Err(Broken))),
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            self.flight.receive(&bytes);
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                    }
                }
            },
        }
    }

    fn poll_pause(&mut self, pause: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if pause.is_zero() {
            return Poll::Ready(());
        }
        let alarm = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(alarm.as_mut().poll(cx));
        self.pause = None;
        Poll::Ready(())
    }

    fn poll_cut(&mut self, what: Mid, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Broken>>> {
        if what == Mid::Hang {
            return Poll::Pending; // woken by nothing; the caller's leaving drops this body
        }
        ready!(self.poll_pause(CUT_PAUSE, cx));
        self.flight.finish(Outcome::Faulted);
        let announced = matches!(self.source, Source::Whole { .. } | Source::Filler { .. });
        match what {
            // HTTP/1 without a length can only be cut by closing; all others may end too early.
            Mid::Truncate if announced || self.version == Version::HTTP_2 => Poll::Ready(None),
            Mid::Truncate => Poll::Ready(Some(Err(Broken))),
            Mid::Reset | Mid::Hang => {
                if self.version != Version::HTTP_2 {
                    self.conn.reset();
                }
                Poll::Ready(Some(Err(Broken)))
            }
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        if let Some(Cut { what, after: 0 }) = this.cut {
            return this.poll_cut(what, cx).map(|end| end.map(|result| result.map(Frame::data)));
        }
        let piece = ready!(this.poll_piece(cx));
        if piece.is_none()
            && let Some(trailers) = this.trailers.take()
        {
            this.complete();
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        if let Some(cut) = &mut this.cut {
            cut.after -= 1;
        }
        if piece.is_none() || this.is_end_stream() {
            this.complete();
        }
        Poll::Ready(piece.map(|result| result.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        let drained = match &self.source {
            Source::Whole { .. } => true,
            Source::Filler { left, .. } => *left == 0,
            Source::Events(events) => events.left() == 0,
            Source::Echo { ended, .. } => *ended,
        };
        drained && self.ready.is_empty() && self.cut.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.source {
            Source::Whole { length } | Source::Filler { length, .. } => SizeHint::with_exact(length),
            Source::Events(_) | Source::Echo { .. } => SizeHint::default(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken off")
    }
}

impl std::error::Error for Broken {}
