//! Limits wherever they are written, plans that name them, and ceilings of one request.

use super::Kind::{self, Bool, Budget, Count, Either, List, Name, Rate, Size, Text, Tokens, Word};
use super::Need::{Default, Optional, Required};
use super::streams::STREAM_LIMITS;
use super::{Object, key};

/// The keys of a limit, which differ by where it is written.
macro_rules! limit {
    ($doc:literal, unique within $whole:literal, per $per:expr $(, $more:literal)?; for example $name:literal, $one:literal) => {
        Object {
            doc: $doc,
            keys: &[
                key("name", Name, Required, $name, concat!("Unique within the ", $whole, "; a level survives reloads by it.")),
                key("per", Word($per), Required, $one, concat!("What is counted separately." $(, " ", $more)?)),
                key("requests", Rate, Optional, "20/min", "So many requests in every period. Exactly one of `requests`, `tokens`, `budget` and `concurrent`."),
                key("tokens", Tokens, Optional, "500k/min", "So many model tokens: per s, min or h a bucket, per day or month by the calendar."),
                key("budget", Budget, Optional, "100 CNY/month", "So much money per day or month, by the prices of `models`."),
                key("concurrent", Count(1..=65_535), Optional, "64", "So many requests at the same time."),
                key("burst", Count(1..=u32::MAX), Optional, "100", "So many at once; token_bucket only. Default: the number in `requests` or `tokens`."),
                key("algorithm", Word(ALGORITHMS), Default("token_bucket"), "sliding_window", "How requests are counted."),
                key("counts", Word(COUNTS), Default("total"), "completion", "Which `tokens`."),
                key("timezone", Text, Default("UTC"), "Asia/Shanghai", "Where its days and months begin; with `budget`, and with `tokens` per day or month."),
                key("mode", Word(&["enforce", "shadow"]), Default("enforce"), "shadow", "`shadow`: counted and reported, and nobody is refused."),
                key("on_exhausted", Word(&["finish", "cut"]), Default("finish"), "cut", "What becomes of a stream when `tokens` or `budget` are spent in its middle."),
            ],
        }
    };
}

/// `routes[].limits[]`
pub static ROUTE_LIMIT: Object = limit!(
    "A limit of one route.",
    unique within "route",
    per &["route", "tenant+route"];
    for example "route-rps", "route"
);

/// `plans.*[]`
pub static PLAN_LIMIT: Object = limit!(
    "A limit of a plan; every tenant of the plan has its own count.",
    unique within "plan",
    per &["tenant", "user", "tenant+route", "tenant+model"], "`tenant+model`: requests to model endpoints only.";
    for example "user-rpm", "user"
);

/// `models[].limits[]`
pub static MODEL_LIMIT: Object = limit!(
    "A limit of one model, on whatever route it is asked for.",
    unique within "model",
    per &["model", "tenant+model"];
    for example "model-tpm", "model"
);

/// `counts` of a limit
pub static COUNTS: &[&str] = &["total", "prompt", "completion"];
/// `algorithm` of a limit
pub static ALGORITHMS: &[&str] = &["token_bucket", "fixed_window", "sliding_window"];
/// `per` of a later version.
pub static PER_LATER: &[&str] = &["user+model", "pool"];

/// `plans.*`
pub static PLAN: Kind = Either(&List(&Kind::Object(&PLAN_LIMIT)), &Kind::Object(&PLAN_OBJECT));

/// `plans.*` in its longer form
pub static PLAN_OBJECT: Object = Object {
    doc: "A plan that says more than its limits.",
    keys: &[
        key("limits", List(&Kind::Object(&PLAN_LIMIT)), Required, "[{name: inflight, per: tenant, concurrent: 64}]", "The same as a plan written as a plain list."),
        key("body_max", Size, Optional, "4MiB", "Longest body its tenants may send; a smaller one of the route counts."),
        key("ceilings", Kind::Object(&CEILINGS), Optional, "{prompt_tokens: 8k}", "How much one request of its tenants may ask for; of route, plan and model the strictest counts."),
        key("weight", Count(1..=1_000), Default("1"), "3", "Share of a busy pool, by that of others, 1 to 1000; only where a pool has a `queue`."),
        key("streams", Kind::Object(&STREAM_LIMITS), Optional, "{connections: 200}", "What each of its tenants may use of each stream; of stream and plan the stricter number counts."),
        key("class", Name, Optional, "interactive", "Class in the queues of pools. Default, and where a pool has no such class: the lowest."),
    ],
};

/// `ceilings` of a route, plan or model
pub static CEILINGS: Object = Object {
    doc: "How much one request may ask for.",
    keys: &[
        key("prompt_tokens", Count(1..=u32::MAX), Optional, "8k", "Most prompt tokens, as the gateway estimates them; a longer prompt is refused."),
        key("completion_tokens", Count(1..=u32::MAX), Optional, "2k", "Most completion tokens of one choice: `max_tokens` and its like."),
        key("on_excess", Word(&["refuse", "clamp"]), Default("refuse"), "clamp", "A request for more completion tokens is refused, or cut down to what may be."),
        key("clamp_to_budget", Bool, Default("false"), "true", "Cut completion tokens down to what is left of the caller's limits on tokens and of its budgets."),
    ],
};
