//! Server: one thread per worker, each with its own listener, connections and counters.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

use super::behaviour::Behaviour;
use super::count::Counters;
use super::iam::Iam;
use super::instances::Instances;
use super::journal::Books;
use super::record::Recorder;
use super::serve::serve;
use super::tcp::Echoed;
use super::websocket;
use super::wire::{Conn, Wire};
use crate::local::Local;

/// Connections the kernel completes before the worker takes them.
const BACKLOG: i32 = 4096;

/// What all workers and the control API see.
#[derive(Debug)]
pub struct Shared {
    /// The knobs in force.
    pub behaviour: ArcSwap<Behaviour>,
    /// The knobs at the start, to go back to.
    pub initial: Behaviour,
    /// What has arrived.
    pub counters: Counters,
    /// The last requests; None: not recorded.
    pub recorder: Option<Recorder>,
    /// Every request, in short; None: not kept.
    pub journal: Option<Books>,
    /// Header that names the tenant.
    pub tenant_header: String,
    /// Which instances a service has.
    pub instances: Instances,
    /// Tokens.
    pub iam: Iam,
    /// What the TCP echo has done.
    pub echoed: Echoed,
}

/// One worker, as its requests see it.
#[derive(Debug)]
pub struct Worker {
    /// Its place among the workers, from 0.
    pub index: usize,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
}

/// Binds one listener per worker, all to the same address.
///
/// One worker takes the address for itself, so that a busy port is an error; several share it
/// (SO_REUSEPORT), after a look whether it was free.
///
/// # Errors
/// The address is taken, or is not this machine's.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<StdListener>> {
    let first = listen(address, false)?;
    if workers == 1 {
        return Ok(vec![first]);
    }
    let address = first.local_addr()?;
    drop(first);
    (0..workers).map(|_| listen(address, true)).collect()
}

fn listen(address: SocketAddr, share: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Runs one worker on this thread until `stop` says so or is dropped; open connections end with it.
///
/// # Errors
/// The runtime cannot be made, or does not take the listener.
pub fn run(
    listener: StdListener,
    index: usize,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let worker = Rc::new(Worker { index, shared });
    runtime.block_on(async move {
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            () = accept(&listener, worker) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(())
    })
}

async fn accept(listener: &TcpListener, worker: Rc<Worker>) {
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: only time brings some back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        tokio::task::spawn_local(connection(stream, number, Rc::clone(&worker)));
        number += 1;
    }
}

async fn connection(stream: TcpStream, number: u64, worker: Rc<Worker>) {
    let _open = Open::new(Rc::clone(&worker));
    // Fails only on a connection that is gone, which serving it will find out.
    let _ = stream.set_nodelay(true);
    let conn = Rc::new(Conn::new(number, worker.shared.recorder.is_some()));
    let http2 = begins_with_preface(&stream).await;
    let io = TokioIo::new(Wire::new(stream, Rc::clone(&conn)));
    let service = service_fn({
        let conn = Rc::clone(&conn);
        move |request| serve(Rc::clone(&worker), Rc::clone(&conn), request)
    });
    if http2 {
        let served = pin!(http2_builder().serve_connection(io, service));
        return until_over(served, &conn).await;
    }
    let mut served = http1::Builder::new().serve_connection(io, service);
    until_over(Pin::new(&mut served), &conn).await;
    if conn.has_switched() {
        let parts = served.into_parts();
        // Nobody speaks before the handshake is answered, and nobody misses an echo of a broken connection.
        let _ = websocket::echo(parts.io.into_inner()).await;
    }
}

/// Runs a connection to its end. Errors are callers leaving and faults we made; both are counted with their requests.
async fn until_over<E>(mut served: Pin<&mut impl Future<Output = Result<(), E>>>, conn: &Conn) {
    poll_fn(|cx| match served.as_mut().poll(cx) {
        Poll::Pending if !conn.is_over() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// Does the caller speak HTTP/2? No HTTP/1 request begins with its first three letters.
async fn begins_with_preface(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    loop {
        match stream.peek(&mut start).await {
            Ok(3) => return start == *b"PRI",
            Ok(have) if have > 0 && b"PRI".starts_with(&start[..have]) => {
                tokio::time::sleep(Duration::from_millis(1)).await; // the rest of it is on its way
            }
            _ => return false,
        }
    }
}

/// Limits are wide: what a caller may do is for the gateway under test to say.
fn http2_builder() -> http2::Builder<Local> {
    let mut builder = http2::Builder::new(Local);
    builder
        .max_concurrent_streams(10_000)
        .max_pending_accept_reset_streams(10_000)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024);
    builder
}

/// Counts a connection while it is open.
struct Open(Rc<Worker>);

impl Open {
    fn new(worker: Rc<Worker>) -> Open {
        worker.shared.counters.worker(worker.index).connections.fetch_add(1, Relaxed);
        Open(worker)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.counters.worker(self.0.index).closed.fetch_add(1, Relaxed);
    }
}
