//! 3. How much? May this caller send one more request on this route now?
//!
//! Asked by the proxy once the caller is known; the [`Guard`] is asked before that, by address.
//!
//! *Model.* A limit lets so many requests through in a period, or so many at the same time, counted per
//! tenant, user, route, or tenant on a route. What one of these has used of one limit is a level. [`admit`]
//! looks at every level that concerns a request and then moves all of them, or none: a refusal costs
//! nothing anywhere. What it grants is a [`Permit`]; dropping it gives the places it took back.
//!
//! *Accuracy.* Exact within one process, at any concurrency: the levels of a tenant lie under one lock, those
//! of a route under another, taken in this order and held together while deciding. What each way of counting
//! promises is said in [`meter`] and [`window`]. N gateways let N times the limit through.
//!
//! *Time* is a parameter, and only its monotonic part is read. A clock that steps back gives no credit.
//!
//! *Reload.* [`Registry::apply`] keeps levels by the names of tenants, users, routes and limits. What was used
//! stays used under the new numbers; what has gone from policy is forgotten when it is idle, and what was spent of a
//! budget that has gone, when its period is over ([`save`]).
//!
//! *Memory.* A tenant takes about 280 bytes, a user 12; beside these 16 for each limit on requests, 24 for each on
//! tokens or money, and 96 more for a window, 56 for a budget. Only policy makes tenants, users and routes; traffic makes
//! nothing but a tenant's levels on a route it uses for the first time. Strangers meet the guard only, which is of
//! constant size.
//!
//! *Cost.* No allocation, one lock for a tenant's levels, for which nobody waits long ([`lock`]); `benches/limit_admit.rs`
//! measures it and writes the table in ARCHITECTURE.md.
//!
//! *Not here.* Reading limits from files (`policy`), status and body of the 429 (`reject`), metrics (`observe`).

mod terms;

mod admit;
mod clamp;
mod constrained;
mod decide;
mod denial;
mod limited;
mod standing;

mod permit;

mod tenant;

mod pairs;
mod users;

mod common;

mod level;
mod levels;
mod recent;
mod spend;

pub mod calendar;
pub mod estimate;
pub mod measure;
pub mod money;
pub mod price;
pub mod quantile;

pub mod meter;
pub mod quota;
pub mod window;

mod rules;

mod registry;

mod lock;
mod sync;

mod save;
mod tally;

mod explain;
mod forecast;
mod inspect;
mod totals;

mod guard;

pub mod headers;

#[cfg(test)]
mod tests;

pub use admit::{Asking, Metered, admit, check};
pub use common::Common;
pub use constrained::Standings;
pub use explain::{Answer, Question, explain};
pub use forecast::{BudgetForecast, Outlook, Rate, TenantForecast};
pub use guard::Guard;
pub use inspect::{CommonState, Gauges, LimitState, TenantState};
pub use limited::{Full, Limited, Reason};
pub use permit::Permit;
pub use registry::{Applied, Enrolled, Policy, Registry, TenantSpec};
pub use save::{Dates, Saved};
pub use standing::Standing;
pub use tally::{Counts, Tally};
pub use tenant::Tenant;
pub use terms::{Algorithm, Amount, CommonPlan, Limit, Per, Plan, Unit};
pub use totals::Totals;
pub use users::UserIx;
