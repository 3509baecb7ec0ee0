//! What a connection leaves behind, whatever happened: its place, its counts, one access-log line. Made by Drop.

use super::level::{Place, Way};
use super::{Door, Stream};
use crate::clock::Now;
use crate::observe::line::StreamLine;
use crate::proxy::Worker;
use crate::upstream::{Backend, Flight};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides said all they had to say.
    Ok,
    /// Cut by the end of the gateway.
    Cut,
    /// The caller's side broke.
    CallerBroke,
    /// The backend's side broke.
    BackendBroke,
    /// Silent for too long.
    Idle,
    /// Open for too long.
    Total,
    /// Refused: policy has no stream for this listener.
    NoStream,
    /// Refused: a connection that no trusted proxy made, where each must be.
    UntrustedProxy,
    /// Refused: the proxy's header is none, or late.
    ProxyHeader,
    /// The TLS handshake failed, or the certificate is not to be trusted.
    Handshake,
    /// Refused: no tenant's certificate or network.
    Unknown,
    /// Refused: the tenant has as many connections open as it may.
    Connections,
    /// Refused: the tenant has begun as many lately as it may.
    Connects,
    /// Refused: no backend is to be had.
    NoBackend,
    /// Refused: no backend could be reached.
    Unreachable,
}

impl Outcome {
    /// As the log and the metric have it.
    pub fn code(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Cut => "cut",
            Outcome::CallerBroke => "caller_broke",
            Outcome::BackendBroke => "backend_broke",
            Outcome::Idle => "idle",
            Outcome::Total => "total",
            Outcome::NoStream => "no_stream",
            Outcome::UntrustedProxy => "untrusted_proxy",
            Outcome::ProxyHeader => "proxy_header",
            Outcome::Handshake => "handshake",
            Outcome::Unknown => "unknown_caller",
            Outcome::Connections => "connections",
            Outcome::Connects => "connects",
            Outcome::NoBackend => "no_backend",
            Outcome::Unreachable => "unreachable",
        }
    }
}

/// One connection.
pub struct Session {
    worker: Rc<Worker>,
    door: Rc<Door>,
    began: Now,
    policy: u64,
    outcome: Outcome,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    place: Option<Place>,
    /// Whose connection it is: the peer, or whom a trusted proxy names.
    pub source: SocketAddr,
    /// What policy decides for it.
    pub stream: Option<Arc<Stream>>,
    /// Who it is.
    pub tenant: Option<Arc<str>>,
    /// Where its bytes go, or the last one that was tried.
    pub backend: Option<Arc<Backend>>,
    /// Its place among what that backend has to do.
    pub flight: Option<Flight>,
    /// What the log may know besides.
    pub detail: Option<String>,
}

impl Session {
    /// A connection that was accepted.
    pub fn begin(worker: &Rc<Worker>, door: &Rc<Door>, peer: SocketAddr) -> Session {
        Session {
            began: Now::read(),
            policy: worker.policy().version,
            worker: worker.clone(),
            door: door.clone(),
            outcome: Outcome::Cut,
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            place: None,
            source: peer,
            stream: None,
            tenant: None,
            backend: None,
            flight: None,
            detail: None,
        }
    }

    /// It has a place among its tenant's connections.
    pub fn take(&mut self, place: Place) {
        if let Some(stream) = &self.stream {
            place.level().metrics(&stream.metrics, self.tenant.as_deref()).open.increment(1.0);
        }
        self.place = Some(place);
    }

    /// Bytes were written.
    #[inline]
    pub fn passed(&self, way: Way, bytes: usize) {
        let count = if way == Way::In { &self.bytes_in } else { &self.bytes_out };
        count.set(count.get() + bytes as u64);
        if let (Some(place), Some(stream)) = (&self.place, &self.stream) {
            let metrics = place.level().metrics(&stream.metrics, self.tenant.as_deref());
            metrics.bytes[way as usize].increment(bytes as u64);
        }
    }

    /// It has come to its end.
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let now = Now::read();
        let duration_us = now.mono_us - self.began.mono_us;
        let metrics = match &self.stream {
            Some(stream) => &stream.metrics,
            None => &self.worker.shared.metrics.no_stream,
        };
        metrics.ended(self.outcome.code(), duration_us);
        if let Some(place) = &self.place {
            place.level().metrics(metrics, self.tenant.as_deref()).open.decrement(1.0);
        }
        let id = self.worker.request_id();
        self.worker.log.borrow_mut().write_stream(&StreamLine {
            time: self.worker.stamp.borrow_mut().of(self.began.wall_ms),
            request_id: id.as_str(),
            listener: &self.door.name,
            peer: self.source.ip().to_canonical(),
            stream: self.stream.as_ref().map(|stream| &*stream.name),
            tenant: self.tenant.as_deref(),
            outcome: self.outcome.code(),
            detail: self.detail.as_deref(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            duration_us,
            backend: self.backend.as_ref().map(|backend| &*backend.address),
            policy: self.policy,
        });
    }
}
