//! One request and its answer, whatever its connection speaks.

use super::Backend;
use super::Socket;
use super::http1::{self, Link};
use super::http2::{self, Place};
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderName, HeaderValue, Method, Response};
use http_body::{Body, Frame, SizeHint};
use std::io;
use std::task::{Context, Poll, ready};

/// Where a request goes: a connection of its own, or a place on one that is shared.
pub enum Line {
    /// To a backend of [`Protocol::Http1`](super::Protocol).
    Http1(Link),
    /// To one of [`Protocol::Http2`](super::Protocol).
    Http2(Place),
}

/// A request that goes to a backend with body `B`, and the answer that comes back.
pub enum Call<B> {
    /// To a backend of [`Protocol::Http1`](super::Protocol).
    Http1(http1::Call<B>),
    /// To one of [`Protocol::Http2`](super::Protocol). In a box, so that it makes the others no larger.
    Http2(Box<http2::Call<B>>),
}

/// Why there is no answer, or only part of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Over HTTP/1.1.
    #[error(transparent)]
    Http1(#[from] http1::Error),
    /// Over HTTP/2.
    #[error(transparent)]
    Http2(#[from] http2::Error),
}

impl Error {
    /// The backend has not looked at the request, and all of it is still here.
    pub fn is_untouched(&self) -> bool {
        matches!(self, Error::Http1(http1::Error::Untouched(_)) | Error::Http2(http2::Error::Untouched(_)))
    }

    /// It was the request's body that could not go on.
    pub fn is_upload(&self) -> bool {
        matches!(self, Error::Http1(http1::Error::Upload(_)) | Error::Http2(http2::Error::Upload(_)))
    }
}

impl<B> Call<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    /// Begins a request for `target` below the backend's base path. Headers follow, then
    /// [`end_of_head`](Self::end_of_head); nothing leaves before [`poll_answer`](Self::poll_answer).
    pub fn begin(line: Line, backend: &Backend, method: &Method, target: &str, upload: B) -> Call<B> {
        let base = &backend.spec.base_path;
        match line {
            Line::Http1(link) => Call::Http1(http1::Call::begin(link, method, base, target, upload)),
            Line::Http2(place) => {
                let scheme = if backend.spec.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
                Call::Http2(Box::new(http2::Call::begin(place, scheme, method, base, target, upload)))
            }
        }
    }

    /// Adds a header; its name is in lower case.
    #[inline]
    pub fn header(&mut self, name: &str, value: &[u8]) {
        match self {
            Call::Http1(call) => call.header(name, value),
            Call::Http2(call) => call.header(name, value),
        }
    }

    /// Adds a header of the caller's.
    #[inline]
    pub fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        match self {
            Call::Http1(call) => call.header(name.as_str(), value.as_bytes()),
            Call::Http2(call) => call.pass(name, value),
        }
    }

    /// Offers to switch the connection to `protocol`. HTTP/2 knows no such thing.
    pub fn offer(&mut self, protocol: &'static str) {
        if let Call::Http1(call) = self {
            call.offer(protocol);
        }
    }

    /// Ends the head with what the body needs; its length is not to be among the other headers.
    pub fn end_of_head(&mut self) {
        match self {
            Call::Http1(call) => call.end_of_head(),
            Call::Http2(call) => call.end_of_head(),
        }
    }

    /// Moves an [untouched](Error::is_untouched) request to another line to the same backend.
    pub fn move_to(&mut self, line: Line) {
        match (self, line) {
            (Call::Http1(call), Line::Http1(link)) => call.move_to(link),
            (Call::Http2(call), Line::Http2(place)) => call.move_to(place),
            _ => debug_assert!(false, "a backend speaks one protocol"),
        }
    }

    /// The request's body, as far as it has gone.
    pub fn upload(&self) -> &B {
        match self {
            Call::Http1(call) => call.upload(),
            Call::Http2(call) => call.upload(),
        }
    }

    /// Sends the request; ready once the head of the answer has come, which becomes `response`. That comes without headers;
    /// their table may be used for those of the answer.
    ///
    /// # Errors
    /// [`Error`]; if it is [untouched](Error::is_untouched), the request may be tried again.
    pub fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut Response<()>,
    ) -> Poll<Result<(), Error>> {
        match self {
            Call::Http1(call) => call.poll_answer(cx, response).map_err(Error::Http1),
            Call::Http2(call) => {
                *response = ready!(call.poll_answer(cx))?;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The next part of the answer's body, at once. Sends the rest of the request's body beside it.
    #[inline]
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self {
            Call::Http1(call) => call.poll_body(cx).map_err(Error::Http1),
            Call::Http2(call) => call.poll_body(cx).map_err(Error::Http2),
        }
    }

    /// Ready once the answer's body has begun, or has ended without a byte. Takes nothing of it.
    ///
    /// # Errors
    /// [`Error`]
    pub fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Call::Http1(call) => call.poll_begun(cx).map_err(Error::Http1),
            Call::Http2(call) => call.poll_begun(cx).map_err(Error::Http2),
        }
    }

    /// Whether all of the answer has come.
    pub fn has_ended(&self) -> bool {
        match self {
            Call::Http1(call) => call.has_ended(),
            Call::Http2(call) => call.has_ended(),
        }
    }

    /// What is known of the length of the rest of the answer.
    pub fn size_hint(&self) -> SizeHint {
        match self {
            Call::Http1(call) => call.size_hint(),
            Call::Http2(call) => call.size_hint(),
        }
    }

    /// The connection of its own, if it had one and that may serve another request.
    pub fn into_link(self) -> Option<Link> {
        match self {
            Call::Http1(call) => call.into_link(),
            Call::Http2(_) => None,
        }
    }

    /// The same of an answer that nobody wants, if what has come of it is all of it: nothing is waited for.
    pub fn discard(self) -> Option<Link> {
        match self {
            Call::Http1(call) => call.discard(),
            Call::Http2(_) => None,
        }
    }

    /// The connection after an answer of 101: it speaks the protocol that was offered, beginning with what has been
    /// read of it already.
    pub fn into_switched(self) -> Option<(Socket, Bytes)> {
        match self {
            Call::Http1(call) => Some(call.into_switched()),
            Call::Http2(_) => None,
        }
    }
}
