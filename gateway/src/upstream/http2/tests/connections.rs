//! Who gets a place on which connection, and when a connection is over.

use super::*;

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
fn beyond_sixteen_connections_requests_wait_for_a_place() {
    run(async {
        let world = World::new();
        let mut kept = Vec::new();
        for _ in 0..16 {
            let mut call = call(world.place(1, unended).await.0, []);
            call.answer().await.unwrap(); // by now its settings have come
            kept.push(call);
        }
        assert_eq!(world.dials.get(), 16);
        let (place, warm) = world.place(1, unended).await;
        assert!(warm && world.dials.get() == 16);
        let mut waits = call(place, []);
        assert!(tokio::time::timeout(Duration::from_secs(1), waits.answer()).await.is_err());
        kept.clear();
        assert_eq!(waits.answer().await.unwrap().status(), 200);
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
fn one_that_was_well_when_it_was_asked_may_be_doubted_again() {
    run(async {
        let world = World::new();
        let silent = Rc::new(Cell::new(false));
        let (ours, theirs) = duplex(1 << 16);
        let mut serving = Box::pin(serve(theirs, 100, never));
        let hush = silent.clone();
        spawn_local(poll_fn(move |cx| if hush.get() { Poll::Pending } else { serving.as_mut().poll(cx) }));
        let (mut first, _) = world.sessions.place(1, async { Ok::<_, h2::Error>(ours) }).await.unwrap();
        for is_silent in [false, true] {
            silent.set(is_silent);
            let mut given_up = call(first, []);
            assert!(tokio::time::timeout(Duration::from_secs(1), given_up.answer()).await.is_err());
            drop(given_up);
            tokio::time::sleep(Duration::from_secs(6)).await;
            let warm;
            (first, warm) = world.place(100, never).await;
            assert_eq!(warm, !is_silent);
        }
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
        world.sessions.sweep(122_000);
        assert!(world.place(100, echo).await.1, "it was idle only since somebody has left it");
        world.sessions.sweep(123_000);
        world.sessions.sweep(183_001);
        assert!(!world.place(100, echo).await.1);
    });
}

#[test]
fn a_connection_whose_only_request_takes_long_is_not_idle() {
    run(async {
        let world = World::new();
        let _under_way = world.place(100, never).await;
        world.sessions.sweep(1_000);
        world.sessions.sweep(62_000);
        assert!(world.place(100, never).await.1);
    });
}
