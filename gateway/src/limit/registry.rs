//! All tenants, routes and models by name, and how a new policy takes over their levels.

use super::common::Common;
use super::rules::{CommonRules, PlanRules};
use super::save::{Restored, Unsaved};
use super::sync::Mutex;
use super::tally::AllTallies;
use super::tenant::Tenant;
use super::users::UserIx;
use super::{CommonPlan, Per, Plan};
use crate::clock::Now;
use ahash::AHashMap;
use std::sync::Arc;

/// All levels, kept across reloads: one per gateway. Requests hold what they need and never look here.
#[derive(Default)]
pub struct Registry {
    known: Mutex<Known>,
    pub(super) unsaved: Unsaved,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) tenants: AHashMap<Arc<str>, Arc<Tenant>>,
    pub(super) routes: AHashMap<Arc<str>, Arc<Common>>,
    pub(super) models: AHashMap<Arc<str>, Arc<Common>>,
    /// By the names of plans, as the last policy had them.
    plans: AHashMap<Arc<str>, Arc<PlanRules>>,
    pub(super) tallies: AllTallies,
    pub(super) restored: Restored,
    /// Counts the policies applied: what tells a level's age.
    born: u32,
}

/// What a policy wants counted.
#[derive(Default)]
pub struct Policy<'a> {
    /// Who calls.
    pub tenants: &'a [TenantSpec],
    /// Names of routes and the limits written at them.
    pub routes: &'a [(Arc<str>, Arc<CommonPlan>)],
    /// Names of models and the limits written at them.
    pub models: &'a [(Arc<str>, Arc<CommonPlan>)],
}

/// A tenant to put in force.
pub struct TenantSpec {
    /// Unique; levels are kept by it.
    pub name: Arc<str>,
    /// Tenants of one plan share one `Arc`: it is compiled once.
    pub plan: Arc<Plan>,
    /// Names of its users, unique within the tenant; their levels are kept by them.
    pub users: Arc<[Arc<str>]>,
}

/// Handles to what a policy put in force, in the order given.
pub struct Applied {
    /// For each [`TenantSpec`].
    pub tenants: Vec<Enrolled>,
    /// For each route.
    pub routes: Vec<Arc<Common>>,
    /// For each model.
    pub models: Vec<Arc<Common>>,
}

/// A tenant in force.
pub struct Enrolled {
    /// Its levels.
    pub tenant: Arc<Tenant>,
    /// The places of its users, in the order of [`TenantSpec::users`].
    pub users: Vec<UserIx>,
}

impl Registry {
    /// Puts a whole policy's plans in force: creates what is new, swaps the rules of what stays (levels are kept
    /// by limit name, each tenant at once), forgets what is gone once it is idle.
    ///
    /// Requests go on meanwhile. Those that began under the policy before meet the new rules too: levels have
    /// one set of rules at a time.
    pub fn apply(&self, policy: &Policy<'_>, now: Now) -> Applied {
        let mut known = self.known.lock();
        known.born = known.born.wrapping_add(1);
        // Routes and models first: a tenant's levels there are made for their rules in force.
        let commons = |known: &mut Known, per, plans: &[(Arc<str>, Arc<CommonPlan>)]| -> Vec<Arc<Common>> {
            plans.iter().map(|(name, plan)| known.apply_common(name, per, plan, &self.unsaved, now)).collect()
        };
        let routes = commons(&mut known, Per::Route, policy.routes);
        let models = commons(&mut known, Per::Model, policy.models);
        let mut plans = Plans::replacing(std::mem::take(&mut known.plans), known.born);
        let tenants: Vec<Enrolled> = policy
            .tenants
            .iter()
            .map(|spec| known.apply_tenant(spec, &mut plans, &self.unsaved, now))
            .collect();
        known.plans = plans.in_force();
        known.give_back(now);
        if known.beyond(&tenants, &routes, &models) {
            known.forget_idle(now);
        }
        known.tallies.sweep();
        Applied { tenants, routes, models }
    }

    /// Forgets what has gone from policy and become idle since, and gives back counts of an earlier run that the clock
    /// was behind of. [`apply`](Registry::apply) does it too; call it now and then where reloads are rare.
    pub fn sweep(&self, now: Now) {
        let mut known = self.known.lock();
        if known.restored.is_ahead() {
            known.give_back(now);
        }
        known.forget_idle(now);
        known.tallies.sweep();
    }

    pub(super) fn look<T>(&self, at: impl FnOnce(&Known) -> T) -> T {
        at(&self.known.lock())
    }

    pub(super) fn look_mut<T>(&self, at: impl FnOnce(&mut Known) -> T) -> T {
        at(&mut self.known.lock())
    }
}

impl Known {
    fn apply_common(
        &mut self,
        name: &Arc<str>,
        per: Per,
        plan: &CommonPlan,
        unsaved: &Unsaved,
        now: Now,
    ) -> Arc<Common> {
        let (all, kind) = match per {
            Per::Model => (&mut self.models, "model"),
            _ => (&mut self.routes, "route"),
        };
        let new = || Arc::new(Common::new(Arc::clone(name), per, unsaved));
        let common = all.entry(Arc::clone(name)).or_insert_with(new);
        let rules = CommonRules::of(plan, per, &self.tallies.of(kind, name), self.born);
        common.apply(rules, now, self.born, &mut self.restored);
        Arc::clone(common)
    }

    fn apply_tenant(
        &mut self,
        spec: &TenantSpec,
        plans: &mut Plans,
        unsaved: &Unsaved,
        now: Now,
    ) -> Enrolled {
        let Known { tenants, tallies, restored, born, .. } = self;
        let tenant = match tenants.get(&spec.name) {
            Some(tenant) => Arc::clone(tenant),
            None => {
                let plan = plans.latest(&spec.plan, tallies);
                let tenant = Arc::new(Tenant::new(Arc::clone(&spec.name), &plan, unsaved));
                tenants.insert(Arc::clone(&spec.name), Arc::clone(&tenant));
                tenant
            }
        };
        let after = |old: &_| plans.after(old, &spec.plan, tallies);
        let users = tenant.apply(after, &spec.users, now, *born, restored);
        Enrolled { tenant, users }
    }

    /// Is anybody known who is not among those of the policy?
    fn beyond(&self, tenants: &[Enrolled], routes: &[Arc<Common>], models: &[Arc<Common>]) -> bool {
        self.tenants.len() > tenants.len()
            || self.routes.len() > routes.len()
            || self.models.len() > models.len()
    }

    /// Puts counts that no limit has claimed where they belong now.
    fn give_back(&mut self, now: Now) {
        if self.restored.is_empty() {
            return;
        }
        let Known { tenants, routes, models, restored, .. } = self;
        let common = |kind: &str, name: &str| match kind {
            "route" => routes.get(name),
            "model" => models.get(name),
            _ => None,
        };
        restored.give(tenants, &common, now);
    }

    /// What nobody else holds is in no policy and serves no request: it goes when it is idle. Tenants first, as their
    /// levels hold routes and models.
    fn forget_idle(&mut self, now: Now) {
        self.tenants.retain(|_, tenant| {
            let mut books = tenant.books.lock();
            let plan = Arc::clone(&books.plan);
            books.on_routes.sweep(&plan.tenant_route, now);
            books.for_models.sweep(&plan.tenant_model, now);
            Arc::strong_count(tenant) > 1 || !books.idle(now)
        });
        for commons in [&mut self.routes, &mut self.models] {
            commons.retain(|_, common| Arc::strong_count(common) > 1 || !common.lock().idle(now));
        }
    }
}

/// Compiles each plan once, however many tenants have it.
struct Plans {
    /// By name, of the policy before.
    before: AHashMap<Arc<str>, Arc<PlanRules>>,
    /// What follows on these, and its plan's name.
    latest: AHashMap<*const Plan, (Arc<str>, Arc<PlanRules>)>,
    /// What follows on the rules that tenants had.
    after: AHashMap<(*const PlanRules, *const Plan), Following>,
    born: u32,
}

/// Rules that follow on others; these are kept as long, for their address is the key.
struct Following {
    _old: Arc<PlanRules>,
    new: Arc<PlanRules>,
}

impl Plans {
    fn replacing(before: AHashMap<Arc<str>, Arc<PlanRules>>, born: u32) -> Plans {
        Plans { before, latest: AHashMap::default(), after: AHashMap::default(), born }
    }

    /// The plan's rules, as they follow on the plan of this name in the policy before.
    fn latest(&mut self, plan: &Arc<Plan>, tallies: &mut AllTallies) -> Arc<PlanRules> {
        let Plans { before, latest, born, .. } = self;
        let (_, rules) = latest.entry(Arc::as_ptr(plan)).or_insert_with(|| {
            let nothing = Arc::default();
            let before = before.get(&plan.name).unwrap_or(&nothing);
            (Arc::clone(&plan.name), compiled(plan, tallies, *born).after(before))
        });
        Arc::clone(rules)
    }

    /// The plan's rules, as they follow on what a tenant had: another plan's, maybe.
    fn after(&mut self, old: &Arc<PlanRules>, plan: &Arc<Plan>, tallies: &mut AllTallies) -> Arc<PlanRules> {
        let key = (Arc::as_ptr(old), Arc::as_ptr(plan));
        if let Some(known) = self.after.get(&key) {
            return Arc::clone(&known.new);
        }
        let latest = self.latest(plan, tallies);
        let same_plan = self.before.get(&plan.name).is_some_and(|before| Arc::ptr_eq(before, old));
        let in_force = same_plan || Arc::ptr_eq(old, &latest);
        let rules = if in_force { latest } else { compiled(plan, tallies, self.born).after(old) };
        self.after.insert(key, Following { _old: Arc::clone(old), new: Arc::clone(&rules) });
        rules
    }

    fn in_force(self) -> AHashMap<Arc<str>, Arc<PlanRules>> {
        self.latest.into_values().collect()
    }
}

fn compiled(plan: &Plan, tallies: &mut AllTallies, born: u32) -> PlanRules {
    PlanRules::of(plan, &tallies.of("plan", &plan.name), born)
}
