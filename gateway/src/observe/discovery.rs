//! The metrics of what is found out of backends, written when somebody scrapes.

use super::metrics;
use super::page::{self, labels};
use crate::upstream::PoolState;
use crate::upstream::discover::FeedState;
use std::collections::BTreeMap;

/// Appends every source of every pool to a page in Prometheus' text format.
pub fn write(pools: &[PoolState], page: &mut String) {
    metric(metrics::DISCOVERY_BACKENDS, pools, page, |source| Some(source.backends as f64));
    metric(metrics::DISCOVERY_AGE, pools, page, |source| Some(source.age_ms? as f64 / 1e3));
    metric(metrics::DISCOVERY_FAILURES, pools, page, |source| Some(source.failures as f64));
    metric(metrics::DISCOVERY_REFUSED, pools, page, |source| Some(source.refused as f64));
}

/// By labels: a source that two versions of a pool have is one series.
fn metric(name: &str, pools: &[PoolState], page: &mut String, value: impl Fn(&FeedState) -> Option<f64>) {
    let sources = pools.iter().flat_map(|pool| pool.sources.iter().map(move |source| (pool, source)));
    let series: BTreeMap<String, f64> = sources
        .filter_map(|(pool, source)| {
            Some((labels(&["pool", "source"], &[&pool.pool, &source.source]), value(source)?))
        })
        .collect();
    page::metric(name, series, page);
}
