//! Queue: requests that are due, until a lane takes them.
//!
//! Lives on one thread. Lanes take in the order of the due times; the lane that has rested shortest is woken first, so a
//! light load uses few connections.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

use crate::clock;

/// A request that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Its number, from 1.
    pub number: u64,
    /// When it is due, of [`clock::mono_us`]; latency counts from here.
    pub due_us: u64,
}

/// Where a lane gets its next request from.
#[derive(Debug)]
pub enum Source {
    /// Open load: what the schedule says.
    Queue(Queue),
    /// Closed load: the next one, always.
    Turns(Turns),
}

impl Source {
    /// Waits for the next request; None if there will be none.
    pub async fn next(&self) -> Option<Job> {
        match self {
            Source::Queue(queue) => queue.next().await,
            Source::Turns(turns) => turns.next(),
        }
    }
}

/// Requests that are due and not taken.
#[derive(Debug, Default)]
pub struct Queue {
    jobs: RefCell<VecDeque<Job>>,
    resting: Cell<usize>,
    over: Cell<bool>,
    news: Notify,
}

impl Queue {
    /// Adds a request. True if no lane rests that could take it.
    pub fn push(&self, job: Job) -> bool {
        let mut jobs = self.jobs.borrow_mut();
        jobs.push_back(job);
        self.news.notify_last();
        // A lane that was woken and did not run yet still counts as resting; so does the job it was woken for.
        jobs.len() > self.resting.get()
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.jobs.borrow().len()
    }

    /// Sends the lanes home once nothing waits any more.
    pub fn close(&self) {
        self.over.set(true);
        self.news.notify_waiters();
    }

    /// Throws away what waits.
    pub fn clear(&self) {
        self.jobs.borrow_mut().clear();
    }

    async fn next(&self) -> Option<Job> {
        loop {
            let job = self.jobs.borrow_mut().pop_front();
            if job.is_some() || self.over.get() {
                return job;
            }
            self.resting.set(self.resting.get() + 1);
            self.news.notified().await;
            self.resting.set(self.resting.get() - 1);
        }
    }
}

/// The turns of a closed load. All threads count on one number.
#[derive(Debug)]
pub struct Turns {
    /// The next number to be given, from 1: to the mock's journal, 0 is a request without a number.
    pub next: Arc<AtomicU64>,
    /// Requests given at most.
    pub requests_max: u64,
    /// When the last one is given, of [`clock::mono_us`].
    pub until_us: u64,
}

impl Turns {
    fn next(&self) -> Option<Job> {
        let due_us = clock::mono_us();
        if due_us >= self.until_us {
            return None;
        }
        let number = self.next.fetch_add(1, Relaxed);
        (number <= self.requests_max).then_some(Job { number, due_us })
    }
}
