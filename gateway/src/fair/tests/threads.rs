//! Many threads, one gate: nobody is forgotten, nothing is left.

use super::simulation::Dice;
use super::*;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

const PLACES: u32 = 5;
const WORKERS: u64 = 4;
const TASKS: u64 = 400;

/// What all workers see of the upstream.
#[derive(Default)]
struct Upstream {
    in_flight: AtomicU32,
    most: AtomicU32,
    served: AtomicU32,
    refused: AtomicU32,
}

impl Upstream {
    fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

async fn request(gate: Arc<Gate>, upstream: Arc<Upstream>, seed: u64) {
    let mut dice = Dice(seed);
    let ask = Ask {
        class: dice.roll(0, 3) as u8,
        prompt: dice.roll(1, 50),
        elsewhere: dice.roll(0, 2) == 0,
        ..ask(dice.roll(0, 6))
    };
    let mut pass = match gate.enter(&ask, seed) {
        Entry::Now(pass) => pass,
        Entry::Wait(ticket) => {
            if dice.roll(0, 4) == 0 {
                tokio::task::yield_now().await;
                return; // the caller has gone; so does the ticket
            }
            match ticket.await {
                Ok(Some(pass)) => pass,
                Ok(None) | Err(_) => return upstream.refuse(),
            }
        }
        Entry::Elsewhere | Entry::Refused(_) => return upstream.refuse(),
    };
    let now = upstream.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
    upstream.most.fetch_max(now, Ordering::Relaxed);
    for output in 0..dice.roll(1, 5) {
        pass.progress(output * 7, seed);
        tokio::task::yield_now().await;
    }
    pass.answered(if dice.roll(0, 50) == 0 { 503 } else { 200 }, None, seed);
    if dice.roll(0, 2) == 0 {
        pass.settle(dice.roll(1, 50), dice.roll(1, 50), seed);
    }
    upstream.in_flight.fetch_sub(1, Ordering::SeqCst);
    upstream.served.fetch_add(1, Ordering::Relaxed);
    drop(pass);
}

fn worker(gate: Arc<Gate>, upstream: Arc<Upstream>, number: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    for task in 0..TASKS {
        tasks.spawn_local(request(Arc::clone(&gate), Arc::clone(&upstream), number * TASKS + task));
    }
    runtime.block_on(tasks);
}

#[test]
fn workers_share_a_gate_and_leave_it_as_they_found_it() {
    let classes = ["a", "b", "c"].map(|name| class(name, 1000, 10)).into();
    let config = Config { classes, queue_max: 300, adapt: Some(Adapt::default()), ..config(PLACES) };
    let (gate, upstream) = (Gate::new(config.clone()), Arc::<Upstream>::default());
    let over = Arc::new(AtomicBool::new(false));
    let operator = std::thread::spawn({
        let (gate, over) = (Arc::clone(&gate), Arc::clone(&over));
        move || {
            for now_us in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                gate.tick(now_us);
                gate.configure(config.clone(), now_us);
                let state = gate.state(3, now_us);
                assert!(state.in_flight <= PLACES && state.waiting <= 300, "{state:?}");
                std::thread::yield_now();
            }
        }
    });
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let (gate, upstream) = (Arc::clone(&gate), Arc::clone(&upstream));
            std::thread::spawn(move || worker(gate, upstream, number))
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().expect("no worker panics"));
    over.store(true, Ordering::Relaxed);
    operator.join().expect("the operator does not panic");

    assert_empty(&gate.state(10, 0));
    assert!(upstream.most.load(Ordering::Relaxed) <= PLACES);
    let (served, refused) =
        (upstream.served.load(Ordering::Relaxed), upstream.refused.load(Ordering::Relaxed));
    assert!(served > 100 && refused > 0, "{served} served, {refused} refused");
}
