//! What happens on a connection between requests, and how it comes to its end.

use super::refused::Refused;
use crate::proxy::deadline::{Deadline, Waiting};
use crate::proxy::{Connection, Worker};
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long an idle HTTP/2 caller may take to agree that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a connection came to its end.
pub enum End {
    /// hyper has said all it had to say.
    Finished,
    /// The socket, or a head that only hyper found bad; what could be answered was.
    Broken,
    /// A head or a chunk that must not be parsed.
    Refused(Refused),
    /// Idle for too long, or drained: nobody waits for anything.
    Quiet,
    /// Its caller does not read.
    Aborted,
}

/// What happens on a connection between requests.
pub struct Life {
    worker: Rc<Worker>,
    deadline: Rc<Deadline>,
    /// Nothing is waited for: the deadline knows that, and need not be told again.
    resting: Cell<bool>,
    head: Duration,
    keep_alive: Duration,
    draining: bool,
    /// HTTP/2: both sides agree on the last request (RFC 9113 section 6.8), and hyper closes then.
    goodbye: bool,
}

impl Life {
    pub fn new(connection: &Connection) -> Life {
        let worker = connection.worker.clone();
        let timeouts = &worker.shared.settings.timeouts;
        Life {
            deadline: worker.deadlines.enter(connection.task.clone()),
            resting: Cell::new(false),
            head: timeouts.head,
            keep_alive: timeouts.keep_alive,
            draining: false,
            goodbye: connection.http2,
            worker,
        }
    }

    /// True once: when draining begins, which wakes the connection's task.
    pub fn draining(&mut self) -> bool {
        if self.draining || !self.worker.draining() {
            return false;
        }
        self.draining = true;
        if self.goodbye {
            self.deadline.end_in(GOODBYE);
        }
        true
    }

    pub fn busy(&self) {
        if !self.resting.replace(true) {
            self.deadline.rest();
        }
    }

    /// The last bytes of an answer lie in buffers: as long as they do, the connection is idle.
    pub fn flushing(&self) {
        self.wait_for(Waiting::Write, self.keep_alive);
    }

    /// Ends a connection that is idle for too long, whose head takes too long, or that is drained.
    pub fn poll_between_requests(&self, head_started: bool, cx: &mut Context<'_>) -> Poll<End> {
        if self.draining && !self.goodbye && !head_started {
            return Poll::Ready(End::Quiet);
        }
        match self.deadline.expired() {
            Some(Waiting::Head) => return Poll::Ready(End::Refused(Refused::HeadLate)),
            Some(_) => return Poll::Ready(End::Quiet),
            None => {}
        }
        if head_started {
            self.wait_for(Waiting::Head, self.head);
        } else {
            self.wait_for(Waiting::KeepAlive, self.keep_alive);
        }
        self.deadline.register(cx);
        Poll::Pending
    }

    fn wait_for(&self, what: Waiting, at_most: Duration) {
        self.resting.set(false);
        self.deadline.keep_waiting_for(what, at_most);
    }
}
