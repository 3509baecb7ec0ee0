//! Open load: requests leave for their lanes when they are due, whatever became of those before.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock;
use crate::scenario::{Arrivals, Phase};

use super::lanes::{DRAIN, Lanes};
use super::plan::Plan;
use super::queue::{Job, Queue, Source};
use super::record::Record;
use super::schedule::Schedule;
use super::timer::Timer;

/// Requests, over all threads, that may wait for a free lane. More do not wait: the target has long lost the race, and
/// the latency of those behind them would say only how long the run was.
pub const WAITING_MAX: usize = 50_000;

/// Requests dispatched in a row when several are due at once; then the lanes get their turn.
const BATCH: u32 = 64;

/// Drives one thread's part of the load. Gives the number of requests that were due and not sent.
///
/// # Errors
/// The timer cannot be made.
pub async fn drive(
    plan: &Arc<Plan>,
    thread: usize,
    record: &Rc<RefCell<Record>>,
    arrivals: Arrivals,
    phases: &[Phase],
) -> io::Result<u64> {
    let source = Rc::new(Source::Queue(Queue::default()));
    let Source::Queue(queue) = &*source else { unreachable!("made in the line above") };
    let mut lanes = Lanes::new(Arc::clone(plan), thread, Rc::clone(record), Rc::clone(&source));
    let mut jobs = jobs(plan, thread, arrivals, phases);
    let waiting_max = WAITING_MAX / plan.threads;
    dispatch(&mut jobs, record, |job| {
        if queue.push(job) {
            lanes.add();
        }
        if queue.waiting() > waiting_max {
            plan.stop.store(true, Relaxed);
        }
        !plan.stop.load(Relaxed)
    })
    .await?;
    let mut unsent = 0;
    if plan.stop.load(Relaxed) {
        unsent = queue.waiting() as u64 + jobs.count() as u64;
        queue.clear();
    }
    queue.close();
    lanes.finish(DRAIN).await;
    Ok(unsent + queue.waiting() as u64)
}

/// What one thread sends: every so-manieth request of the schedule.
fn jobs(
    plan: &Plan,
    thread: usize,
    arrivals: Arrivals,
    phases: &[Phase],
) -> impl Iterator<Item = Job> + use<> {
    let scenario = &plan.scenario;
    let (start_us, lasts_us, threads) = (plan.start_us, plan.lasts_us(), plan.threads as u64);
    Schedule::new(arrivals, phases, scenario.seed)
        .take_while(move |due_us| *due_us < lasts_us)
        .zip(1..=scenario.requests_max)
        .filter(move |(_, number)| number % threads == thread as u64)
        .map(move |(due_us, number)| Job { number, due_us: start_us + due_us })
}

/// Gives each job to `send` when it is due, until that says false, and notes how late that was.
///
/// A job that waits for a lane is not late: it is measured. Late is what this thread did not get round to, because it
/// had too much to do, or no processor.
///
/// # Errors
/// The timer cannot be made.
pub async fn dispatch(
    jobs: &mut impl Iterator<Item = Job>,
    record: &RefCell<Record>,
    mut send: impl FnMut(Job) -> bool,
) -> io::Result<()> {
    let timer = Timer::new()?;
    let mut batch = 0;
    for job in jobs {
        let now_us = clock::mono_us();
        batch += 1;
        if now_us < job.due_us {
            timer.until(job.due_us).await?;
            batch = 0;
        } else if batch >= BATCH {
            tokio::task::yield_now().await;
            batch = 0;
        }
        record.borrow_mut().lateness.add(clock::mono_us() - job.due_us);
        if !send(job) {
            break;
        }
    }
    Ok(())
}
