//! Limits on tokens and money: what is said of them holds for any interleaving of what can happen.
//!
//! Each promise and the tests that fail when it is broken (each was seen to, with the limiter broken in its way):
//!
//! | promise | tests |
//! | --- | --- |
//! | consumption within the bound | `walk`, `gate`, `meter::consumption_stays_within_...` |
//! | a refusal changes no level | `defects::a_refusal_charges_nothing_...`, `refusal::a_refusal_moves_no_level_...`, `walk` |
//! | holds and places are those of the live permits | `walk`, `cancel`, `refusal::places_come_back_...`, `schedules` |
//! | the same policy again changes nothing; an edit keeps the used count | `properties`, `reload`, `defects::an_edit_...` |
//! | forgetting an idle level changes no decision | `walk` (sweeps), `reload::forgetting_an_idle_pair_...` |
//! | `Retry-After` is sound and minimal | `walk`, `meter::the_wait_is_exact`, `refusal::a_lone_caller_...` |
//! | a clock that steps back gives no credit | `walk::a_clock_...`, `meter::a_clock_...`, `calendar` |
//! | a debt is kept; no more than the rate in the long run | `defects::a_debt_...`, `properties::in_the_long_run_...` |
//! | any cost is admitted by an idle limit | `properties::any_cost_...`, `meter::an_oversize_cost_...` |
//! | strangers take no memory and move nobody's level | `defects::a_flood_...`, `guard`; constant bytes: the bench |
//! | nothing remains exactly when the next is refused | `properties::nothing_remains_...`, `walk` of requests |
//! | the order of the locks | `schedules`, `threads` |
//!
//! Fairness before a pool is tested where it is made, in `fair`.

mod account;
mod cancel;
mod clamp;
mod cutting;
mod defects;
mod gate;
mod ledger;
mod properties;
mod reloading;
mod returning;
mod save;
mod schedules;
mod shadow;
mod standings;
mod threads;
mod walk;

use super::*;
use crate::limit::calendar::{Calendar, Unit as CalendarUnit};
use crate::limit::measure::Measure;
use crate::limit::money::Currency;
use crate::limit::price::{Lot, Price};
use crate::usage::Tokens;

const DAY_MS: u64 = 86_400_000;

/// Some Monday noon.
const NOON_MS: u64 = 20_000 * DAY_MS + DAY_MS / 2;

/// What an answer is expected to be while none was seen.
const MARK: u64 = 256;

fn tokens(n: u32, period: Duration, burst: u32, measure: Measure) -> Amount {
    Amount::Tokens { tokens: some(n), period, burst: some(burst), measure }
}

/// A bucket of `n` tokens a minute, of either kind.
fn tpm(n: u32) -> Amount {
    tokens(n, MINUTE, n, Measure::Total)
}

fn budget(most: u64, measure: Measure, zone: &str) -> Amount {
    let calendar = Calendar::new(CalendarUnit::Day, zone).expect("a zone");
    Amount::Budget { most, measure, currency: Currency::NONE, calendar: Arc::new(calendar) }
}

fn cost(prompt: u64, completion: u64) -> Tokens {
    Tokens { prompt, completion }
}

/// At noon, `us` later.
fn later(us: u64) -> Now {
    Now { mono_us: us, wall_ms: NOON_MS + us / 1000 }
}

/// Names of who is there; a policy may leave some out.
const TENANTS: [&str; 2] = ["acme", "umbrella"];
const USERS: [&str; 2] = ["alice", "bob"];
const ROUTES: [&str; 2] = ["chat", "embed"];
const MODELS: [&str; 2] = ["pangu", "other"];

/// Where limits are written (plan, route, model), and what they are counted per there.
const PLACES: [(usize, Per); 8] = [
    (0, Per::Tenant),
    (0, Per::User),
    (0, Per::TenantRoute),
    (0, Per::TenantModel),
    (1, Per::Route),
    (1, Per::TenantRoute),
    (2, Per::Model),
    (2, Per::TenantModel),
];

/// What one policy says.
#[derive(Debug, Clone, Default)]
struct Rulebook {
    plan: Vec<Limit>,
    route: Vec<Limit>,
    model: Vec<Limit>,
    /// Of [`TENANTS`], [`USERS`] and [`MODELS`], who has gone.
    gone: [Option<usize>; 3],
}

impl Rulebook {
    fn of_plan(plan: Vec<Limit>) -> Rulebook {
        Rulebook { plan, ..Rulebook::default() }
    }

    /// The limits written at one of [`PLACES`].
    fn written_at(&mut self, at: usize) -> &mut Vec<Limit> {
        [&mut self.plan, &mut self.route, &mut self.model].into_iter().nth(at).expect("three")
    }

    fn has(&self, kind: usize, i: usize) -> bool {
        self.gone.get(kind) != Some(&Some(i))
    }
}

/// A request: indices into the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    /// None: nobody knows who.
    caller: Option<(usize, usize)>,
    route: usize,
    model: usize,
    prompt: u64,
    completion_max: Option<u64>,
    choices: u32,
    clamp: bool,
}

/// `alice` of `acme` for the first model on the first route.
const BY_ALICE: Order = Order {
    caller: Some((0, 0)),
    route: 0,
    model: 0,
    prompt: 0,
    completion_max: Some(0),
    choices: 1,
    clamp: false,
};

/// As she asks for a prompt of so many tokens and no completion.
fn prompt(prompt: u64) -> Order {
    Order { prompt, ..BY_ALICE }
}

impl Order {
    /// What is to be held for it, reckoned apart.
    fn expected(&self) -> Tokens {
        cost(self.prompt, self.completion_max.map_or(MARK, |most| most.min(MARK)) * u64::from(self.choices))
    }
}

/// Per token: a thousandth and two thousandths of a millionth.
fn price() -> Price {
    let currency = Currency::parse("CNY").expect("a currency");
    Price::new("0.001", "0.002", Lot::Thousand, currency).expect("a price")
}

/// One gateway's levels, and the policy in force.
struct Shop {
    registry: Registry,
    applied: Applied,
    book: Rulebook,
}

impl Shop {
    fn open(book: &Rulebook, now: Now) -> Shop {
        Shop::restored(book, now, Vec::new())
    }

    fn restored(book: &Rulebook, now: Now, saved: Vec<Saved>) -> Shop {
        let registry = Registry::default();
        registry.restore(saved);
        let applied = put(&registry, book, now);
        Shop { registry, applied, book: book.clone() }
    }

    fn reload(&mut self, book: &Rulebook, now: Now) {
        self.applied = put(&self.registry, book, now);
        self.book = book.clone();
    }

    /// Is everybody there whom the order names?
    fn knows(&self, order: &Order) -> bool {
        self.book.has(2, order.model)
            && order.caller.is_none_or(|(tenant, user)| self.book.has(0, tenant) && self.book.has(1, user))
    }

    fn admit(&self, order: Order, now: Now) -> Result<Permit, Limited> {
        let caller = order.caller.map(|(tenant, user)| {
            let Enrolled { tenant, users } = &self.applied.tenants[self.place(0, tenant)];
            (tenant, users[self.place(1, user)])
        });
        let metered = Metered {
            model: &self.applied.models[self.place(2, order.model)],
            price: price(),
            prompt: order.prompt,
            completion_max: order.completion_max,
            choices: order.choices,
            clamp: order.clamp,
        };
        let route = &self.applied.routes[order.route];
        admit(&Asking { caller, route, metered: Some(metered), report: true }, now)
    }

    /// Where one stands in the lists of the policy in force.
    fn place(&self, kind: usize, i: usize) -> usize {
        if self.book.gone[kind].is_some_and(|gone| gone < i) { i - 1 } else { i }
    }

    /// Every limit of everybody, with whose it is.
    fn levels(&self, now: Now) -> Vec<(Option<&'static str>, LimitState)> {
        let of_tenants = TENANTS.into_iter().filter_map(|name| {
            let state = self.registry.tenant_state(name, now)?;
            Some(state.limits.into_iter().map(move |limit| (Some(name), limit)))
        });
        let routes = ROUTES.into_iter().filter_map(|name| self.registry.route_state(name, now));
        let models = MODELS.into_iter().filter_map(|name| self.registry.model_state(name, now));
        let common =
            routes.chain(models).flat_map(|state| state.limits.into_iter().map(|limit| (None, limit)));
        of_tenants.flatten().chain(common).collect()
    }

    /// The only limit's level, of `alice` or who else has used it.
    fn level(&self, now: Now) -> LimitState {
        self.any_level(now).expect("somebody has used it")
    }

    /// The same; None if it is forgotten.
    fn any_level(&self, now: Now) -> Option<LimitState> {
        let levels = self.levels(now).into_iter().map(|(_, limit)| limit);
        levels.max_by_key(|limit| limit.used)
    }
}

fn put(registry: &Registry, book: &Rulebook, now: Now) -> Applied {
    let plan = Arc::new(Plan { name: "gold".into(), limits: book.plan.clone() });
    let there = |kind: usize, names: &[&str]| -> Vec<Arc<str>> {
        let names = names.iter().enumerate().filter(|(i, _)| book.has(kind, *i));
        names.map(|(_, &name)| name.into()).collect()
    };
    let users: Arc<[Arc<str>]> = there(1, &USERS).into();
    let tenants: Vec<TenantSpec> = there(0, &TENANTS)
        .into_iter()
        .map(|name| TenantSpec { name, plan: Arc::clone(&plan), users: users.clone() })
        .collect();
    let common = |names: Vec<Arc<str>>, limits: &[Limit]| -> Vec<_> {
        let plan = Arc::new(CommonPlan { limits: limits.to_vec() });
        names.into_iter().map(|name| (name, Arc::clone(&plan))).collect()
    };
    let routes = common(there(3, &ROUTES), &book.route);
    let models = common(there(2, &MODELS), &book.model);
    registry.apply(&Policy { tenants: &tenants, routes: &routes, models: &models }, now)
}
