//! From a checked policy to the snapshot that requests read. Nothing here can fail.

mod callers;
mod limits;
mod pools;
mod routes;
mod streams;

use self::routes::Destinations;
use super::Live;
use super::check::{self, Checked};
use super::snapshot::Snapshot;
use crate::clock::Now;
use crate::upstream::Credential as Shown;
use std::sync::Arc;

/// Puts the policy in force and returns the snapshot to publish.
///
/// Live state is met by name: what was there before goes on, with the rules of this policy.
pub fn install(checked: Checked, live: &Live, version: u64, digest: Arc<str>, now: Now) -> Snapshot {
    let keys = callers::keyring(&checked.tenants, live);
    let iam = checked.iam.as_ref().map(|iam| callers::at_iam(iam, &checked.tenants, live));
    begin_tokens(&checked, live);
    let budgets = checked.limits().any(check::Limit::is_budget);

    let starting = version == 1;
    let pools = checked.pools.iter().map(|spec| pools::pool(spec, live, starting, now));
    let (pools, supplies): (Vec<_>, Vec<_>) = pools.unzip();
    let queues = pools::queues(&checked.pools, live, now);

    let levels = limits::apply(&checked, live, now);
    let models = limits::models(&checked.models, levels.models);
    let callers = callers::callers(&checked, levels.tenants);

    let Checked { routes, tenants, plans, streams, directory, guard_per_address, table, .. } = checked;
    let to = Destinations { pools: &pools, queues: &queues, models: &models, live };
    let routes = routes.into_iter().zip(levels.routes).map(|(spec, limits)| to.route(spec, limits)).collect();
    let streams = streams::streams(&streams, &tenants, &plans, directory, &pools, live, now);

    Snapshot {
        version,
        digest,
        loaded_ms: now.wall_ms,
        table,
        routes,
        pools,
        supplies: supplies.into_iter().flatten().collect(),
        keys,
        iam,
        callers,
        models,
        guard_per_address,
        streams,
        budgets,
    }
}

/// Credentials that are IAM tokens begin to be asked for, or go on from the policy before.
fn begin_tokens(checked: &Checked, live: &Live) {
    let of_pools = checked.pools.iter().map(|pool| (pool.name.clone(), &pool.credential));
    let of_routes = checked.routes.iter().filter_map(|route| {
        let name = format!("route/{}", route.name);
        Some((name.into(), route.credential.as_ref()?))
    });
    let of_sources = checked.pools.iter().flat_map(|pool| {
        let name = format!("{}/discover", pool.name);
        let apis = pool.discovers.iter().filter_map(|discover| discover.api.as_ref());
        apis.map(move |api| (name.as_str().into(), &api.credential))
    });
    for (name, credential) in of_pools.chain(of_routes).chain(of_sources) {
        if let Shown::IamToken(own) = &**credential {
            let source = live.iam.source(&name, own.login());
            own.begin(source.expect("`check` has built a client of the same login"));
        }
    }
}
