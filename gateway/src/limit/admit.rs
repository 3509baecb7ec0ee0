//! Admission: who is asked, and in which order the locks are taken.

use super::clamp::clamped;
use super::common::{Common, Locked};
use super::constrained::most_constrained;
use super::decide::{Over, Refusal, SUBJECTS, Subject, decide, have_room, refuse};
use super::denial::{Place, Worth};
use super::measure::Cost;
use super::pairs::Pair;
use super::permit::{Born, Ledger, Permit};
use super::price::Price;
use super::quantile::Quantile;
use super::tenant::{Books, Tenant};
use super::users::UserIx;
use super::{Full, Limited, Per, Standing};
use crate::clock::Now;
use crate::usage::Tokens;
use std::sync::Arc;
use std::time::Duration;

/// A request that asks to be let in.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// Limits per tenant, user, tenant+route and tenant+model count known callers only; `None` (a route open to
    /// anybody) meets those per route and model alone.
    pub caller: Option<(&'a Arc<Tenant>, UserIx)>,
    /// The route.
    pub route: &'a Arc<Common>,
    /// What it may cost; None where nothing is metered, and limits on spending have no say.
    pub metered: Option<Metered<'a>>,
    /// The permit is to know where the most constrained limits stand, for the rate headers; without, that is not
    /// worked out.
    pub report: bool,
}

/// What a metered request may cost.
#[derive(Clone, Copy)]
pub struct Metered<'a> {
    /// The model it is for.
    pub model: &'a Arc<Common>,
    /// What the model's tokens cost.
    pub price: Price,
    /// Estimate of its prompt tokens.
    pub prompt: u64,
    /// Most completion tokens of one choice, if the request says.
    pub completion_max: Option<u64>,
    /// Completions it asks for; at least 1.
    pub choices: u32,
    /// Where limits have no room for all of the answer, hold what they have: the answer is cut to it. Else the request
    /// is refused.
    pub clamp: bool,
}

impl Metered<'_> {
    /// The cost to hold, `completion` tokens expected of each choice.
    fn cost(&self, completion: u64) -> Cost {
        let completion = completion.saturating_mul(u64::from(self.choices.max(1)));
        Cost { tokens: Tokens { prompt: self.prompt, completion }, price: self.price }
    }
}

/// Hot path. Asks every limit that concerns one more request: all or nothing.
///
/// # Errors
/// [`Limited`]: nothing was charged, at no level.
#[inline]
pub fn admit(asking: &Asking<'_>, now: Now) -> Result<Permit, Limited> {
    match asking.caller {
        Some((tenant, user)) => admit_caller(asking, tenant, user, now),
        None => admit_anybody(asking, now),
    }
}

/// Is it certain that a request would be refused, before its body is read and its cost known? Charges nothing.
///
/// # Errors
/// [`Limited`], as [`admit`] would say of a request of one token that is answered with one.
pub fn check(asking: &Asking<'_>, now: Now) -> Result<(), Limited> {
    let Some((tenant, user)) = asking.caller else { return Ok(()) };
    if let Some(limited) = tenant.denial.recall(user, asking, now.mono_us) {
        return Err(limited);
    }
    // Also of the answer: where a limit on completions is spent to the last token, nothing would have to wait.
    let least = Cost { tokens: Tokens { prompt: 1, completion: 1 }, price: Price::default() };
    let mut books = tenant.books.lock();
    let mut on_route = asking.route.lock_if_limited();
    let Books { plan, levels, open, users, on_routes, .. } = &mut *books;
    let mut subjects = [
        levels.subject(Per::Tenant, &plan.tenant, *open),
        users.subject(user, &plan.user),
        None,
        None,
        None,
        None,
        on_route.as_mut().and_then(|on_route| on_route.subject()),
        None,
    ];
    let least = least.by_each();
    if have_room(&subjects, Some(&least), now) {
        return Ok(());
    }
    // Whoever comes back when these have room must not find that those would have had him wait for longer.
    if let Some(pair) = on_routes.get(asking.route.key()) {
        [subjects[2], subjects[3]] = pair.subjects(&plan.tenant_route);
    }
    let refusal = refuse(&subjects, Some(&least), now);
    Err(named(refusal, Some((tenant, users.name(user))), asking))
}

fn admit_caller(
    asking: &Asking<'_>,
    tenant: &Arc<Tenant>,
    user: UserIx,
    now: Now,
) -> Result<Permit, Limited> {
    let route = asking.route;
    if let Some(limited) = tenant.denial.recall(user, asking, now.mono_us) {
        return Err(limited);
    }
    let mut books = tenant.books.lock();
    let born = books.born;
    let Books { plan, levels, open, users, on_routes, for_models, .. } = &mut *books;
    // These may look into the route and the model: before their locks are taken.
    let on_route = on_routes.find(route, &plan.tenant_route);
    let for_model = asking.metered.map(|metered| for_models.find_always(metered.model, &plan.tenant_model));
    let born_there = |pair: &Option<&mut Pair>| pair.as_ref().map_or(0, |pair| pair.common_born);
    let (on_route_born, for_model_born) = (born_there(&on_route), born_there(&for_model));
    let cost = asking.metered.map(|metered| {
        let expected = for_model.as_ref().map_or(0, |pair| pair.completion(metered.completion_max));
        metered.cost(expected)
    });
    let mut shared = Shared::lock(asking); // after the tenant's, always

    let mut subjects = [const { None }; SUBJECTS];
    subjects[0] = levels.subject(Per::Tenant, &plan.tenant, *open);
    subjects[1] = users.subject(user, &plan.user);
    if let Some(pair) = on_route {
        [subjects[2], subjects[3]] = pair.subjects(&plan.tenant_route);
    }
    if let Some(pair) = for_model {
        [subjects[4], subjects[5]] = pair.subjects(&plan.tenant_model);
    }
    if let Some(route) = &mut shared.route {
        subjects[6] = route.subject();
    }
    if let Some(model) = &mut shared.model {
        subjects[7] = model.subject();
    }
    let cost = fitted(asking, &subjects, cost, now);
    let by_each = cost.map(Cost::by_each);
    match decide(&mut subjects, by_each.as_ref(), now) {
        Ok((skipped, over)) => {
            let standings = asking.report.then(|| Box::new(most_constrained(&subjects, cost, now)));
            let cuts = cost.is_some() && cuts(&subjects);
            let (route, model, shared_born) = shared.open(asking, over);
            let born =
                Born { tenant: born, on_route: on_route_born, for_model: for_model_born, ..shared_born };
            let counted = books.begin(user, asking, over);
            tenant.denial.forget();
            let tenant = counted.any().then(|| (Arc::clone(tenant), counted));
            let ledger = cost.map(|cost| Ledger::new(cost, skipped, born, cuts, now));
            Ok(Permit { tenant, route, model, ledger, standings, over, began_us: now.mono_us, seen: now })
        }
        Err(refusal) => {
            let asked = (Place::of(route), asking.metered.as_ref().map(Worth::of));
            drop(shared);
            Err(remembered(refusal, (tenant, user, users.name(user)), asking, asked, now))
        }
    }
}

/// The refusal, remembered for the next who would meet it. Call it under the tenant's lock.
#[cold]
fn remembered(
    refusal: Refusal,
    (tenant, user, name): (&Arc<Tenant>, UserIx, Option<&Arc<str>>),
    asking: &Asking<'_>,
    asked: (Place, Option<Worth>),
    now: Now,
) -> Limited {
    let tally = Arc::clone(&refusal.tally);
    let limited = named(refusal, Some((tenant, name)), asking);
    tenant.denial.remember(user, asked, &limited, tally, now.mono_us);
    limited
}

fn admit_anybody(asking: &Asking<'_>, now: Now) -> Result<Permit, Limited> {
    let cost =
        asking.metered.map(|metered| metered.cost(Quantile::default().reserve(metered.completion_max)));
    let mut shared = Shared::lock(asking);
    if shared.route.is_none() && shared.model.is_none() {
        let standings = None;
        return Ok(Permit {
            tenant: None,
            route: None,
            model: None,
            ledger: None,
            standings,
            over: Over::default(),
            began_us: now.mono_us,
            seen: now,
        });
    }
    let mut subjects = [const { None }; SUBJECTS];
    subjects[SUBJECTS - 2] = shared.route.as_mut().and_then(|route| route.subject());
    subjects[SUBJECTS - 1] = shared.model.as_mut().and_then(|model| model.subject());
    let cost = fitted(asking, &subjects, cost, now);
    let by_each = cost.map(Cost::by_each);
    match decide(&mut subjects, by_each.as_ref(), now) {
        Ok((skipped, over)) => {
            let standings = asking.report.then(|| Box::new(most_constrained(&subjects, cost, now)));
            let cuts = cost.is_some() && cuts(&subjects);
            let (route, model, born) = shared.open(asking, over);
            let ledger = cost.map(|cost| Ledger::new(cost, skipped, born, cuts, now));
            Ok(Permit {
                tenant: None,
                route,
                model,
                ledger,
                standings,
                over,
                began_us: now.mono_us,
                seen: now,
            })
        }
        Err(refusal) => Err(named(refusal, None, asking)),
    }
}

/// The cost to hold: as expected, or what there is room for.
#[inline]
fn fitted(
    asking: &Asking<'_>,
    subjects: &[Option<Subject<'_>>; SUBJECTS],
    cost: Option<Cost>,
    now: Now,
) -> Option<Cost> {
    match asking.metered {
        Some(Metered { clamp: true, choices, .. }) => cost.map(|cost| clamped(subjects, cost, choices, now)),
        _ => cost,
    }
}

/// Does any of their limits end streams in their middle?
fn cuts(subjects: &[Option<Subject<'_>>]) -> bool {
    subjects.iter().flatten().any(|subject| subject.rules.cuts)
}

/// What all callers share, locked: the route, then the model.
struct Shared<'a> {
    route: Option<Locked<'a>>,
    model: Option<Locked<'a>>,
}

impl<'a> Shared<'a> {
    #[inline]
    fn lock(asking: &Asking<'a>) -> Shared<'a> {
        let route = asking.route.lock_if_limited();
        let model = asking.metered.and_then(|metered| metered.model.lock_if_limited());
        Shared { route, model }
    }

    /// Counts an open request where its end changes something, and says which reload is in force.
    #[inline]
    fn open(self, asking: &Asking<'a>, over: Over) -> (Option<Arc<Common>>, Option<Arc<Common>>, Born) {
        let born = |locked: &Option<Locked<'_>>| locked.as_ref().map_or(0, |locked| locked.born);
        let born = Born { route: born(&self.route), model: born(&self.model), ..Born::default() };
        let route =
            self.route.is_some_and(|mut locked| asking.route.begin(&mut locked, over.at(SUBJECTS - 2)));
        let route = route.then(|| Arc::clone(asking.route));
        let model = self.model.zip(asking.metered);
        let model = model.and_then(|(mut locked, metered)| {
            metered.model.begin(&mut locked, over.at(SUBJECTS - 1)).then(|| Arc::clone(metered.model))
        });
        (route, model, born)
    }
}

/// Puts to a refusal the names its level goes by.
#[cold]
pub(super) fn named(
    refusal: Refusal,
    caller: Option<(&Arc<Tenant>, Option<&Arc<str>>)>,
    asking: &Asking<'_>,
) -> Limited {
    let Refusal { per, standing, requested, wait_us, .. } = refusal;
    let Standing { limit, unit, currency, quota, most, window, used, held, reset, budget, .. } = standing;
    let (tenant, user) = caller.unzip();
    let full = Full {
        limit,
        per,
        tenant: tenant
            .filter(|_| !matches!(per, Per::Route | Per::Model))
            .map(|tenant| Arc::clone(tenant.name())),
        user: user.flatten().filter(|_| per == Per::User).cloned(),
        route: matches!(per, Per::Route | Per::TenantRoute).then(|| Arc::clone(asking.route.name())),
        model: asking.metered.filter(|_| per.is_of_model()).map(|metered| Arc::clone(metered.model.name())),
        unit,
        currency,
        budget,
        requested,
        quota,
        most,
        window,
        used,
        held,
    };
    Limited { full: full.into(), reset, retry_after: Duration::from_micros(wait_us) }
}
