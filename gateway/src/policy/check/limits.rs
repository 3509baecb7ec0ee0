//! Plans and limits, wherever they are written.

use super::{Check, Limit, Plan};
use crate::limit::{self, money::Currency};
use crate::policy::spec::{self, Amount, Budget};

/// Limits of one plan or one route: one decision looks at all of them.
const LIMITS_MAX: usize = 16;

impl Check<'_> {
    pub(super) fn plan(&self, plan: spec::Plan) -> Plan {
        let limits = self.limits(&format!("plans.{}", plan.name.value), plan.limits);
        let class = plan.class.map(|class| class.value);
        let (body_max, ceilings, weight) = (plan.body_max, plan.ceilings, plan.weight);
        Plan { name: plan.name.value, limits, body_max, ceilings, weight, class, streams: plan.streams }
    }

    /// The limits of one place, each with a name of its own.
    pub(super) fn limits(&self, path: &str, limits: spec::Limits) -> Vec<Limit> {
        self.index(path, limits.list.iter().map(|limit| &limit.name));
        if let Some(extra) = limits.list.get(LIMITS_MAX) {
            let what = format!("more than {LIMITS_MAX} limits in one place");
            let help = "keep those that matter: every request asks them all";
            self.problems.add(extra.name.place, path, what, help);
        }
        limits.list.into_iter().map(compiled).collect()
    }
}

fn compiled(limit: spec::Limit) -> Limit {
    let (mut zone, mut currency) = (None, None);
    let amount = match limit.amount.value {
        Amount::Concurrent(most) => limit::Amount::Concurrent(most),
        Amount::Requests { rate, burst, algorithm } => {
            limit::Amount::Requests { requests: rate.count, period: rate.period, burst, algorithm }
        }
        Amount::Tokens { tokens, period, burst, measure } => {
            limit::Amount::Tokens { tokens, period, burst, measure }
        }
        Amount::Budget(budget) => {
            let Budget { most, measure, calendar, .. } = budget;
            (zone, currency) = (Some(budget.zone), budget.currency);
            let currency = budget.currency.unwrap_or(Currency::NONE);
            limit::Amount::Budget { most, measure, currency, calendar }
        }
    };
    let name = limit.name.value;
    let rule = limit::Limit { name, per: limit.per, amount, shadow: limit.shadow, cut: limit.cut };
    Limit { rule, zone, currency }
}
