//! Operators' API, on a listener of its own: health, metrics, policy, levels. No caller reaches it, and it
//! answers also when every data port is full.
//!
//! | path | answer |
//! | --- | --- |
//! | `/livez` | 200 while the process runs |
//! | `/readyz` | 200 while callers are welcome, 503 while draining |
//! | `/metrics` | Prometheus text |
//! | `/policy` | version, digest and problems of the policy, as JSON |
//! | `/limits?tenant=NAME` | every level of a tenant now, as JSON; also `?route=NAME` and `?model=NAME` |
//! | `/explain?tenant=NAME&route=NAME` | every level that a request meets, and whether it has room; also `&user=`, `&model=` |
//! | `/forecast?tenant=NAME` | when a tenant's budgets will be spent |
//! | `/backends` | which backends of which pool get requests, why the others do not, and where they were found |
//! | `/queues` | who waits before which pool, who fills it, and how much it takes now |
//! | `/streams` | who has how many connections of plain TCP open, and how the backends are that they go to |
//!
//! What may take long (100,000 tenants) runs on a thread of its own, beside the one that health is answered on.

mod explain;
pub mod query;
mod queues;
pub mod shown;
mod streams;

use crate::clock::Now;
use crate::observe::{self, limits, metrics};
use crate::policy::Store;
use crate::server::{Certificates, Saves, Stage};
use crate::upstream::{Pool, PoolState, seen_by_workers};
use bytes::Bytes;
use explain::No;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use query::Query;
use std::convert::Infallible;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

/// The recorder must be emptied into its histograms also when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(1);
/// Operators' connections at once.
const CONNECTIONS_MAX: usize = 64;

const PAGES: &str = "/livez /readyz /metrics /policy\n\
    /limits?tenant=NAME /limits?route=NAME /limits?model=NAME\n\
    /explain?tenant=NAME&route=NAME[&user=NAME][&model=NAME] /forecast?tenant=NAME\n/backends /queues /streams\n";

/// What the pages show.
pub struct Page {
    /// The policy in force.
    pub policy: Arc<Store>,
    /// The certificates in force, if any.
    pub certificates: Option<Arc<Certificates>>,
    /// How the saves of budgets go, if they are saved.
    pub saves: Option<Arc<Saves>>,
    /// Behind all metrics.
    pub recorder: PrometheusHandle,
    /// Where the life of the server stands.
    pub stage: watch::Receiver<Stage>,
    /// Every request must show it, if there is one.
    pub token: Option<Token>,
}

/// The operators' bearer token. Has no `Debug`.
pub struct Token(Vec<u8>);

/// Reads the token's file.
///
/// # Errors
/// One sentence that names the file.
pub fn read_token(file: Option<&Path>) -> Result<Option<Token>, String> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read(file).map_err(|e| format!("admin.token_file {}: {e}", file.display()))?;
    let token = text.trim_ascii().to_vec();
    if token.len() < 16 {
        return Err(format!(
            "admin.token_file {}: shorter than 16 characters; make a longer token",
            file.display()
        ));
    }
    Ok(Some(Token(token)))
}

/// Serves operators until the runtime ends.
///
/// # Errors
/// If the socket does not fit the runtime.
pub fn serve(socket: TcpListener, page: Page) -> Result<impl Future<Output = ()> + Send, String> {
    let socket = tokio::net::TcpListener::from_std(socket).map_err(|e| format!("admin listener: {e}"))?;
    let page = Arc::new(page);
    let recorder = page.recorder.clone();
    Ok(async move {
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(UPKEEP);
            loop {
                interval.tick().await;
                recorder.run_upkeep();
            }
        });
        let places = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let page = page.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let page = page.clone();
                async move { Ok::<_, Infallible>(page.answer_beside(request).await) }
            });
            tokio::spawn(async move {
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10));
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                drop(place);
            });
        }
    })
}

impl Page {
    /// Health at once, all else on a thread that may take its time.
    async fn answer_beside<B: Send + 'static>(self: Arc<Page>, request: Request<B>) -> Response<Full<Bytes>> {
        if matches!(request.uri().path(), "/livez" | "/readyz") {
            return self.answer(&request);
        }
        let answer = tokio::task::spawn_blocking(move || self.answer(&request)).await;
        answer.unwrap_or_else(|_| text(StatusCode::INTERNAL_SERVER_ERROR, "failed; the log says why\n"))
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !self.may_read(request) {
            return text(StatusCode::UNAUTHORIZED, "show the admin token: Authorization: Bearer ...\n");
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        let query = Query(request.uri().query().unwrap_or_default());
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => self.metrics(),
            "/policy" => json_page(&self.policy.status()),
            "/limits" => found(explain::limits_of(&self.policy, query, Now::read())),
            "/explain" => found(explain::explain(&self.policy, query, Now::read())),
            "/forecast" => found(explain::forecast(&self.policy, query, Now::read())),
            "/backends" => json_page(&self.backends()),
            "/queues" => json_page(&queues::queues(&self.policy, Now::read().mono_us)),
            "/streams" => {
                json_page(&streams::streams(&self.policy, seen_by_workers(Now::read().mono_us / 1_000)))
            }
            "/" => text(StatusCode::OK, PAGES),
            _ => text(StatusCode::NOT_FOUND, "see /\n"),
        }
    }

    /// Health is for whoever supervises the process, who has no token.
    fn may_read<B>(&self, request: &Request<B>) -> bool {
        let Some(Token(token)) = &self.token else { return true };
        if matches!(request.uri().path(), "/livez" | "/readyz") {
            return true;
        }
        let shown = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        shown.strip_prefix(b"Bearer ").is_some_and(|shown| shown.ct_eq(token).into())
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        match *self.stage.borrow() {
            Stage::Serving => text(StatusCode::OK, "ok\n"),
            Stage::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        let levels = &self.policy.live().limits;
        let gauges = levels.gauges();
        metrics::set_policy(&self.policy.status(), &gauges);
        if let Some(certificates) = &self.certificates {
            let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
            metrics::set_certificates(count(&certificates.reloads), count(&certificates.failures));
        }
        if let Some(saves) = &self.saves {
            metrics::set_saves(saves.failures(), saves.age(Now::read()));
        }
        let mut page = self.recorder.render();
        let now = Now::read();
        limits::write(&levels.totals(now), &mut page);
        let gates = self.policy.live().gates.all().into_iter();
        let states: Vec<_> = gates.map(|(pool, gate)| (pool, gate.state(0, now.mono_us))).collect();
        observe::queues::write(&states, &mut page);
        self.policy.live().tenants.write(now.mono_us / 1_000_000, &mut page);
        let pools = self.backends();
        observe::health::write(&pools, &mut page);
        observe::discovery::write(&pools, &mut page);
        text(StatusCode::OK, page)
    }

    fn backends(&self) -> Vec<PoolState> {
        let now_ms = Now::read().mono_us / 1_000;
        let snapshot = self.policy.current();
        let sources = |pool: &Arc<Pool>| {
            let supplies = snapshot.supplies.iter().filter(|supply| Arc::ptr_eq(&supply.pool, pool));
            supplies.flat_map(|supply| supply.feeds()).map(|feed| feed.state(now_ms)).collect()
        };
        let state = |pool| PoolState { sources: sources(pool), ..pool.state(seen_by_workers(now_ms)) };
        snapshot.pools.iter().map(state).collect()
    }
}

fn found(answer: Result<impl serde::Serialize, No>) -> Response<Full<Bytes>> {
    match answer {
        Ok(value) => json_page(&value),
        Err(No::Unclear(help)) => text(StatusCode::BAD_REQUEST, help),
        Err(No::Missing(missing)) => json_status(StatusCode::NOT_FOUND, &missing),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body.into())
}

fn json_page(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    json_status(StatusCode::OK, value)
}

fn json_status(status: StatusCode, value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec_pretty(value).expect("these types have string keys");
    typed(status, "application/json", body.into())
}

fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    answer
}
