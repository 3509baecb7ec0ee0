//! What a tenant uses of each route, and of each model: the levels of limits per tenant+route and tenant+model.

use super::common::{Common, CommonKey};
use super::decide::Subject;
use super::levels::{Levels, Open};
use super::quantile::Quantile;
use super::rules::{CommonRules, PlanRules, Rules};
use crate::clock::Now;
use std::sync::Arc;

/// Made when a tenant first uses a route or model that such a limit covers, so never more than there are of these;
/// sorted by their keys.
#[derive(Default)]
pub(super) struct Pairs(Vec<Pair>);

/// One tenant on one route, or for one model. Limits of the tenant's plan and limits written there stand side by
/// side: their names may coincide.
pub(super) struct Pair {
    /// Also keeps it, and so its key, for as long as the levels last.
    pub(super) common: Arc<Common>,
    /// Its rules that `by_common` was made for.
    pub(super) common_rules: Arc<CommonRules>,
    /// The reload in force when it took them. In the middle of one, it may be ahead of its tenant's.
    pub(super) common_born: u32,
    pub(super) by_plan: Levels,
    pub(super) by_common: Levels,
    pub(super) open: Open,
    /// How long the answers of this model to this tenant are.
    completion: Quantile,
    /// When an answer taught it last.
    taught_us: u64,
}

/// How long what answers taught is kept after the last one.
const TAUGHT_US: u64 = 3_600_000_000;

impl Pairs {
    /// The pair for `common`; None if no limit needs one. Allocates on first use; `common` must not be locked.
    #[inline]
    pub(super) fn find(&mut self, common: &Arc<Common>, plan: &Rules) -> Option<&mut Pair> {
        if plan.is_empty() && !common.limits_tenants() {
            return None;
        }
        Some(self.find_always(common, plan))
    }

    /// The pair for `common`, whether a limit needs it or not: it also knows how long answers are.
    #[inline]
    pub(super) fn find_always(&mut self, common: &Arc<Common>, plan: &Rules) -> &mut Pair {
        let at = match self.position(common.key()) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, Pair::new(common, plan));
                at
            }
        };
        &mut self.0[at]
    }

    /// The pair for `key`, if there is one.
    #[inline]
    pub(super) fn get(&mut self, key: CommonKey) -> Option<&mut Pair> {
        self.position(key).ok().map(|at| &mut self.0[at])
    }

    /// Counts an open request if its end changes something.
    #[inline]
    pub(super) fn begin(&mut self, key: CommonKey, plan: &Rules, over: bool) -> Option<CommonKey> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.get(key)?;
        if !plan.waits_for_the_end() && !pair.common_rules.tenant.waits_for_the_end() {
            return None;
        }
        pair.open.begin(over);
        Some(key)
    }

    /// Counts an open request: its end teaches how long answers are.
    #[inline]
    pub(super) fn begin_always(&mut self, key: CommonKey, over: bool) -> Option<CommonKey> {
        self.get(key)?.open.begin(over);
        Some(key)
    }

    /// Ends what [`begin`](Pairs::begin) counted; until then the pair was not forgotten.
    pub(super) fn close(&mut self, key: CommonKey, over: bool, took_us: u64) {
        let pair = self.get(key);
        debug_assert!(pair.is_some(), "a busy pair stays");
        if let Some(pair) = pair {
            pair.open.end(over, took_us);
        }
    }

    /// An answer was `completion` tokens long.
    pub(super) fn learn(&mut self, key: CommonKey, completion: u64, now: Now) {
        if let Some(pair) = self.get(key) {
            pair.completion.learn(completion);
            pair.taught_us = now.mono_us;
        }
    }

    /// Puts the plan's new rules and those of routes or models in force, after forgetting what is idle.
    pub(super) fn apply(&mut self, from: &Rules, to: &Rules, now: Now) {
        self.sweep(from, now);
        for pair in &mut self.0 {
            pair.apply(from, to, now);
        }
    }

    /// Forgets idle pairs; the next use makes them anew.
    pub(super) fn sweep(&mut self, plan: &Rules, now: Now) {
        self.0.retain(|pair| !pair.idle(plan, now));
    }

    pub(super) fn each(&self) -> impl ExactSizeIterator<Item = &Pair> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn position(&self, key: CommonKey) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |pair| pair.common.key())
    }
}

impl Pair {
    /// Empty levels. Looks into `common`, which must not be locked.
    pub(super) fn new(common: &Arc<Common>, plan: &Rules) -> Pair {
        let (common_rules, common_born) = common.rules();
        Pair {
            common: Arc::clone(common),
            by_plan: Levels::fresh(plan),
            by_common: Levels::fresh(&common_rules.tenant),
            common_rules,
            common_born,
            open: Open::default(),
            completion: Quantile::default(),
            taught_us: 0,
        }
    }

    /// How long an answer is to be expected, if the request allows at most `max` tokens.
    #[inline]
    pub(super) fn completion(&self, max: Option<u64>) -> u64 {
        self.completion.reserve(max)
    }

    /// The rules of the plan that count here.
    pub(super) fn plan_rules<'a>(&self, plan: &'a PlanRules) -> &'a Rules {
        if self.common.per() == super::Per::Model { &plan.tenant_model } else { &plan.tenant_route }
    }

    /// The pair as subjects of a decision: by the plan's limits, and by the route's or model's.
    #[inline]
    pub(super) fn subjects<'a>(&'a mut self, plan: &'a Rules) -> [Option<Subject<'a>>; 2] {
        let Pair { common, common_rules, by_plan, by_common, open, .. } = self;
        let per = common.per_tenant();
        [by_plan.subject(per, plan, *open), by_common.subject(per, &common_rules.tenant, *open)]
    }

    fn apply(&mut self, from: &Rules, to: &Rules, now: Now) {
        self.by_plan.carry(from, to, now);
        let (new, born) = self.common.rules();
        let new = new.known_by(&self.common_rules);
        self.by_common.carry(&self.common_rules.tenant, &new.tenant, now);
        (self.common_rules, self.common_born) = (new, born);
    }

    fn idle(&self, plan: &Rules, now: Now) -> bool {
        let taught = self.taught_us > 0 && now.mono_us.saturating_sub(self.taught_us) < TAUGHT_US;
        self.open.requests == 0
            && !taught
            && self.by_plan.idle(plan, now)
            && self.by_common.idle(&self.common_rules.tenant, now)
    }
}
