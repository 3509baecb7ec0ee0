//! Plain TCP: streams, and a level for each tenant on each.

use crate::clock::Now;
use crate::observe::metrics::StreamMetrics;
use crate::policy::Live;
use crate::policy::check;
use crate::stream::{Admits, Directory, Member, Rules, Stream, Streams};
use crate::upstream::Pool;
use std::sync::Arc;

/// Streams with a level for each tenant that may be known on them.
pub fn streams(
    specs: &[check::Stream],
    tenants: &[check::Tenant],
    plans: &[check::Plan],
    directory: Directory,
    pools: &[Arc<Pool>],
    live: &Live,
    now: Now,
) -> Streams {
    let wanted = wanted(specs, tenants, plans);
    let mut levels = live.streams.apply(&wanted, now.mono_us).into_iter();
    let mut level = || levels.next().expect("a level for each that was wanted");
    let mut stream = |spec: &check::Stream| {
        let members = if spec.admits == Admits::Anybody {
            vec![Some(Member { tenant: None, level: level() })]
        } else {
            let member = |tenant: &check::Tenant| {
                tenant.on_streams.then(|| Member { tenant: Some(tenant.name.clone()), level: level() })
            };
            tenants.iter().map(member).collect()
        };
        Arc::new(Stream {
            metrics: StreamMetrics::new(&spec.name),
            name: spec.name.clone(),
            listener: spec.listener.clone(),
            pool: pools[spec.pool].clone(),
            admits: spec.admits,
            verifier: spec.verifier.clone(),
            members,
            idle: spec.idle,
            total: spec.total,
            tells: spec.tells,
        })
    };
    Streams { all: specs.iter().map(&mut stream).collect(), directory: Arc::new(directory) }
}

/// A level for each stream and whoever may be known on it: names of both, and its rules.
fn wanted(
    specs: &[check::Stream],
    tenants: &[check::Tenant],
    plans: &[check::Plan],
) -> Vec<(Arc<str>, Arc<str>, Rules)> {
    let anybody: Arc<str> = "-".into(); // no tenant has this name
    let mut wanted = Vec::new();
    for spec in specs {
        if spec.admits == Admits::Anybody {
            wanted.push((spec.name.clone(), anybody.clone(), spec.rules));
            continue;
        }
        for tenant in tenants.iter().filter(|tenant| tenant.on_streams) {
            let rules = spec.rules.and(plans[tenant.plan].streams);
            wanted.push((spec.name.clone(), tenant.name.clone(), rules));
        }
    }
    wanted
}
