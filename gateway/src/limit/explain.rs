//! What would a request meet? Every limit that concerns it in the order it is asked, without asking for room.
//!
//! Asked by operators. Takes the locks of an admission, in their order, and moves nothing.

use super::admit::{Asking, Metered, named};
use super::common::{Common, Locked};
use super::decide::{Subject, foretell};
use super::inspect::On;
use super::levels::{Levels, Open};
use super::measure::Cost;
use super::pairs::Pair;
use super::price::Price;
use super::tenant::{Books, Tenant};
use super::users::UserIx;
use super::{LimitState, Limited, Per};
use crate::clock::Now;
use crate::usage::Tokens;
use std::sync::Arc;

/// A request as an operator imagines it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// Who asks; None where anybody may.
    pub tenant: Option<&'a Arc<Tenant>>,
    /// Which of its users; None: one that has used nothing yet.
    pub user: Option<UserIx>,
    /// The route.
    pub route: &'a Arc<Common>,
    /// The model and its price; None where nothing is metered.
    pub model: Option<(&'a Arc<Common>, Price)>,
}

/// What it would meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Every limit, in the order it is asked: tenant, user, tenant+route, tenant+model, route, model; where one subject
    /// has several, those of the plan come first.
    pub limits: Vec<LimitState>,
    /// Completion tokens that would be held for one choice: what nine of ten of the tenant's answers stay below.
    pub completion: Option<u64>,
    /// What a request of one token would be refused with now; None: it would be let in.
    pub refused: Option<Limited>,
}

/// Looks at every limit that concerns a request. Nothing is charged, counted or made.
pub fn explain(question: &Question<'_>, now: Now) -> Answer {
    let Some(tenant) = question.tenant else { return question.of_anybody(now) };
    let mut books = tenant.books.lock();
    let Books { plan, levels, open, users, on_routes, for_models, .. } = &mut *books;
    let name = question.user.and_then(|user| users.name(user)).cloned();
    let mut unused = Levels::fresh(&plan.user);
    let of_user = match question.user {
        Some(user) => users.subject(user, &plan.user),
        None => unused.subject(Per::User, &plan.user, Open::default()),
    };
    // What the tenant has not used yet is made up, and forgotten: before the locks of route and model are taken.
    let (mut new_route, mut new_model);
    let on_route = match on_routes.get(question.route.key()) {
        Some(pair) => pair,
        None => {
            new_route = Pair::new(question.route, &plan.tenant_route);
            &mut new_route
        }
    };
    let for_model = match question.model {
        None => None,
        Some((model, _)) => Some(match for_models.get(model.key()) {
            Some(pair) => pair,
            None => {
                new_model = Pair::new(model, &plan.tenant_model);
                &mut new_model
            }
        }),
    };
    let completion = for_model.as_ref().map(|pair| pair.completion(None));
    let mut shared = question.lock();
    let [by_plan, by_route] = on_route.subjects(&plan.tenant_route);
    let [by_model_plan, by_model] = for_model.map_or([None, None], |pair| pair.subjects(&plan.tenant_model));
    let [route, model] = &mut shared;
    let subjects = [
        levels.subject(Per::Tenant, &plan.tenant, *open),
        of_user,
        by_plan,
        by_route,
        by_model_plan,
        by_model,
        route.as_mut().and_then(|route| route.subject()),
        model.as_mut().and_then(|model| model.subject()),
    ];
    question.answer(&subjects, Some((tenant, name.as_ref())), completion, now)
}

impl<'a> Question<'a> {
    fn of_anybody(&self, now: Now) -> Answer {
        let [mut route, mut model] = self.lock();
        let subjects = [
            route.as_mut().and_then(|route| route.subject()),
            model.as_mut().and_then(|model| model.subject()),
        ];
        self.answer(&subjects, None, None, now)
    }

    /// The route, then the model.
    fn lock(&self) -> [Option<Locked<'a>>; 2] {
        [self.route.lock_if_limited(), self.model.and_then(|(model, _)| model.lock_if_limited())]
    }

    fn answer(
        &self,
        subjects: &[Option<Subject<'_>>],
        caller: Option<(&Arc<Tenant>, Option<&Arc<str>>)>,
        completion: Option<u64>,
        now: Now,
    ) -> Answer {
        let mut limits = Vec::new();
        let user = caller.and_then(|(_, user)| user);
        for subject in subjects.iter().flatten() {
            // Where nothing is metered, limits on spending have no say.
            let spends = if self.model.is_some() { &*subject.spends } else { &[] };
            let levels = (&*subject.rates, spends);
            self.on(subject.per, user).each(subject.rules, levels, subject.open, now, &mut |seen| {
                limits.push(seen.state());
            });
        }
        let one = Tokens { prompt: 1, completion: 1 }; // as `check` asks
        let cost = self.model.map(|(_, price)| Cost { tokens: one, price });
        let refused = foretell(subjects, cost.map(Cost::by_each).as_ref(), now)
            .map(|refusal| named(refusal, caller, &self.asking()));
        Answer { limits, completion, refused }
    }

    fn on<'n>(&self, per: Per, user: Option<&'n Arc<str>>) -> On<'n>
    where
        'a: 'n,
    {
        On {
            per,
            user: user.filter(|_| per == Per::User),
            route: Some(self.route.name()).filter(|_| matches!(per, Per::Route | Per::TenantRoute)),
            model: self.model.map(|(model, _)| model.name()).filter(|_| per.is_of_model()),
        }
    }

    fn asking(&self) -> Asking<'a> {
        let metered = self.model.map(|(model, price)| Metered {
            model,
            price,
            prompt: 1,
            completion_max: Some(0),
            choices: 1,
            clamp: false,
        });
        Asking { caller: None, route: self.route, metered, report: false }
    }
}
