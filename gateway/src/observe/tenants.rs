//! What each tenant does on each route: the statistics that a direct path to a service loses.
//!
//! A request looks its [`Activity`] up once, when its caller is known, and adds to it when it ends. There are at most
//! [`PAIRS_MAX`] pairs of tenant and route with series of their own; requests of further ones count under `other`, and what
//! nobody has used for an hour gives its place back. The page is written when somebody scrapes, as for limits (see
//! [`super::limits`]).

use super::metrics;
use super::page::{head, labels};
use crate::usage::Tokens;
use dashmap::DashMap;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Pairs of tenant and route with series of their own: some 30,000 lines for a scrape at most.
const PAIRS_MAX: usize = 1_000;

/// A pair without requests for so long gives its place back.
const IDLE_S: u64 = 3_600;

/// The tenant of whoever has no series of its own.
const OTHER: &str = "other";

/// Upper bounds in seconds; fewer than a route's, for there are many more of these.
const BOUNDS: [(u64, &str); 8] = [
    (50_000, "0.05"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (120_000_000, "120"),
];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A histogram that workers share.
#[derive(Default)]
struct Times {
    /// Not yet summed up; the last one is beyond all bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Times {
    fn add(&self, us: u64) {
        let at = BOUNDS.iter().position(|(bound, _)| us <= *bound).unwrap_or(BOUNDS.len());
        self.counts[at].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }
}

/// What one tenant does on one route.
#[derive(Default)]
pub struct Activity {
    seconds: Times,
    first_token: Times,
    by_class: [AtomicU64; CLASSES.len()],
    failures: AtomicU64,
    prompt: AtomicU64,
    completion: AtomicU64,
    in_flight: AtomicU64,
    last_s: AtomicU64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ended {
    /// What the caller was answered.
    pub status: u16,
    /// It was a failure of the gateway's or the upstream's: 5xx, or an answer that broke off.
    pub failed: bool,
    /// From its head to the last byte of the answer.
    pub duration_us: u64,
    /// From its head to the first part of the answer's body, if that was metered.
    pub first_token_us: Option<u64>,
    /// What it was charged.
    pub tokens: Tokens,
}

impl Activity {
    /// A request has begun.
    pub fn began(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request that [`began`](Activity::began) has ended; `now_s` on the monotonic clock.
    pub fn ended(&self, ended: Ended, now_s: u64) {
        let class = usize::from(ended.status / 100).clamp(1, CLASSES.len()) - 1;
        self.by_class[class].fetch_add(1, Relaxed);
        self.seconds.add(ended.duration_us);
        if let Some(us) = ended.first_token_us {
            self.first_token.add(us);
        }
        if ended.failed {
            self.failures.fetch_add(1, Relaxed);
        }
        let Tokens { prompt, completion } = ended.tokens;
        if prompt > 0 || completion > 0 {
            self.prompt.fetch_add(prompt, Relaxed);
            self.completion.fetch_add(completion, Relaxed);
        }
        self.last_s.store(now_s, Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    fn is_idle(&self, now_s: u64) -> bool {
        self.in_flight.load(Relaxed) == 0 && now_s.saturating_sub(self.last_s.load(Relaxed)) >= IDLE_S
    }
}

/// The tenants of one route.
pub struct OnRoute {
    by_tenant: DashMap<Arc<str>, Arc<Activity>, ahash::RandomState>,
    /// Of those without a series of their own.
    others: Arc<Activity>,
    /// Pairs with series of their own, over all routes.
    pairs: Arc<AtomicUsize>,
}

impl OnRoute {
    /// Once per request.
    pub fn of(&self, tenant: &Arc<str>) -> Arc<Activity> {
        if let Some(activity) = self.by_tenant.get(tenant) {
            return activity.clone();
        }
        if self.pairs.fetch_add(1, Relaxed) >= PAIRS_MAX {
            self.pairs.fetch_sub(1, Relaxed);
            return self.others.clone();
        }
        let mut came_first = true;
        let entry = self.by_tenant.entry(tenant.clone()).and_modify(|_| came_first = false).or_default();
        if !came_first {
            self.pairs.fetch_sub(1, Relaxed);
        }
        entry.clone()
    }

    /// A request that holds an activity while it is forgotten is counted in no page.
    fn forget_idle(&self, now_s: u64) {
        self.by_tenant.retain(|_, activity| {
            let kept = Arc::strong_count(activity) > 1 || !activity.is_idle(now_s);
            if !kept {
                self.pairs.fetch_sub(1, Relaxed);
            }
            kept
        });
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<Activity>)> {
        let mut all: Vec<_> =
            self.by_tenant.iter().map(|entry| (entry.key().clone(), entry.value().clone())).collect();
        if self.others.last_s.load(Relaxed) > 0 || self.others.in_flight.load(Relaxed) > 0 {
            all.push((OTHER.into(), self.others.clone()));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

impl Drop for OnRoute {
    fn drop(&mut self) {
        self.pairs.fetch_sub(self.by_tenant.len(), Relaxed);
    }
}

/// All routes; one per gateway. What is counted of a route stays across reloads, and goes with the route.
#[derive(Default)]
pub struct Tenants {
    routes: Mutex<HashMap<Arc<str>, Weak<OnRoute>>>,
    pairs: Arc<AtomicUsize>,
}

impl Tenants {
    /// The tenants of the route with this name.
    pub fn route(&self, name: &Arc<str>) -> Arc<OnRoute> {
        let mut routes = self.routes.lock();
        if let Some(route) = routes.get(name).and_then(Weak::upgrade) {
            return route;
        }
        routes.retain(|_, route| route.strong_count() > 0);
        let (others, pairs) = (Arc::default(), self.pairs.clone());
        let route = Arc::new(OnRoute { by_tenant: DashMap::default(), others, pairs });
        routes.insert(name.clone(), Arc::downgrade(&route));
        route
    }

    /// Appends every pair to a page in Prometheus' text format, and forgets those that are idle.
    pub fn write(&self, now_s: u64, page: &mut String) {
        let routes = self.routes.lock().clone();
        let mut routes: Vec<_> =
            routes.into_iter().filter_map(|(name, route)| Some((name, route.upgrade()?))).collect();
        routes.sort_by(|a, b| a.0.cmp(&b.0));
        let mut pairs = Vec::new();
        for (name, route) in &routes {
            route.forget_idle(now_s);
            pairs.extend(route.all().into_iter().map(|(tenant, of)| (labels(&LABELS, &[name, &tenant]), of)));
        }
        if !pairs.is_empty() {
            write_pairs(&pairs, page);
        }
    }
}

const LABELS: [&str; 2] = ["route", "tenant"];

fn write_pairs(pairs: &[(String, Arc<Activity>)], page: &mut String) {
    metric(metrics::TENANT_REQUESTS, pairs, page, |name, pair, of, page| {
        for (class, count) in CLASSES.iter().zip(&of.by_class) {
            let count = count.load(Relaxed);
            if count > 0 {
                line(page, format_args!("{name}{{{pair},status_class=\"{class}\"}} {count}"));
            }
        }
    });
    metric(metrics::TENANT_SECONDS, pairs, page, |name, pair, of, page| {
        histogram(name, pair, &of.seconds, page);
    });
    metric(metrics::TENANT_FIRST_TOKEN, pairs, page, |name, pair, of, page| {
        histogram(name, pair, &of.first_token, page);
    });
    metric(metrics::TENANT_FAILURES, pairs, page, |name, pair, of, page| {
        line(page, format_args!("{name}{{{pair}}} {}", of.failures.load(Relaxed)));
    });
    metric(metrics::TENANT_TOKENS, pairs, page, |name, pair, of, page| {
        for (kind, tokens) in [("prompt", &of.prompt), ("completion", &of.completion)] {
            line(page, format_args!("{name}{{{pair},kind=\"{kind}\"}} {}", tokens.load(Relaxed)));
        }
    });
    metric(metrics::TENANT_IN_FLIGHT, pairs, page, |name, pair, of, page| {
        line(page, format_args!("{name}{{{pair}}} {}", of.in_flight.load(Relaxed)));
    });
}

fn metric(
    name: &str,
    pairs: &[(String, Arc<Activity>)],
    page: &mut String,
    write: impl Fn(&str, &str, &Activity, &mut String),
) {
    head(name, page);
    for (pair, of) in pairs {
        write(name, pair, of, page);
    }
    page.push('\n');
}

fn histogram(name: &str, pair: &str, times: &Times, page: &mut String) {
    let mut count = 0;
    let bounds = BOUNDS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
    for (bound, here) in bounds.zip(&times.counts) {
        count += here.load(Relaxed);
        line(page, format_args!("{name}_bucket{{{pair},le=\"{bound}\"}} {count}"));
    }
    line(page, format_args!("{name}_sum{{{pair}}} {}", times.sum_us.load(Relaxed) as f64 / 1e6));
    line(page, format_args!("{name}_count{{{pair}}} {count}"));
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(page, "{text}"); // writing to a string cannot fail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Arc<str> {
        text.into()
    }

    fn page(tenants: &Tenants, now_s: u64) -> String {
        let mut page = String::new();
        tenants.write(now_s, &mut page);
        page
    }

    fn stands(page: &str, line: &str) {
        assert_eq!(page.lines().filter(|found| *found == line).count(), 1, "{line} in\n{page}");
    }

    #[test]
    fn what_a_tenant_does_stands_under_its_name_across_reloads() {
        let tenants = Tenants::default();
        let route = tenants.route(&name("chat"));
        let acme = route.of(&name("acme"));
        acme.began();
        acme.began();
        let tokens = Tokens { prompt: 7, completion: 5 };
        let (duration_us, first_token_us) = (1_500_000, Some(200_000));
        acme.ended(Ended { status: 200, failed: false, duration_us, first_token_us, tokens }, 9);
        let again = tenants.route(&name("chat"));
        drop(route);
        again.of(&name("acme")).began();
        again.of(&name("acme")).ended(Ended { status: 502, failed: true, ..Ended::default() }, 9);

        let page = page(&tenants, 10);
        for line in [
            r#"gateway_tenant_requests_total{route="chat",tenant="acme",status_class="2xx"} 1"#,
            r#"gateway_tenant_requests_total{route="chat",tenant="acme",status_class="5xx"} 1"#,
            "# TYPE gateway_tenant_request_duration_seconds histogram",
            r#"gateway_tenant_request_duration_seconds_bucket{route="chat",tenant="acme",le="0.05"} 1"#,
            r#"gateway_tenant_request_duration_seconds_bucket{route="chat",tenant="acme",le="2.5"} 2"#,
            r#"gateway_tenant_request_duration_seconds_bucket{route="chat",tenant="acme",le="+Inf"} 2"#,
            r#"gateway_tenant_request_duration_seconds_sum{route="chat",tenant="acme"} 1.5"#,
            r#"gateway_tenant_first_token_seconds_count{route="chat",tenant="acme"} 1"#,
            r#"gateway_tenant_failures_total{route="chat",tenant="acme"} 1"#,
            r#"gateway_tenant_model_tokens_total{route="chat",tenant="acme",kind="completion"} 5"#,
            r#"gateway_tenant_requests_in_flight{route="chat",tenant="acme"} 1"#,
        ] {
            stands(&page, line);
        }
    }

    #[test]
    fn there_is_a_bound_and_beyond_it_all_are_one() {
        let tenants = Tenants::default();
        let (chat, other_route) = (tenants.route(&name("chat")), tenants.route(&name("embed")));
        for i in 0..PAIRS_MAX + 5 {
            let activity = chat.of(&name(&format!("t{i}")));
            activity.began();
            activity.ended(Ended { status: 200, ..Ended::default() }, 1);
        }
        other_route.of(&name("t0")).began();
        let page = page(&tenants, 2);
        stands(&page, r#"gateway_tenant_requests_total{route="chat",tenant="other",status_class="2xx"} 5"#);
        stands(&page, r#"gateway_tenant_requests_in_flight{route="embed",tenant="other"} 1"#);
        assert_eq!(page.matches("gateway_tenant_failures_total{").count(), PAIRS_MAX + 2);
    }

    #[test]
    fn what_is_idle_gives_its_place_back_and_what_is_open_does_not() {
        let tenants = Tenants::default();
        let chat = tenants.route(&name("chat"));
        let (idle, open) = (chat.of(&name("idle")), chat.of(&name("open")));
        idle.began();
        idle.ended(Ended::default(), 5);
        open.began();
        drop(idle);
        assert!(page(&tenants, IDLE_S).contains("tenant=\"idle\""));
        let later = page(&tenants, IDLE_S + 5);
        assert!(!later.contains("tenant=\"idle\"") && later.contains("tenant=\"open\""), "{later}");
        assert_eq!(tenants.pairs.load(Relaxed), 1);
        drop((open, chat));
        assert_eq!((page(&tenants, 0), tenants.pairs.load(Relaxed)), (String::new(), 0));
    }
}
