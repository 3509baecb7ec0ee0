//! Mock: model endpoints without a model.
//!
//! Serves the shapes of Pangu V1 and V2, MaaS (OpenAI) and ModelArts real-time services, at a pace and with
//! faults that can be chosen, and keeps count of what arrives. It is the upstream in tests, in development
//! and under load.
//!
//! *A request's way.* [`endpoint`] names it, [`flight`] counts it in, [`behaviour`] decides its fate, the
//! endpoint's module makes a [`reply`], [`answer`] sends it, and the flight's end counts it out. [`serve`]
//! is that list in code.
//!
//! *Cost.* One thread per worker, no lock and no clock reading beyond one per request unless requests are
//! recorded.
//!
//! *Plain TCP* ([`tcp`]) has an address of its own, where every byte comes back.
//!
//! *IAM* ([`iam`]) and *which instances a service has* ([`instances`]) are there as well, on the same address, and counted
//! apart.
//!
//! *Not here.* Checks of credentials at the model endpoints: the records show what was sent, and the test judges.

pub mod server;

mod aside;
pub mod serve;

pub mod endpoint;

pub mod flight;

pub mod behaviour;
pub mod fault;

pub mod reply;

mod ask;
pub mod grpc;
mod modelarts;
mod openai;
mod pangu;
mod raw;
mod refuse;
mod text;

pub mod answer;
pub mod sse;

pub mod count;
pub mod heads;
pub mod journal;
pub mod record;
pub mod tcp;
pub mod websocket;
pub mod wire;

pub mod iam;
pub mod instances;

pub mod control;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use behaviour::Behaviour;
use count::{Counters, Stats};
use journal::{Books, Journal};
use record::{Record, Recorder};
use server::Shared;

/// How a mock starts.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the endpoints. Default: a free port on 127.0.0.1.
    pub listen: SocketAddr,
    /// Address of the control API. Default: a free port on 127.0.0.1.
    pub control: SocketAddr,
    /// Address of the TCP echo. Default: none, no echo.
    pub tcp: Option<SocketAddr>,
    /// Worker threads, at least 1. Default: 1.
    pub workers: usize,
    /// Requests recorded at most; None: no recording, counters only. Default: 4096.
    pub record: Option<usize>,
    /// Requests kept in the journal at most; None: no journal. Default: none.
    pub journal: Option<u64>,
    /// Header whose values `by_tenant` counts and the journal keeps. Default: `x-tenant`.
    pub tenant_header: String,
    /// The knobs at the start. Default: answer at once.
    pub behaviour: Behaviour,
}

impl Default for Options {
    fn default() -> Options {
        let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options {
            listen: free_port,
            control: free_port,
            tcp: None,
            workers: 1,
            record: Some(4096),
            journal: None,
            tenant_header: "x-tenant".to_owned(),
            behaviour: Behaviour::default(),
        }
    }
}

/// A mock that is running; dropping it stops it.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    control: SocketAddr,
    tcp: Option<SocketAddr>,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Mock {
    /// Starts the threads. Connections are taken from the moment this returns.
    ///
    /// # Errors
    /// An address cannot be bound, or a thread not started.
    pub fn start(options: &Options) -> io::Result<Mock> {
        let workers = options.workers.max(1);
        let listeners = server::bind(options.listen, workers)?;
        let control = server::bind(options.control, 1)?;
        let echo = options.tcp.map(|address| server::bind(address, 1)).transpose()?.unwrap_or_default();
        let shared = Arc::new(Shared {
            behaviour: ArcSwap::from_pointee(options.behaviour.clone()),
            initial: options.behaviour.clone(),
            counters: Counters::new(workers),
            recorder: options.record.map(|kept| Recorder::new(kept, &options.tenant_header)),
            journal: options.journal.map(|max| Books::new(workers, max)),
            tenant_header: options.tenant_header.clone(),
            instances: instances::Instances::default(),
            iam: iam::Iam::default(),
            echoed: tcp::Echoed::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut mock = Mock {
            address: listeners[0].local_addr()?,
            control: control[0].local_addr()?,
            tcp: echo.first().map(TcpListener::local_addr).transpose()?,
            shared,
            stop,
            threads: Vec::with_capacity(workers + 1),
        };
        for (index, listener) in listeners.into_iter().enumerate() {
            let (shared, stopped) = (Arc::clone(&mock.shared), stopped.clone());
            mock.spawn(format!("mock-{index}"), move || server::run(listener, index, shared, stopped))?;
        }
        for listener in control {
            let (shared, stopped) = (Arc::clone(&mock.shared), stopped.clone());
            mock.spawn("mock-control".to_owned(), move || control::run(listener, shared, stopped))?;
        }
        for listener in echo {
            let (shared, stopped) = (Arc::clone(&mock.shared), stopped.clone());
            mock.spawn("mock-tcp".to_owned(), move || tcp::run(listener, shared, stopped))?;
        }
        Ok(mock)
    }

    /// Address of the endpoints.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address of the control API.
    pub fn control_address(&self) -> SocketAddr {
        self.control
    }

    /// Address of the TCP echo, if there is one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// `http://` and the address of the endpoints.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Reads the counters.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// The last `count` requests that have ended, in the order of their arrival.
    pub fn requests(&self, count: usize) -> Vec<Record> {
        self.shared.requests(count)
    }

    /// What the journal holds; None if the mock keeps none.
    pub fn journal(&self) -> Option<Journal> {
        self.shared.journal.as_ref().map(Books::read)
    }

    /// Replaces all knobs.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.behaviour.store(Arc::new(behaviour));
    }

    /// Clears counters, records and journal.
    pub fn reset(&self) {
        self.shared.reset();
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name).spawn(run)?);
        Ok(())
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            // A worker that failed to start, or panicked, has said so on stderr; there is nothing to save.
            let _ = thread.join();
        }
    }
}
