//! Back to the caller: an upstream's answer, unbuffered, or a refusal.

use super::body::Upload;
use super::choose;
use super::deadline::{Deadline, Waiting};
use super::finish::Exchange;
use super::forward::Received;
use super::grpc;
use super::tunnel::Tunnel;
use super::upgrade::WEBSOCKET;
use crate::clock::Now;
use crate::limit::headers as rate;
use crate::policy::Timeouts;
use crate::reject::{self, Reject};
use crate::upstream::Call;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Tells a caller that somebody else has answered than was asked.
const X_GATEWAY_FALLBACK: HeaderName = HeaderName::from_static("x-gateway-fallback");

/// The body of every answer. Holds the exchange, which ends with it.
///
/// In one box from the beginning of the request, because an answer is moved a dozen times on its way through hyper.
/// Empty once its exchange goes on in a [`Tunnel`].
pub struct Answer(Option<Box<Answering>>);

struct Answering {
    exchange: Exchange,
    source: Source,
}

impl Answer {
    /// An answer of which nothing is known yet.
    pub fn to(exchange: Exchange) -> Answer {
        Answer(Some(Box::new(Answering { exchange, source: Source::Ended })))
    }

    /// The exchange it belongs to.
    pub fn exchange(&mut self) -> &mut Exchange {
        &mut self.answering().exchange
    }

    fn answering(&mut self) -> &mut Answering {
        self.0.as_mut().expect("only an answer that has been passed on is taken apart")
    }

    /// Makes it an upstream's.
    pub fn pass_on(mut self, received: Received) -> Response<Answer> {
        let Answering { exchange, source } = self.answering();
        let timeouts = exchange.route().expect("only a routed request is forwarded").timeouts;
        let Received { mut response, call } = received;
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, exchange.id.to_header());
        if let Some(fallback) = exchange.fallback() {
            headers.insert(X_GATEWAY_FALLBACK, fallback.told.clone());
        }
        // Worked out only where the route says so (`rate_headers`).
        if let Some(permit) = &exchange.permit {
            rate::admitted(permit.standings(), headers);
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static(WEBSOCKET));
            exchange.deadline.rest();
            *source = Source::Switched(call);
            return response.map(|()| self);
        }
        let exact = !exchange.metered_head(response.status(), response.headers());
        if !exact {
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        let call_status = grpc::status(response.headers()).filter(|_| exchange.is_call());
        if let Some(status) = call_status {
            exchange.call_ended(status); // without a body: the head is all there is
        }
        let upload = (!call.upload().complete).then(|| exchange.separate_deadline());
        *source = Source::Upstream(Upstream { call, timeouts, upload, exact });
        if source.is_at_its_end() {
            source.end(exchange);
        } else {
            exchange.deadline.rest();
        }
        response.map(|()| self)
    }

    /// What follows its head, if that switches protocols; the answer is then no more than the head.
    pub fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        if !matches!(self.0.as_ref()?.source, Source::Switched(_)) {
            return None;
        }
        let Answering { exchange, source: Source::Switched(call) } = *self.0.take()? else { return None };
        let rules = exchange.route()?.websocket?;
        let (socket, early) = call.into_switched()?;
        Some(Box::new(Tunnel::new(exchange, rules, socket, &early)))
    }

    /// Makes it one that says no.
    pub fn refuse(mut self, reject: &Reject) -> Response<Answer> {
        let Answering { exchange, source } = self.answering();
        exchange.refused(reject);
        let api = exchange.route().map(|route| route.api);
        let (head, body) = reject.render(api, exchange.id, exchange.began.mono_us as u16).into_parts();
        // hyper leaves the body of an answer to HEAD out of HTTP/1 only.
        *source = Source::Refusal((!body.is_empty() && !exchange.is_head()).then_some(body));
        Response::from_parts(head, self)
    }
}

enum Source {
    Refusal(Option<Bytes>),
    Upstream(Upstream),
    /// The upstream's connection speaks something else from here on.
    Switched(Call<Upload>),
    /// It breaks off, once what has come of it is written: why.
    Broken(String),
    Ended,
}

struct Upstream {
    call: Call<Upload>,
    timeouts: Timeouts,
    /// The wait for the rest of the request's body, if the answer began before it was complete.
    upload: Option<Rc<Deadline>>,
    /// The caller gets as many bytes as the upstream sends.
    exact: bool,
}

impl Source {
    fn is_at_its_end(&self) -> bool {
        match self {
            Source::Refusal(body) => body.is_none(),
            Source::Upstream(upstream) => upstream.call.has_ended(),
            Source::Broken(_) => false,
            Source::Switched(_) | Source::Ended => true,
        }
    }

    /// All of the answer has passed: its connection may serve the next request, if it has also taken all
    /// of this one's body.
    fn end(&mut self, exchange: &mut Exchange) {
        if let Some(usage) = &mut exchange.usage {
            usage.end();
        }
        exchange.completed();
        choose::completed(exchange);
        let Source::Upstream(upstream) = std::mem::replace(self, Source::Ended) else { return };
        exchange.bytes_in = upstream.call.upload().bytes;
        if let (Some(link), Some(backend)) = (upstream.call.into_link(), &exchange.backend) {
            let worker = &exchange.connection.worker;
            worker.idle.put(backend.id, link, worker.deadlines.now_ms());
        }
    }
}

impl Upstream {
    /// What has taken too long, if something has. The caller of gRPC may be silent for as long as its upstream is not.
    fn late(&self, exchange: &Exchange) -> Option<(Waiting, &'static str)> {
        let upload = self.upload.as_ref().filter(|_| !exchange.is_call()).and_then(|upload| upload.expired());
        match exchange.deadline.expired() {
            Some(Waiting::Total) if exchange.has_deadline() => {
                Some((Waiting::Total, "the call took longer than its deadline, or than `timeouts.total`"))
            }
            Some(Waiting::Total) => Some((Waiting::Total, "the exchange took longer than `timeouts.total`")),
            Some(_) => Some((Waiting::Idle, "the upstream was silent for longer than `timeouts.idle`")),
            None if upload == Some(Waiting::Body) => {
                Some((Waiting::Body, "the request body came too slowly"))
            }
            None => None,
        }
    }

    /// Is it the backend that is not well, if the answer ends for this reason? One that is silent before it has all of the
    /// request may be waiting for the caller; and one that talks for longer than `timeouts.total` is not ill.
    fn is_to_blame(&self, reject: &Reject) -> bool {
        match reject {
            Reject::UpstreamCut => true,
            Reject::Silent => self.call.upload().complete,
            _ => false,
        }
    }
}

impl Answering {
    /// The next part of the upstream's answer, at once; whoever takes it looks then whether it was the last. Between
    /// two parts it is the upstream that takes its time; from a part given until the next one is asked for, the caller.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Answering { exchange, source } = self;
        let Source::Upstream(upstream) = source else { return Poll::Ready(None) };
        let (timeouts, before) = (upstream.timeouts, exchange.bytes_in);
        let part = upstream.call.poll_body(cx);
        exchange.bytes_in = upstream.call.upload().bytes;
        match part {
            Poll::Pending => {
                if let Some((waiting, why)) = upstream.late(exchange) {
                    let reject = exchange.late(waiting);
                    return self.break_off(&reject, why.into(), cx);
                }
                if exchange.bytes_in > before && exchange.is_call() {
                    // It may be the caller's turn for as long as it has something to say.
                    exchange.deadline.wait_for(Waiting::Idle, timeouts.idle);
                } else {
                    exchange.deadline.keep_waiting_for(Waiting::Idle, timeouts.idle);
                }
                exchange.deadline.register(cx);
                if let Some(upload) = &upstream.upload {
                    upload.register(cx);
                }
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                let end = frame.trailers_ref().filter(|_| exchange.is_call());
                if let Some(status) = end.and_then(grpc::status) {
                    exchange.call_ended(status);
                }
                exchange.deadline.wait_for(Waiting::Write, timeouts.write);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let reject = match upstream.call.upload().stopped {
                    Some(stop) => stop.told(exchange),
                    None if error.is_upload() => Reject::BodyBroken,
                    None => Reject::UpstreamCut,
                };
                self.break_off(&reject, error.to_string(), cx)
            }
            Poll::Ready(None) => {
                source.end(exchange);
                Poll::Ready(None)
            }
        }
    }

    /// The answer cannot go on. A call of gRPC ends with a status that says so; any other breaks off, because a dead stream
    /// must not look like a finished one. hyper drops with an error what it has not written, and writes when it is to wait:
    /// so it is to wait for the error.
    fn break_off(
        &mut self,
        reject: &Reject,
        why: String,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let Answering { exchange, source } = self;
        if matches!(source, Source::Upstream(upstream) if upstream.is_to_blame(reject)) {
            choose::cut(exchange);
        }
        if !exchange.is_call() {
            exchange.cut(why.clone());
            *source = Source::Broken(why);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if reject.blames_upstream() {
            exchange.cut(why);
        } else {
            exchange.ended(reject.code(), why);
        }
        exchange.call_ended(reject::grpc::status(reject));
        *source = Source::Ended;
        Poll::Ready(Some(Ok(Frame::trailers(reject::grpc::trailers(reject)))))
    }
}

impl Answering {
    /// The next part of an answer that goes down as it comes.
    fn poll_passing(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let frame = ready!(self.poll_upstream(cx));
        if let Some(Ok(frame)) = &frame {
            self.exchange.bytes_out += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        self.end_if_over();
        Poll::Ready(frame)
    }

    /// The next part of a metered answer: what its meter lets pass of what the upstream sends.
    fn poll_metered(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        loop {
            if let Some(piece) = self.exchange.usage.as_mut().and_then(|usage| usage.next()) {
                self.exchange.bytes_out += piece.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = match &self.source {
                Source::Upstream(_) => ready!(self.poll_upstream(cx)),
                Source::Refusal(_) | Source::Switched(_) | Source::Broken(_) | Source::Ended => {
                    return Poll::Ready(None);
                }
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => {
                    self.exchange.first_token();
                    self.meter(chunk);
                    self.end_if_over(); // once it has been read: its end settles what it cost
                }
                Some(Ok(Err(trailers))) => {
                    self.end_if_over();
                    // What was held back for an end that never came is more than trailers, and goes in their place.
                    let held = self.exchange.usage.as_mut().and_then(|usage| usage.next());
                    return Poll::Ready(Some(Ok(held.map_or(trailers, Frame::data))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {} // its end may still have something to go down
            }
        }
    }

    fn meter(&mut self, chunk: Bytes) {
        let Answering { exchange, source } = self;
        let now_ms = exchange.connection.worker.deadlines.now_ms();
        let Exchange { usage: Some(usage), permit: Some(permit), pass, .. } = exchange else { return };
        usage.pass(chunk);
        if usage.charge(permit, pass.as_mut(), now_ms, Now::read) && !source.is_at_its_end() {
            // Dropping the call closes its connection: the upstream stops.
            *source = Source::Ended;
            exchange.ended_by_limit();
        }
    }

    fn end_if_over(&mut self) {
        if matches!(&self.source, Source::Upstream(upstream) if upstream.call.has_ended()) {
            self.source.end(&mut self.exchange);
        }
    }

    /// Has everything gone down?
    fn is_at_its_end(&self) -> bool {
        self.source.is_at_its_end() && self.exchange.usage.as_ref().is_none_or(|usage| usage.is_drained())
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(this) = &mut self.get_mut().0 else { return Poll::Ready(None) };
        match &mut this.source {
            Source::Refusal(body) => {
                let frame = body.take().map(|body| {
                    this.exchange.bytes_out = body.len() as u64;
                    Ok(Frame::data(body))
                });
                Poll::Ready(frame)
            }
            Source::Broken(why) => Poll::Ready(Some(Err(std::io::Error::other(std::mem::take(why))))),
            Source::Upstream(_) if this.exchange.usage.is_none() => this.poll_passing(cx),
            Source::Upstream(_) | Source::Switched(_) | Source::Ended => this.poll_metered(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|this| this.is_at_its_end())
    }

    fn size_hint(&self) -> SizeHint {
        let Some(this) = &self.0 else { return SizeHint::with_exact(0) };
        match &this.source {
            Source::Refusal(body) => SizeHint::with_exact(body.as_ref().map_or(0, |b| b.len() as u64)),
            Source::Upstream(upstream) if upstream.exact => upstream.call.size_hint(),
            Source::Ended if this.is_at_its_end() => SizeHint::with_exact(0),
            Source::Upstream(_) | Source::Switched(_) | Source::Broken(_) | Source::Ended => {
                SizeHint::default()
            }
        }
    }
}
