//! A tenant: its own levels, those of its users, and those of its use of routes and models, under one lock.

use super::admit::Asking;
use super::common::CommonKey;
use super::decide::Over;
use super::denial::Denial;
use super::levels::{Levels, Open};
use super::pairs::{Pair, Pairs};
use super::permit::{Counted, Ledger, Stepped};
use super::rules::{PlanRules, Rules};
use super::save::{self, Restored, Saving, Unsaved};
use super::spend::{Spend, Step};
use super::sync::Mutex;
use super::users::{UserIx, Users};
use crate::clock::Now;
use std::sync::Arc;

/// A tenant's levels; the same one for as long as policy, a request or a level in use knows its name.
pub struct Tenant {
    name: Arc<str>,
    pub(super) denial: Denial,
    pub(super) books: Mutex<Books>,
    /// Where to tell that a count is to be saved.
    unsaved: Unsaved,
    /// It has been told since the last save.
    pub(super) saving: Saving,
}

/// What a tenant's lock guards.
#[derive(Default)]
pub(super) struct Books {
    pub(super) plan: Arc<PlanRules>,
    pub(super) levels: Levels,
    pub(super) open: Open,
    pub(super) users: Users,
    pub(super) on_routes: Pairs,
    pub(super) for_models: Pairs,
    /// The reload in force.
    pub(super) born: u32,
}

impl Tenant {
    /// A tenant without users.
    pub(super) fn new(name: Arc<str>, plan: &Arc<PlanRules>, unsaved: &Unsaved) -> Tenant {
        let (denial, saving) = (Denial::default(), Saving::default());
        let books = Books { levels: Levels::fresh(&plan.tenant), plan: Arc::clone(plan), ..Books::default() };
        Tenant { name, denial, books: Mutex::new(books), unsaved: unsaved.clone(), saving }
    }

    /// As written in policy.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Puts the rules that follow on its present ones in force, and a list of users; returns the users' places in the
    /// order given. What is spent of budgets that are gone is left in `restored`.
    pub(super) fn apply(
        self: &Arc<Tenant>,
        after: impl FnOnce(&Arc<PlanRules>) -> Arc<PlanRules>,
        users: &Arc<[Arc<str>]>,
        now: Now,
        born: u32,
        restored: &mut Restored,
    ) -> Vec<UserIx> {
        let mut books = self.books.lock();
        let plan = after(&books.plan);
        let used = |rule: &_, spend: &Spend| spend.spent(rule, now) > 0;
        let before = books.moves_budgets(&plan).then(|| books.saved(&self.name, &used));
        let places = books.apply(&plan, users, now, born);
        self.denial.forget();
        if let Some(before) = before {
            let after = books.saved(&self.name, save::ALL);
            restored.keep_gone(before, &after);
            if after.iter().any(|count| count.used > 0) && self.saving.begin() {
                self.unsaved.tenant(self); // what is on the disk may be of another zone's day
            }
        }
        places
    }

    /// Takes a step of one request's cost at every level of the tenant that it was admitted by. Returns whether a
    /// limit that cuts is spent.
    pub(super) fn step(
        self: &Arc<Tenant>,
        counted: &Counted,
        ledger: &Ledger,
        step: &Step<'_>,
        now: Now,
    ) -> bool {
        let mut books = self.books.lock();
        let stepped = books.step(counted, ledger, step, now);
        self.denial.forget();
        drop(books);
        if stepped.dated && self.saving.begin() {
            self.unsaved.tenant(self);
        }
        stepped.spent
    }

    /// An answer of a model was `completion` tokens long.
    pub(super) fn learn(&self, model: CommonKey, completion: u64, now: Now) {
        let mut books = self.books.lock();
        books.for_models.learn(model, completion, now);
        self.denial.forget(); // the next may be expected to cost more
    }
}

impl Books {
    fn apply(&mut self, plan: &Arc<PlanRules>, users: &Arc<[Arc<str>]>, now: Now, born: u32) -> Vec<UserIx> {
        let old = std::mem::replace(&mut self.plan, Arc::clone(plan));
        self.born = born;
        if !Arc::ptr_eq(&old, plan) {
            self.levels.carry(&old.tenant, &plan.tenant, now);
            self.users.apply(&old.user, &plan.user, now);
        }
        // Routes and models may have other rules, whether the plan has or not.
        self.on_routes.apply(&old.tenant_route, &plan.tenant_route, now);
        self.for_models.apply(&old.tenant_model, &plan.tenant_model, now);
        self.users.enrol(users, &plan.user, now)
    }

    fn step(&mut self, counted: &Counted, ledger: &Ledger, step: &Step<'_>, now: Now) -> Stepped {
        let Books { plan, levels, users, on_routes, for_models, .. } = self;
        let mut all = Stepped::default();
        let born = ledger.born;
        let mut take = |at, born, rules: &Rules, spends: &mut [Spend]| {
            if !spends.is_empty() {
                all |= ledger.step(step, at, born, (&rules.spends, spends), now);
            }
        };
        if counted.tenant {
            take(0, born.tenant, &plan.tenant, &mut levels.spends);
        }
        if let Some(spends) = counted.user.and_then(|user| users.spends(user, &plan.user)) {
            take(1, born.tenant, &plan.user, spends);
        }
        let on_route = counted.on_route.and_then(|key| on_routes.get(key));
        let on_route = on_route.map(|pair| (2, born.on_route, pair, &plan.tenant_route));
        let for_model = counted.for_model.and_then(|key| for_models.get(key));
        let for_model = for_model.map(|pair| (4, born.for_model, pair, &plan.tenant_model));
        for (at, born_there, pair, rules) in on_route.into_iter().chain(for_model) {
            let Pair { common_rules, by_plan, by_common, .. } = pair;
            take(at, born.tenant, rules, &mut by_plan.spends);
            take(at + 1, born_there, &common_rules.tenant, &mut by_common.spends);
        }
        all
    }

    /// Counts an open request wherever its end changes something. Where it does not, it is not counted, and a
    /// limit that a reload brings later does not see it.
    #[inline]
    pub(super) fn begin(&mut self, user: UserIx, asking: &Asking<'_>, over: Over) -> Counted {
        let tenant = self.plan.tenant.waits_for_the_end();
        if tenant {
            self.open.begin(over.at(0));
        }
        let for_model = asking.metered.map(|metered| metered.model.key());
        Counted {
            tenant,
            user: if self.plan.user.waits_for_the_end() { self.users.begin(user, over.at(1)) } else { None },
            on_route: self.on_routes.begin(
                asking.route.key(),
                &self.plan.tenant_route,
                over.at(2) || over.at(3),
            ),
            for_model: for_model.and_then(|key| self.for_models.begin_always(key, over.at(4) || over.at(5))),
        }
    }

    /// Ends what [`begin`](Books::begin) counted.
    pub(super) fn close(&mut self, counted: Counted, over: Over, took_us: u64) {
        if counted.tenant {
            self.open.end(over.at(0), took_us);
        }
        if let Some(user) = counted.user {
            self.users.close(user, over.at(1), took_us);
        }
        if let Some(route) = counted.on_route {
            self.on_routes.close(route, over.at(2) || over.at(3), took_us);
        }
        if let Some(model) = counted.for_model {
            self.for_models.close(model, over.at(4) || over.at(5), took_us);
        }
    }

    /// Forgetting the tenant would change no decision.
    pub(super) fn idle(&self, now: Now) -> bool {
        self.open.requests == 0
            && self.on_routes.is_empty()
            && self.for_models.is_empty()
            && self.levels.idle(&self.plan.tenant, now)
            && self.users.idle(&self.plan.user, now)
    }
}
