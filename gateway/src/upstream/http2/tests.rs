//! Against the server side of the same library, over a pipe.

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

fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    run(async {
        let world = World::new();
        let (place, warm) = world.place(100, echo).await;
        assert!(!warm);
        let large = vec![7; 300_000];
        let mut call = call(place, [data(b"first"), data(&large), Frame::trailers(trailers())]);
        assert_eq!(call.answer().await.unwrap().status(), 200);
        let (body, came) = read(&mut call).await;
        assert!(body == [&b"first"[..], &large].concat());
        assert_eq!(came, Some(trailers()));
        assert!(call.has_ended());
    });
}

#[test]
fn many_at_a_time_share_a_connection_and_a_dial() {
    run(async {
        let world = World::new();
        let places: Vec<_> = (0..10)
            .map(|_| {
                let world = world.clone();
                spawn_local(async move { world.place(100, echo).await.0 })
            })
            .collect();
        let mut calls = Vec::new();
        for place in places {
            calls.push(call(place.await.unwrap(), [data(b"x")]));
        }
        for call in &mut calls {
            call.answer().await.unwrap();
            assert_eq!(read(call).await.0, b"x");
        }
        assert_eq!(world.dials.get(), 1);
    });
}

#[test]
fn what_a_backend_takes_at_a_time_is_kept_and_more_go_elsewhere() {
    run(async {
        let world = World::new();
        let mut kept = Vec::new();
        for _ in 0..5 {
            let mut call = call(world.place(2, echo).await.0, [data(b"x")]);
            call.answer().await.unwrap(); // by now its settings have come
            kept.push(call);
        }
        assert_eq!(world.dials.get(), 3);
        kept.clear();
        assert!(world.place(2, echo).await.1, "places come back");
    });
}

#[test]
fn a_goodbye_before_a_request_sends_it_elsewhere_and_spares_the_others() {
    run(async {
        let world = World::new();
        let (place, _) = world
            .place(100, async |(_, mut respond): ServerStream| {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            })
            .await;
        let mut refused = call(place, []);
        assert!(matches!(refused.answer().await, Err(Error::Untouched(_))));
        let elsewhere = World::new();
        refused.move_to(elsewhere.place(100, echo).await.0);
        assert_eq!(refused.answer().await.unwrap().status(), 200);
    });
}

#[test]
fn a_body_of_one_piece_is_sent_again() {
    run(async {
        let world = World::new();
        let (place, _) = world
            .place(100, async |(request, mut respond): ServerStream| {
                spawn_local(async move {
                    let came = request.into_body().data().await;
                    assert_eq!(came.unwrap().unwrap(), "once more");
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                });
            })
            .await;
        let mut refused = call(place, [data(b"once more")]);
        assert!(matches!(refused.answer().await, Err(Error::Untouched(_))));
        let elsewhere = World::new();
        refused.move_to(elsewhere.place(100, echo).await.0);
        assert_eq!(refused.answer().await.unwrap().status(), 200);
        assert_eq!(read(&mut refused).await.0, b"once more");
    });
}

#[test]
fn a_request_whose_body_has_been_touched_is_not_sent_twice() {
    run(async {
        let world = World::new();
        let (place, _) = world
            .place(100, async |(request, mut respond): ServerStream| {
                spawn_local(async move {
                    let mut body = request.into_body();
                    while body.data().await.is_some() {}
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                });
            })
            .await;
        let mut refused = call(place, [data(b"gone"), data(b"for good")]);
        assert!(matches!(refused.answer().await, Err(Error::Stream(_))));
    });
}

#[test]
fn what_nobody_takes_is_not_sent() {
    const WINDOW: usize = 128 << 10;
    run(async {
        let (world, sent) = (World::new(), Rc::new(Cell::new(0)));
        let count = sent.clone();
        let flood = async move |(_, mut respond): ServerStream| {
            let count = count.clone();
            spawn_local(async move {
                let mut answer = respond.send_response(Response::new(()), false).unwrap();
                answer.reserve_capacity(1 << 30);
                while let Some(Ok(room)) = poll_fn(|cx| answer.poll_capacity(cx)).await {
                    count.set(count.get() + room);
                    answer.send_data(vec![0; room].into(), false).unwrap();
                    answer.reserve_capacity(1 << 30);
                }
            });
        };
        let mut call = call(world.place(100, flood).await.0, []);
        call.answer().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sent.get(), WINDOW);
        let mut taken = 0;
        while taken < WINDOW {
            let frame = poll_fn(|cx| call.poll_body(cx)).await.unwrap().unwrap();
            taken += frame.into_data().unwrap().len();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(sent.get() > WINDOW && sent.get() <= taken + WINDOW, "{} of {taken}", sent.get());
    });
}

#[test]
fn an_answer_that_is_reset_does_not_look_finished() {
    run(async {
        for reason in [h2::Reason::INTERNAL_ERROR, h2::Reason::CANCEL, h2::Reason::NO_ERROR] {
            let cut = async move |(_, mut respond): ServerStream| {
                let mut answer = respond.send_response(Response::new(()), false).unwrap();
                spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(1)).await; // else it takes the head back
                    answer.send_reset(reason);
                });
            };
            let (place, _) = World::new().place(100, cut).await;
            let mut call = call(place, []);
            call.answer().await.unwrap();
            let end = poll_fn(|cx| call.poll_body(cx)).await;
            assert!(matches!(end, Some(Err(Error::Stream(_)))), "{reason}");
        }
    });
}

#[test]
fn an_answer_may_come_before_all_of_the_request_has_left() {
    run(async {
        let world = World::new();
        let early = async |(_request, mut respond): ServerStream| {
            let answer = Response::builder().status(413).body(()).unwrap();
            respond.send_response(answer, true).unwrap();
            spawn_local(async move {
                tokio::time::sleep(Duration::from_millis(1)).await; // else it takes the head back
                respond.send_reset(h2::Reason::NO_ERROR);
            });
        };
        let (place, _) = world.place(100, early).await;
        let mut call = call(place, [data(&vec![0; 1 << 20])]);
        assert_eq!(call.answer().await.unwrap().status(), 413);
        assert_eq!(read(&mut call).await, (Vec::new(), None));
        assert!(call.has_ended());
    });
}

#[test]
fn a_backend_that_has_gone_silent_is_found_out() {
    run(async {
        let world = World::new();
        let (ours, theirs) = duplex(1 << 16);
        let dial = async { Ok::<_, h2::Error>(ours) };
        let (place, _) = world.sessions.place(1, dial).await.unwrap();
        let mut call = call(place, []);
        let waited = tokio::time::timeout(Duration::from_secs(1), call.answer()).await;
        assert!(waited.is_err(), "nobody reads what it says");
        drop(call);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (_, warm) = world.place(100, echo).await;
        assert!(!warm, "the next one does not wait there as well");
        drop(theirs);
    });
}

#[test]
fn who_gives_up_does_not_cost_the_others_their_connection() {
    run(async {
        let world = World::new();
        let (place, _) = world.place(100, never).await;
        let mut given_up = call(place, []);
        let waited = tokio::time::timeout(Duration::from_secs(1), given_up.answer()).await;
        assert!(waited.is_err());
        drop(given_up);
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert!(world.place(100, never).await.1, "its ping was answered");
    });
}

#[test]
fn those_who_wait_for_a_dial_share_its_failure_or_take_it_over() {
    run(async {
        let sessions = Rc::new(Sessions::<h2::Error>::default());
        let dials = Rc::new(Cell::new(0));
        let failing = |sessions: Rc<Sessions<h2::Error>>, dials: Rc<Cell<usize>>| async move {
            let dial = async {
                dials.set(dials.get() + 1);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err::<DuplexStream, _>(h2::Error::from(h2::Reason::CONNECT_ERROR))
            };
            sessions.place(1, dial).await.err().expect("no connection")
        };
        let leaves = spawn_local(failing(sessions.clone(), dials.clone()));
        tokio::task::yield_now().await;
        let others: Vec<_> = (0..5).map(|_| spawn_local(failing(sessions.clone(), dials.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        leaves.abort();
        for other in others {
            other.await.unwrap();
        }
        assert_eq!(dials.get(), 2, "one left, one took over, four shared");
    });
}

#[test]
fn a_connection_without_requests_is_closed_in_time() {
    run(async {
        let world = World::new();
        drop(world.place(100, echo).await);
        world.sessions.sweep(1_000);
        world.sessions.sweep(61_000);
        assert!(world.place(100, echo).await.1);
        world.sessions.sweep(62_000);
        world.sessions.sweep(122_001);
        assert!(!world.place(100, echo).await.1);
    });
}
