//! All accounts: which of them a request concerns, and what becomes of them when policy changes.

use super::account::Account;
use super::*;
use std::collections::BTreeMap;

/// Whose account: where the limit is written (plan, route, model), what it is counted per, its name, its subject.
type Key = (usize, Per, Arc<str>, Subject);

/// Tenant, user, route, model.
type Subject = [Option<usize>; 4];

#[derive(Default)]
pub(super) struct Ledger {
    /// Microseconds since the start, however clocks step.
    pub(super) passed_us: u64,
    accounts: BTreeMap<Key, Account>,
    /// What was spent of budgets that have gone since, by what they counted: on which day how much.
    gone: Vec<(Key, Measure, (u64, u64))>,
    /// The rules in force for routes, and for each model.
    routes: Vec<Limit>,
    models: [Vec<Limit>; 2],
    /// For each tenant, the rules when it was last in policy.
    tenants: [Seen; 2],
}

#[derive(Default)]
struct Seen {
    plan: Vec<Limit>,
    routes: Vec<Limit>,
    models: [Vec<Limit>; 2],
}

fn subject(per: Per, order: &Order) -> Option<Subject> {
    let (tenant, user) = order.caller.unzip();
    let (route, model) = (Some(order.route), Some(order.model));
    Some(match per {
        Per::Tenant => [Some(tenant?), None, None, None],
        Per::User => [Some(tenant?), Some(user?), None, None],
        Per::Route => [None, None, route, None],
        Per::TenantRoute => [Some(tenant?), None, route, None],
        Per::Model => [None, None, None, model],
        Per::TenantModel => [Some(tenant?), None, None, model],
    })
}

impl Ledger {
    /// Puts a policy in force: who is not in it keeps the rules there were.
    pub(super) fn reload(&mut self, book: &Rulebook, now: Now) {
        self.routes = book.route.clone();
        for model in (0..2).filter(|&model| book.has(2, model)) {
            self.models[model] = book.model.clone();
        }
        for tenant in (0..2).filter(|&tenant| book.has(0, tenant)) {
            let (plan, routes, models) = (book.plan.clone(), book.route.clone(), self.models.clone());
            self.tenants[tenant] = Seen { plan, routes, models };
        }
        let accounts = std::mem::take(&mut self.accounts);
        for ((at, per, name, subject), mut account) in accounts {
            let key = (at, per, name, subject);
            let new = self.limit(&key).cloned();
            let stays = new.as_ref().is_some_and(|new| {
                let after = Account::new(new);
                after.measure() == account.measure() && matches!(new.amount, Amount::Budget { .. })
            });
            if let Some(count) = account.today(now).filter(|_| !stays) {
                self.gone.push((key.clone(), account.measure(), count));
            }
            if let Some(new) = new {
                account.edit(&new, now);
                self.accounts.insert(key, account);
            }
        }
        let mut gone = std::mem::take(&mut self.gone);
        gone.retain(|(_, _, (day, _))| day + 1 >= now.wall_ms / DAY_MS);
        gone.retain(|(key, measure, count)| !self.remember(key, *measure, *count, now));
        self.gone = gone;
    }

    /// The limit that keeps this account, if there is one.
    fn limit(&self, (at, per, name, subject): &Key) -> Option<&Limit> {
        let mut limits = self.limits(*at, *subject).iter();
        limits.find(|limit| (limit.per, &limit.name) == (*per, name))
    }

    /// Puts down what was spent of a budget that has come back; false if it has not.
    fn remember(&mut self, key: &Key, measure: Measure, count: (u64, u64), now: Now) -> bool {
        let Some(limit) = self.limit(key).cloned() else { return false };
        let account = self.accounts.entry(key.clone()).or_insert_with(|| Account::new(&limit));
        account.measure() == measure && account.remember(count, now)
    }

    /// The limits written at a place, as they are in force for a subject.
    fn limits(&self, at: usize, [tenant, _, _, model]: Subject) -> &[Limit] {
        match (at, tenant, model) {
            (0, Some(tenant), _) => &self.tenants[tenant].plan,
            (1, Some(tenant), _) => &self.tenants[tenant].routes,
            (2, Some(tenant), Some(model)) => &self.tenants[tenant].models[model],
            (2, None, Some(model)) => &self.models[model],
            _ => &self.routes,
        }
    }

    /// Keys of the accounts that an order concerns, made where there are none.
    fn concerned(&mut self, order: &Order) -> Vec<Key> {
        let mut keys = Vec::new();
        for (at, pers) in [
            (0, &[Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel][..]),
            (1, &[Per::Route, Per::TenantRoute]),
            (2, &[Per::Model, Per::TenantModel]),
        ] {
            for &per in pers {
                let Some(subject) = subject(per, order) else { continue };
                let limits = self.limits(at, subject).to_vec();
                for limit in limits.iter().filter(|limit| limit.per == per) {
                    let key = (at, per, Arc::clone(&limit.name), subject);
                    self.accounts.entry(key.clone()).or_insert_with(|| Account::new(limit));
                    keys.push(key);
                }
            }
        }
        keys
    }

    pub(super) fn fits(&mut self, order: &Order, now: Now) -> bool {
        let keys = self.concerned(order);
        keys.iter().map(|key| &self.accounts[key]).all(|a| a.shadow() || a.fits(order.expected(), now))
    }

    /// Does it fit whatever reloads have rounded up?
    pub(super) fn surely_fits(&mut self, order: &Order, now: Now) -> bool {
        let keys = self.concerned(order);
        keys.iter().map(|key| &self.accounts[key]).all(|a| a.shadow() || a.surely_fits(order.expected(), now))
    }

    /// Microseconds in which all that was rounded up for an order flows out.
    pub(super) fn rounded_us(&mut self, order: &Order) -> u64 {
        self.concerned(order).iter().map(|key| self.accounts[key].rounded_us()).max().unwrap_or(0)
    }

    pub(super) fn admitted(&mut self, request: usize, order: &Order, now: Now) {
        for key in self.concerned(order) {
            let Some(account) = self.accounts.get_mut(&key) else { continue };
            if account.fits(order.expected(), now) {
                account.hold(request, order.expected(), now);
            }
        }
    }

    pub(super) fn cost(&mut self, request: usize, cost: Tokens, now: Now) {
        let passed_us = self.passed_us;
        self.accounts.values_mut().for_each(|account| account.cost(request, cost, now, passed_us));
    }

    pub(super) fn end(&mut self, request: usize) {
        self.accounts.values_mut().for_each(|account| account.end(request));
    }

    /// Is anything held that an order meets?
    pub(super) fn holds(&mut self, order: &Order) -> bool {
        self.concerned(order).iter().any(|key| self.accounts[key].held() > 0)
    }

    /// The longest wait of an order, holds aside.
    pub(super) fn wait_us(&mut self, order: &Order, now: Now) -> u64 {
        let keys = self.concerned(order);
        let accounts = keys.iter().map(|key| &self.accounts[key]).filter(|account| !account.shadow());
        accounts.map(|account| account.wait_us(order.expected(), now)).max().unwrap_or(0)
    }

    /// Every level is as the accounts say; what has no account is empty, or a budget's that is back; what has no level is idle.
    pub(super) fn agrees(&self, shop: &Shop, now: Now) -> Result<(), String> {
        let levels: BTreeMap<Key, LimitState> =
            shop.levels(now).into_iter().map(|(tenant, limit)| (key_of(tenant, &limit), limit)).collect();
        for (key, limit) in &levels {
            let agrees = match self.accounts.get(key) {
                Some(account) => account.agrees(limit.used, limit.held, now),
                None => limit.used == 0 || self.is_back(key, limit.used),
            };
            if !agrees {
                return Err(format!("{limit:?}\nis not {:?}", self.accounts.get(key)));
            }
        }
        let forgotten = self.accounts.iter().filter(|(key, _)| !levels.contains_key(key));
        match forgotten.map(|(_, account)| account).find(|account| account.spent(now) + account.held() > 0) {
            Some(account) => Err(format!("forgotten: {account:?}")),
            None => Ok(()),
        }
    }

    /// Is it what was spent of a budget that has gone? It may be back in its place before its tenant is.
    fn is_back(&self, key: &Key, used: u64) -> bool {
        self.gone.iter().any(|(gone, _, (_, spent))| gone == key && *spent == used)
    }

    pub(super) fn bounds_hold(&self) -> bool {
        self.accounts.values().all(Account::bound_holds)
    }
}

fn key_of(tenant: Option<&str>, limit: &LimitState) -> Key {
    let at =
        ["p", "r", "m"].iter().position(|&at| limit.limit.starts_with(at)).expect("named by where it is");
    let index =
        |of: Option<&str>, names: &[&str]| of.and_then(|of| names.iter().position(|&name| name == of));
    let subject = [
        index(tenant, &TENANTS),
        index(limit.user.as_deref(), &USERS),
        index(limit.route.as_deref(), &ROUTES),
        index(limit.model.as_deref(), &MODELS),
    ];
    (at, limit.per, Arc::clone(&limit.limit), subject)
}
