//! One request and its answer: what passes, what waits, what may be sent again.

use super::*;

/// More than a window.
const LARGE: usize = 300_000;

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
        let mut refused = call(world.place(100, never).await.0, [data(b"gone"), Frame::trailers(trailers())]);
        assert!(matches!(refused.answer().await, Err(Error::Stream(_))), "nor one whose trailers have left");
        assert_eq!(world.dials.get(), 1);
    });
}

#[test]
fn a_piece_of_which_only_a_part_has_left_is_sent_again_whole() {
    run(async {
        let world = World::new();
        let (place, _) = world
            .place(100, async |(request, mut respond): ServerStream| {
                spawn_local(async move {
                    let part = request.into_body().data().await;
                    assert!(part.unwrap().unwrap().len() < LARGE);
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                });
            })
            .await;
        let large: Vec<u8> = (0..LARGE).map(|i| (i % 251) as u8).collect();
        let mut refused = call(place, [data(&large)]);
        assert!(matches!(refused.answer().await, Err(Error::Untouched(_))));
        let elsewhere = World::new();
        refused.move_to(elsewhere.place(100, echo).await.0);
        assert_eq!(refused.answer().await.unwrap().status(), 200);
        assert!(read(&mut refused).await.0 == large);
    });
}

#[test]
fn who_waits_for_the_first_part_takes_nothing_of_it() {
    run(async {
        let whole = async |(_, mut respond): ServerStream| {
            let head = Response::builder().header("content-length", "8").body(()).unwrap();
            let mut answer = respond.send_response(head, false).unwrap();
            answer.send_data("all ".into(), false).unwrap();
            answer.send_data("here".into(), true).unwrap();
        };
        let mut call = call(World::new().place(100, whole).await.0, []);
        call.answer().await.unwrap();
        call.begun().await.unwrap();
        call.begun().await.unwrap();
        assert_eq!((call.has_ended(), call.size_hint().exact()), (false, Some(8)));
        let first = poll_fn(|cx| call.poll_body(cx)).await.unwrap().unwrap();
        assert_eq!((first.into_data().unwrap(), call.size_hint().exact()), ("all ".into(), Some(4)));
        call.begun().await.unwrap();
        assert!(!call.has_ended(), "its last part is still to be asked for");
        assert_eq!(read(&mut call).await, (b"here".to_vec(), None));
        assert_eq!((call.has_ended(), call.size_hint().exact()), (true, Some(0)));
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
fn an_answer_that_nobody_takes_holds_up_no_other() {
    run(async {
        let world = World::new();
        let each = async |(_, mut respond): ServerStream| {
            spawn_local(async move {
                let mut answer = respond.send_response(Response::new(()), false).unwrap();
                answer.send_data(vec![0; LARGE].into(), true).unwrap();
            });
        };
        let mut unread = call(world.place(100, each).await.0, []);
        unread.answer().await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut other = call(world.place(100, each).await.0, []);
        other.answer().await.unwrap();
        let all = tokio::time::timeout(Duration::from_secs(1), read(&mut other)).await;
        assert_eq!(all.expect("it does not wait").0.len(), LARGE);
        assert_eq!(world.dials.get(), 1, "both on one connection");
        assert_eq!(read(&mut unread).await.0.len(), LARGE);
    });
}

#[test]
fn what_the_socket_does_not_take_stays_with_the_caller() {
    const PIECE: usize = 16 << 10;
    const PIECES: usize = 1_000;
    run(async {
        let (ours, theirs) = duplex(PIECE);
        spawn_local(async move {
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
            let mut connection: h2::server::Connection<_, Bytes> = builder.handshake(theirs).await.unwrap();
            let _asked = connection.accept().await;
            std::future::pending::<()>().await; // and it reads no more
        });
        let sessions = Sessions::default();
        let (place, _) = sessions.place(1, async { Ok::<_, h2::Error>(ours) }).await.unwrap();
        let mut waits = call(place, (0..PIECES).map(|_| data(&[7; PIECE])));
        assert!(tokio::time::timeout(Duration::from_secs(1), waits.answer()).await.is_err());
        let taken = (PIECES - waits.upload().0.len()) * PIECE;
        assert!(taken < 512 << 10, "{taken} bytes wait in memory");
    });
}

#[test]
fn a_head_of_more_than_64_kib_is_no_answer() {
    run(async {
        for (bytes, is_answer) in [(60 << 10, true), (64 << 10, false)] {
            let long = async move |(_, mut respond): ServerStream| {
                let head = Response::builder().header("x-long", "x".repeat(bytes)).body(()).unwrap();
                respond.send_response(head, true).unwrap();
            };
            let mut call = call(World::new().place(100, long).await.0, []);
            let answer = call.answer().await;
            assert_eq!(answer.is_ok(), is_answer, "{bytes}");
            assert!(is_answer || matches!(answer, Err(Error::Stream(_))));
        }
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

/// A body that ends without a byte once it is told to.
struct Unfinished(Rc<Cell<bool>>);

impl Body for Unfinished {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.0.get() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[test]
fn what_is_left_of_a_request_that_was_answered_early_does_not_spoil_the_answer() {
    run(async {
        let early = async |(_request, mut respond): ServerStream| {
            let answer = Response::builder().status(413).body(()).unwrap();
            let mut body = respond.send_response(answer, false).unwrap();
            spawn_local(async move {
                body.send_data("too large".into(), true).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                respond.send_reset(h2::Reason::NO_ERROR);
            });
        };
        let (place, _) = World::new().place(100, early).await;
        let over = Rc::new(Cell::new(false));
        let mut call =
            Call::begin(place, Scheme::HTTP, &Method::POST, "/base", "/a?b=c", Unfinished(over.clone()));
        call.header("host", b"backend:80");
        call.end_of_head();
        assert_eq!(call.answer().await.unwrap().status(), 413);
        tokio::time::sleep(Duration::from_secs(1)).await;
        over.set(true);
        let body = poll_fn(|cx| call.poll_body(cx)).await.unwrap().unwrap();
        assert_eq!(body.into_data().unwrap(), "too large");
        assert!(call.has_ended());
    });
}
