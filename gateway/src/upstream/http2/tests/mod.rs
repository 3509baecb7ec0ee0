//! Against the server side of the same library, over a pipe.

mod calls;
mod connections;

use super::*;
use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{DuplexStream, duplex};
use tokio::task::{LocalSet, spawn_local};

impl<B> Call<B>
where
    B: Body<Data = Bytes, Error = io::Error> + Unpin,
{
    async fn answer(&mut self) -> Result<Response<()>, Error> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    async fn begun(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_begun(cx)).await
    }
}

/// Frames that are ready, one after the other.
struct Frames(VecDeque<Frame<Bytes>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn data(bytes: &[u8]) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(bytes))
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])
}

fn call(place: Place, frames: impl IntoIterator<Item = Frame<Bytes>>) -> Call<Frames> {
    let upload = Frames(frames.into_iter().collect());
    let mut call = Call::begin(place, Scheme::HTTP, &Method::POST, "/base", "/a?b=c", upload);
    call.header("host", b"backend:80");
    call.header("x-name", b"value");
    call.end_of_head();
    call
}

type ServerStream = (http::Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

/// What a server does with each stream.
async fn serve(socket: DuplexStream, streams_max: u32, mut each: impl AsyncFnMut(ServerStream) + 'static) {
    let mut builder = h2::server::Builder::new();
    let mut connection = builder.max_concurrent_streams(streams_max).handshake(socket).await.unwrap();
    while let Some(stream) = connection.accept().await {
        let Ok(stream) = stream else { return };
        each(stream).await;
    }
}

/// Sessions whose dials end at a server of their own.
struct World {
    sessions: Sessions<h2::Error>,
    dials: Cell<usize>,
}

impl World {
    fn new() -> Rc<World> {
        Rc::new(World { sessions: Sessions::default(), dials: Cell::new(0) })
    }

    async fn place(&self, streams_max: u32, each: impl AsyncFnMut(ServerStream) + 'static) -> (Place, bool) {
        let dial = async {
            self.dials.set(self.dials.get() + 1);
            tokio::task::yield_now().await;
            let (ours, theirs) = duplex(1 << 16);
            spawn_local(serve(theirs, streams_max, each));
            Ok(ours)
        };
        self.sessions.place(1, dial).await.unwrap()
    }
}

async fn read(call: &mut Call<Frames>) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut body, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| call.poll_body(cx)).await {
        match frame.unwrap().into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    (body, trailers)
}

/// Sends back what it gets, as it gets it, and `trailers` at the end.
async fn echo((request, mut respond): ServerStream) {
    spawn_local(async move {
        assert_eq!(request.uri(), "http://backend:80/base/a?b=c");
        assert_eq!(request.headers()["x-name"], "value");
        let mut body = request.into_body();
        let mut back = respond.send_response(Response::new(()), false).unwrap();
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            body.flow_control().release_capacity(data.len()).unwrap();
            back.reserve_capacity(data.len());
            back.send_data(data, false).unwrap();
        }
        let came = body.trailers().await.unwrap().unwrap_or_default();
        back.send_trailers(came).unwrap();
    });
}

async fn never(stream: ServerStream) {
    spawn_local(async move {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        drop(stream);
    });
}

/// The head of an answer that never ends.
async fn unended((request, mut respond): ServerStream) {
    let answer = respond.send_response(Response::new(()), false).unwrap();
    spawn_local(async move {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        drop((request, answer));
    });
}

fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}
