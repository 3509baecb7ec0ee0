//! Classes of requests: do plans name those that queues have?

use super::super::problem::nearest;
use super::super::spec;
use super::Check;

impl Check<'_> {
    /// A class that no queue has is a slip: whoever is in it would wait with the lowest.
    pub(super) fn classes(&self, policy: &spec::Policy) {
        let queues = policy.pools.iter().filter_map(|pool| pool.queue.as_ref());
        let known: Vec<&str> = queues.flat_map(|queue| &queue.classes).map(|class| &*class.name).collect();
        for plan in &policy.plans {
            let Some(class) = plan.class.as_ref().filter(|class| !known.contains(&&*class.value)) else {
                continue;
            };
            let near = nearest(&class.value, known.iter().copied());
            let help = if near.is_empty() { "add it to `classes` of a pool's `queue`".into() } else { near };
            let what = format!("no pool has a class `{}`", class.value);
            self.problems.add(class.place, format!("plans.{}.class", plan.name.value), what, help);
        }
    }
}
