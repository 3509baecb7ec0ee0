//! What all callers have in common, a route or a model: the levels of the limits written at it.

use super::Per;
use super::decide::Subject;
use super::estimate::Estimator;
use super::levels::{Levels, Open};
use super::permit::Ledger;
use super::rules::CommonRules;
use super::save::{self, Restored, Saving, Unsaved};
use super::spend::{Spend, Step};
use super::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::clock::Now;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A route's or a model's levels; the same one for as long as policy, a request or a level in use knows its name.
pub struct Common {
    name: Arc<str>,
    /// [`Per::Route`] or [`Per::Model`].
    per: Per,
    /// Does any limit count what all callers do? If not, requests leave the lock alone: all workers share it.
    limited: AtomicBool,
    /// Does any limit written here count each tenant for itself?
    limits_tenants: AtomicBool,
    /// How often its levels moved; written under the lock, read without.
    moves: AtomicU64,
    books: Mutex<CommonBooks>,
    /// Of a model: how many tokens a text will be. Learns from every answer that says what it cost.
    estimator: Mutex<Estimator>,
    /// Where to tell that a count is to be saved.
    unsaved: Unsaved,
    /// It has been told since the last save.
    pub(super) saving: Saving,
}

/// What the lock guards.
#[derive(Default)]
pub(super) struct CommonBooks {
    pub(super) rules: Arc<CommonRules>,
    pub(super) levels: Levels,
    pub(super) open: Open,
    pub(super) born: u32,
    per: Option<Per>,
}

/// The books, locked.
pub(super) type Locked<'a> = MutexGuard<'a, CommonBooks>;

/// Which route or model; stable while anything holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommonKey(NonZeroUsize);

impl Common {
    /// One without limits.
    pub(super) fn new(name: Arc<str>, per: Per, unsaved: &Unsaved) -> Common {
        Common {
            name,
            per,
            limited: AtomicBool::new(false),
            limits_tenants: AtomicBool::new(false),
            moves: AtomicU64::new(0),
            books: Mutex::new(CommonBooks { per: Some(per), ..CommonBooks::default() }),
            estimator: Mutex::default(),
            unsaved: unsaved.clone(),
            saving: Saving::default(),
        }
    }

    /// As written in policy.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it learned of how many tokens a text is.
    pub fn estimator(&self) -> Estimator {
        *self.estimator.lock()
    }

    /// Lets it learn from an answer.
    pub fn teach(&self, lesson: impl FnOnce(&mut Estimator)) {
        lesson(&mut self.estimator.lock());
    }

    /// [`Per::Route`] or [`Per::Model`].
    pub(super) fn per(&self) -> Per {
        self.per
    }

    /// What a limit counts that is written here but for each tenant by itself.
    pub(super) fn per_tenant(&self) -> Per {
        if self.per == Per::Model { Per::TenantModel } else { Per::TenantRoute }
    }

    /// Its address: a `Common` lives in an `Arc` and never moves.
    pub(super) fn key(self: &Arc<Common>) -> CommonKey {
        CommonKey(NonNull::from(&**self).addr())
    }

    /// Puts rules in force. What is spent of budgets that are gone is left in `restored`.
    pub(super) fn apply(
        self: &Arc<Common>,
        rules: CommonRules,
        now: Now,
        born: u32,
        restored: &mut Restored,
    ) {
        let mut books = self.books.lock();
        let rules = rules.after(&books.rules);
        let used = |rule: &_, spend: &Spend| spend.spent(rule, now) > 0;
        let before = books.rules.all.moves_budgets(&rules.all).then(|| books.saved(self, &used));
        let old = std::mem::replace(&mut books.rules, Arc::clone(&rules));
        books.levels.carry(&old.all, &rules.all, now);
        books.born = born;
        if let Some(before) = before {
            let after = books.saved(self, save::ALL);
            restored.keep_gone(before, &after);
            if after.iter().any(|count| count.used > 0) && self.saving.begin() {
                self.unsaved.common(self); // what is on the disk may be of another zone's day
            }
        }
        self.limited.store(!rules.all.is_empty(), Ordering::Release);
        self.limits_tenants.store(!rules.tenant.is_empty(), Ordering::Release);
    }

    /// The rules in force, and the reload that put them there.
    pub(super) fn rules(&self) -> (Arc<CommonRules>, u32) {
        let books = self.books.lock();
        (Arc::clone(&books.rules), books.born)
    }

    /// Does any limit written here count each tenant for itself?
    #[inline]
    pub(super) fn limits_tenants(&self) -> bool {
        self.limits_tenants.load(Ordering::Acquire)
    }

    /// Locks the levels; None if there are none. Never take a tenant's lock while holding this one, nor a route's
    /// while holding a model's.
    #[inline]
    pub(super) fn lock_if_limited(&self) -> Option<Locked<'_>> {
        self.limited.load(Ordering::Acquire).then(|| self.books.lock())
    }

    /// How often its levels moved.
    #[inline]
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Notes that its levels move; the caller holds the lock, so nobody else writes.
    #[inline]
    fn moved(&self) {
        self.moves.store(self.moves.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Notes that its levels moved, and counts an open request if its end changes something; `books` are its own,
    /// locked.
    #[inline]
    pub(super) fn begin(&self, books: &mut CommonBooks, over: bool) -> bool {
        self.moved();
        let counted = books.rules.all.waits_for_the_end();
        if counted {
            books.open.begin(over);
        }
        counted
    }

    /// Takes a step of one request's cost; see [`Ledger::step`].
    pub(super) fn step(
        self: &Arc<Common>,
        ledger: &Ledger,
        step: &Step<'_>,
        at: usize,
        born: u32,
        now: Now,
    ) -> bool {
        let mut books = self.books.lock();
        let CommonBooks { rules, levels, .. } = &mut *books;
        let stepped = ledger.step(step, at, born, (&rules.all.spends, &mut levels.spends), now);
        self.moved();
        drop(books);
        if stepped.dated && self.saving.begin() {
            self.unsaved.common(self);
        }
        stepped.spent
    }

    /// Locks the levels to look at them.
    pub(super) fn lock(&self) -> Locked<'_> {
        self.books.lock()
    }

    /// Ends what [`begin`](Common::begin) counted.
    pub(super) fn close(&self, over: bool, took_us: u64) {
        self.books.lock().open.end(over, took_us);
    }
}

impl CommonBooks {
    /// As a subject of a decision; None if it has no say.
    #[inline]
    pub(super) fn subject(&mut self) -> Option<Subject<'_>> {
        let CommonBooks { rules, levels, open, per, .. } = self;
        levels.subject(per.unwrap_or(Per::Route), &rules.all, *open)
    }

    /// Forgetting it would change no decision.
    pub(super) fn idle(&self, now: Now) -> bool {
        self.open.requests == 0 && self.levels.idle(&self.rules.all, now)
    }
}
