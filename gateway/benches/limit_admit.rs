//! What one limit decision costs, in time and memory: admitted at one and at three levels, with tokens held, charged and
//! settled, refused, with a neighbour on the same tenant; reloads of many tenants; governor's keyed check beside it. Time
//! is given to both.
//!
//! Prints a table. `WRITE=ARCHITECTURE.md` (a path from the root of the repository) also writes it there, between the
//! marks `<!-- limits -->` and `<!-- /limits -->`. Before anything is timed, it is shown that neither an admission nor
//! progress, a settlement or a repeated refusal allocates.
//!
//! *How.* A clock reading costs as much as a decision, so what is timed is a batch of decisions; the percentiles are those of
//! the batches' means, over some hundred thousand batches. A single decision that was interrupted shows in them diluted.

use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use pangu_gateway::clock::Now;
use pangu_gateway::limit::measure::Measure;
use pangu_gateway::limit::price::Price;
use pangu_gateway::limit::{
    Algorithm, Amount, Applied, Asking, Common, CommonPlan, Enrolled, Limit, Limited, Metered, Per, Permit,
    Plan, Policy, Registry, TenantSpec, admit,
};
use pangu_gateway::usage::{Api, Asked, Text, Tokens};
use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: hands every call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const AMPLE: u32 = 1_000_000_000;
/// Decisions timed together.
const BATCH: u64 = 16;
const BATCHES: usize = 200_000;
const TENANTS: usize = 100_000;
const USERS: usize = 1_000_000;

fn main() {
    // cargo test runs benches too, to see that they start.
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let mut table = Table::default();
    time(&mut table);
    neighbours(&mut table);
    bodies(&mut table);
    governor_beside(&mut table);
    many(&mut table);
    let text = table.text();
    println!("{text}");
    if let Ok(file) = std::env::var("WRITE") {
        write_between(&file, &text);
    }
}

/// A tenant with one user, a route and a model.
struct Setting {
    /// Keeps them.
    _registry: Registry,
    tenant: Enrolled,
    route: Arc<Common>,
    model: Arc<Common>,
}

impl Setting {
    fn new(plan: &[(Per, Amount)], route: &[(Per, Amount)]) -> Setting {
        let named = |limits: &[(Per, Amount)]| -> Vec<Limit> {
            let limits = limits.iter().enumerate();
            limits.map(|(i, (per, amount))| Limit::new(format!("l{i}"), *per, amount.clone())).collect()
        };
        let spec = TenantSpec {
            name: "acme".into(),
            plan: Arc::new(Plan { name: "gold".into(), limits: named(plan) }),
            users: vec!["alice".into()],
        };
        let routes = [("chat".into(), Arc::new(CommonPlan { limits: named(route) }))];
        let models = [("pangu".into(), Arc::default())];
        let registry = Registry::default();
        let wanted = Policy { tenants: &[spec], routes: &routes, models: &models };
        let Applied { mut tenants, mut routes, mut models } = registry.apply(&wanted, Now::default());
        let (tenant, route, model) = (tenants.remove(0), routes.remove(0), models.remove(0));
        Setting { _registry: registry, tenant, route, model }
    }

    fn one_level() -> Setting {
        Setting::new(&[(Per::Tenant, bucket(AMPLE))], &[])
    }

    fn one_meter() -> Setting {
        Setting::new(&[(Per::Tenant, tokens(AMPLE))], &[])
    }

    /// Tenant, user and route, and a cap on the tenant's concurrency: the usual policy.
    fn three_levels() -> Setting {
        let inflight = Amount::Concurrent(number(AMPLE));
        let plan = [(Per::Tenant, bucket(AMPLE)), (Per::User, bucket(AMPLE)), (Per::Tenant, inflight)];
        Setting::new(&plan, &[(Per::Route, bucket(AMPLE))])
    }

    /// Requests and tokens of tenant, user and tenant+model: six meters at three levels.
    fn six_meters() -> Setting {
        let levels = [Per::Tenant, Per::User, Per::TenantModel];
        let plan: Vec<_> =
            levels.iter().flat_map(|&per| [(per, bucket(AMPLE)), (per, tokens(AMPLE))]).collect();
        Setting::new(&plan, &[])
    }

    fn refusing() -> Setting {
        let setting = Setting::new(&[(Per::Tenant, bucket(1)), (Per::User, bucket(AMPLE))], &[]);
        drop(setting.ask(0, false, false));
        drop(setting.ask(10, false, false));
        setting
    }

    fn ask(&self, mono_us: u64, metered: bool, report: bool) -> Result<Permit, Limited> {
        let metered = metered.then_some(Metered {
            model: &self.model,
            price: Price::default(),
            prompt: 50,
            completion_max: Some(100),
            choices: 1,
        });
        let caller = Some((&self.tenant.tenant, self.tenant.users[0]));
        admit(&Asking { caller, route: &self.route, metered, report }, at(mono_us))
    }
}

fn at(mono_us: u64) -> Now {
    Now { mono_us, wall_ms: mono_us / 1000 }
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

const MINUTE: Duration = Duration::from_secs(60);

fn bucket(n: u32) -> Amount {
    let algorithm = Algorithm::TokenBucket;
    Amount::Requests { requests: number(n), period: MINUTE, burst: number(n), algorithm }
}

fn tokens(n: u32) -> Amount {
    Amount::Tokens { tokens: number(n), period: MINUTE, burst: number(n), measure: Measure::Total }
}

fn cost(completion: u64) -> Tokens {
    Tokens { prompt: 48, completion }
}

/// The rows, as they are measured.
#[derive(Default)]
struct Table(Vec<[String; 3]>);

impl Table {
    fn row(&mut self, what: &str, measured: String, target: &str) {
        eprintln!("{what}: {measured}");
        self.0.push([what.into(), measured, target.into()]);
    }

    /// Times batches of `run`, which is given a number that rises with each call.
    fn timed(&mut self, what: &str, target: &str, tail: f64, mut run: impl FnMut(u64)) {
        let batches = batches(BATCHES, &mut run);
        let name = if tail == 0.99 { "p99" } else { "p99.9" };
        let (middle, tail) = (percentile(&batches, 0.5), percentile(&batches, tail));
        self.row(what, format!("p50 {middle:.0} ns, {name} {tail:.0} ns"), target);
    }

    fn text(&self) -> String {
        let mut text = String::from("| what | measured | meant to be |\n| --- | --- | --- |\n");
        for [what, measured, target] in &self.0 {
            let _ = writeln!(text, "| {what} | {measured} | {target} |");
        }
        let _ = writeln!(text, "\n- {}; `cargo bench --bench limit_admit`", machine());
        text
    }
}

/// Mean nanoseconds of each batch, sorted.
#[allow(clippy::disallowed_methods)] // a bench measures time
fn batches(count: usize, run: &mut impl FnMut(u64)) -> Vec<f64> {
    let mut n = 0;
    let mut batch = || {
        let begun = Instant::now();
        for _ in 0..BATCH {
            n += 1;
            run(n);
        }
        begun.elapsed().as_nanos() as f64 / BATCH as f64
    };
    (0..count / 10).map(|_| batch()).for_each(|_| ()); // warm
    let mut means: Vec<f64> = (0..count).map(|_| batch()).collect();
    means.sort_by(f64::total_cmp);
    means
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part) as usize]
}

fn allocates_nothing(what: &str, mut run: impl FnMut(u64)) {
    run(1);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (2..1_000).for_each(&mut run);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{what} allocates");
}

fn time(table: &mut Table) {
    let (one, three, refusing) = (Setting::one_level(), Setting::three_levels(), Setting::refusing());
    let (meter, six) = (Setting::one_meter(), Setting::six_meters());
    let whole = |setting: &Setting, now| {
        let mut permit = setting.ask(now, true, false).expect("ample room");
        permit.settle(cost(90), at(now));
    };
    allocates_nothing("admitting", |now| drop(three.ask(now, false, false)));
    allocates_nothing("admitting with a standing", |now| drop(three.ask(now, false, true)));
    allocates_nothing("admitting and settling tokens", |now| whole(&six, now));
    allocates_nothing("refusing again", |now| drop(refusing.ask(10 + now % 2, false, false)));

    table.timed("refused again, without a lock", "25 ns", 0.99, |now| {
        drop(black_box(refusing.ask(black_box(10 + now % 2), false, false)));
    });
    table.timed("one request limit: admitted and ended", "", 0.99, |now| {
        drop(black_box(one.ask(now, false, false)));
    });
    table.timed("one token limit: admitted and settled", "40 ns", 0.99, |now| whole(&meter, now));
    table.timed("three request limits and a place: admitted and ended", "", 0.99, |now| {
        drop(black_box(three.ask(now, false, false)));
    });
    let mut open = Vec::with_capacity(BATCH as usize);
    let admitting = |now: u64| {
        if open.len() == BATCH as usize {
            open.clear(); // once per batch: its share is the price of dropping what is not settled
        }
        open.push(six.ask(now, true, false).expect("ample room"));
    };
    table.timed(
        "three levels, six meters: admitted, ended unsettled",
        "p50 120 ns, p99 400 ns",
        0.99,
        admitting,
    );
    table.timed("the same, admitted and settled", "", 0.99, |now| whole(&six, now));
    let mut permit = six.ask(1, true, false).expect("ample room");
    table.timed("progress of a stream, three levels", "60 ns", 0.99, |now| {
        permit.progress(cost(now), at(now));
    });
}

fn neighbours(table: &mut Table) {
    let three = Setting::three_levels();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(black_box(three.ask(1, false, false)));
            }
        });
        table.timed(
            "three limits and a place, two threads on one tenant",
            "p50 350 ns, p99.9 5 us",
            0.999,
            |_| {
                drop(black_box(three.ask(black_box(1), false, false)));
            },
        );
        done.store(true, Ordering::Relaxed);
    });
}

fn bodies(table: &mut Table) {
    let said = "a question of some length, 一个问题, and more of it. ".repeat(300);
    let body = serde_json::json!({"model": "m", "messages": [{"role": "user", "content": said}]}).to_string();
    let size = body.len() / 1024;
    table.timed(&format!("text of a body of {size} KB counted"), "2 us", 0.99, |_| {
        black_box(Text::json(black_box(body.as_bytes())));
    });
    table.timed("the same body read: model, bounds, text of the prompt", "", 0.99, |_| {
        black_box(Asked::read(Api::OpenAi, black_box(body.as_bytes())).is_ok());
    });
}

type KeyedLevel = RateLimiter<u32, HashMapStateStore<u32>, FakeRelativeClock, NoOpMiddleware<Nanos>>;

fn governor_beside(table: &mut Table) {
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_minute(number(AMPLE));
    let level = || KeyedLevel::new(quota, HashMapStateStore::default(), clock.clone());
    let levels = [level(), level(), level()];
    table.timed("governor: one keyed check", "", 0.99, |_| {
        black_box(levels[0].check_key(black_box(&7)).is_ok());
    });
    table.timed("governor: three keyed checks", "", 0.99, |_| {
        black_box(levels.iter().all(|level| level.check_key(black_box(&7)).is_ok()));
    });
}

/// Many tenants, many users: how large, and how long a reload takes.
#[allow(clippy::disallowed_methods)] // a bench measures time
fn many(table: &mut Table) {
    let plan = |n: u32| {
        let limits = [(Per::Tenant, bucket(n)), (Per::User, bucket(n)), (Per::Tenant, tokens(n))];
        let limits = limits.into_iter().enumerate();
        let limits = limits.map(|(i, (per, amount))| Limit::new(format!("l{i}"), per, amount)).collect();
        Arc::new(Plan { name: "gold".into(), limits })
    };
    let specs = |n: u32| -> Vec<TenantSpec> {
        let plan = plan(n);
        let spec = |i| TenantSpec {
            name: format!("tenant-{i}").into(),
            plan: plan.clone(),
            users: vec!["u".into()],
        };
        (0..TENANTS).map(spec).collect()
    };
    let registry = Registry::default();
    let first = specs(1_000);
    let before = BYTES.load(Ordering::Relaxed);
    let applied = registry.apply(&Policy { tenants: &first, ..Policy::default() }, at(1));
    let bytes = BYTES.load(Ordering::Relaxed) - before - (TENANTS * size_of::<Enrolled>()) as i64;
    table.row(
        "a tenant with a user, two request limits and one on tokens",
        format!("{} B", bytes / TENANTS as i64),
        "384 B and 40 B a user",
    );
    let second = specs(2_000);
    let begun = Instant::now();
    drop(registry.apply(&Policy { tenants: &second, ..Policy::default() }, at(3)));
    let took = begun.elapsed();
    table.row(
        "reload of 100,000 tenants, every number changed",
        format!("{} ms, {:.2} us a tenant", took.as_millis(), took.as_secs_f64() * 1e6 / TENANTS as f64),
        "50 ms, 1 us",
    );
    drop(applied);
    drop(registry);
    let registry = Registry::default();
    let users: Vec<Arc<str>> = (0..USERS).map(|i| format!("user-{i}").into()).collect();
    let spec = TenantSpec { name: "acme".into(), plan: plan(1_000), users };
    let before = BYTES.load(Ordering::Relaxed);
    let applied = registry.apply(&Policy { tenants: &[spec], ..Policy::default() }, at(1));
    let bytes = BYTES.load(Ordering::Relaxed) - before;
    table.row("1,000,000 users of one tenant", format!("{} MB", bytes / 1_000_000), "50 to 60 MB");
    drop(applied);
}

/// The processor, and how many of it.
fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("{name}, {cores} cores, load average {}", load.split(' ').next().unwrap_or("unknown"))
}

/// Puts `text` between the marks in a document of the repository.
fn write_between(file: &str, text: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let document = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (head, rest) = document.split_once("<!-- limits -->\n").expect("the mark `<!-- limits -->`");
    let (_, tail) = rest.split_once("<!-- /limits -->").expect("the mark `<!-- /limits -->`");
    let whole = format!("{head}<!-- limits -->\n{text}<!-- /limits -->{tail}");
    std::fs::write(&path, whole).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
