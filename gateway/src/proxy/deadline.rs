//! Deadlines without timers: setting one is a store to a cell, and a worker looks at all of them ten
//! times a second.
//!
//! A registered timer per wait costs more than the wait is worth: most end long before their deadline.
//! So everything that waits has one entry, and whoever waits writes down until when. Both the writing and
//! the looking go by the time of the last tick: a deadline is never early, and at most two ticks late.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often a worker looks at its deadlines.
pub const TICK: Duration = Duration::from_millis(100);

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing that can take too long.
    Nothing,
    /// The rest of a request head.
    Head,
    /// The next request on an open connection.
    KeepAlive,
    /// The rest of a request body.
    Body,
    /// The head of the upstream's answer.
    FirstByte,
    /// The next part of the upstream's answer.
    Idle,
    /// The caller, who has an answer to read.
    Write,
    /// The end of the whole exchange.
    Total,
}

/// All deadlines of one worker.
#[derive(Default)]
pub struct Deadlines {
    entries: RefCell<Slab<Weak<Deadline>>>,
    now_ms: Cell<u64>,
}

/// One entry; leaves when dropped.
pub struct Deadline {
    waiting: Cell<Waiting>,
    due_ms: Cell<u64>,
    /// Ends every wait: the request's total time.
    end_ms: Cell<u64>,
    expired: Cell<Option<Waiting>>,
    waker: RefCell<Option<Waker>>,
    /// The task that owns the socket: it alone can end a wait for the caller.
    owner: Rc<Task>,
    key: usize,
    all: Rc<Deadlines>,
}

/// The task that owns a connection, as others see it.
#[derive(Default)]
pub struct Task {
    waker: RefCell<Option<Waker>>,
    aborted: Cell<bool>,
    /// Requests between head and last byte. Here, because the task looks at it whenever it runs, as at the rest.
    under_way: Cell<u32>,
}

impl Task {
    /// Requests between head and last byte.
    pub fn under_way(&self) -> u32 {
        self.under_way.get()
    }

    /// One more.
    pub fn request_began(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    /// One less.
    pub fn request_ended(&self) {
        self.under_way.set(self.under_way.get() - 1);
    }

    /// Remembers the task that polls with `cx`.
    pub fn register(&self, cx: &Context<'_>) {
        remember(&mut self.waker.borrow_mut(), cx.waker());
    }

    /// Wakes it.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Tells it to end the connection at once.
    pub fn abort(&self) {
        self.aborted.set(true);
        self.wake();
    }

    /// Shall it end the connection at once?
    pub fn aborted(&self) -> bool {
        self.aborted.get()
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) if old.will_wake(waker) => {}
        slot => *slot = Some(waker.clone()),
    }
}

impl Deadlines {
    /// Milliseconds on the monotonic clock, as of the last tick: good enough to wait by.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// When a wait that begins now is over. The last tick may be almost one ago: another one makes up for it.
    fn due(&self, at_most: Duration) -> u64 {
        self.now_ms().saturating_add((at_most + TICK).as_millis() as u64)
    }

    /// Wakes whoever has waited too long.
    pub fn tick(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.each(|deadline| deadline.check(now_ms));
    }

    /// Wakes every connection, whatever it waits for.
    pub fn wake_owners(&self) {
        self.each(|deadline| deadline.owner.wake());
    }

    /// `what` may wake tasks, and must not run them: a deadline that it drops could not leave.
    fn each(&self, what: impl Fn(&Deadline)) {
        for (_, deadline) in self.entries.borrow().iter() {
            if let Some(deadline) = deadline.upgrade() {
                what(&deadline);
            }
        }
    }

    /// A new entry, waiting for nothing.
    pub fn enter(self: &Rc<Deadlines>, owner: Rc<Task>) -> Rc<Deadline> {
        let mut entries = self.entries.borrow_mut();
        let place = entries.vacant_entry();
        let deadline = Rc::new(Deadline {
            waiting: Cell::new(Waiting::Nothing),
            due_ms: Cell::new(u64::MAX),
            end_ms: Cell::new(u64::MAX),
            expired: Cell::new(None),
            waker: RefCell::new(None),
            owner,
            key: place.key(),
            all: self.clone(),
        });
        place.insert(Rc::downgrade(&deadline));
        deadline
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.all.entries.borrow_mut().remove(self.key);
    }
}

impl Deadline {
    fn check(&self, now_ms: u64) {
        if self.expired.get().is_some() {
            return;
        }
        let expired = if now_ms >= self.end_ms.get() {
            Waiting::Total
        } else if now_ms >= self.due_ms.get() {
            self.waiting.get()
        } else {
            return;
        };
        self.expired.set(Some(expired));
        if self.waiting.get() == Waiting::Write {
            // Nobody asks for the rest of an answer that the caller does not read.
            self.owner.abort();
        } else if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// From now on `what` is waited for, `at_most` so long.
    pub fn wait_for(&self, what: Waiting, at_most: Duration) {
        self.waiting.set(what);
        self.due_ms.set(self.all.due(at_most));
    }

    /// As [`Deadlines::now_ms`].
    pub fn now_ms(&self) -> u64 {
        self.all.now_ms()
    }

    /// As [`wait_for`](Self::wait_for), unless that is what is being waited for already.
    pub fn keep_waiting_for(&self, what: Waiting, at_most: Duration) {
        if self.waiting.get() != what {
            self.wait_for(what, at_most);
        }
    }

    /// Nothing is waited for now.
    pub fn rest(&self) {
        self.waiting.set(Waiting::Nothing);
        self.due_ms.set(u64::MAX);
    }

    /// As if it were new.
    pub fn clear(&self) {
        self.rest();
        self.end_ms.set(u64::MAX);
        self.expired.set(None);
    }

    /// Whatever took too long may begin anew; not the whole exchange.
    pub fn forgive(&self) {
        if self.expired.get() != Some(Waiting::Total) {
            self.expired.set(None);
        }
    }

    /// Everything ends `at_most` so long from now.
    pub fn end_in(&self, at_most: Duration) {
        self.end_ms.set(self.all.due(at_most));
    }

    /// What took too long, if something did.
    pub fn expired(&self) -> Option<Waiting> {
        self.expired.get()
    }

    /// Wakes the task polling with `cx` when something takes too long.
    pub fn register(&self, cx: &Context<'_>) {
        remember(&mut self.waker.borrow_mut(), cx.waker());
    }

    /// Runs `work` until it is done or something takes too long.
    ///
    /// # Errors
    /// What took too long.
    pub async fn bound<T>(&self, work: impl Future<Output = T>) -> Result<T, Waiting> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if let Some(late) = self.expired() {
                return Poll::Ready(Err(late));
            }
            self.register(cx);
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn deadlines() -> (Rc<Deadlines>, Rc<Deadline>) {
        let all = Rc::new(Deadlines::default());
        all.tick(1_000);
        let one = all.enter(Rc::default());
        (all, one)
    }

    #[test]
    fn a_wait_expires_at_its_time_and_not_before() {
        let (all, one) = deadlines();
        one.wait_for(Waiting::Idle, Duration::from_millis(500));
        all.tick(1_599);
        assert_eq!(one.expired(), None, "the wait may have begun 99 ms after the tick it counts from");
        all.tick(1_600);
        assert_eq!(one.expired(), Some(Waiting::Idle));
    }

    #[test]
    fn the_end_comes_whatever_is_waited_for() {
        let (all, one) = deadlines();
        one.end_in(Duration::from_secs(1));
        one.rest();
        all.tick(2_000);
        one.wait_for(Waiting::Idle, Duration::from_secs(60));
        all.tick(2_100);
        assert_eq!(one.expired(), Some(Waiting::Total));
    }

    #[test]
    fn what_took_too_long_may_begin_anew_but_the_end_is_the_end() {
        let (all, one) = deadlines();
        one.end_in(Duration::from_secs(1));
        one.wait_for(Waiting::FirstByte, Duration::from_millis(100));
        all.tick(1_200);
        assert_eq!(one.expired(), Some(Waiting::FirstByte));
        one.forgive();
        one.wait_for(Waiting::FirstByte, Duration::from_secs(60));
        all.tick(1_300);
        assert_eq!(one.expired(), None);
        all.tick(2_100);
        one.forgive();
        assert_eq!(one.expired(), Some(Waiting::Total));
    }

    #[test]
    fn an_entry_leaves_with_its_owner() {
        let (all, one) = deadlines();
        drop(one);
        assert!(all.entries.borrow().is_empty());
    }

    #[test]
    fn a_caller_who_does_not_read_costs_its_connection() {
        let all = Rc::new(Deadlines::default());
        let task = Rc::new(Task::default());
        let one = all.enter(task.clone());
        one.wait_for(Waiting::Write, Duration::from_millis(100));
        all.tick(199);
        assert!(!task.aborted());
        all.tick(200);
        assert!(task.aborted());
    }

    #[tokio::test]
    async fn a_bound_future_is_woken_to_hear_that_it_is_late() {
        let (all, one) = deadlines();
        one.wait_for(Waiting::FirstByte, Duration::from_millis(10));
        let late = tokio::join!(one.bound(pending::<()>()), async { all.tick(1_110) }).0;
        assert_eq!(late, Err(Waiting::FirstByte));
    }
}
