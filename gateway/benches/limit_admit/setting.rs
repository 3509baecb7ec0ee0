//! Gateways to measure: tenants with one user each, a route and a model.

use pangu_gateway::clock::Now;
use pangu_gateway::limit::measure::Measure;
use pangu_gateway::limit::price::Price;
use pangu_gateway::limit::{
    Algorithm, Amount, Applied, Asking, CommonPlan, Limit, Limited, Metered, Per, Permit, Plan, Policy,
    Registry, TenantSpec, admit,
};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub const AMPLE: u32 = 1_000_000_000;
const MINUTE: Duration = Duration::from_secs(60);

pub struct Setting {
    pub applied: Applied,
    _registry: Registry,
}

impl Setting {
    /// One tenant with these limits of its plan.
    pub fn new(plan: &[(Per, Amount)]) -> Setting {
        let registry = Registry::default();
        let applied = apply(&registry, &tenants(1, 1, plan));
        Setting { applied, _registry: registry }
    }

    pub fn one_level() -> Setting {
        Setting::new(&[(Per::Tenant, rpm(AMPLE))])
    }

    /// Tenant, user, and tenant for a model: requests and tokens each.
    pub fn six_meters() -> Setting {
        let pers = [Per::Tenant, Per::User, Per::TenantModel];
        Setting::new(&pers.map(|per| [(per, rpm(AMPLE)), (per, tpm(AMPLE))]).concat())
    }

    pub fn refusing() -> Setting {
        let setting = Setting::new(&[(Per::Tenant, rpm(1)), (Per::User, rpm(AMPLE))]);
        drop(setting.ask(0, false));
        setting
    }

    pub fn ask(&self, mono_us: u64, metered: bool) -> Result<Permit, Limited> {
        let caller = &self.applied.tenants[0];
        let metered = metered.then(|| Metered {
            model: &self.applied.models[0],
            price: Price::default(),
            prompt: 10,
            completion_max: Some(4),
            choices: 1,
            clamp: false,
        });
        let caller = Some((&caller.tenant, caller.users[0]));
        let asking = Asking { caller, route: &self.applied.routes[0], metered, report: false };
        admit(&asking, at(mono_us))
    }
}

pub fn at(mono_us: u64) -> Now {
    Now { mono_us, wall_ms: 1_700_000_000_000 + mono_us / 1_000 }
}

pub fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

pub fn rpm(n: u32) -> Amount {
    let requests = number(n);
    Amount::Requests { requests, period: MINUTE, burst: requests, algorithm: Algorithm::TokenBucket }
}

pub fn tpm(n: u32) -> Amount {
    Amount::Tokens { tokens: number(n), period: MINUTE, burst: number(n), measure: Measure::Total }
}

/// So many tenants of one plan with so many users each.
pub fn tenants(tenants: usize, users: usize, plan: &[(Per, Amount)]) -> Vec<TenantSpec> {
    let limits = plan.iter().enumerate();
    let limits = limits.map(|(i, (per, amount))| Limit::new(format!("l{i}"), *per, amount.clone())).collect();
    let plan = Arc::new(Plan { name: "gold".into(), limits });
    let spec = |i| TenantSpec {
        name: format!("tenant-{i}").into(),
        plan: Arc::clone(&plan),
        users: (0..users).map(|user| format!("user-{user}").into()).collect(),
    };
    (0..tenants).map(spec).collect()
}

pub fn apply(registry: &Registry, tenants: &[TenantSpec]) -> Applied {
    let one = |name: &str| [(name.into(), Arc::<CommonPlan>::default())];
    let (routes, models) = (one("chat"), one("pangu"));
    registry.apply(&Policy { tenants, routes: &routes, models: &models }, at(0))
}
