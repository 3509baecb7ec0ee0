//! Plain TCP: connections whose bytes pass as they are, for callers in the peered VPC.
//!
//! A listener with `tcp: true` hands each connection to [`serve`]. What is asked of it, in order, is [`walk`](serve):
//! which stream, whose connection (a [`preface`] of a trusted proxy may say), TLS, [`who`], whether the tenant's
//! [`level`] has room, which backend; then [`relay`] moves its bytes. What is left behind is in [`session`], by Drop.
//!
//! *Refusals* are resets: nothing was promised to a caller whose bytes went nowhere, and a FIN would look like an
//! empty answer. A TLS handshake that fails says why by an alert, and then ends.
//!
//! *Reload.* Limits hold for open connections at once. All else holds for connections that begin: an open one keeps
//! its tenant, backend and timeouts, also if policy no longer has them.

mod door;
mod level;
mod levels;
mod networks;
mod preface;
mod relay;
mod rules;
mod session;
mod subject;
mod who;

pub use door::Door;
pub use level::Level;
pub use levels::{Levels, Use};
pub use networks::Networks;
pub use rules::Rules;
pub use who::{Admits, Directory, Member, TenantIx};

use crate::clock;
use crate::observe::metrics::{StreamMetrics, UpstreamError};
use crate::policy::Snapshot;
use crate::proxy::Worker;
use crate::proxy::deadline::Waiting;
use crate::upstream::{Asker, Backend, Keys, Pick, Picked, Pool, RawSocket, dial_raw};
use http::HeaderMap;
use level::{Full, Way};
use preface::Told;
use relay::{End, Terms};
use rustls::server::danger::ClientCertVerifier;
use session::{Outcome, Session};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Backends that one connection tries: with more down than that, the pool is down.
const TRIES: usize = 4;

/// What policy decides for the connections of one listener.
pub struct Stream {
    /// As in the files; unique.
    pub name: Arc<str>,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Where its bytes go.
    pub pool: Arc<Pool>,
    /// Whom it lets in.
    pub admits: Admits,
    /// Verifies the certificates of callers; None: asks for none.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Indexed by [`TenantIx`], None for tenants that no stream can know; with [`Admits::Anybody`], one for all.
    pub members: Vec<Option<Member>>,
    /// Longest silence in both directions.
    pub idle: Duration,
    /// Longest life of a connection.
    pub total: Option<Duration>,
    /// Whether backends are told whose connection it is (PROXY protocol, version 2).
    pub tells: bool,
    /// Counts its connections.
    pub metrics: StreamMetrics,
}

/// The streams of a policy, and who their callers are.
#[derive(Default)]
pub struct Streams {
    /// In the order of the files.
    pub all: Vec<Arc<Stream>>,
    /// Tenants by certificates and networks.
    pub directory: Arc<Directory>,
}

impl Streams {
    /// The stream of a listener.
    pub fn of(&self, listener: &str) -> Option<&Arc<Stream>> {
        self.all.iter().find(|stream| *stream.listener == *listener)
    }
}

/// Serves one accepted connection to its end.
pub async fn serve(worker: Rc<Worker>, door: Rc<Door>, tcp: TcpStream, peer: SocketAddr) {
    let mut session = Session::begin(&worker, &door, peer);
    let outcome = walk(&mut session, &worker, &door, tcp, peer).await;
    session.end(outcome);
}

/// Everything that is asked of a connection, then its bytes.
async fn walk(
    session: &mut Session,
    worker: &Rc<Worker>,
    door: &Door,
    tcp: TcpStream,
    peer: SocketAddr,
) -> Outcome {
    let policy = worker.policy();
    let Some(stream) = policy.streams.of(&door.name).cloned() else { return refuse(&tcp, Outcome::NoStream) };
    session.stream = Some(stream.clone());
    let deadline = worker.deadlines.enter(Rc::default());
    deadline.end_in(worker.shared.settings.timeouts.handshake);

    let mut told = Told::Local;
    let mut tcp = tcp;
    if door.proxied {
        told = match door.preface(&mut tcp, peer, &worker.shared.settings.trusted_proxies, &deadline).await {
            Ok(told) => told,
            Err((outcome, detail)) => {
                session.detail = detail;
                return refuse(&tcp, outcome);
            }
        };
    }
    let local = tcp.local_addr().unwrap_or(peer); // it has one as long as it is open
    let (source, destination) = match told {
        Told::Local => (peer, local),
        Told::From { source, destination } => (source, destination),
    };
    session.source = source;

    let mut caller = match door.handshake(tcp, &stream, policy.version, &deadline).await {
        Ok(socket) => socket,
        Err(detail) => {
            worker.shared.metrics.handshake_failures.increment(1);
            session.detail = Some(detail);
            return Outcome::Handshake;
        }
    };
    let Some(member) = member(&stream, &policy, &caller, source) else {
        return refuse(caller.tcp(), Outcome::Unknown);
    };
    drop(policy); // a connection may outlive many policies
    session.tenant.clone_from(&member.tenant);
    match member.level.enter(clock::mono_us()) {
        Ok(place) => session.take(place),
        Err(Full::Connections) => return refuse(caller.tcp(), Outcome::Connections),
        Err(Full::Connects) => return refuse(caller.tcp(), Outcome::Connects),
    }

    deadline.clear();
    let preface = stream.tells.then(|| preface::write(source, destination, member.tenant.as_deref()));
    let mut backend = match connect(session, worker, &stream, preface.as_deref()).await {
        Ok(socket) => socket,
        Err(outcome) => return refuse(caller.tcp(), outcome),
    };
    if let Some(total) = stream.total {
        deadline.end_in(total);
    }
    let passed = |way: Way, bytes: usize| session.passed(way, bytes);
    let terms = Terms { level: &member.level, deadline: &deadline, idle: stream.idle, passed: &passed };
    match relay::relay(&mut caller, &mut backend, &terms).await {
        End::Whole => Outcome::Ok,
        End::CallerBroke => Outcome::CallerBroke,
        End::BackendBroke => Outcome::BackendBroke,
        End::Late(Waiting::Total) => Outcome::Total,
        End::Late(_) => Outcome::Idle,
    }
}

/// Makes the close a reset.
fn refuse(tcp: &TcpStream, outcome: Outcome) -> Outcome {
    crate::upstream::reset_on_close(tcp);
    outcome
}

/// Whose connection it is, if the stream lets them in.
fn member(stream: &Stream, policy: &Snapshot, caller: &RawSocket, source: SocketAddr) -> Option<Member> {
    if stream.admits == Admits::Anybody {
        return stream.members.first().cloned().flatten();
    }
    let certificate = match caller {
        RawSocket::Plain(_) => None,
        RawSocket::Tls(tls) => tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()),
    };
    let tenant = policy.streams.directory.find(stream.admits, certificate, source.ip())?;
    stream.members.get(tenant as usize).cloned().flatten()
}

/// Opens a connection to a backend, or to the next one, and says whose it is.
async fn connect(
    session: &mut Session,
    worker: &Worker,
    stream: &Stream,
    preface: Option<&[u8]>,
) -> Result<RawSocket, Outcome> {
    let mut tried = Vec::new();
    let keys = keys(&stream.pool, session.tenant.as_deref());
    while let Some(picked) = pick(worker, &stream.pool, &tried, keys) {
        let backend = picked.backend.clone();
        session.flight = picked.begin(clock::mono_us);
        session.backend = Some(backend.clone());
        stream.pool.connects.increment(1);
        match open(&backend, stream.pool.connect_timeout, preface).await {
            Ok(socket) => {
                // To passive health a connection is an answer, and a good one.
                stream.pool.answered(&backend, 200, worker.deadlines.now_ms());
                session.detail = None;
                return Ok(socket);
            }
            Err((kind, what)) => {
                stream.pool.failed(&backend, kind, worker.deadlines.now_ms());
                session.detail = Some(what);
            }
        }
        tried.push(backend.id);
        if tried.len() == TRIES {
            break;
        }
    }
    Err(if tried.is_empty() { Outcome::NoBackend } else { Outcome::Unreachable })
}

/// What the pool chooses by: of a connection nothing is known but its tenant.
fn keys(pool: &Pool, tenant: Option<&str>) -> Keys {
    pool.keys(&Asker { caller: tenant.map(|tenant| (tenant, "")), headers: &HeaderMap::new(), prompt: None })
}

fn pick(worker: &Worker, pool: &Pool, tried: &[u64], keys: Keys) -> Option<Picked> {
    pool.pick(&Pick { turn: worker.turn(), now_ms: worker.deadlines.now_ms(), tried, keys })
}

async fn open(
    backend: &Backend,
    within: Duration,
    preface: Option<&[u8]>,
) -> Result<RawSocket, (UpstreamError, String)> {
    let mut socket = dial_raw(backend, within).await.map_err(|error| (error.kind(), error.to_string()))?;
    if let Some(preface) = preface {
        // An empty socket takes it at once: it does not have to be waited for.
        let reset = |error| (UpstreamError::Reset, format!("proxy header: {error}"));
        socket.write_all(preface).await.map_err(reset)?;
    }
    Ok(socket)
}
