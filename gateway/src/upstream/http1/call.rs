//! One request on a connection, and its answer.

use super::coding::{BadBody, Coding, Part, write_chunk};
use super::head::{self, AnswerHead, BadHead, HEAD_MAX};
use super::link::Link;
use crate::upstream::Socket;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// Interim answers (1xx) before the real one.
const INTERIM_MAX: u32 = 16;

/// More of an unwanted answer is not read: a new connection costs less.
const DISCARDED_MAX: usize = 64 << 10;

/// A request that goes to a backend with body `B`, and the answer that comes back.
pub struct Call<B> {
    link: Link,
    method: Method,
    upload: B,
    sending: Sending,
    /// A byte of the request has left.
    written: bool,
    /// How the answer's body is framed; `None` until its head has come.
    coding: Option<Coding>,
    keep: bool,
    /// The protocol that the connection would switch to.
    offered: Option<&'static str>,
}

/// How the rest of the request's body goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    /// Its length was declared; so many bytes are missing.
    Length(u64),
    Chunked,
    /// All of it has been put into the connection's buffer.
    Done,
}

/// Why there is no answer, or only part of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not one byte of the request has left: it may be sent on another connection.
    #[error("connection lost before the request was sent: {0}")]
    Untouched(io::Error),
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// It ended before an answer.
    #[error("the upstream closed the connection without an answer")]
    NoAnswer,
    /// The request's body cannot go on; what was sent stays incomplete.
    #[error("the request body was stopped: {0}")]
    Upload(io::Error),
    /// The answer's head cannot be read.
    #[error(transparent)]
    Head(#[from] BadHead),
    /// The answer's body cannot be read on.
    #[error(transparent)]
    Body(#[from] BadBody),
}

impl<B> Call<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    /// Writes the request line into the connection's buffer. Headers follow, then [`end_of_head`](Self::end_of_head);
    /// nothing leaves before [`poll_answer`](Self::poll_answer).
    pub fn begin(mut link: Link, method: &Method, base_path: &str, target: &str, upload: B) -> Call<B> {
        head::write_request_line(link.output(), method, base_path, target);
        let (written, coding, keep, offered) = (false, None, true, None);
        Call { link, method: method.clone(), upload, sending: Sending::Done, written, coding, keep, offered }
    }

    /// Offers to switch the connection to `protocol` (RFC 9110 section 7.8), which an answer of 101 accepts.
    pub fn offer(&mut self, protocol: &'static str) {
        self.header("connection", b"upgrade");
        self.header("upgrade", protocol.as_bytes());
        self.offered = Some(protocol);
    }

    /// Writes a header line.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        head::write_header(self.link.output(), name, value);
    }

    /// Ends the head with what the body needs; its length is not to be written with the other headers.
    pub fn end_of_head(&mut self) {
        let length = self.upload.size_hint().exact();
        self.sending = if self.upload.is_end_stream() || length == Some(0) {
            // RFC 9110 section 8.6: only where a body would be expected, its absence is told.
            if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) {
                self.header("content-length", b"0");
            }
            Sending::Done
        } else if let Some(length) = length {
            self.header("content-length", itoa::Buffer::new().format(length).as_bytes());
            Sending::Length(length)
        } else {
            self.header("transfer-encoding", b"chunked");
            Sending::Chunked
        };
        self.link.output().extend_from_slice(b"\r\n");
    }

    /// Moves an [untouched](Error::Untouched) request to another connection.
    pub fn move_to(&mut self, mut link: Link) {
        link.take_output(&mut self.link);
        self.link = link;
    }

    /// The request's body, as far as it has gone.
    pub fn upload(&self) -> &B {
        &self.upload
    }

    /// Sends the request and waits for the head of the answer, as [`poll_answer`](Self::poll_answer).
    ///
    /// # Errors
    /// [`Error`]
    pub async fn answer(&mut self) -> Result<Response<()>, Error> {
        let mut response = Response::new(());
        poll_fn(|cx| self.poll_answer(cx, &mut response)).await?;
        Ok(response)
    }

    /// Sends the request; ready once the head of the answer has come. Its headers, without hop-by-hop ones, go into those
    /// of `response`, which come empty.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::Untouched`] it may be tried again.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Response<()>,
    ) -> Poll<Result<(), Error>> {
        // Its end is not waited for: an answer may come before it.
        let _ = self.poll_send(cx)?;
        let mut interim = 0;
        loop {
            if let Some(AnswerHead { status, coding, keep }) = self.take_head(response.headers_mut())? {
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    (self.coding, self.keep) = (Some(coding), self.keep && keep);
                    *response.status_mut() = status;
                    return Poll::Ready(Ok(()));
                }
                interim += 1;
                if interim > INTERIM_MAX {
                    return Poll::Ready(Err(BadHead::TooLong.into()));
                }
                response.headers_mut().clear();
                continue;
            }
            if ready!(self.link.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(Error::NoAnswer));
            }
        }
    }

    fn take_head(&mut self, headers: &mut HeaderMap) -> Result<Option<AnswerHead>, BadHead> {
        let input = self.link.input();
        match head::end_of_head(input) {
            Some(end) if end <= HEAD_MAX => {
                let head = input.split_to(end).freeze();
                head::read(&head, &self.method, self.offered, headers).map(Some)
            }
            None if input.len() < HEAD_MAX => Ok(None),
            _ => Err(BadHead::TooLong),
        }
    }

    /// Sends what can be sent; ready when all of the request has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let more_may_come = self.fill(cx)?;
            if let Err(error) = ready!(self.link.poll_flush(cx, &mut self.written)) {
                if !self.written {
                    return Poll::Ready(Err(Error::Untouched(error)));
                }
                // It reads no further, but may have said why: an early answer is still to be read.
                (self.keep, self.sending) = (false, Sending::Done);
                self.link.discard_output();
            }
            if self.sending == Sending::Done {
                return Poll::Ready(Ok(()));
            }
            if !more_may_come {
                return Poll::Pending;
            }
        }
    }

    /// Puts as much of the body behind the head as there is; `false` if more has to come first.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        while self.sending != Sending::Done && self.link.has_room() {
            match Pin::new(&mut self.upload).poll_frame(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers of a request are dropped: whoever wants them upstream would have to be asked first.
                    if let Ok(data) = frame.into_data() {
                        self.send(data)?;
                    }
                    if self.upload.is_end_stream() {
                        self.end_upload()?;
                    }
                }
                Poll::Ready(Some(Err(error))) => return Err(Error::Upload(error)),
                Poll::Ready(None) => self.end_upload()?,
            }
        }
        Ok(true)
    }

    fn send(&mut self, data: Bytes) -> Result<(), Error> {
        match &mut self.sending {
            Sending::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(wrong_length)?;
                self.link.push(data);
            }
            Sending::Chunked if !data.is_empty() => {
                write_chunk(self.link.output(), &data);
            }
            Sending::Chunked | Sending::Done => {}
        }
        Ok(())
    }

    fn end_upload(&mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.sending, Sending::Done) {
            Sending::Length(1..) => return Err(wrong_length()),
            Sending::Chunked => self.link.push(Bytes::from_static(b"0\r\n\r\n")),
            Sending::Length(0) | Sending::Done => {}
        }
        Ok(())
    }

    /// The next part of the answer's body, at once. Sends the rest of the request's body beside it.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.sending != Sending::Done || self.link.has_output() {
            let _ = self.poll_send(cx)?;
        }
        loop {
            let Some(coding) = &mut self.coding else { return Poll::Ready(None) };
            let (link, coding) = (&mut self.link, coding);
            match coding.take(link.input())? {
                Some(Part::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Part::Trailers(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                None if coding.has_ended() => return Poll::Ready(None),
                None => {}
            }
            if ready!(link.poll_fill(cx))? == 0 {
                coding.close()?;
            }
        }
    }

    /// Ready once the answer's body has begun, or has ended without a byte. Takes nothing of it.
    ///
    /// # Errors
    /// [`Error`]
    pub fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.sending != Sending::Done || self.link.has_output() {
            let _ = self.poll_send(cx)?;
        }
        while self.link.input().is_empty() && !self.has_ended() {
            if ready!(self.link.poll_fill(cx))? == 0 {
                let Some(coding) = &mut self.coding else { break };
                coding.close()?;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The connection of an answer that nobody wants, if what has come of it is all of it: nothing is waited for.
    pub fn discard(mut self) -> Option<Link> {
        let mut nobody = Context::from_waker(Waker::noop());
        let mut taken = 0;
        while taken <= DISCARDED_MAX && !self.has_ended() {
            let Poll::Ready(Some(Ok(frame))) = self.poll_body(&mut nobody) else { break };
            taken += frame.data_ref().map_or(0, Bytes::len);
        }
        self.into_link()
    }

    /// Whether all of the answer has come.
    pub fn has_ended(&self) -> bool {
        self.coding.is_some_and(|coding| coding.has_ended())
    }

    /// What is known of the length of the rest of the answer.
    pub fn size_hint(&self) -> SizeHint {
        match self.coding {
            Some(Coding::Length(left)) => SizeHint::with_exact(left),
            Some(Coding::Ended) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// The connection, if it may serve another request: all of this one has left, all of the answer has come, and
    /// nothing behind it.
    pub fn into_link(self) -> Option<Link> {
        let done = self.sending == Sending::Done && self.has_ended();
        (done && self.keep && self.link.is_clean()).then_some(self.link)
    }

    /// The connection after an answer of 101: it speaks the protocol that was offered, beginning with what has been
    /// read of it already.
    pub fn into_switched(self) -> (Socket, Bytes) {
        self.link.into_parts()
    }
}

fn wrong_length() -> Error {
    Error::Upload(io::Error::other("it is not as long as its Content-Length says"))
}
