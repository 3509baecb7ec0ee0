//! The metrics of backends, written when somebody scrapes: what has gone from policy goes from the page.

use super::metrics;
use super::page::{labels, metric};
use crate::upstream::health::{Counts, Reason};
use crate::upstream::{BackendState, Mode, PoolState, ProbeFailure};
use std::collections::BTreeMap;

/// By labels: a backend that stands twice in a pool is one series.
type Series = BTreeMap<String, u64>;

/// Appends every pool to a page in Prometheus' text format.
pub fn write(pools: &[PoolState], page: &mut String) {
    let panic = |pool: &PoolState| (labels(&["pool"], &[&pool.pool]), u64::from(pool.mode != Mode::Calm));
    metric(metrics::PANIC, pools.iter().map(panic).collect::<Series>(), page);
    let up = |backend: &BackendState| u64::from(backend.health.share_percent > 0);
    metric(metrics::BACKEND_UP, each(pools, up), page);
    let ejections = |counts: Counts| counts.ejections;
    metric(metrics::EJECTIONS, by_reason(pools, Reason::ALL.map(Reason::name), ejections), page);
    metric(metrics::EJECTIONS_KEPT, each(pools, |backend| backend.health.counts.kept), page);
    let failures = |counts: Counts| counts.probe_failures;
    metric(
        metrics::PROBE_FAILURES,
        by_reason(pools, ProbeFailure::ALL.map(ProbeFailure::name), failures),
        page,
    );
}

fn each(pools: &[PoolState], value: impl Fn(&BackendState) -> u64) -> Series {
    let backends = pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let one = |(pool, backend): (&PoolState, &BackendState)| {
        (labels(&["pool", "backend"], &[&pool.pool, &backend.backend]), value(backend))
    };
    backends.map(one).collect()
}

/// Reasons that have not happened have no series.
fn by_reason<const N: usize>(
    pools: &[PoolState],
    reasons: [&'static str; N],
    counts: impl Fn(Counts) -> [u64; N],
) -> Series {
    let backends = pools.iter().flat_map(|pool| pool.backends.iter().map(move |backend| (pool, backend)));
    let all = backends.flat_map(|(pool, backend)| {
        let each = reasons.into_iter().zip(counts(backend.health.counts)).filter(|(_, count)| *count > 0);
        let names = ["pool", "backend", "reason"];
        each.map(move |(reason, count)| (labels(&names, &[&pool.pool, &backend.backend, reason]), count))
    });
    all.collect()
}
