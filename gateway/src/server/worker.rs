//! One worker: a thread, its runtime, its share of every listener's connections.

use super::Stage;
use super::connection;
use super::listener::Bound;
use super::tls::Certificates;
use crate::clock;
use crate::observe::access_log::{Buffer, Sink};
use crate::observe::log::Sampled;
use crate::observe::metrics::ListenerMetrics;
use crate::proxy::deadline::TICK;
use crate::proxy::{Listener, Shared, Worker};
use crate::stream::{self, Door};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rustls::server::ResolvesServerCert;
use std::cell::Cell;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

/// After a failed accept (as a rule: no file descriptor is left) a worker waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The running workers.
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    ended: Vec<oneshot::Receiver<usize>>,
}

impl Workers {
    /// Waits until all have ended; how many connections were cut.
    pub async fn ended(self) -> usize {
        let mut cut = 0;
        for worker in self.ended {
            cut += worker.await.unwrap_or(0);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
        cut
    }
}

/// Starts the workers. Each takes one socket of each listener: when it drains, they close, and nobody can
/// connect to a gateway that no longer accepts.
///
/// # Errors
/// One sentence, if a thread or its runtime cannot be made.
pub fn start(
    shared: &Arc<Shared>,
    listeners: &mut [Bound],
    certificates: Option<&Arc<Certificates>>,
    log: Option<&Sink>,
    stage: &watch::Receiver<Stage>,
) -> Result<Workers, String> {
    let open = Arc::new(Open::default());
    let tls = certificates.map(|certificates| certificates.server_config()).transpose()?;
    let mut workers = Workers { threads: Vec::new(), ended: Vec::new() };
    for number in 0..shared.settings.workers() {
        let (tell_ended, ended) = oneshot::channel();
        let mut plan = Plan {
            shared: shared.clone(),
            open: open.clone(),
            listeners: Vec::new(),
            tls: tls.clone().map(TlsAcceptor::from),
            certificates: certificates.cloned(),
            log: log.map(Sink::buffer).unwrap_or_default(),
            stage: stage.clone(),
            number,
        };
        for bound in listeners.iter_mut() {
            let socket = bound.sockets.pop().expect("bound once for each worker");
            plan.listeners.push((bound.listener.clone(), socket));
        }
        let (tell_begun, begun) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        let run = move || {
            let runtime =
                match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = tell_begun.send(Err(error));
                        return;
                    }
                };
            let _ = tell_begun.send(Ok(()));
            let cut = runtime.block_on(plan.run());
            drop(runtime); // whatever is still open is closed here, and its access-log lines written
            let _ = tell_ended.send(cut);
        };
        let failed = |error| format!("worker {number}: {error}");
        workers.threads.push(thread.spawn(run).map_err(failed)?);
        begun.recv().expect("it says so before all else").map_err(failed)?;
        workers.ended.push(ended);
    }
    Ok(workers)
}

/// What a worker takes along to its thread.
struct Plan {
    shared: Arc<Shared>,
    open: Arc<Open>,
    listeners: Vec<(crate::settings::Listener, TcpListener)>,
    tls: Option<TlsAcceptor>,
    certificates: Option<Arc<Certificates>>,
    log: Buffer,
    stage: watch::Receiver<Stage>,
    number: usize,
}

impl Plan {
    /// Accepts and serves until drained; how many connections were cut.
    async fn run(self) -> usize {
        let worker = Rc::new(Worker::new(self.shared.clone(), self.log, self.number));
        worker.deadlines.tick(clock::mono_us() / 1000);
        let ticking = tokio::task::spawn_local(tick(worker.clone()));
        let here = Rc::new(Cell::new(0));
        let mut accepting = Vec::new();
        for (listener, socket) in self.listeners {
            let shown = self.certificates.clone().filter(|_| listener.tls);
            let door = listener.tcp.then(|| {
                let shown = shown.map(|shown| shown as Arc<dyn ResolvesServerCert>);
                Rc::new(Door::new(&listener.name, listener.proxy_protocol, shown))
            });
            let port = Rc::new(Port {
                worker: worker.clone(),
                door,
                listener: Rc::new(Listener {
                    metrics: ListenerMetrics::new(&listener.name),
                    name: listener.name,
                    tls: listener.tls,
                }),
                tls: if listener.tls { self.tls.clone() } else { None },
                open: self.open.clone(),
                here: here.clone(),
                stage: self.stage.clone(),
            });
            accepting.push(tokio::task::spawn_local(accept(port, socket)));
        }
        let mut stage = self.stage;
        let _ = stage.wait_for(|stage| *stage == Stage::Draining).await;
        worker.drain();
        for task in accepting {
            task.abort();
        }
        let end = clock::mono_us() + self.shared.settings.timeouts.drain.as_micros() as u64;
        while here.get() > 0 && clock::mono_us() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        ticking.abort();
        worker.end();
        worker.log.borrow_mut().flush();
        here.get()
    }
}

/// Ten times a second: deadlines, gates and log lines; once a second: connections that lie idle.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0_u64.. {
        interval.tick().await;
        let now_ms = clock::mono_us() / 1000;
        worker.deadlines.tick(now_ms);
        worker.log.borrow_mut().flush();
        worker.policy(); // an idle worker lets go of a policy that is no longer in force
        worker.shared.policy.live().gates.tick(now_ms * 1000);
        if count % 10 == 0 {
            worker.idle.sweep(now_ms);
            worker.sessions.sweep(now_ms);
        }
    }
}

/// One listener on one worker.
struct Port {
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    tls: Option<TlsAcceptor>,
    /// For plain TCP, where the listener is for that.
    door: Option<Rc<Door>>,
    open: Arc<Open>,
    here: Rc<Cell<usize>>,
    stage: watch::Receiver<Stage>,
}

async fn accept(port: Rc<Port>, socket: TcpListener) {
    let refused = Sampled::default();
    let socket =
        tokio::net::TcpListener::from_std(socket).expect("a bound, non-blocking socket in a runtime");
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => port.clone().take(stream, peer),
            Err(error) => {
                if let Some(times) = refused.due() {
                    tracing::error!(
                        "accept on `{}` failed {times} times: {error}; raise the limit of open files \
                                     (`ulimit -n`, LimitNOFILE) or lower `connections.max`",
                        port.listener.name
                    );
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Port {
    /// Serves a connection, or closes it if there are too many. Counted before TLS: a handshake is dear.
    fn take(self: Rc<Port>, stream: TcpStream, peer: SocketAddr) {
        let metrics = &self.worker.shared.metrics;
        let mut caps = self.worker.shared.settings.connections.clone();
        if self.door.as_ref().is_some_and(|door| door.proxied) {
            caps.per_address = u32::MAX; // all callers come from the addresses of their proxies
        }
        let place = match Open::place(&self.open, peer.ip(), &caps) {
            Ok(place) => place,
            Err(Full::All) => return metrics.refused_max.increment(1),
            Err(Full::Address) => return metrics.refused_per_address.increment(1),
        };
        self.listener.metrics.accepted.increment(1);
        self.listener.metrics.open.increment(1.0);
        self.here.set(self.here.get() + 1);
        let counted = Counted { port: self, _place: place };
        tokio::task::spawn_local(async move {
            let port = &counted.port;
            if stream.set_nodelay(true).is_ok() {
                let (worker, listener) = (port.worker.clone(), port.listener.clone());
                if let Some(door) = &port.door {
                    return Box::pin(stream::serve(worker, door.clone(), stream, peer)).await;
                }
                connection::serve(worker, listener, port.tls.as_ref(), port.stage.clone(), stream, peer)
                    .await;
            }
        });
    }
}

/// A connection, as long as it is open.
struct Counted {
    port: Rc<Port>,
    _place: Place,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.port.here.set(self.port.here.get() - 1);
        self.port.listener.metrics.open.decrement(1.0);
    }
}

/// Open connections of the whole gateway, by address.
#[derive(Default)]
struct Open {
    all: AtomicUsize,
    by_address: DashMap<IpAddr, u32, ahash::RandomState>,
}

/// Which cap is reached.
enum Full {
    All,
    Address,
}

/// A connection's place among the open ones; given back by Drop.
struct Place {
    open: Arc<Open>,
    address: IpAddr,
}

impl Open {
    fn place(open: &Arc<Open>, address: IpAddr, caps: &crate::settings::Connections) -> Result<Place, Full> {
        let address = counted_as(address);
        if open.all.fetch_add(1, Ordering::Relaxed) >= caps.max {
            open.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::All);
        }
        let mut count = open.by_address.entry(address).or_insert(0);
        if *count >= caps.per_address {
            open.all.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::Address);
        }
        *count += 1;
        Ok(Place { open: open.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.all.fetch_sub(1, Ordering::Relaxed);
        // The map holds only addresses with open connections: it is bounded by `connections.max`.
        if let Entry::Occupied(mut count) = self.open.by_address.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// An IPv6 caller has a whole /64 to choose addresses from, so that counts as one.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Connections;

    #[test]
    fn caps_hold_and_places_come_back() {
        let open = Arc::new(Open::default());
        let caps = Connections { max: 3, per_address: 2 };
        let (a, b) = ("10.0.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let first = Open::place(&open, a, &caps).ok().unwrap();
        let _second = Open::place(&open, a, &caps).ok().unwrap();
        assert!(matches!(Open::place(&open, a, &caps), Err(Full::Address)));
        let _third = Open::place(&open, b, &caps).ok().unwrap();
        assert!(matches!(Open::place(&open, b, &caps), Err(Full::All)));
        drop(first);
        let neighbour = "2001:db8::ffff".parse().unwrap();
        let _fourth = Open::place(&open, neighbour, &caps).ok().unwrap();
        assert_eq!(open.by_address.len(), 2, "one entry for the whole /64");
    }

    #[test]
    fn no_entry_is_left_behind() {
        let open = Arc::new(Open::default());
        let caps = Connections::default();
        drop(Open::place(&open, "10.0.0.1".parse().unwrap(), &caps).ok().unwrap());
        assert!(open.by_address.is_empty());
        assert_eq!(open.all.load(Ordering::Relaxed), 0);
    }
}
