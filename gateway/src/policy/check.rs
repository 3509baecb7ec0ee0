//! Does the policy make sense as a whole? Names resolved, duplicates found, secrets read.
//!
//! What comes out is plain data: no state, no strings left to look up. [`install`](super::install) turns it
//! into a snapshot.

mod checked;
mod coverage;
mod credential;
mod discover;
mod iam;
mod limits;
mod models;
mod pools;
mod protocols;
mod queues;
mod retries;
mod routes;
mod streams;
mod tenants;
mod versions;

pub use self::checked::{
    Checked, Credential, Discover, Fallback, Iam, Limit, Model, Plan, Pool, Retry, Route, Tenant, User,
    Version,
};
pub use self::streams::Stream;

use self::retries::RequestNames;
use super::problem::{Located, Place, Problems, nearest};
use super::secret::Secrets;
use super::spec;
use crate::auth::Kind;
use crate::stream::Directory;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Checks everything and records every problem. None only if there are problems.
pub fn check(mut policy: spec::Policy, secrets: &Secrets<'_>, problems: &Problems) -> Option<Checked> {
    policy.models.sort_by_key(|model| &*model.name.value == models::OTHER); // stable: the last, where there is one
    let broken = std::mem::take(&mut policy.broken);
    let check = Check { problems, secrets, broken: &broken, codes: RefCell::default() };
    let names = check.names(&policy);
    let directory = check.directory(&policy.tenants);
    check.whole(&policy, &names);
    check.parts(policy, &names, directory)
}

/// Where a key stood first, and at which path.
type Firsts<K> = HashMap<K, (Place, String)>;
type Index = HashMap<Arc<str>, usize>;

/// What entries may refer to.
struct Names {
    pools: Index,
    models: Index,
    plans: Index,
    tenants: Index,
    /// Models by what requests may call them.
    asked: RequestNames,
}

struct Check<'a> {
    problems: &'a Problems,
    secrets: &'a Secrets<'a>,
    /// Names of entries that could not be read: they are there, and no more is known of them.
    broken: &'a [Arc<str>],
    /// AppCodes and API keys so far: where, and whose.
    codes: RefCell<Firsts<(Kind, [u8; 32])>>,
}

impl Check<'_> {
    fn names(&self, policy: &spec::Policy) -> Names {
        let names = Names {
            pools: self.index("pools", policy.pools.iter().map(|pool| &pool.name)),
            models: self.index("models", policy.models.iter().map(|model| &model.name)),
            plans: self.index("plans", policy.plans.iter().map(|plan| &plan.name)),
            tenants: self.index("tenants", policy.tenants.iter().map(|tenant| &tenant.name)),
            asked: retries::request_names(&policy.models),
        };
        self.index("routes", policy.routes.iter().map(|route| &route.name)); // nobody refers to these
        self.index("streams", policy.streams.iter().map(|stream| &stream.name));
        names
    }

    /// What only shows where sections are seen together.
    fn whole(&self, policy: &spec::Policy, names: &Names) {
        self.stream_pools(policy, &names.pools);
        self.credentials(&policy.tenants);
        self.tokens(policy);
        self.coverage(policy, &names.plans);
        self.request_names(&policy.models);
        self.money(policy);
        self.classes(policy);
        self.subjects(policy);
        self.protocols(policy, &names.pools);
        if policy.routes.is_empty() && policy.streams.is_empty() && self.problems.count() == 0 {
            let help = "a policy needs at least one entry in `routes`";
            self.problems.add(spec::whole(0), "routes", "no file has a route", help);
        }
    }

    /// Every entry by itself. All are looked at, so that one which is wrong does not hide the problems of others.
    fn parts(&self, policy: spec::Policy, names: &Names, directory: Directory) -> Option<Checked> {
        let iam = policy.iam.map(|iam| self.iam(iam.value));
        let table = self.table(&policy.routes);
        let routes = policy.routes.into_iter().map(|route| (route.name.place, self.route(route, names)));
        let routes: Vec<(Place, Option<Route>)> = routes.collect();
        let streams = policy.streams.into_iter();
        let streams = streams.map(|stream| self.stream(stream, &names.pools, &policy.pools));
        let streams: Vec<Option<Stream>> = streams.collect();
        let tenants = policy.tenants.into_iter().map(|tenant| self.tenant(tenant, &names.plans));
        let tenants: Vec<Option<Tenant>> = tenants.collect();
        let models = self.models(policy.models);
        let plans = policy.plans.into_iter().map(|plan| self.plan(plan)).collect();
        let pools = policy.pools.into_iter().map(|pool| self.pool(pool, &names.tenants));
        let pools: Vec<Option<Pool>> = pools.collect();
        self.one_meaning(&routes, &pools);
        Some(Checked {
            routes: routes.into_iter().map(|(_, route)| route).collect::<Option<_>>()?,
            pools: pools.into_iter().collect::<Option<_>>()?,
            models,
            plans,
            tenants: tenants.into_iter().collect::<Option<_>>()?,
            streams: streams.into_iter().collect::<Option<_>>()?,
            directory,
            iam: good(iam)?,
            guard_per_address: policy.guard.map_or(0, |guard| guard.value.get()),
            table,
        })
    }

    /// Names of a section; a name used twice is a problem at its second place.
    fn index<'n>(&self, section: &str, names: impl Iterator<Item = &'n Located<Arc<str>>>) -> Index {
        let mut index = Index::new();
        let mut places: HashMap<&str, Place> = HashMap::new();
        for (i, name) in names.enumerate() {
            if let Some(first) = places.insert(&name.value, name.place) {
                let what = format!("`{}` is there already, at {}", name.value, self.at(first));
                self.problems.add(name.place, section, what, "give each a name of its own");
            }
            index.insert(name.value.clone(), i);
        }
        index
    }

    fn at(&self, place: Place) -> String {
        format!("{}:{}", self.problems.file(place.file), place.line)
    }

    /// The entry `name` refers to.
    fn find(&self, path: String, what: &str, name: &Located<Arc<str>>, index: &Index) -> Option<usize> {
        let found = index.get(&name.value).copied();
        if found.is_none() && !self.broken.contains(&name.value) {
            let names = index.keys().map(|name| name.as_ref());
            let mut help = nearest(&name.value, sorted(names));
            if help.is_empty() {
                help = match sorted(index.keys().map(|name| name.as_ref())).as_slice() {
                    [] => format!("there is no {what}; add it to `{what}s`"),
                    few if few.len() <= 8 => format!("there are: {}", few.join(", ")),
                    many => format!("there are {} {what}s, none with a similar name", many.len()),
                };
            }
            let what = format!("no {what} is named `{}`", name.value);
            self.problems.add(name.place, path, what, help);
        }
        found
    }
}

/// Whatever was written must be good; what was not written is.
fn good<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    written.map_or(Some(None), |checked| checked.map(Some))
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}
