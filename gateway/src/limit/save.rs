//! Counts that outlive the program: what was spent of the limits per day and month.
//!
//! Whoever charges one notes its owner in a list, once between two saves. [`Registry::unsaved`] empties the list and
//! says what stands there now; writing it down is up to the caller, and so is reading it at the next start, for
//! [`Registry::restore`].

use super::calendar::Unit;
use super::common::Common;
use super::levels::Levels;
use super::registry::Registry;
use super::rules::{PlanRules, Rules};
use super::spend::{Bound, Spend, SpendRule};
use super::sync::{AtomicBool, Mutex};
use super::tenant::{Books, Tenant};
use super::{Per, pairs::Pair};
use crate::clock::Now;
use ahash::AHashMap;
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

impl Saved {
    /// Has its day or month passed for more than a year? Nobody will ask for it again.
    pub fn is_long_past(&self, now: Now) -> bool {
        let (unit, kept) = if self.key.ends_with("/month") { (Unit::Month, 13) } else { (Unit::Day, 400) };
        self.serial.saturating_add(kept) < unit.serial(now.wall_ms)
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

/// Counts of an earlier run that nobody has claimed yet.
#[derive(Default)]
pub(super) struct Restored(AHashMap<String, (u32, u64)>);

impl Registry {
    /// What is to be saved: every count of days or months that may have changed since the last call.
    pub fn unsaved(&self) -> Vec<Saved> {
        let Changed { tenants, commons } = std::mem::take(&mut *self.unsaved.0.lock());
        let mut all = Vec::new();
        for tenant in tenants.iter().filter_map(Weak::upgrade) {
            tenant.saving.end();
            tenant.books.lock().save(tenant.name(), &mut all);
        }
        for common in commons.iter().filter_map(Weak::upgrade) {
            common.saving.end();
            let books = common.lock();
            save(&key_of_common(&common), &books.rules.all, &books.levels, &mut all);
        }
        all
    }

    /// Gives counts of an earlier run, before the first policy is applied. What no policy asks for is kept until one
    /// does.
    pub fn restore(&self, saved: impl IntoIterator<Item = Saved>) {
        let entries = saved.into_iter().map(|Saved { key, serial, used }| (key, (serial, used)));
        self.look_mut(|known| known.restored.0.extend(entries));
    }
}

impl Books {
    fn save(&self, tenant: &str, all: &mut Vec<Saved>) {
        let plan = &self.plan;
        save(&key_of_tenant(tenant), &plan.tenant, &self.levels, all);
        for (user, (_, spends), _) in self.users.each(&plan.user) {
            save_spends(&key_of_user(tenant, user), &plan.user.spends, spends, all);
        }
        for pair in self.on_routes.each().chain(self.for_models.each()) {
            let (by_plan, by_common) = keys_of_pair(tenant, &pair.common);
            save(&by_plan, pair.plan_rules(plan), &pair.by_plan, all);
            save(&by_common, &pair.common_rules.tenant, &pair.by_common, all);
        }
    }
}

fn save(owner: &str, rules: &Rules, levels: &Levels, all: &mut Vec<Saved>) {
    save_spends(owner, &rules.spends, &levels.spends, all);
}

fn save_spends(owner: &str, rules: &[SpendRule], spends: &[Spend], all: &mut Vec<Saved>) {
    for (rule, spend) in rules.iter().zip(spends) {
        // 0: no period has begun, so that nothing was spent.
        if let Some((serial, used)) = spend.saved().filter(|(serial, _)| *serial > 0) {
            all.push(Saved { key: key(owner, rule), serial, used });
        }
    }
}

impl Restored {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts what is known of a route or model in its place.
    pub(super) fn give_common(&mut self, common: &Arc<Common>, now: Now) {
        let mut books = common.lock();
        let rules = Arc::clone(&books.rules);
        self.give(&key_of_common(common), &rules.all.spends, &mut books.levels.spends, now);
    }

    /// Puts what is known of a tenant in its place. Its levels on routes and for models are made for it.
    pub(super) fn give_tenant(&mut self, tenant: &Arc<Tenant>, commons: &[Arc<Common>], now: Now) {
        let name = tenant.name();
        let mut books = tenant.books.lock();
        let Books { plan, levels, users, on_routes, for_models, .. } = &mut *books;
        self.give(&key_of_tenant(name), &plan.tenant.spends, &mut levels.spends, now);
        if !plan.user.spends.is_empty() {
            let names: Vec<Arc<str>> = users.each(&plan.user).map(|(name, ..)| Arc::clone(name)).collect();
            for user in names {
                if let Some(spends) = users.spends_of(&user, &plan.user) {
                    self.give(&key_of_user(name, &user), &plan.user.spends, spends, now);
                }
            }
        }
        for common in commons {
            let (pairs, rules) = match common.per() {
                Per::Model => (&mut *for_models, &plan.tenant_model),
                _ => (&mut *on_routes, &plan.tenant_route),
            };
            if self.knows_pair(name, common, plan) {
                let Pair { common_rules, by_plan, by_common, .. } = pairs.find_always(common, rules);
                let (of_plan, of_common) = keys_of_pair(name, common);
                self.give(&of_plan, &rules.spends, &mut by_plan.spends, now);
                self.give(&of_common, &common_rules.tenant.spends, &mut by_common.spends, now);
            }
        }
    }

    fn knows_pair(&self, tenant: &str, common: &Common, plan: &PlanRules) -> bool {
        let (of_plan, of_common) = keys_of_pair(tenant, common);
        let by_plan = if common.per() == Per::Model { &plan.tenant_model } else { &plan.tenant_route };
        let (by_common, _) = common.rules();
        by_plan.spends.iter().any(|rule| self.0.contains_key(&key(&of_plan, rule)))
            || by_common.tenant.spends.iter().any(|rule| self.0.contains_key(&key(&of_common, rule)))
    }

    fn give(&mut self, owner: &str, rules: &[SpendRule], spends: &mut [Spend], now: Now) {
        for (rule, spend) in rules.iter().zip(spends) {
            if spend.saved().is_some()
                && let Some(count) = self.0.remove(&key(owner, rule))
            {
                spend.restore(rule, count, now);
            }
        }
    }
}

// Names are letters, digits, `.`, `_` and `-`, so that no two owners share a key. The measure is part of it, and so is
// the length of its periods: a limit that is edited to count something else starts anew.

fn key(owner: &str, rule: &SpendRule) -> String {
    let period = match &rule.bound {
        Bound::Calendar { calendar, .. } => calendar.unit().name(),
        Bound::Bucket(_) => "", // never saved
    };
    let mut key = String::with_capacity(owner.len() + rule.name.len() + 24);
    let measure = rule.measure.unit();
    let _ = write!(key, "{owner}/{}/{measure:?}/{period}", rule.name); // writing to a string cannot fail
    key
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
