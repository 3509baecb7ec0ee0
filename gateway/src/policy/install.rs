//! From a checked policy to the snapshot that requests read. Nothing here can fail.

use super::Live;
use super::check::{self, Checked, Credential};
use super::snapshot::{Caller, Fallback, Metering, Model, Models, Queue, QueueClass, Retry, Route, Snapshot};
use crate::auth::{Keyring, KeyringBuilder, Rules};
use crate::clock::Now;
use crate::fair;
use crate::iam;
use crate::ids::CallerId;
use crate::limit::{self, CommonPlan, Plan, TenantSpec};
use crate::observe::metrics::{RouteMetrics, StreamMetrics, queue_wait};
use crate::observe::retries::{RetryMetrics, budget_exhausted};
use crate::stream::{Admits, Directory, Member, Stream, Streams};
use crate::upstream::discover::{self, How, Part, Source, Supply};
use crate::upstream::networks::Networks;
use crate::upstream::{Credential as Shown, Pool, PoolSpec, VersionSpec, seen_by_workers};
use http::HeaderValue;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Puts the policy's limits in force and returns the snapshot to publish.
pub fn install(checked: Checked, live: &Live, version: u64, digest: Arc<str>, now: Now) -> Snapshot {
    let keys = keyring(&checked.tenants, live);
    let iam = checked.iam.as_ref().map(|iam| callers_at_iam(iam, &checked.tenants, live));
    begin_tokens(&checked, live);
    let budgets = checked.limits().any(check::Limit::is_budget);
    let (pools, supplies): (Vec<Arc<Pool>>, Vec<Vec<Supply>>) =
        checked.pools.iter().map(|spec| pool(spec, live, version == 1, now)).unzip();
    let queues = queues(&checked.pools, live, now);
    let plans: Vec<Arc<Plan>> = checked
        .plans
        .iter()
        .map(|plan| Arc::new(Plan { name: plan.name.clone(), limits: rules_of(&plan.limits) }))
        .collect();
    let tenants: Vec<TenantSpec> = checked
        .tenants
        .iter()
        .map(|tenant| TenantSpec {
            name: tenant.name.clone(),
            plan: plans[tenant.plan].clone(),
            users: tenant.users.iter().map(|user| user.name.clone()).collect(),
        })
        .collect();
    let common = |name: &Arc<str>, limits: &[check::Limit]| {
        (Arc::clone(name), Arc::new(CommonPlan { limits: rules_of(limits) }))
    };
    let route_plans: Vec<_> = checked.routes.iter().map(|route| common(&route.name, &route.limits)).collect();
    let model_plans: Vec<_> = checked.models.iter().map(|model| common(&model.name, &model.limits)).collect();
    let wanted = limit::Policy { tenants: &tenants, routes: &route_plans, models: &model_plans };
    let levels = live.limits.apply(&wanted, now);

    let models = models(&checked.models, levels.models);
    let mut callers = Vec::new();
    for (spec, enrolled) in checked.tenants.iter().zip(levels.tenants) {
        let value = HeaderValue::from_str(&spec.name).expect("a name is letters, digits and `._-`");
        for (user, place) in spec.users.iter().zip(enrolled.users) {
            callers.push(Arc::new(Caller {
                tenant_name: spec.name.clone(),
                user_name: user.name.clone(),
                tenant_value: value.clone(),
                tenant: enrolled.tenant.clone(),
                user: place,
                body_max: checked.plans[spec.plan].body_max.unwrap_or(u64::MAX),
                ceilings: checked.plans[spec.plan].ceilings,
                weight: checked.plans[spec.plan].weight,
                class: checked.plans[spec.plan].class.clone(),
            }));
        }
    }
    let retries: Vec<_> = checked
        .routes
        .iter()
        .map(|route| route.retry.as_ref().map(|spec| retry(route, spec, &pools, &queues, &models, live)))
        .collect();
    let routes = checked
        .routes
        .into_iter()
        .zip(levels.routes.into_iter().zip(retries))
        .map(|(spec, (limits, retry))| {
            Arc::new(Route {
                metrics: RouteMetrics::new(&spec.name),
                tenants: live.tenants.route(&spec.name),
                name: spec.name,
                api: spec.api,
                auth: spec.auth.as_ref().map(rules),
                pool: pools[spec.pool].clone(),
                caps: spec.caps,
                timeouts: spec.timeouts,
                limits,
                queue: queues[spec.pool].clone(),
                metering: spec.shape.map(|shape| Metering {
                    model: spec.model.map(|model| models.all()[model].clone()),
                    fixed: spec.model_fixed,
                    shape,
                }),
                ceilings: spec.ceilings,
                websocket: spec.websocket,
                rate_headers: spec.rate_headers,
                tenant_header: spec.tenant_header,
                credential: spec.credential,
                retry,
            })
        })
        .collect();
    let streams =
        streams(&checked.streams, &checked.tenants, &checked.plans, checked.directory, &pools, live, now);
    Snapshot {
        version,
        digest,
        loaded_ms: now.wall_ms,
        table: checked.table,
        routes,
        pools,
        supplies: supplies.into_iter().flatten().collect(),
        keys,
        iam,
        callers,
        models,
        guard_per_address: checked.guard_per_address,
        streams,
        budgets,
    }
}

/// Streams with a level for each tenant that may be known on them.
fn streams(
    specs: &[check::Stream],
    tenants: &[check::Tenant],
    plans: &[check::Plan],
    directory: Directory,
    pools: &[Arc<Pool>],
    live: &Live,
    now: Now,
) -> Streams {
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

/// For each pool the gate before it, if it has one.
fn queues(pools: &[check::Pool], live: &Live, now: Now) -> Vec<Option<Queue>> {
    let wanted = pools.iter().filter_map(|pool| Some((pool.name.clone(), pool.queue.clone()?))).collect();
    let mut gates = live.gates.apply(wanted, now.mono_us).into_iter();
    let mut queue = |pool: &check::Pool| {
        let class = |class: &fair::Class| QueueClass {
            name: class.name.clone(),
            wait_seconds: queue_wait(&pool.name, &class.name),
        };
        let classes = pool.queue.as_ref()?.classes.iter().map(class).collect();
        Some(Queue { gate: gates.next().expect("a gate for each pool that wants one"), classes })
    };
    pools.iter().map(&mut queue).collect()
}

fn retry(
    route: &check::Route,
    spec: &check::Retry,
    pools: &[Arc<Pool>],
    queues: &[Option<Queue>],
    models: &Models,
    live: &Live,
) -> Box<Retry> {
    let budget = |pool: usize| {
        let name = &pools[pool].name;
        live.retries.of(name, || budget_exhausted(name))
    };
    let fallback = spec.fallback.as_ref().map(|spec| {
        let model = spec.model.as_ref().map(|(name, model)| (name.clone(), models.all()[*model].clone()));
        let name = model.as_ref().map_or(&pools[spec.pool].name, |(name, _)| name).clone();
        Fallback {
            told: HeaderValue::from_str(&name).expect("names of pools and models are printable ASCII"),
            name,
            pool: pools[spec.pool].clone(),
            queue: queues[spec.pool].clone(),
            budget: budget(spec.pool),
            model,
        }
    });
    Box::new(Retry {
        rule: spec.rule.clone(),
        budget: budget(route.pool),
        fallback,
        metrics: RetryMetrics::new(&route.name),
    })
}

/// The last of them is the one that stands for all others.
fn models(specs: &[check::Model], levels: Vec<Arc<limit::Common>>) -> Models {
    let mut models = specs.iter().zip(levels).map(|(spec, limits)| {
        let names = std::iter::once(spec.name.as_ref().into()).chain(spec.names.iter().cloned()).collect();
        let (name, price) = (spec.name.clone(), spec.price.unwrap_or_default());
        (Arc::new(Model { name, price, limits, ceilings: spec.ceilings }), names)
    });
    let named: Vec<_> = models.by_ref().take(specs.len().saturating_sub(1)).collect();
    let (other, _): (_, Vec<Box<str>>) = models.next().expect("`check` adds a model for all others");
    Models::new(named, other)
}

fn rules_of(limits: &[check::Limit]) -> Vec<limit::Limit> {
    limits.iter().map(|limit| limit.rule.clone()).collect()
}

/// Callers are numbered in the order of tenants and their users.
fn keyring(tenants: &[check::Tenant], live: &Live) -> Keyring {
    let mut keys = KeyringBuilder::new();
    let users = tenants.iter().flat_map(|tenant| tenant.users.iter().map(move |user| (tenant, user)));
    for ((tenant, user), id) in users.zip(0..) {
        let (caller, name) = (CallerId(id), format!("{}/{}", tenant.name, user.name));
        for credential in &user.credentials {
            let added = match credential {
                Credential::AkSk { access_key, secret_key, security_token } => {
                    let token = security_token.as_ref().map(|token| token.sha256());
                    keys.ak_sk(caller, &name, access_key, secret_key.bytes(), token)
                }
                Credential::AppCode(digest) => keys.app_code(caller, &name, *digest),
                Credential::ApiKey(digest) => keys.api_key(caller, &name, *digest),
                Credential::Iam(_) => Ok(()), // in the directory
            };
            debug_assert!(added.is_ok(), "`check` found every credential used once");
        }
    }
    keys.build(&live.auth)
}

/// Everybody who may call with an IAM token, numbered as in the keyring.
fn callers_at_iam(spec: &check::Iam, tenants: &[check::Tenant], live: &Live) -> iam::Callers {
    let source =
        live.iam.source(&"iam".into(), &spec.login).expect("`check` has built a client of the same login");
    let mut directory = iam::Directory::default();
    let mut ids = (0..).map(CallerId);
    for tenant in tenants {
        let members = tenant.users.iter().zip(&mut ids).flat_map(|(user, id)| {
            let members = user.credentials.iter().filter_map(|credential| match credential {
                Credential::Iam(member) => Some(member.clone()),
                _ => None,
            });
            members.map(move |member| (member, id))
        });
        let members: Vec<_> = members.collect(); // also of a tenant that takes no tokens: ids count on
        if let Some(membership) = &tenant.iam {
            directory.add(membership, members);
        }
    }
    iam::Callers { checks: live.iam.checks(&spec.checks, &source), directory }
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

/// The pool with what is known of its backends, and what will keep it supplied.
fn pool(spec: &check::Pool, live: &Live, starting: bool, now: Now) -> (Arc<Pool>, Vec<Supply>) {
    let part = |at| part(spec, at, live);
    let parts: Vec<Vec<Part>> =
        spec.versions.iter().map(|version| version.backends.clone().map(part).collect()).collect();
    let seen: Vec<u64> = parts.iter().map(|parts| discover::seen(parts)).collect();
    let version = |(version, parts): (&check::Version, &Vec<Part>)| VersionSpec {
        name: version.name.clone(),
        weight: version.weight,
        backends: discover::backends(parts, &live.backends),
    };
    let pool = Arc::new(Pool::new(PoolSpec {
        name: spec.name.clone(),
        versions: spec.versions.iter().zip(&parts).map(version).collect(),
        split: spec.split.clone(),
        balance: spec.balance.clone(),
        connect_timeout: spec.connect_timeout,
        credential: spec.credential.clone(),
        health: spec.health.clone(),
        starting,
        now_ms: seen_by_workers(now.mono_us / 1_000),
    }));
    let supply = |(version, (parts, seen))| Supply::new(pool.clone(), version, parts, seen);
    let supplies = parts.into_iter().zip(seen).enumerate().map(supply);
    let supplies = supplies.filter(|supply| supply.feeds().next().is_some()).collect();
    (pool, supplies)
}

/// What the pool's backend at this place comes of.
fn part(pool: &check::Pool, at: usize, live: &Live) -> Part {
    let (spec, weight) = &pool.backends[at];
    let discover = pool.discovers.iter().find(|discover| discover.at == at);
    let networks = |default| pool.networks.clone().unwrap_or(default);
    let (source, how) = match discover {
        Some(check::Discover { source, every, api, .. }) => {
            let (networks, api) = (networks(Networks::Private), api.clone());
            (source.clone(), How { networks, every: *every, tls_only: pool.tls_only, api })
        }
        None if spec.host.parse::<IpAddr>().is_ok() => {
            let backend = live.backends.backend(spec.clone());
            return Part::Written(backend.expect("`check` has built a backend of the same spec"), *weight);
        }
        None => {
            let loopback = &*spec.host == "localhost" || spec.host.ends_with(".localhost");
            let networks = networks(Networks::Any { loopback });
            let how = How { networks, every: Duration::ZERO, tls_only: false, api: None };
            (Source::Name(spec.host.clone()), how)
        }
    };
    Part::Found { feed: live.feeds.feed(&pool.name, &source, how), form: spec.clone(), weight: *weight }
}

fn rules(spec: &super::spec::Rules) -> Rules {
    Rules {
        kinds: spec.kinds.iter().copied().collect(),
        skew: spec.skew,
        unsigned_payload: spec.unsigned_payload,
        double_encoded_path: spec.double_encoded_path,
        refuse_replay: spec.refuse_replay,
    }
}
