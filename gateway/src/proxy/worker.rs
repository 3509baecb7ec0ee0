//! What the requests of one worker share, and what those of one connection share. Both belong to one
//! thread: cells and `Rc`, no locks.

use super::deadline::{Deadline, Deadlines, Task};
use crate::clock;
use crate::ids::RequestId;
use crate::limit::Guard;
use crate::observe::access_log::{Buffer, Stamp};
use crate::observe::line::Line;
use crate::observe::metrics::{ListenerMetrics, ServerMetrics};
use crate::policy::{self, Snapshot};
use crate::settings::Settings;
use crate::upstream::http2::Sessions;
use crate::upstream::{ConnectError, Idle};
use http::HeaderValue;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all workers share.
pub struct Shared {
    /// The policy in force.
    pub policy: Arc<policy::Store>,
    /// As read at start.
    pub settings: Settings,
    /// Floods, by address.
    pub guard: Guard,
    /// Handles of what belongs to no route.
    pub metrics: ServerMetrics,
    /// Room for bodies whose signatures are being checked.
    pub buffers: Budget,
}

/// A snapshot with a count of this thread's own, so that the requests of all workers do not meet at one.
pub struct InForce(Arc<Snapshot>);

impl Deref for InForce {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

/// What the requests of one thread share.
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Open upstream connections.
    pub idle: Idle,
    /// Those that are shared, to backends that speak HTTP/2.
    pub sessions: Sessions<ConnectError>,
    /// Who waits until when.
    pub deadlines: Rc<Deadlines>,
    /// Access-log lines not yet handed over.
    pub log: RefCell<Buffer>,
    /// The log's time stamp.
    pub stamp: RefCell<Stamp>,
    policy: RefCell<Rc<InForce>>,
    draining: Cell<bool>,
    ended: Cell<bool>,
    turn: Cell<usize>,
    ids: Cell<(u64, u64)>,
}

impl Worker {
    /// `number` keeps the request ids and turns of workers apart.
    pub fn new(shared: Arc<Shared>, log: Buffer, number: usize) -> Worker {
        let seed = ahash::RandomState::new().hash_one(number);
        Worker {
            policy: RefCell::new(Rc::new(InForce(shared.policy.current()))),
            shared,
            idle: Idle::default(),
            sessions: Sessions::default(),
            deadlines: Rc::default(),
            log: RefCell::new(log),
            stamp: RefCell::default(),
            draining: Cell::new(false),
            ended: Cell::new(false),
            turn: Cell::new(number),
            ids: Cell::new((seed, 0)),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> Rc<InForce> {
        let mut kept = self.policy.borrow_mut();
        if kept.version != self.shared.policy.version() {
            *kept = Rc::new(InForce(self.shared.policy.current()));
        }
        kept.clone()
    }

    /// Open requests finish; nobody new comes in. Every connection is told.
    pub fn drain(&self) {
        self.draining.set(true);
        self.deadlines.wake_owners();
    }

    /// Is that so?
    pub fn draining(&self) -> bool {
        self.draining.get()
    }

    /// What is still open is cut now.
    pub fn end(&self) {
        self.ended.set(true);
    }

    /// Is that so?
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Counts up: whose turn it is in a pool.
    pub fn turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// A new `X-Request-Id`: a random half for the worker, and a counted one.
    pub fn request_id(&self) -> RequestId {
        let (seed, count) = self.ids.get();
        self.ids.set((seed, count + 1));
        RequestId::new(seed, count)
    }
}

/// A listener, as its connections see it.
pub struct Listener {
    /// Name in logs and metrics.
    pub name: String,
    /// Does it speak TLS?
    pub tls: bool,
    /// Its handles.
    pub metrics: ListenerMetrics,
}

/// What the requests of one connection share.
pub struct Connection {
    /// The thread it lives on.
    pub worker: Rc<Worker>,
    /// Where it came in.
    pub listener: Rc<Listener>,
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// Over HTTP/2?
    pub http2: bool,
    /// The task that owns the socket.
    pub task: Rc<Task>,
    /// `X-Forwarded-For` of a request that came straight from the peer.
    pub forwarded_for: HeaderValue,
    /// The deadline of the request before, for the next one: over HTTP/1 there is one at a time.
    spare: RefCell<Option<Rc<Deadline>>>,
}

impl Connection {
    /// A connection without requests.
    pub fn new(worker: Rc<Worker>, listener: Rc<Listener>, peer: SocketAddr, http2: bool) -> Connection {
        let forwarded_for = HeaderValue::from_str(&peer.ip().to_canonical().to_string())
            .expect("an address is visible ASCII");
        let (task, spare) = (Rc::default(), RefCell::default());
        Connection { worker, listener, peer, http2, task, forwarded_for, spare }
    }

    /// A deadline for one request, waiting for nothing.
    pub(super) fn deadline(&self) -> Rc<Deadline> {
        let spare = self.spare.take();
        spare.unwrap_or_else(|| self.worker.deadlines.enter(self.task.clone()))
    }

    /// The access-log line of a request that was refused before it was parsed.
    pub fn log_unparsed(&self, id: RequestId, status: u16, code: &'static str) {
        let worker = &self.worker;
        worker.log.borrow_mut().write(&Line {
            time: worker.stamp.borrow_mut().of(clock::wall_ms()),
            request_id: id.as_str(),
            listener: &self.listener.name,
            peer: self.peer.ip().to_canonical(),
            protocol: "h1",
            method: "-",
            path: "-",
            route: None,
            tenant: None,
            user: None,
            status,
            grpc_status: None,
            outcome: code,
            detail: None,
            bytes_in: 0,
            bytes_out: 0,
            duration_us: 0,
            queued_us: None,
            first_byte_us: None,
            backend: None,
            attempts: None,
            fallback: None,
            version: None,
            model: None,
            tokens: None,
            policy: worker.policy().version,
        });
    }

    pub(super) fn request_ended(&self, deadline: &Rc<Deadline>) {
        self.task.request_ended();
        // A request whose body is still on its way keeps its deadline.
        if Rc::strong_count(deadline) == 1 {
            deadline.clear();
            self.spare.replace(Some(deadline.clone()));
        }
        // Over HTTP/1 answers end inside the connection's own task; over HTTP/2 each has one of its own.
        if self.http2 {
            self.task.wake();
        }
    }
}

/// Bytes that may be held at once, over all workers.
pub struct Budget {
    held: AtomicU64,
    max: u64,
    gauge: metrics::Gauge,
}

impl Budget {
    /// Room for `max` bytes.
    pub fn new(max: u64) -> Budget {
        Budget { held: AtomicU64::new(0), max, gauge: crate::observe::metrics::buffered_bytes() }
    }

    /// Takes room for `bytes` more; `false` if there is none.
    pub fn take(&self, bytes: u64) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.max {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.gauge.increment(bytes as f64);
        true
    }

    /// Gives room for `bytes` back.
    pub fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        self.gauge.decrement(bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_at_most_what_it_may_and_refuses_without_taking() {
        let budget = Budget::new(100);
        assert!(budget.take(60));
        assert!(!budget.take(41));
        assert!(budget.take(40));
        budget.give_back(60);
        assert!(budget.take(60) && !budget.take(1));
    }
}
