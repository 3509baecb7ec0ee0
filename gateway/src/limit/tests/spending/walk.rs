//! Random walks over everything at once, the oracle beside: every decision and every level is its own, whatever is
//! admitted, charged, ended, dropped, reloaded or swept in between, and wherever time steps.

use super::ledger::Ledger;
use super::*;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[derive(Debug, Clone)]
enum Step {
    Ask(Order),
    /// So much more; goes back now and then, which says nothing before the end.
    Progress(usize, Tokens, bool),
    Settle(usize, Tokens),
    Drop(usize, bool),
    Reload(usize),
    Sweep,
    Wait(u64),
    /// Milliseconds on the wall alone.
    Hours(u64),
    /// Both clocks.
    Back(u64),
}

fn orders() -> impl Strategy<Value = Order> {
    let caller = prop::option::weighted(0.9, (0..2usize, 0..2usize));
    let most = prop::option::weighted(0.9, 0..40u64);
    (caller, 0..2usize, 0..2usize, 0..40u64, most, 1..3u32).prop_map(
        |(caller, route, model, prompt, completion_max, choices)| Order {
            caller,
            route,
            model,
            prompt,
            completion_max,
            choices,
            clamp: false,
        },
    )
}

fn costs() -> impl Strategy<Value = Tokens> {
    (0..50u64, 0..60u64).prop_map(|(prompt, completion)| cost(prompt, completion))
}

/// Levels are forgotten by the clock there is: what steps it back for good is not mixed with forgetting.
fn steps(forgets: bool) -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        10 => orders().prop_map(Step::Ask),
        6 => (0..64usize, costs(), prop::bool::weighted(0.2)).prop_map(|(i, cost, back)| Step::Progress(i, cost, back)),
        3 => (0..64usize, costs()).prop_map(|(i, cost)| Step::Settle(i, cost)),
        2 => (0..64usize, any::<bool>()).prop_map(|(i, panics)| Step::Drop(i, panics)),
        4 => prop_oneof![0..100_000u64, 0..20_000_000u64].prop_map(Step::Wait),
        1 => (0..30 * 3_600_000u64).prop_map(Step::Hours),
        2 => match forgets {
            true => prop_oneof![(0..3usize).prop_map(Step::Reload), Just(Step::Sweep)].boxed(),
            false => (0..40_000_000u64).prop_map(Step::Back).boxed(),
        },
    ];
    prop::collection::vec(one, 1..100)
}

fn amounts() -> impl Strategy<Value = Amount> {
    let of_tokens = prop::sample::select(vec![Measure::Total, Measure::Prompt, Measure::Completion]);
    let period = prop::sample::select(vec![SECOND, MINUTE]);
    let zone = prop::sample::select(vec!["UTC", "Asia/Shanghai"]);
    prop_oneof![
        4 => (of_tokens.clone(), 1..200u32, period, 1..300u32).prop_map(|(measure, n, period, burst)| tokens(n, period, burst, measure)),
        1 => (of_tokens, 1..400u64, zone.clone()).prop_map(|(measure, most, zone)| budget(most, measure, zone)),
        1 => (1_000..800_000u64, zone).prop_map(|(most, zone)| budget(most, Measure::Money, zone)),
    ]
}

fn limits(pers: &'static [Per], prefix: &'static str) -> impl Strategy<Value = Vec<Limit>> {
    let one = (0..3usize, prop::sample::select(pers), amounts(), prop::bool::weighted(0.25), any::<bool>());
    prop::collection::vec(one, 0..4).prop_map(move |limits| {
        let limits = limits.into_iter().map(|(i, per, amount, shadow, cut)| Limit {
            shadow,
            cut,
            ..limit(&format!("{prefix}{i}"), per, amount)
        });
        let mut all: Vec<Limit> = Vec::new();
        for limit in limits {
            if all.iter().all(|other| (&other.name, other.per) != (&limit.name, limit.per)) {
                all.push(limit);
            }
        }
        all
    })
}

fn books() -> impl Strategy<Value = Rulebook> {
    let plan = limits(&[Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel], "p");
    let (route, model) =
        (limits(&[Per::Route, Per::TenantRoute], "r"), limits(&[Per::Model, Per::TenantModel], "m"));
    let gone = prop::array::uniform3(prop::option::weighted(0.15, 0..2usize));
    (plan, route, model, gone).prop_map(|(plan, route, model, gone)| Rulebook { plan, route, model, gone })
}

/// A request under way.
struct Open {
    id: usize,
    permit: Permit,
    charged: Tokens,
    began: Now,
    /// When anything was last said of it: a permit that drops without a word ended then.
    seen: Now,
}

struct Walk {
    shop: Shop,
    ledger: Ledger,
    open: Vec<Open>,
    now: Now,
    asked: usize,
    /// How long the longest request took that has ended; a second while none has.
    longest_us: u64,
}

impl Walk {
    fn start(book: &Rulebook) -> Walk {
        let now = later(100_000_000);
        let mut ledger = Ledger::default();
        ledger.reload(book, now);
        Walk { shop: Shop::open(book, now), ledger, open: Vec::new(), now, asked: 0, longest_us: 1_000_000 }
    }

    fn take(&mut self, step: &Step, books: &[Rulebook]) -> Result<(), TestCaseError> {
        let at = |i: usize| (!self.open.is_empty()).then(|| i % self.open.len());
        match *step {
            Step::Ask(order) if self.shop.knows(&order) => self.ask(order)?,
            Step::Ask(_) => {}
            Step::Progress(i, more, back) => {
                let Some(i) = at(i) else { return Ok(()) };
                let Open { id, permit, charged, seen, .. } = &mut self.open[i];
                let so_far = cost(charged.prompt + more.prompt / 4, charged.completion + more.completion / 4);
                let said = if back { cost(charged.prompt / 2, so_far.completion) } else { so_far };
                permit.progress(said, self.now);
                *seen = self.now;
                let most = cost(charged.prompt.max(said.prompt), charged.completion.max(said.completion));
                if std::mem::replace(charged, most) != most {
                    self.ledger.cost(*id, most, self.now);
                }
            }
            Step::Settle(i, actual) => {
                let Some(i) = at(i) else { return Ok(()) };
                let Open { id, mut permit, began, .. } = self.open.swap_remove(i);
                permit.settle(actual, self.now);
                self.took(began, self.now);
                self.ledger.cost(id, actual, self.now);
                self.ledger.end(id);
            }
            Step::Drop(i, panics) => {
                let Some(i) = at(i) else { return Ok(()) };
                let Open { id, permit, charged, began, seen } = self.open.swap_remove(i);
                self.took(began, seen);
                let dies = AssertUnwindSafe(move || {
                    let _permit = permit;
                    resume_unwind(Box::new("the request's task dies"));
                });
                if panics {
                    assert!(catch_unwind(dies).is_err())
                } else {
                    drop(dies)
                }
                self.ledger.cost(id, charged, seen);
                self.ledger.end(id);
            }
            Step::Reload(i) => {
                self.shop.reload(&books[i], self.now);
                self.ledger.reload(&books[i], self.now);
            }
            Step::Sweep => self.shop.registry.sweep(self.now),
            Step::Wait(us) => {
                self.now = self.now.after(Duration::from_micros(us));
                self.ledger.passed_us += us;
            }
            Step::Hours(ms) => self.now.wall_ms += ms,
            Step::Back(us) => {
                self.now.mono_us = self.now.mono_us.saturating_sub(us);
                self.now.wall_ms -= us;
            }
        }
        self.agree()
    }

    fn took(&mut self, began: Now, ended: Now) {
        let took_us = ended.mono_us.saturating_sub(began.mono_us);
        self.longest_us = self.longest_us.max(took_us);
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        self.ledger.agrees(&self.shop, self.now).map_err(TestCaseError::fail)?;
        prop_assert!(self.ledger.bounds_hold(), "more than the burst and what flowed out");
        Ok(())
    }

    fn ask(&mut self, order: Order) -> Result<(), TestCaseError> {
        let fits = self.ledger.fits(&order, self.now);
        match self.shop.admit(order, self.now) {
            Ok(permit) => {
                prop_assert!(fits, "admitted without room");
                prop_assert!(permit.estimate().is_none_or(|held| held == order.expected()));
                self.ledger.admitted(self.asked, &order, self.now);
                let (id, charged) = (self.asked, Tokens::default());
                self.open.push(Open { id, permit, charged, began: self.now, seen: self.now });
                self.asked += 1;
                Ok(())
            }
            Err(limited) => {
                prop_assert!(!self.ledger.surely_fits(&order, self.now), "refused with room: {}", limited);
                self.agree()?; // nothing was charged
                self.come_back(order, &limited)
            }
        }
    }

    /// Sound and minimal where nothing is held; where something is, no later than time alone or the typical request.
    fn come_back(&mut self, order: Order, limited: &Limited) -> Result<(), TestCaseError> {
        let (wait, by_time_us) = (limited.retry_after, self.ledger.wait_us(&order, self.now));
        let (wait_us, rounded_us) = (wait.as_micros() as u64, self.ledger.rounded_us(&order));
        prop_assert!(wait_us > 0);
        if self.ledger.holds(&order) {
            let longest_us = (by_time_us + rounded_us).max(self.longest_us);
            prop_assert!(wait_us <= longest_us, "{wait_us} > {longest_us}");
            return Ok(());
        }
        let early = self.now.after(Duration::from_micros(wait_us.saturating_sub(1 + rounded_us)));
        prop_assert!(!self.ledger.fits(&order, early), "not minimal: {limited}");
        prop_assert!(self.ledger.fits(&order, self.now.after(wait)), "not sound: {limited}");
        prop_assert!(self.shop.admit(order, early).is_err(), "not minimal: {limited}");
        Ok(())
    }
}

fn walk(books: &[Rulebook], steps: &[Step]) -> Result<(), TestCaseError> {
    let mut walk = Walk::start(&books[0]);
    for step in steps {
        walk.take(step, books)?;
    }
    while !walk.open.is_empty() {
        walk.take(&Step::Drop(0, false), books)?;
    }
    prop_assert!(walk.shop.levels(walk.now).iter().all(|(_, limit)| limit.held == 0));
    Ok(())
}

proptest! {
    #![proptest_config(crate::proptests::cases(600))]

    #[test]
    fn every_decision_and_every_level_is_the_oracles(books in prop::collection::vec(books(), 3), steps in steps(true)) {
        walk(&books, &steps)?;
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_credit(book in books(), steps in steps(false)) {
        walk(&[book], &steps)?;
    }
}

/// An end stamped by the clock as it was before it stepped back let a burst out twice in one moment.
#[test]
fn a_request_that_ends_after_the_clock_stepped_back_gives_no_credit() -> Result<(), TestCaseError> {
    let limits = [limit("m0", Per::Model, tokens(57, SECOND, 64, Measure::Total))];
    let book = Rulebook { plan: vec![], route: vec![], model: limits.to_vec(), gone: [None; 3] };
    let ask = |most| {
        let order = Order { caller: None, completion_max: Some(most), ..BY_ALICE };
        Step::Ask(order)
    };
    let (spends, ends) = (Step::Settle(0, cost(9, 18)), Step::Drop(0, false));
    let steps =
        [ask(27), ask(0), Step::Back(600_000), spends, ends, ask(64), Step::Progress(0, cost(256, 0), false)];
    walk(&[book], &steps)
}

/// It is put in its place, as if the tenant were there; who has gone asks for nothing.
#[test]
fn a_budget_of_a_tenant_who_has_gone_may_be_back_before_it() -> Result<(), TestCaseError> {
    let limits = vec![limit("r0", Per::TenantRoute, budget(1_000, Measure::Total, "UTC"))];
    let with = Rulebook { route: limits, ..Rulebook::default() };
    let without_tenant = Rulebook { gone: [Some(0), None, None], ..with.clone() };
    let books = [with, Rulebook::default(), without_tenant];
    let ask = Step::Ask(Order { completion_max: Some(1), ..BY_ALICE });
    let steps = [ask.clone(), Step::Settle(0, cost(0, 900))];
    let reloads = [1, 2, 2, 0].map(Step::Reload);
    let refused = Step::Ask(prompt(101));
    walk(&books, &[&steps[..], &reloads, &[refused, ask]].concat())
}
