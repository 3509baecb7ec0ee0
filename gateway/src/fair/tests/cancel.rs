//! A caller may go at any await.

use super::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Lets others go first, once.
async fn pause() {
    let mut paused = false;
    std::future::poll_fn(
        |_| {
            if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

/// A request's way through the gate, as the proxy goes it.
async fn walk(gate: Arc<Gate>, ask: Ask, now_us: u64) -> Result<(), Refusal> {
    pause().await; // its body comes
    let mut pass = match gate.enter(&ask, now_us) {
        Entry::Now(pass) => pass,
        Entry::Wait(ticket) => ticket.await?.expect("it has nowhere else to go"),
        Entry::Elsewhere => panic!("it has nowhere else to go"),
        Entry::Refused(refusal) => return Err(refusal),
    };
    pause().await; // to the upstream
    pass.answered(200, None, now_us);
    for output in 1..4 {
        pass.progress(output * 4, now_us);
        pause().await;
    }
    pass.settle(9, 12, now_us);
    pause().await;
    Ok(())
}

type Walk = Pin<Box<dyn Future<Output = Result<(), Refusal>>>>;

/// Polls all in turns until they are done; one of them is dropped after so many polls.
fn run(mut walks: Vec<Option<Walk>>, victim: usize, polls: usize) -> Vec<Option<Result<(), Refusal>>> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut results = vec![None; walks.len()];
    for round in 0..200 {
        for (n, walk) in walks.iter_mut().enumerate() {
            if n == victim && round == polls {
                *walk = None;
            }
            if let Some(polled) = walk
                && let Poll::Ready(result) = polled.as_mut().poll(&mut cx)
            {
                (*walk, results[n]) = (None, Some(result));
            }
        }
    }
    assert!(walks.iter().all(Option::is_none), "somebody waits for ever");
    results
}

#[test]
fn a_caller_that_goes_at_any_await_leaves_nothing_behind() {
    for victim in 0..4 {
        for polls in 0..30 {
            let gate = Gate::new(config(1));
            let walks = (0..4).map(|n| Some(Box::pin(walk(gate.clone(), ask(n % 2), 0)) as Walk)).collect();
            let results = run(walks, victim, polls);
            assert_empty(&gate.state(10, 0));
            let others = (0..4).filter(|n| *n != victim);
            assert!(others.clone().all(|n| results[n] == Some(Ok(()))), "{victim} went after {polls}");
        }
    }
}

fn waiting(entry: Entry) -> Ticket {
    match entry {
        Entry::Wait(ticket) => ticket,
        Entry::Now(_) | Entry::Elsewhere | Entry::Refused(_) => panic!("it does not wait"),
    }
}

fn passed(entry: Entry) -> Pass {
    match entry {
        Entry::Now(pass) => pass,
        Entry::Wait(_) | Entry::Elsewhere | Entry::Refused(_) => panic!("it is not let in"),
    }
}

#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn poll(ticket: &mut Ticket, bell: &Arc<Bell>) -> Poll<Result<Option<Pass>, Refusal>> {
    Pin::new(ticket).poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))))
}

#[test]
fn whoever_polled_last_is_woken_once() {
    let gate = Gate::new(config(1));
    let pass = passed(gate.enter(&ask(1), 0));
    let mut ticket = waiting(gate.enter(&ask(2), 0));
    let (old, new) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    assert!(poll(&mut ticket, &old).is_pending());
    assert!(poll(&mut ticket, &new).is_pending());
    drop(pass);
    assert_eq!((old.0.load(Ordering::Relaxed), new.0.load(Ordering::Relaxed)), (0, 1));
    assert!(matches!(poll(&mut ticket, &new), Poll::Ready(Ok(_))));
}

#[test]
fn a_ticket_let_in_and_never_polled_passes_its_place_on() {
    let gate = Gate::new(config(1));
    let pass = passed(gate.enter(&ask(1), 0));
    let first = waiting(gate.enter(&ask(2), 0));
    let mut second = waiting(gate.enter(&ask(3), 0));
    drop(pass);
    assert_eq!(gate.state(0, 0).in_flight, 1, "the first has it, and does not know");
    drop(first);
    assert!(matches!(poll(&mut second, &Arc::default()), Poll::Ready(Ok(_))));
    drop(second);
    assert_empty(&gate.state(10, 0));
}

#[test]
fn a_deadline_wakes_and_refuses() {
    let gate = Gate::new(Config { classes: vec![class("standard", 2, 0)], ..config(1) });
    let _pass = passed(gate.enter(&ask(1), 0));
    let mut ticket = waiting(gate.enter(&ask(2), 0));
    let bell = Arc::<Bell>::default();
    assert!(poll(&mut ticket, &bell).is_pending());
    gate.tick(SECOND_US);
    assert_eq!(bell.0.load(Ordering::Relaxed), 0);
    gate.tick(2 * SECOND_US);
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(Err(refusal)) = poll(&mut ticket, &bell) else { panic!("its time is up") };
    assert_eq!(refusal.reason, Reason::TimedOut);
}

/// A task whose last waker owns its ticket: dropping one drops the other.
struct Owner(#[allow(dead_code)] parking_lot::Mutex<Option<Ticket>>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_that_owns_a_ticket_is_never_dropped_under_the_lock() {
    let gate = Gate::new(config(1));
    let pass = passed(gate.enter(&ask(1), 0));
    let mut outer = waiting(gate.enter(&ask(2), 0));
    for _ in 0..2 {
        let owner = Arc::new(Owner(parking_lot::Mutex::new(Some(waiting(gate.enter(&ask(3), 0))))));
        let waker = Waker::from(owner);
        assert!(Pin::new(&mut outer).poll(&mut Context::from_waker(&waker)).is_pending());
    } // the second poll replaced a waker with a ticket
    drop(outer); // and this one drops the other
    drop(pass);
    assert_empty(&gate.state(10, 0));
}

#[test]
fn a_task_that_panics_gives_its_place_back() {
    let gate = Gate::new(config(1));
    let inner = Arc::clone(&gate);
    let thread = std::thread::spawn(move || {
        let _pass = passed(inner.enter(&ask(1), 0));
        panic!("expected in this test");
    });
    assert!(thread.join().is_err());
    assert_empty(&gate.state(10, 0));
}
