//! One request on a connection, and its answer.

use super::session::Place;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A request that goes to a backend with body `B`, and the answer that comes back.
pub struct Call<B> {
    head: Request<()>,
    target: Target,
    upload: B,
    /// What has been taken of the body, and waits for room.
    data: Bytes,
    taken: Taken,
    sending: Option<SendStream<Bytes>>,
    waiting: Option<ResponseFuture>,
    answer: Option<RecvStream>,
    /// Of the answer's body, as its head declares.
    length: Option<u64>,
    /// All of it has come.
    over: bool,
    /// What has come of it and was not asked for yet.
    first: Option<Frame<Bytes>>,
    /// Last: the stream goes before the place on its connection.
    place: Place,
}

/// What has been taken of the body, as far as that matters to a request that has to begin anew.
enum Taken {
    Nothing,
    /// One piece, which costs nothing to keep: all of most bodies, and of a call of gRPC with one message.
    Once(Bytes),
    /// What cannot be had again.
    More,
}

struct Target {
    scheme: Scheme,
    authority: Bytes,
    path: String,
}

/// Why there is no answer, or only part of one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backend has not looked at the request, and says so, or the connection was over before it left.
    #[error("the upstream did not take the request: {0}")]
    Untouched(h2::Error),
    /// The connection broke, or the backend reset the request.
    #[error("HTTP/2: {0}")]
    Stream(#[from] h2::Error),
    /// The request's body cannot go on.
    #[error("the request body was stopped: {0}")]
    Upload(io::Error),
    /// A head that HTTP/2 cannot carry.
    #[error("the request cannot be sent over HTTP/2: {0}")]
    Head(#[from] http::Error),
}

impl<B> Call<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    /// A request without headers; they follow, then [`end_of_head`](Self::end_of_head), and nothing leaves before
    /// [`answer`](Self::answer) is awaited.
    pub fn begin(
        place: Place,
        scheme: Scheme,
        method: &Method,
        base_path: &str,
        target: &str,
        upload: B,
    ) -> Call<B> {
        let mut head = Request::new(());
        *head.method_mut() = method.clone();
        *head.version_mut() = http::Version::HTTP_2;
        let target = Target { scheme, authority: Bytes::new(), path: [base_path, target].concat() };
        Call {
            head,
            target,
            upload,
            data: Bytes::new(),
            taken: Taken::Nothing,
            sending: None,
            waiting: None,
            answer: None,
            length: None,
            over: false,
            first: None,
            place,
        }
    }

    /// Adds a header; `host` becomes the authority. What HTTP/2 cannot carry is left out.
    pub fn header(&mut self, name: &str, value: &[u8]) {
        if name == "host" {
            self.target.authority = Bytes::copy_from_slice(value);
        } else if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
            self.head.headers_mut().append(name, value);
        }
    }

    /// Adds a header of another message: its bytes are shared.
    pub fn pass(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.head.headers_mut().append(name, value.clone());
    }

    /// Ends the head with what the body needs; its length is not to be among the other headers.
    pub fn end_of_head(&mut self) {
        if let Some(length) = self.upload.size_hint().exact()
            && (length > 0 || matches!(*self.head.method(), Method::POST | Method::PUT | Method::PATCH))
        {
            self.head.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
    }

    /// Moves an [untouched](Error::Untouched) request to another connection.
    pub fn move_to(&mut self, place: Place) {
        (self.waiting, self.sending) = (None, None);
        self.place = place;
        if let Taken::Once(piece) = &self.taken {
            self.data = piece.clone();
        }
    }

    /// The request's body, as far as it has gone.
    pub fn upload(&self) -> &B {
        &self.upload
    }

    /// Sends the request; ready with the head of the answer.
    ///
    /// # Errors
    /// [`Error`]; after [`Error::Untouched`] it may be tried again.
    pub fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Error>> {
        if self.waiting.is_none() {
            ready!(self.place.requests.poll_ready(cx)).map_err(Error::Untouched)?;
            self.begin_stream()?;
        }
        // Its end is not waited for: an answer may come before it.
        let _ = self.poll_send(cx)?;
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        match ready!(Pin::new(waiting).poll(cx)) {
            Ok(response) => {
                (self.waiting, self.taken) = (None, Taken::More);
                self.place.heard();
                let (mut head, body) = response.into_parts();
                let length =
                    head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
                (self.length, self.over) = (length, body.is_end_stream());
                self.answer = Some(body);
                head.extensions.clear();
                Poll::Ready(Ok(Response::from_parts(head, ())))
            }
            Err(error) => {
                if error.is_remote() {
                    self.place.heard();
                }
                let untouched = was_refused(&error) && !matches!(self.taken, Taken::More);
                Poll::Ready(Err(if untouched { Error::Untouched(error) } else { Error::Stream(error) }))
            }
        }
    }

    fn begin_stream(&mut self) -> Result<(), Error> {
        let Target { scheme, authority, path } = &self.target;
        *self.head.uri_mut() = Uri::builder()
            .scheme(scheme.clone())
            .authority(&authority[..])
            .path_and_query(path.as_str())
            .build()?;
        let over = self.data.is_empty() && self.upload.is_end_stream();
        let (waiting, sending) = self.place.requests.send_request(self.head.clone(), over)?;
        self.waiting = Some(waiting);
        self.sending = (!over).then_some(sending);
        Ok(())
    }

    /// Sends what there is room for; ready when all of the request's body has left.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(stream) = &mut self.sending {
            if stream.poll_reset(cx).is_ready() {
                // It reads no further, but may have said why: an early answer is still to be read.
                self.sending = None;
                break;
            }
            if self.data.is_empty() {
                ready!(self.poll_take(cx))?;
                continue;
            }
            stream.reserve_capacity(self.data.len());
            let room = match stream.capacity() {
                0 => match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(_)) | None => {
                        self.sending = None;
                        break;
                    }
                },
                room => room,
            };
            if room == 0 {
                continue;
            }
            let now = self.data.split_to(room.min(self.data.len()));
            let last = self.data.is_empty() && self.upload.is_end_stream();
            stream.send_data(now, last)?;
            if last {
                self.sending = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body, or sends its end.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let frame = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        let Some(stream) = &mut self.sending else { return Poll::Ready(Ok(())) };
        match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => {
                self.taken = match self.taken {
                    Taken::Nothing => Taken::Once(data.clone()),
                    Taken::Once(_) | Taken::More => Taken::More,
                };
                if data.is_empty() && self.upload.is_end_stream() {
                    stream.send_data(data, true)?;
                    self.sending = None;
                } else {
                    self.data = data;
                }
            }
            Some(Ok(Err(frame))) => {
                self.taken = Taken::More;
                stream.send_trailers(frame.into_trailers().unwrap_or_default())?;
                self.sending = None;
            }
            Some(Err(error)) => {
                stream.send_reset(Reason::CANCEL);
                return Poll::Ready(Err(Error::Upload(error)));
            }
            None => {
                stream.send_data(Bytes::new(), true)?;
                self.sending = None;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The next part of the answer's body, at once. Sends the rest of the request's body beside it.
    pub fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => ready!(self.poll_next(cx)),
        };
        if let Some(Ok(frame)) = &frame {
            let here = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.length = self.length.map(|left| left.saturating_sub(here));
        }
        Poll::Ready(frame)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let _ = self.poll_send(cx)?;
        let Some(answer) = self.answer.as_mut().filter(|_| !self.over) else { return Poll::Ready(None) };
        if let Some(data) = ready!(answer.poll_data(cx)) {
            let data = data?;
            // At once: whoever polls has room for it, and polls no sooner.
            answer.flow_control().release_capacity(data.len())?;
            self.over = answer.is_end_stream();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(answer.poll_trailers(cx))?;
        self.over = true;
        Poll::Ready(trailers.map(|trailers: HeaderMap| Ok(Frame::trailers(trailers))))
    }

    /// Ready once the answer's body has begun, or has ended without a byte. Takes nothing of it.
    ///
    /// # Errors
    /// [`Error`]
    pub fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.first.is_none() {
            self.first = ready!(self.poll_next(cx)).transpose()?;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether all of the answer has come.
    pub fn has_ended(&self) -> bool {
        self.over && self.first.is_none()
    }

    /// What is known of the length of the rest of the answer.
    pub fn size_hint(&self) -> SizeHint {
        match self.length {
            _ if self.has_ended() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

/// Has the backend said that it has not looked at the request (RFC 9113 section 8.7)? The streams that a goodbye ends are
/// those behind the last one that it names.
fn was_refused(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}
