//! Counts that outlive the program: what was spent of the limits per day and month.
//!
//! Whoever charges one notes its owner in a list, once between two saves. [`Registry::unsaved`] empties the list and
//! says what stands there now; writing it down is up to the caller, and so is reading it at the next start, for
//! [`Registry::restore`]. A budget that a reload takes away leaves what was spent of it here, too: it may come back.

use super::calendar::Unit;
use super::common::{Common, CommonBooks};
use super::levels::Levels;
use super::money::Currency;
use super::registry::Registry;
use super::rules::{PlanRules, Rules};
use super::spend::{Bound, Spend, SpendRule};
use super::sync::{AtomicBool, Mutex};
use super::tenant::{Books, Tenant};
use super::{Per, pairs::Pair};
use crate::clock::Now;
use ahash::{AHashMap, AHashSet};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// One count, as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Whose it is and of which limit, such as `tenant/acme/model/pangu-large/daily/Tokens/day`.
    pub key: String,
    /// Which day or month.
    pub serial: u32,
    /// How much of it is spent.
    pub used: u64,
}

/// What comes before the keys of counts that were set aside, and between it and the key the period, so that none takes
/// another's place.
const ASIDE: &str = "aside/";

impl Saved {
    /// Had its day or month passed for more than a year by `dates`? Nobody will ask for it again.
    pub fn is_long_past(&self, dates: &Dates) -> bool {
        let unit = unit_of(&self.key);
        let kept = if unit == Unit::Month { 13 } else { 400 };
        self.serial.saturating_add(kept) < dates.of(unit)
    }

    /// Is its day or month yet to come, and not only elsewhere on the globe? Then this clock is wrong, or the one that it
    /// was counted by.
    pub fn is_ahead(&self, now: Now) -> bool {
        self.serial > unit_of(&self.key).serial(now.wall_ms).saturating_add(1)
    }

    /// The same under another key, where what is counted meanwhile does not overwrite it.
    pub fn aside(&self) -> Saved {
        Saved { key: format!("{ASIDE}{}/{}", self.serial, self.key), ..*self }
    }

    /// Was it set aside?
    pub fn is_aside(&self) -> bool {
        self.key.starts_with(ASIDE)
    }

    /// Under its own key again.
    fn put_back(self) -> Saved {
        match self.key.strip_prefix(ASIDE).and_then(|rest| rest.split_once('/')) {
            Some((_, key)) => Saved { key: key.to_string(), ..self },
            None => self,
        }
    }
}

/// The present day and month, as far as both the clock and what was counted before know them: a clock that is ahead
/// makes nothing old.
pub struct Dates {
    day: u32,
    month: u32,
}

impl Dates {
    /// By the clock, but none that is later than any count.
    pub fn new(saved: &[Saved], now: Now) -> Dates {
        let date = |unit: Unit| {
            let serials = saved.iter().filter(|count| unit_of(&count.key) == unit).map(|count| count.serial);
            serials.max().unwrap_or(0).min(unit.serial(now.wall_ms))
        };
        Dates { day: date(Unit::Day), month: date(Unit::Month) }
    }

    fn of(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Day => self.day,
            Unit::Month => self.month,
        }
    }
}

/// Whose counts have changed since the last save.
#[derive(Clone, Default)]
pub(super) struct Unsaved(Arc<Mutex<Changed>>);

#[derive(Default)]
struct Changed {
    tenants: Vec<Weak<Tenant>>,
    commons: Vec<Weak<Common>>,
}

impl Unsaved {
    pub(super) fn tenant(&self, tenant: &Arc<Tenant>) {
        self.0.lock().tenants.push(Arc::downgrade(tenant));
    }

    pub(super) fn common(&self, common: &Arc<Common>) {
        self.0.lock().commons.push(Arc::downgrade(common));
    }
}

/// Whether an owner stands in the list already: it is locked once between two saves, not at every step.
#[derive(Default)]
pub(super) struct Saving(AtomicBool);

impl Saving {
    /// Is this the first change since the last save?
    pub(super) fn begin(&self) -> bool {
        !self.0.load(Ordering::Relaxed) && !self.0.swap(true, Ordering::AcqRel)
    }

    /// Whatever changes from now on is to be told again. Before the counts are read: what comes in between is saved
    /// twice, and nothing never.
    fn end(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// Counts that no limit has claimed yet, of an earlier run or of limits that have gone: by key, with their periods.
#[derive(Default)]
pub(super) struct Restored {
    counts: AHashMap<String, Vec<Count>>,
    /// Is any of a period that has not come yet?
    ahead: bool,
}

/// Which period, and what was spent in it.
type Count = (u32, u64);

/// Levels, and the rules that they are made for.
type Spends<'a> = (&'a [SpendRule], &'a mut [Spend]);

/// Which counts are asked for.
pub(super) type Which<'a> = &'a dyn Fn(&SpendRule, &Spend) -> bool;

pub(super) const ALL: Which<'static> = &|_, _| true;

/// Routes and models, by kind and name.
type FindCommon<'a> = &'a dyn Fn(&str, &str) -> Option<&'a Arc<Common>>;

impl Registry {
    /// What is to be saved: every count of days or months that may have changed since the last call.
    pub fn unsaved(&self) -> Vec<Saved> {
        let Changed { tenants, commons } = std::mem::take(&mut *self.unsaved.0.lock());
        let mut all = Vec::new();
        for tenant in tenants.iter().filter_map(Weak::upgrade) {
            tenant.saving.end();
            all.extend(tenant.books.lock().saved(tenant.name(), ALL));
        }
        for common in commons.iter().filter_map(Weak::upgrade) {
            common.saving.end();
            all.extend(common.lock().saved(&common, ALL));
        }
        all
    }

    /// Gives counts of an earlier run, before the first policy is applied. What no policy asks for is kept until one
    /// does, and what the clock says is yet to come until it says otherwise.
    pub fn restore(&self, saved: impl IntoIterator<Item = Saved>) {
        self.look_mut(|known| known.restored.extend(saved.into_iter().map(Saved::put_back)));
    }
}

impl Books {
    /// What is spent by the tenant of this name, of `which` budgets.
    pub(super) fn saved(&self, tenant: &str, which: Which<'_>) -> Vec<Saved> {
        let (plan, mut all) = (&self.plan, Vec::new());
        save(&key_of_tenant(tenant), &plan.tenant, &self.levels, which, &mut all);
        for (user, (_, spends), _) in self.users.each(&plan.user) {
            save_spends(&key_of_user(tenant, user), &plan.user.spends, spends, which, &mut all);
        }
        for pair in self.on_routes.each().chain(self.for_models.each()) {
            let (by_plan, by_common) = keys_of_pair(tenant, &pair.common);
            save(&by_plan, pair.plan_rules(plan), &pair.by_plan, which, &mut all);
            save(&by_common, &pair.common_rules.tenant, &pair.by_common, which, &mut all);
        }
        all
    }

    /// Does any budget go, or count otherwise, once `plan` and what is written at routes and models now are in force?
    pub(super) fn moves_budgets(&self, plan: &Arc<PlanRules>) -> bool {
        let pairs = || self.on_routes.each().chain(self.for_models.each());
        let by_plan = !Arc::ptr_eq(&self.plan, plan)
            && (self.plan.tenant.moves_budgets(&plan.tenant)
                || self.plan.user.moves_budgets(&plan.user)
                || pairs().any(|pair| pair.plan_rules(&self.plan).moves_budgets(pair.plan_rules(plan))));
        let at_common = |pair: &Pair| {
            let before = &pair.common_rules;
            !before.tenant.spends.is_empty() && before.tenant.moves_budgets(&pair.common.lock().rules.tenant)
        };
        by_plan || pairs().any(at_common)
    }

    /// What counts `key`, whose owner is the tenant of this name and `level` in it. Levels on a route or for a model are
    /// made for it.
    fn spends_of<'a>(
        &'a mut self,
        key: &str,
        (tenant, level): (&str, &[&str]),
        commons: FindCommon<'_>,
    ) -> Option<Spends<'a>> {
        let Books { plan, levels, users, on_routes, for_models, .. } = self;
        let (by_plan, kind, name) = match *level {
            [] => return Some((&plan.tenant.spends, &mut levels.spends)),
            ["user", user] => return Some((&plan.user.spends, users.spends_of(user, &plan.user)?)),
            ["plan", kind, name] => (true, kind, name),
            [kind, name] => (false, kind, name),
            _ => return None,
        };
        let common = commons(kind, name)?;
        let (pairs, rules) = match common.per() {
            Per::Model => (for_models, &plan.tenant_model),
            _ => (on_routes, &plan.tenant_route),
        };
        let (of_plan, of_common) = keys_of_pair(tenant, common);
        let wanted = if by_plan {
            rules.counts(&of_plan, key)
        } else {
            common.lock().rules.tenant.counts(&of_common, key)
        };
        let Pair { common_rules, by_plan: plans, by_common, .. } =
            wanted.then(|| pairs.find_always(common, rules))?;
        Some(match by_plan {
            true => (&rules.spends, &mut plans.spends),
            false => (&common_rules.tenant.spends, &mut by_common.spends),
        })
    }
}

impl CommonBooks {
    /// What is spent by all callers of `common`, whose books these are, of `which` budgets.
    pub(super) fn saved(&self, common: &Common, which: Which<'_>) -> Vec<Saved> {
        let mut all = Vec::new();
        save(&key_of_common(common), &self.rules.all, &self.levels, which, &mut all);
        all
    }
}

impl Rules {
    /// Is any of them saved as `key`, if `owner` has them?
    fn counts(&self, owner: &str, key: &str) -> bool {
        self.spends.iter().any(|rule| key_of(owner, rule) == key)
    }
}

fn save(owner: &str, rules: &Rules, levels: &Levels, which: Which<'_>, all: &mut Vec<Saved>) {
    save_spends(owner, &rules.spends, &levels.spends, which, all);
}

fn save_spends(owner: &str, rules: &[SpendRule], spends: &[Spend], which: Which<'_>, all: &mut Vec<Saved>) {
    for (rule, spend) in rules.iter().zip(spends).filter(|(rule, spend)| which(rule, spend)) {
        // 0: no period has begun, so that nothing was spent.
        if let Some((serial, used)) = spend.saved().filter(|(serial, _)| *serial > 0) {
            all.push(Saved { key: key_of(owner, rule), serial, used });
        }
    }
}

impl Restored {
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Does any wait for its time, whatever policy says?
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead
    }

    /// Keeps what stood in `before` and has no place in `after`: the limit may come back.
    pub(super) fn keep_gone(&mut self, before: Vec<Saved>, after: &[Saved]) {
        let kept: AHashSet<&str> = after.iter().map(|count| &*count.key).collect();
        self.extend(before.into_iter().filter(|count| !kept.contains(&*count.key)));
    }

    fn extend(&mut self, saved: impl IntoIterator<Item = Saved>) {
        for Saved { key, serial, used } in saved {
            let counts = self.counts.entry(key).or_default();
            match counts.iter_mut().find(|(known, _)| *known == serial) {
                Some((_, known)) => *known = used.max(*known),
                None => counts.push((serial, used)),
            }
        }
    }

    /// Puts what is known in its place, and forgets what is over.
    pub(super) fn give(
        &mut self,
        tenants: &AHashMap<Arc<str>, Arc<Tenant>>,
        commons: FindCommon<'_>,
        now: Now,
    ) {
        let [today, this_month] = [Unit::Day, Unit::Month].map(|unit| unit.serial(now.wall_ms));
        let ahead = &mut self.ahead;
        *ahead = false;
        self.counts.retain(|key, counts| {
            let present = if unit_of(key) == Unit::Month { this_month } else { today };
            counts.retain(|(serial, _)| *serial >= present.saturating_sub(1)); // the zone may be a day behind
            if counts.iter().all(|(serial, _)| *serial > present.saturating_add(2)) {
                *ahead |= !counts.is_empty();
                return !counts.is_empty();
            }
            let owner = owner_of(key);
            let mut give = |(rules, spends): Spends<'_>| {
                for (rule, spend) in rules.iter().zip(spends) {
                    if key_of(owner, rule) == *key {
                        counts.retain(|count| !spend.restore(rule, *count, now));
                    }
                }
            };
            match *owner.split('/').collect::<Vec<_>>() {
                ["tenant", name, ref level @ ..] => {
                    let mut books = tenants.get(name).map(|tenant| tenant.books.lock());
                    let spends =
                        books.as_mut().and_then(|books| books.spends_of(key, (name, level), commons));
                    spends.into_iter().for_each(give);
                }
                [kind, name] => {
                    if let Some(common) = commons(kind, name) {
                        let CommonBooks { rules, levels, .. } = &mut *common.lock();
                        give((&rules.all.spends, &mut levels.spends));
                    }
                }
                _ => {}
            }
            *ahead |= counts.iter().any(|(serial, _)| *serial > present);
            !counts.is_empty()
        });
    }
}

// Names are letters, digits, `.`, `_` and `-`, so that no two owners share a key. The measure or currency is part of it, and so is
// the length of its periods: a limit that is edited to count something else starts anew.

fn key_of(owner: &str, rule: &SpendRule) -> String {
    let period = match &rule.bound {
        Bound::Calendar { calendar, .. } => calendar.unit().name(),
        Bound::Bucket(_) => "", // never saved
    };
    let mut key = String::with_capacity(owner.len() + rule.name.len() + 24);
    let _ = match rule.counted() {
        (measure, Currency::NONE) => write!(key, "{owner}/{}/{:?}/{period}", rule.name, measure.unit()),
        (_, currency) => write!(key, "{owner}/{}/{currency}/{period}", rule.name),
    }; // writing to a string cannot fail
    key
}

/// All but the last three words.
fn owner_of(key: &str) -> &str {
    key.rsplitn(4, '/').nth(3).unwrap_or_default()
}

fn unit_of(key: &str) -> Unit {
    if key.ends_with("/month") { Unit::Month } else { Unit::Day }
}

fn key_of_tenant(tenant: &str) -> String {
    format!("tenant/{tenant}")
}

fn key_of_user(tenant: &str, user: &str) -> String {
    format!("tenant/{tenant}/user/{user}")
}

fn key_of_common(common: &Common) -> String {
    let kind = if common.per() == Per::Model { "model" } else { "route" };
    format!("{kind}/{}", common.name())
}

/// Of the limits written in the plan, and of those written at the route or model.
fn keys_of_pair(tenant: &str, common: &Common) -> (String, String) {
    let common = key_of_common(common);
    (format!("tenant/{tenant}/plan/{common}"), format!("tenant/{tenant}/{common}"))
}
