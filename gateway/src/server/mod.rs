//! Before a request: listeners, workers, TLS, connections; and the order in which all of it ends.
//!
//! N workers, each a thread with its own runtime, its own accept queue on every listener (SO_REUSEPORT)
//! and its own upstream connections, so that a request never meets a lock or another thread. One further
//! thread, the caller of [`run`], has a runtime for what is not a request: reloads, admin, signals, probes.
//!
//! *Start.* Everything that can be wrong is found before the first worker starts: policy, certificates,
//! addresses. *End.* The first SIGTERM or SIGINT closes the listeners and lets open requests finish, at
//! most `timeouts.drain` long; a second one ends at once.

mod connection;
mod discoverer;
pub mod framing;
mod listener;
mod prober;
mod saver;
mod tls;
mod worker;

use crate::admin;
use crate::clock::Now;
use crate::iam;
use crate::limit::Guard;
use crate::observe::access_log::Sink;
use crate::observe::metrics::{self, ServerMetrics};
use crate::policy::{self, Live, Problem};
use crate::proxy::{Budget, Shared};
use crate::settings::{self, Settings};
use crate::upstream::discover::{Means, Resolver};
use listener::Bound;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use saver::Saves;
pub use tls::Certificates;

/// Between two looks for state that can be forgotten.
const SWEEP: Duration = Duration::from_secs(60);
/// How often policies that nobody reads any more are taken apart.
const RETIRE: Duration = Duration::from_secs(1);

/// Where the life of the server stands; workers follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Callers are welcome.
    Serving,
    /// Open requests finish; nobody new comes in.
    Draining,
}

/// Why the gateway did not start: problems in its files, or one sentence.
#[derive(Debug)]
pub enum StartError {
    /// The policy directory.
    Policy(Vec<Problem>),
    /// Anything else.
    Other(String),
}

impl From<String> for StartError {
    fn from(what: String) -> StartError {
        StartError::Other(what)
    }
}

/// Runs the gateway until a signal ends it. `addresses`: a file to write the bound addresses to, as JSON,
/// once everything listens.
///
/// # Errors
/// [`StartError`], before any caller was let in.
pub fn run(settings: Settings, addresses: Option<&Path>) -> Result<ExitCode, StartError> {
    let recorder = metrics::install()?;
    let mut live = Live { tcp_listeners: tcp_listeners(&settings), ..Live::default() };
    let state =
        settings.state_dir.as_deref().map(|dir| saver::open(dir, &mut live, Now::read())).transpose()?;
    let policy = policy::Store::open(settings.policies.clone(), live).map_err(StartError::Policy)?;
    let certificates = tls::open(&settings)?;
    let mut listeners = listener::bind_all(&settings)?;
    let admin_socket = listener::bind_admin(settings.admin.address)?;
    let admin_address = admin_socket.local_addr().map_err(|e| format!("admin listener: {e}"))?;
    let admin_token = admin::read_token(settings.admin.token_file.as_deref())?;
    let log = Sink::open(&settings.access_log)?;

    let shared = Arc::new(Shared {
        guard: Guard::default(),
        metrics: ServerMetrics::default(),
        buffers: Budget::new(settings.buffered_bodies_max),
        policy: policy.clone(),
        settings,
    });
    let (stage, follow) = watch::channel(Stage::Serving);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("runtime: {e}"))?;
    runtime.block_on(async {
        tokio::spawn(ask_iam(shared.clone())); // whoever is asked for backends may want a token
        find_backends(&shared).await
    })?;
    let workers = worker::start(&shared, &mut listeners, certificates.as_ref(), log.as_ref(), &follow)?;
    let _watching_policy = policy.watch();
    let _watching_certificates = certificates.as_ref().map(|certificates| certificates.watch());

    let saver = state.map(|state| saver::start(state, policy.clone())).transpose()?;
    let exit = runtime.block_on(async {
        let saves = saver.as_ref().map(|saver| saver.saves.clone());
        let page = admin::Page { policy, certificates, saves, recorder, stage: follow, token: admin_token };
        tokio::spawn(admin::serve(admin_socket, page)?);
        tokio::spawn(retire(shared.policy.clone()));
        tokio::spawn(sweep(shared.clone()));
        tokio::spawn(prober::keep(shared.policy.clone()));
        announce(&listeners, admin_address, &shared, addresses)?;
        Ok(until_ended(&stage, log.as_ref(), workers).await)
    });
    if let Some(saver) = saver {
        saver.end();
    }
    if let Some(log) = log {
        log.close();
    }
    exit
}

/// Takes apart policies out of force, off the workers. Once a second, since one may be as large as all else together.
async fn retire(policy: Arc<policy::Store>) {
    let mut interval = tokio::time::interval(RETIRE);
    loop {
        interval.tick().await;
        policy.sweep();
    }
}

/// Names of the listeners for plain TCP.
fn tcp_listeners(settings: &Settings) -> Vec<String> {
    let listeners = settings.listeners.iter().filter(|listener| listener.tcp);
    listeners.map(|listener| listener.name.clone()).collect()
}

/// Begins to ask who the backends are that policy does not write down, and waits a while for the first answers.
async fn find_backends(shared: &Shared) -> Result<(), String> {
    let means = Arc::new(Means::new(Resolver::new(&shared.settings.dns.servers())?));
    tokio::spawn(discoverer::keep(shared.policy.clone(), means));
    discoverer::first_answers(shared.policy.clone()).await;
    Ok(())
}

/// Everything that is said to IAM is said here, off the workers.
async fn ask_iam(shared: Arc<Shared>) {
    iam::serve(&shared.policy.live().iam).await;
}

/// Forgets what no policy names any more and no request needs, once a minute and off the workers.
async fn sweep(shared: Arc<Shared>) {
    let mut interval = tokio::time::interval(SWEEP);
    loop {
        interval.tick().await;
        let (live, now) = (shared.policy.live(), Now::read());
        live.limits.sweep(now);
        metrics::set_credentials(&live.auth.sweep(now));
        crate::observe::iam::set_known_tokens(live.iam.sweep());
    }
}

/// Says where it listens, on standard error and in a file for whoever started it.
fn announce(
    listeners: &[Bound],
    admin: SocketAddr,
    shared: &Shared,
    file: Option<&Path>,
) -> Result<(), String> {
    for bound in listeners {
        let scheme = scheme(&bound.listener);
        tracing::info!("{} on {scheme}://{}", bound.listener.name, bound.address);
    }
    tracing::info!("admin on http://{admin}");
    let status = shared.policy.status();
    tracing::info!("policy {} ({}), {} workers", status.version, status.digest, shared.settings.workers());
    let Some(file) = file else { return Ok(()) };
    let of_kind = |kind| -> Vec<String> {
        let kind = listeners.iter().filter(|bound| scheme(&bound.listener) == kind);
        kind.map(|bound| bound.address.to_string()).collect()
    };
    let mut text = serde_json::json!({
        "http": of_kind("http"), "https": of_kind("https"), "admin": admin.to_string(),
    });
    for kind in ["tcp", "tls"] {
        let addresses = of_kind(kind);
        if !addresses.is_empty() {
            text[kind] = addresses.into();
        }
    }
    // Renamed into place: whoever waits for the file never reads half of it.
    let draft = file.with_extension("draft");
    std::fs::write(&draft, text.to_string())
        .and_then(|()| std::fs::rename(&draft, file))
        .map_err(|e| format!("{}: {e}", file.display()))
}

/// What callers speak to a listener.
fn scheme(listener: &settings::Listener) -> &'static str {
    match (listener.tcp, listener.tls) {
        (false, false) => "http",
        (false, true) => "https",
        (true, false) => "tcp",
        (true, true) => "tls",
    }
}

/// Waits for signals, then for the workers.
async fn until_ended(stage: &watch::Sender<Stage>, log: Option<&Sink>, workers: worker::Workers) -> ExitCode {
    let listen = |kind| signal(kind).expect("a signal handler can be installed once the runtime runs");
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let mut hang_up = listen(SignalKind::hangup());
    let mut ended = std::pin::pin!(workers.ended());
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {
                if let Some(log) = log { log.reopen().await }
                continue;
            }
            cut = &mut ended => {
                tracing::info!("ended; {cut} connections were cut");
                return ExitCode::SUCCESS;
            }
        }
        if *stage.borrow() == Stage::Draining {
            tracing::warn!("second signal: ending at once");
            return ExitCode::from(130);
        }
        tracing::info!("draining: open requests finish, new connections are refused");
        stage.send_replace(Stage::Draining);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "
pools: [{name: all, backends: [{url: \"http://127.0.0.1:9\"}]}]
routes: [{name: all, match: {path: /all}, api: plain, auth: none, pool: all, body_max: SIZE}]
";

    #[tokio::test(start_paused = true)]
    async fn a_policy_out_of_force_is_gone_a_second_after_its_last_request() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |size| std::fs::write(dir.path().join("policy.yaml"), POLICY.replace("SIZE", size)).unwrap();
        write("1KiB");
        let store = policy::Store::open(dir.path().into(), Live::default()).unwrap();
        tokio::spawn(retire(store.clone()));
        let request = store.current();
        let before = Arc::downgrade(&request);
        write("2KiB");
        store.reload();
        assert_eq!((store.version(), store.status().retired), (2, 1));
        tokio::time::sleep(3 * RETIRE).await;
        assert_eq!(store.status().retired, 1, "a request reads it");
        drop(request);
        assert!(before.upgrade().is_some(), "its last request does not take it apart");
        tokio::time::sleep(Duration::from_millis(1_001)).await;
        assert_eq!((store.status().retired, before.upgrade().is_none()), (0, true));
    }
}
