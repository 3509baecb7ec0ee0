//! Every key a policy may have: one table that the decoder, the JSON Schema and the README are made of.
//!
//! A default is written here as an operator would write it and parsed like any other value, so that what is
//! documented is what happens.

/// A mapping of fixed keys.
pub struct Object {
    /// One sentence, for the schema.
    pub doc: &'static str,
    pub keys: &'static [Key],
}

/// One key of an [`Object`].
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Must it be written?
    pub need: Need,
    /// A sentence or two, for the schema and the README.
    pub doc: &'static str,
    /// YAML, as one would write it.
    pub example: &'static str,
}

/// Must it be written?
pub enum Need {
    /// Yes.
    Required,
    /// No; the doc says what is without it.
    Optional,
    /// What stands if it is not written, spelled as in a file.
    Default(&'static str),
}

/// What a value may be.
pub enum Kind {
    /// A name others refer to: letters, digits, `.`, `_`, `-`; 64 at most.
    Name,
    /// Any text.
    Text,
    /// Bytes.
    Size,
    /// A time span.
    Duration,
    /// So many in every period.
    Rate,
    /// Bytes per second.
    Speed,
    /// So many model tokens in every period, day or month.
    Tokens,
    /// So much money in every day or month.
    Budget,
    /// A number with places after the point.
    Decimal,
    /// Three capital letters.
    Currency,
    /// A whole number.
    Count,
    /// `0%` to `100%`.
    Percent,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A mapping of fixed keys.
    Object(&'static Object),
    /// A list of such values.
    List(&'static Kind),
    /// One, or a list of them.
    Many(&'static Kind),
    /// Names of the operator's own, each with such a value.
    Named(&'static Kind),
    /// One or the other.
    Either(&'static Kind, &'static Kind),
    /// A secret by name: `{env: X}` or `{file: path}`.
    Secret,
    /// A secret by name or by digest: also `{sha256: ...}`.
    Hashed,
    /// Planned: an error that says so.
    Later,
}

use Kind::{
    Bool, Budget, Count, Currency, Decimal, Duration, Either, Hashed, Later, List, Many, Name, Named, Percent, Rate,
    Secret, Size, Speed, Text, Tokens, Word,
};
use Need::{Default, Optional, Required};

const fn key(name: &'static str, kind: Kind, need: Need, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, need, doc, example }
}

const fn later(name: &'static str) -> Key {
    key(name, Later, Optional, "", "")
}

/// A policy file: any of the sections; all files together are the policy.
pub static POLICY: Object = Object {
    doc: "A policy file of pangu-gateway. All files of the directory are one set.",
    keys: &[
        key("routes", List(&Kind::Object(&ROUTE)), Optional, "[...]", "What callers may call, and on what terms."),
        key("pools", List(&Kind::Object(&POOL)), Optional, "[...]", "Where requests go."),
        key("models", List(&Kind::Object(&MODEL)), Optional, "[{name: pangu-large, price: {...}}]", "What requests may be for: prices, limits and ceilings of models. All other models go by the name `other`."),
        key("plans", Named(&PLAN), Optional, "{gold: [...]}", "Named lists of limits; tenants name theirs."),
        key("tenants", List(&Kind::Object(&TENANT)), Optional, "[...]", "Who may call."),
        key("streams", List(&Kind::Object(&STREAM)), Optional, "[{name: rpc, listener: rpc, pool: rpc, auth: [network]}]", "Plain TCP: what callers of a listener with `tcp: true` may reach."),
        key("iam", Kind::Object(&IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", ...}", "How callers' IAM tokens are checked; needed with `auth: [iam_token]`. Written once."),
        key("guard", Kind::Object(&GUARD), Optional, "{per_address: 200/s}", "Defence before authentication. Written once."),
    ],
};

/// `routes[]`
pub static ROUTE: Object = Object {
    doc: "A match and everything decided for it.",
    keys: &[
        key("name", Name, Required, "pangu-chat", "Unique; appears in logs, metrics and refusals."),
        key("match", Kind::Object(&MATCH), Required, "{path: /v1/chat/completions, methods: [POST]}", "Which requests it takes. The most specific path wins; the order of routes means nothing."),
        key("api", Word(APIS), Required, "openai", "How usage is read and how a refusal looks. All but `plain` are model endpoints: they need a limit. `grpc`: calls over HTTP/2, to a pool with `protocol: h2`."),
        key("auth", Either(&Word(&["none"]), &List(&Word(CREDENTIALS))), Required, "[ak_sk, api_key]", "Kinds of credential, any of which lets a caller in; `none` lets anybody in."),
        key("pool", Name, Required, "pangu-nlp", "Name of the pool that answers."),
        key("body_max", Size, Default("1MiB"), "512KiB", "Longest request body; a smaller one of the caller's plan counts."),
        key("caps", Kind::Object(&CAPS), Optional, "{head_max: 16KiB}", "Other sizes a request may have."),
        key("timeouts", Kind::Object(&TIMEOUTS), Optional, "{first_byte: 20s}", "How long the gateway waits."),
        key("limits", List(&Kind::Object(&ROUTE_LIMIT)), Optional, "[{name: route-rps, per: route, requests: 500/s}]", "Limits of this route, besides those of the caller's plan."),
        key("unlimited", Text, Optional, "\"capped by the pool's own quota\"", "Why a model endpoint may go without a limit. Without it, such a route does not compile."),
        key("websocket", Either(&Bool, &Kind::Object(&WEBSOCKET)), Default("false"), "{message_max: 64KiB}", "Callers may open WebSockets, over HTTP/1.1 and with `api: plain`. One is a request until it is closed: a `concurrent` limit counts it, `timeouts.idle` bounds the silence of both ends, `timeouts.total` its life."),
        key("rate_headers", Bool, Default("false"), "true", "`x-ratelimit-*` and `RateLimit` on every answer, not only on refusals."),
        key("tenant_header", Text, Optional, "x-tenant", "Header that tells the upstream the tenant's name; begins with `x-`. Default: none; with `api: modelarts`, `X-ModelArts-User-ID`."),
        key("signing", Kind::Object(&SIGNING), Optional, "{skew: 5m}", "What a signature may look like. Only with `auth: [ak_sk]`."),
        key("model", Name, Optional, "pangu-large", "Name of the model of requests whose body names none. Default: `other`."),
        key("model_from", Word(&["body", "route"]), Default("body"), "route", "`route`: it is `model`, whatever the body says."),
        key("ceilings", Kind::Object(&CEILINGS), Optional, "{completion_tokens: 2k}", "How much one request may ask for; of route, plan and model the strictest counts."),
        key("usage", Kind::Object(&USAGE), Optional, "{prompt: usage.input, completion: usage.output}", "Where the answer says what it used. Only with `api: modelarts`."),
        key("credential", SHOWN_KIND, Optional, "{app_code: {env: CHAT_CODE}}", "Who the gateway is to the backends, instead of what its pool says; the keys are those of `pools[].credential`."),
        key("retry", Kind::Object(&RETRY), Optional, "{on: [connect, 503], attempts: 2}", "Who is asked after an attempt in vain. Without it nobody is."),
        later("cors"),
    ],
};

/// `routes[].api`
pub static APIS: &[&str] = &["pangu", "openai", "modelarts", "grpc", "plain"];
/// `routes[].auth[]`
pub static CREDENTIALS: &[&str] = &["ak_sk", "app_code", "api_key", "iam_token"];
/// Kinds of credential of a later version.
pub static CREDENTIALS_LATER: &[&str] = &["client_cert"];
/// Credentials that `tenants[].users[]` holds itself.
pub static USER_CREDENTIALS: &[&str] = &["ak_sk", "app_code", "api_key"];
/// Methods a route may take.
pub static METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// `routes[].match`
pub static MATCH: Object = Object {
    doc: "Which requests a route takes.",
    keys: &[
        key("path", Text, Required, "/v1/{project_id}/deployments/{id}/chat/completions", "`{name}` is one segment, `{*rest}` at the end one or more."),
        key("methods", List(&Word(METHODS)), Optional, "[POST]", "Default: every method."),
        key("host", Text, Optional, "api.example.com", "Without port; `*.example.com` for any one label. Default: every host."),
    ],
};

/// `routes[].caps`
pub static CAPS: Object = Object {
    doc: "Sizes a request may have.",
    keys: &[
        key("head_max", Size, Default("32KiB"), "16KiB", "All header names and values."),
        key("headers_max", Count, Default("100"), "50", "Header lines."),
        key("target_max", Size, Default("8KiB"), "2KiB", "Path and query."),
    ],
};

/// `routes[].timeouts`
pub static TIMEOUTS: Object = Object {
    doc: "How long the gateway waits.",
    keys: &[
        key("first_byte", Duration, Default("60s"), "20s", "Request sent until the head of the answer."),
        key("idle", Duration, Default("60s"), "30s", "Longest silence of the answer's body, such as between two chunks of a stream."),
        key("total", Duration, Default("10m"), "30m", "Head of the request until the end of the answer."),
        key("write", Duration, Default("30s"), "10s", "Longest time the caller may take nothing of the answer."),
    ],
};

/// `routes[].retry`
pub static RETRY: Object = Object {
    doc: "Who is asked after an attempt in vain, while nothing of an answer has gone down.",
    keys: &[
        key("on", List(&Word(RETRY_ON)), Required, "[connect, reset, 429, 502, 503, 504, first_byte]", "After what. What the upstream may have worked on (`reset`, 502, 504, `first_byte`) is sent again only if the method is idempotent, or the caller gave an `Idempotency-Key`, or `repeat_post` says so; with 429 and 503 it says that it has not worked on it."),
        key("attempts", Count, Default("2"), "3", "At one pool, the first included, each at another backend; 5 at most."),
        key("first_byte", Duration, Optional, "2s", "How long one attempt may take to begin its answer (a stream: its first part) while another may follow; less than `timeouts.first_byte`, which bounds them all. With `on: [first_byte]`."),
        key("repeat_post", Bool, Default("false"), "true", "POST and PATCH are sent again also where they may have been worked on: a model may then answer, and be paid for, twice."),
        key("hold_max", Size, Default("256KiB"), "1MiB", "Bodies that declare to be this long at most are held, so that they can be sent again. Bodies for models and signed ones are held anyway."),
        key("budget", Count, Default("20"), "10", "Further attempts at a pool, in percent of its requests, 0 to 100; 3 a second need no requests."),
        key("fallback", Kind::Object(&FALLBACK), Optional, "{pool: maas, model: pangu-small}", "Who is asked when the pool has nobody left to be asked."),
    ],
};

/// `routes[].retry.on[]`
pub static RETRY_ON: &[&str] = &["connect", "reset", "429", "502", "503", "504", "first_byte"];

/// `routes[].retry.fallback`
pub static FALLBACK: Object = Object {
    doc: "Who answers in place of a pool; callers are told in `x-gateway-fallback`.",
    keys: &[
        key("pool", Name, Optional, "maas", "Default: the route's own pool, for another model."),
        key("model", Text, Optional, "pangu-small", "Model that the body then names, as the upstream knows it; one of `models`, and charged at its price. Only with `api: openai`."),
    ],
};

/// `routes[].websocket`
pub static WEBSOCKET: Object = Object {
    doc: "What a WebSocket may be used for.",
    keys: &[
        key("message_max", Size, Default("1MiB"), "64KiB", "Longest message of the caller, all its frames together, as they are sent (so perhaps compressed)."),
    ],
};

/// `routes[].signing`
pub static SIGNING: Object = Object {
    doc: "What an AK/SK signature may look like.",
    keys: &[
        key("skew", Duration, Default("15m"), "5m", "How far `X-Sdk-Date` may be off, either way; 15 min at most."),
        key("unsigned_payload", Bool, Default("false"), "true", "Accept `UNSIGNED-PAYLOAD`: the signature does not bind the body."),
        key("replay", Word(&["refuse", "allow"]), Default("refuse"), "allow", "A signature seen before within the skew."),
        key("double_encoded_path", Bool, Default("false"), "true", "Accept the npm SDK's signature over a doubly encoded path as well."),
    ],
};

/// `ceilings` of a route, plan or model
pub static CEILINGS: Object = Object {
    doc: "How much one request may ask for.",
    keys: &[
        key("prompt_tokens", Count, Optional, "8k", "Most prompt tokens, as the gateway estimates them; a longer prompt is refused."),
        key("completion_tokens", Count, Optional, "2k", "Most completion tokens of one choice: `max_tokens` and its like."),
        key("on_excess", Word(&["refuse", "clamp"]), Default("refuse"), "clamp", "A request for more completion tokens is refused, or cut down to what may be."),
        key("clamp_to_budget", Bool, Default("false"), "true", "Cut completion tokens down to what is left of the caller's limits on tokens and of its budgets."),
    ],
};

/// `routes[].usage`
pub static USAGE: Object = Object {
    doc: "Where the JSON of an answer says what it used: names of keys with `.` between them.",
    keys: &[
        key("prompt", Text, Required, "usage.input", "Path to the number of prompt tokens."),
        key("completion", Text, Required, "usage.output", "Path to the number of completion tokens."),
    ],
};

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
                key("concurrent", Count, Optional, "64", "So many requests at the same time."),
                key("burst", Count, Optional, "100", "So many at once; token_bucket only. Default: the number in `requests` or `tokens`."),
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
        key("weight", Count, Default("1"), "3", "Share of a busy pool, by that of others, 1 to 1000; only where a pool has a `queue`."),
        key("streams", Kind::Object(&STREAM_LIMITS), Optional, "{connections: 200}", "What each of its tenants may use of each stream; of stream and plan the stricter number counts."),
        key("class", Name, Optional, "interactive", "Class in the queues of pools. Default, and where a pool has no such class: the lowest."),
    ],
};

/// `models[]`
pub static MODEL: Object = Object {
    doc: "A model that requests name; `other` stands for all that are not here.",
    keys: &[
        key("name", Name, Required, "pangu-large", "Unique; appears in metrics and refusals, and requests may name it so."),
        key("match", List(&Text), Optional, "[\"Qwen/Qwen3-32B\"]", "Further names it has in requests, letter by letter; printable ASCII, 128 at most."),
        key("price", Kind::Object(&PRICE), Optional, "{prompt: 0.008, completion: 0.02, per: 1k, currency: CNY}", "What its tokens cost; budgets in money are counted by it. Default: nothing."),
        key("limits", List(&Kind::Object(&MODEL_LIMIT)), Optional, "[{name: model-tpm, per: model, tokens: 2M/min}]", "Limits of this model, besides those of the route and the caller's plan."),
        key("ceilings", Kind::Object(&CEILINGS), Optional, "{completion_tokens: 4k}", "How much one request for it may ask for; of route, plan and model the strictest counts."),
    ],
};

/// `models[].price`
pub static PRICE: Object = Object {
    doc: "What tokens cost. All prices and budgets of a policy are in one currency.",
    keys: &[
        key("prompt", Decimal, Required, "0.008", "Price of `per` prompt tokens."),
        key("completion", Decimal, Required, "0.02", "Price of `per` completion tokens."),
        key("per", Word(&["1k", "1M"]), Required, "1k", "For how many tokens the prices are."),
        key("currency", Currency, Required, "CNY", "Three capital letters (ISO 4217)."),
    ],
};

/// `pools[]`
pub static POOL: Object = Object {
    doc: "A named set of backends.",
    keys: &[
        key("name", Name, Required, "pangu-nlp", "Unique; routes name it."),
        key("backends", List(&Kind::Object(&BACKEND)), Optional, "[{url: \"https://10.0.0.11:8443\"}]", "Upstream addresses. A pool has these, `discover`, or both; or `versions`."),
        key("versions", List(&Kind::Object(&VERSION)), Optional, "[{name: v1, weight: 90, backends: [...]}, {name: v2, weight: 10, backends: [...]}]", "Versions of what the pool serves, each with its part of the requests (grey release), or with callers of its own (A/B)."),
        key("split", Kind::Object(&SPLIT), Optional, "{by: user}", "Who gets which of the `versions`."),
        key("protocol", Word(&["h1", "h2"]), Default("h1"), "h2", "What the backends speak: HTTP/1.1 or HTTP/2. `h2` is agreed by ALPN with `https`, known beforehand with `http`; many requests share a connection, and `api: grpc` needs it."),
        key("connect_timeout", Duration, Default("3s"), "1s", "Longest time for a connection, with its TLS handshake."),
        key("tls", Kind::Object(&TLS), Optional, "{ca: ca.pem}", "Only with `https` backends."),
        key("balance", Word(BALANCES), Default("round_robin"), "least_requests", "Which backend is next: `round_robin` in turn, by weight; `least_requests` of two by chance the one with fewer requests for its weight; `ewma` of two the one whose first bytes come sooner, by what they took lately and the requests it has; `hash` the same one for the same `hash.by`."),
        key("hash", Kind::Object(&HASH), Optional, "{by: user}", "Only with `balance: hash`: what goes to the same backend."),
        key("queue", Kind::Object(&QUEUE), Optional, "{in_flight_max: 64}", "Whose turn it is while the pool has less room than callers want. Without it, nobody waits, and every request goes at once."),
        key("health", Kind::Object(&HEALTH), Optional, "{path: /health}", "What every backend is asked, again and again. Without it, none is."),
        key("eject", Either(&Bool, &Kind::Object(&EJECT)), Optional, "{consecutive: 5, error_rate: 50%}", "Takes a backend out for a while when requests to it fail. Without it, 5 failed connections in a row do; `false`: nothing does."),
        key("panic", Percent, Default("10%"), "50%", "With less of the weight well than this, all backends are used again, except those that were never ready; `0%`: never, and then callers get 503."),
        key("discover", Kind::Object(&DISCOVER), Optional, "{file: backends.json}", "Where further backends are found out, and found out again. In place of `backends`, or beside them."),
        key("networks", List(&Text), Optional, "[10.1.0.0/16]", "Where backends may lie that are found out; other addresses are not used. Default: with `discover` private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7); for names in `backends` all but this machine's own, and those too for `localhost`. Link-local and metadata addresses are never used. Addresses written in `backends` are not asked about."),
        key("credential", SHOWN_KIND, Default("none"), "{api_key: {env: MAAS_KEY}}", "Who the gateway is to the backends; exactly one of its keys. `none`: nobody. Without `pass`, callers' own credentials end at the gateway on routes with `auth`, and everywhere if it shows one of its own."),
    ],
};

/// `pools[].health`
pub static HEALTH: Object = Object {
    doc: "What every backend is asked, again and again. Pools with the same address and the same question share the answers.",
    keys: &[
        key("path", Text, Optional, "/health", "What is asked for with GET, behind the path of the backend's url. Without it, as for all pools of streams, a connection that opens is a success."),
        key("every", Duration, Default("5s"), "2s", "From one to the next; up to a tenth less, by chance."),
        key("timeout", Duration, Default("1s"), "500ms", "For all of it, the connection included; at most `every`."),
        key("healthy_after", Count, Default("2"), "3", "Successes in a row that bring a backend back, 1 to 100. The first success of a new one is enough."),
        key("unhealthy_after", Count, Default("3"), "2", "Failures in a row that take a backend out, 1 to 100."),
        key("expect", Many(&Text), Default("200-299"), "[200, 204]", "Statuses that are a success."),
        key("body", Text, Optional, "ready", "What the first 64 KiB of the answer have to contain; 256 bytes at most."),
        key("slow_start", Duration, Optional, "30s", "How long a backend that comes, or comes back, takes to get its whole share; 1h at most. Default: it has it at once."),
    ],
};

/// `pools[].eject`
pub static EJECT: Object = Object {
    doc: "When a backend is taken out whose requests fail, and for how long.",
    keys: &[
        key("consecutive", Count, Default("5"), "3", "Failures in a row, 1 to 1000; 0: they do not matter."),
        key("error_rate", Percent, Optional, "50%", "Failures of all requests within `of_last`."),
        key("of_last", Duration, Default("30s"), "10s", "Whole seconds, 1s to 60s."),
        key("at_least", Count, Default("20"), "100", "So many requests there have to be before `error_rate` counts."),
        key("on", List(&Word(FAILURES)), Optional, "[connect, reset]", "What is a failure: no connection, closed before an answer, no answer within `first_byte`, 502 to 504; `cut`: broken off, or silent for `idle`, after the head of an answer. Default: all of these."),
        key("for", Duration, Default("10s"), "30s", "How long a backend is out for the first time; twice as long each further time."),
        key("max", Duration, Default("5m"), "10m", "Longest time out. A backend that has been back for so long begins anew."),
        key("keep", Percent, Default("50%"), "70%", "Part of the pool's weight that stays in, whatever happens."),
    ],
};

/// `pools[].eject.on[]`
pub static FAILURES: &[&str] = &["connect", "reset", "timeout", "unavailable", "cut"];

/// `pools[].queue`
pub static QUEUE: Object = Object {
    doc: "Whose turn it is: who was served least goes first, by its plan's weight.",
    keys: &[
        key("in_flight_max", Count, Optional, "64", "Most requests in the pool at once. Without it, as many as the upstream takes. A request has its place once its body has come."),
        key("tokens_max", Count, Optional, "400k", "Most tokens in the pool at once, prompts and expected answers. A larger request goes alone."),
        key("waiting_max", Count, Default("1000"), "200", "Most requests that wait; 0: none."),
        key("waiting_bytes_max", Size, Default("64MiB"), "16MiB", "Most bytes of bodies that wait."),
        key("classes", List(&Kind::Object(&QUEUE_CLASS)), Optional, "[{name: interactive, wait_max: 5s, holdback: 10}, {name: batch, wait_max: 5m}]", "Highest first; a higher one is served before a lower one, and plans name theirs. Default: one, `standard`, that waits 10s."),
        key("burst", Count, Default("16"), "0", "Requests that a tenant which kept below its share may send at a time before the others have their turns again; 0: none."),
        key("headroom", Count, Default("10"), "0", "Percent of the room that tenants which have had their share leave free for those that have not, while there are such; 0 to 50."),
        key("adapt", Either(&Bool, &Kind::Object(&QUEUE_ADAPT)), Default("true"), "{keep: 50}", "Takes less at a time when the upstream answers 429 or 503, and more again while it answers well."),
    ],
};

/// `pools[].queue.classes[]`
pub static QUEUE_CLASS: Object = Object {
    doc: "A class of requests.",
    keys: &[
        key("name", Name, Required, "interactive", "Unique in the pool; plans name it."),
        key("wait_max", Duration, Default("10s"), "5s", "Longest wait; then the request is refused with 503."),
        key("holdback", Count, Default("0"), "10", "Percent of the room that lower classes leave free, 0 to 100."),
    ],
};

/// `pools[].queue.adapt`
pub static QUEUE_ADAPT: Object = Object {
    doc: "How the room follows the upstream.",
    keys: &[
        key("keep", Count, Default("70"), "50", "Percent of the requests in flight that stay after a refusal, 1 to 99."),
        key("pause_max", Duration, Default("30s"), "10s", "Longest `Retry-After` of the upstream that is obeyed."),
        key("first_token_factor", Count, Optional, "4", "Takes less also when first tokens take so many times their usual time per prompt token."),
    ],
};

/// `pools[].balance`
pub static BALANCES: &[&str] = &["round_robin", "least_requests", "ewma", "hash"];

/// `pools[].hash`
pub static HASH: Object = Object {
    doc: "What goes to the same backend, while that is to be had.",
    keys: &[
        key("by", Text, Required, "header x-session", "`user`, `tenant`, `header NAME`, or `prompt`: how its text begins, so that what a backend has cached of one prompt is of use to the next."),
        key("prefix", Size, Default("256B"), "2KiB", "Only with `by: prompt`: how much of the text counts, 16 B to 64 KiB. Make it longer than what all prompts have in common, else one backend gets them all."),
    ],
};

/// `pools[].versions[]`
pub static VERSION: Object = Object {
    doc: "One version of what a pool serves.",
    keys: &[
        key("name", Name, Required, "v2", "Unique in the pool; appears in logs and metrics. Who stays with a version is decided by it."),
        key("weight", Count, Required, "10", "Its part of the requests, by the weights of the others; 0 to 1000. 0: only whom `when` gives it."),
        key("backends", List(&Kind::Object(&BACKEND)), Optional, "[{url: \"https://10.0.0.12:8443\"}]", "Upstream addresses of this version. It has these, `discover`, or both."),
        key("discover", Kind::Object(&DISCOVER), Optional, "{modelarts_service: 7a3e..., ...}", "Where further backends of this version are found out."),
    ],
};

/// `pools[].split`
pub static SPLIT: Object = Object {
    doc: "Who gets which version. One that has no backend left leaves its requests to the others.",
    keys: &[
        key("by", Text, Default("request"), "user", "`request`: each by its turn. `user`, `tenant` or `header NAME`: whoever got a version keeps it; when weights change, no more callers move than have to."),
        key("when", List(&Kind::Object(&WHEN)), Optional, "[{tenant: acme, version: v2}]", "Asked first, in this order."),
    ],
};

/// `pools[].split.when[]`
pub static WHEN: Object = Object {
    doc: "Callers with a version of their own. Exactly one of `tenant` and `header`.",
    keys: &[
        key("tenant", Name, Optional, "acme", "All users of this tenant."),
        key("header", Kind::Object(&HEADER_IS), Optional, "{name: x-preview, value: \"yes\"}", "Requests with this header."),
        key("version", Name, Required, "v2", "Name of the version they get."),
    ],
};

/// `pools[].split.when[].header`
pub static HEADER_IS: Object = Object {
    doc: "A header and its value.",
    keys: &[
        key("name", Text, Required, "x-preview", "Letters of either case."),
        key("value", Text, Required, "\"yes\"", "The whole value, letter by letter."),
    ],
};

/// `pools[].backends[]`
pub static BACKEND: Object = Object {
    doc: "One upstream address.",
    keys: &[
        key("url", Text, Required, "https://10.0.0.11:8443/base", "`http` or `https`; a path is put before every request path. A name stands for all its addresses, which share the weight and are looked up again as their TTL says. For streams `tcp` or `tls`, with a port. Link-local and metadata addresses are refused."),
        key("weight", Count, Default("1"), "3", "Share of requests, 1 to 1000."),
    ],
};

/// `discover` of pools and versions
pub static DISCOVER: Object = Object {
    doc: "Where backends are found out: exactly one of `modelarts_service`, `srv` and `file`. Whatever goes wrong, the last good set stays.",
    keys: &[
        key("modelarts_service", Text, Optional, "7a3e9b1c-5d4f-4a7b-9c66-0d2f3a1b8e75", "Id of a ModelArts real-time service, whose instances are asked for (`predict/endpoints?type=host_endpoints`). An answer without any is believed when it comes for the third time."),
        key("project_id", Text, Optional, "0123456789abcdef0123456789abcdef", "The service's project. With `modelarts_service`, and needed there."),
        key("endpoint", Text, Optional, "https://modelarts.cn-southwest-2.myhuaweicloud.com", "The ModelArts API of the region; `http` only on this machine. With `modelarts_service`, and needed there."),
        key("ca", Text, Optional, "ca.pem", "PEM file of the only authorities to trust at `endpoint`; relative to the policy directory. Default: the machine's."),
        key("credential", Kind::Object(&API_CREDENTIAL), Optional, "{ak_sk: {access_key: {env: API_AK}, secret_key: {env: API_SK}}}", "Who the gateway is to the API. With `modelarts_service`, and needed there."),
        key("every", Duration, Default("30s"), "10s", "From one question to the API to the next, 3s to 1h; twice as long after each failure, up to 5m. All pools with the same credential stay together below 20 questions a minute."),
        key("srv", Text, Optional, "_http._tcp.models.internal", "Name of SRV records: targets, ports and weights. Those of the lowest priority number are used that have an address. Looked up again as their TTL says."),
        key("file", Text, Optional, "backends.json", "JSON or YAML that another program writes, relative to the policy directory: a list of `{address: \"10.0.0.11:8080\", weight: 2}`. Looked at every second."),
        key("scheme", Word(&["http", "https"]), Default("http"), "https", "What backends of `srv` and `file` speak. `https` from `srv` needs `tls.name`."),
    ],
};

/// `discover.credential`
pub static API_CREDENTIAL: Object = Object {
    doc: "Who the gateway is to an API of the cloud's own: exactly one of these.",
    keys: &[
        key("ak_sk", Kind::Object(&SHOWN_AK_SK), Optional, "{access_key: {env: API_AK}, secret_key: {env: API_SK}}", "The key pair of an IAM user: questions are signed."),
        key("iam_token", Kind::Object(&SHOWN_IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", hw_ak_sk: {...}, project: cn-southwest-2}", "`X-Auth-Token`: a token of IAM, renewed before its end."),
    ],
};

/// `pools[].tls`
pub static TLS: Object = Object {
    doc: "Whom an `https` pool trusts. Verification is always on.",
    keys: &[
        key("ca", Text, Optional, "ca.pem", "PEM file of the only authorities to trust; relative to the policy directory. Default: the machine's."),
        key("name", Text, Optional, "nlp.internal", "Name the certificate must carry. Default: the host of the url."),
        key("client", Kind::Object(&CLIENT), Optional, "{cert: gateway.crt, key: gateway.key}", "The certificate to show a backend that asks for one."),
    ],
};

/// `pools[].tls.client`
pub static CLIENT: Object = Object {
    doc: "A client certificate and its key. Both files are watched: a new pair takes effect like a changed policy, and connections made with the old one are not used again.",
    keys: &[
        key("cert", Text, Required, "gateway.crt", "The certificate as PEM, then those between it and the authority; relative to the policy directory."),
        key("key", Text, Required, "gateway.key", "Its private key as PEM, without a passphrase."),
    ],
};

const SHOWN_KIND: Kind = Either(&Word(&["none"]), &Kind::Object(&SHOWN));

/// `credential` of pools and routes
pub static SHOWN: Object = Object {
    doc: "Who the gateway is to backends: exactly one of these.",
    keys: &[
        key("ak_sk", Kind::Object(&SHOWN_AK_SK), Optional, "{access_key: {env: UP_AK}, secret_key: {env: UP_SK}}", "AK/SK, or AppKey and AppSecret: requests are signed as they go on the wire."),
        key("app_code", Secret, Optional, "{env: UP_APP_CODE}", "`X-Apig-AppCode`."),
        key("api_key", Secret, Optional, "{env: MAAS_KEY}", "`Authorization: Bearer`."),
        key("iam_token", Kind::Object(&SHOWN_IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", hw_ak_sk: {...}, project: cn-southwest-2}", "`X-Auth-Token`: a token of IAM, renewed before its end. While there is none, requests get a 503."),
        key("header", Kind::Object(&SHOWN_HEADER), Optional, "{name: x-api-key, value: {env: UP_KEY}}", "A header of the backend's own."),
        key("pass", Bool, Optional, "true", "The callers' own credentials pass. Their signatures hold only where the backend sees the same host, path and body."),
    ],
};

/// `credential.ak_sk`
pub static SHOWN_AK_SK: Object = Object {
    doc: "A signing key pair of the gateway's own.",
    keys: &[
        key("access_key", Secret, Required, "{env: UP_AK}", "The public half."),
        key("secret_key", Secret, Required, "{env: UP_SK}", "The secret half."),
        key("security_token", Secret, Optional, "{file: up.token}", "Of a temporary pair: goes, signed, in `X-Security-Token`."),
        key("algorithm", Word(&["sdk-hmac-sha256", "v11"]), Default("sdk-hmac-sha256"), "v11", "`v11`: V11-HMAC-SHA256, whose key is derived for each day, `region` and `service`."),
        key("region", Text, Optional, "cn-southwest-2", "With `v11`, and needed there."),
        key("service", Text, Optional, "modelarts", "With `v11`, and needed there."),
        key("unsigned_payload", Bool, Default("false"), "true", "Leaves the body out of the signature (`UNSIGNED-PAYLOAD`), so that it streams; else it is held until it has come whole."),
        key("project_id", Text, Optional, "0123456789abcdef0123456789abcdef", "Goes, signed, in `X-Project-Id`; a caller's does not."),
    ],
};

/// `credential.header`
pub static SHOWN_HEADER: Object = Object {
    doc: "A header that the backend knows its callers by.",
    keys: &[
        key("name", Text, Required, "x-api-key", "The header."),
        key("value", Secret, Required, "{env: UP_KEY}", "What it says."),
    ],
};

/// `tenants[]`
pub static TENANT: Object = Object {
    doc: "Who shares a plan's limits.",
    keys: &[
        key("name", Name, Required, "acme", "Unique; appears in logs, metrics and `tenant_header`."),
        key("plan", Name, Required, "gold", "Name of a plan."),
        key("iam", Kind::Object(&TENANT_IAM), Optional, "{domain: acme}", "Whose IAM tokens are its own; users say which of them. The closest counts: a project before its account."),
        key("users", List(&Kind::Object(&USER)), Required, "[{name: alice, api_key: {env: ALICE_KEY}}]", "Its users: people or programs. `[]` for a tenant of streams only."),
        key("networks", List(&Text), Optional, "[10.1.0.0/16]", "Streams with `auth: [network]`: connections from these are its own. Of all tenants' networks the longest prefix wins."),
        key("client_certs", List(&Kind::Object(&CLIENT_CERT)), Optional, "[{name: rpc.acme.internal}]", "Streams with `auth: [client_cert]`: connections that show these are its own."),
    ],
};

/// `tenants[].users[]`
pub static USER: Object = Object {
    doc: "A user of a tenant; each has at least one credential.",
    keys: &[
        key("name", Name, Required, "alice", "Unique within the tenant."),
        key("ak_sk", Many(&Kind::Object(&AK_SK)), Optional, "{access_key: AKALICE, secret_key: {env: ALICE_SK}}", "AK/SK, or AppKey/AppSecret: signed requests. One or a list."),
        key("app_code", Many(&Hashed), Optional, "{sha256: 9f86...}", "`X-Apig-AppCode`. One or a list."),
        key("api_key", Many(&Hashed), Optional, "{env: ALICE_KEY}", "`Authorization: Bearer`. One or a list."),
        key("iam", Either(&Word(&["any"]), &Kind::Object(&USER_IAM)), Optional, "{user: alice}", "An IAM user of the tenant's project or account, or `any`: all that no user of the tenant names. `X-Auth-Token`."),
        later("client_cert"),
        later("limits"),
    ],
};

/// `tenants[].users[].ak_sk`
pub static AK_SK: Object = Object {
    doc: "A signing key pair.",
    keys: &[
        key("access_key", Text, Required, "AKALICE", "The public half; unique in the policy."),
        key("secret_key", Secret, Required, "{env: ALICE_SK}", "The secret half: the name of an environment variable or of a file."),
        key("security_token", Secret, Optional, "{file: alice.token}", "Temporary credentials: `X-Security-Token` must carry it."),
    ],
};

/// `secret_key`, `security_token`
pub static SECRET: Object = Object {
    doc: "Where a secret is; a policy never holds one.",
    keys: &[
        key("env", Text, Optional, "ALICE_SK", "Environment variable, read when the policy is loaded."),
        key("file", Text, Optional, "/run/secrets/alice", "File, relative to the policy directory; one newline at its end does not count. Read again on every reload."),
    ],
};

/// `app_code`, `api_key`
pub static HASHED: Object = Object {
    doc: "A secret by its digest, or where it is.",
    keys: &[
        key("sha256", Text, Optional, "9f86...", "64 hex digits: `printf %s CODE | sha256sum`."),
        key("env", Text, Optional, "ALICE_KEY", "Environment variable, read when the policy is loaded."),
        key("file", Text, Optional, "/run/secrets/alice", "File, relative to the policy directory; one newline at its end does not count. Read again on every reload."),
    ],
};

/// `tenants[].client_certs[]`
pub static CLIENT_CERT: Object = Object {
    doc: "A certificate of a caller: exactly one of both.",
    keys: &[
        key("name", Text, Optional, "rpc.acme.internal", "A DNS name or URI of the certificate, or else its common name; whole, in any case of letters. Its issuer is one of the stream's `client_ca`."),
        key("sha256", Text, Optional, "9f86...", "64 hex digits: `openssl x509 -in CERT -outform DER | sha256sum`."),
    ],
};

/// `streams[]`
pub static STREAM: Object = Object {
    doc: "Connections whose bytes pass as they are.",
    keys: &[
        key("name", Name, Required, "rpc", "Unique; appears in logs and metrics."),
        key("listener", Name, Required, "rpc", "Name of a listener of gateway.yaml with `tcp: true`; one stream for each."),
        key("pool", Name, Required, "rpc", "Name of the pool; its backends are `tcp://` or `tls://`."),
        key("auth", Either(&Word(&["none"]), &List(&Word(STREAM_CREDENTIALS))), Required, "[client_cert, network]", "How a tenant is known, in this order; a certificate that is shown decides. `none` lets anybody in."),
        key("client_ca", Text, Optional, "callers.pem", "PEM file of the authorities of callers' certificates; relative to the policy directory. Required with `client_cert`, which also needs `tls: true` at the listener."),
        key("limits", Kind::Object(&STREAM_LIMITS), Optional, "{connections: 64, connects: 20/s, bytes: 50MiB/s}", "What each tenant may use of it; with `auth: none`, all together."),
        key("timeouts", Kind::Object(&STREAM_TIMEOUTS), Optional, "{idle: 5m}", "How long a connection may stand open."),
        key("proxy_protocol", Word(&["none", "v2"]), Default("none"), "v2", "`v2`: backends are told by a PROXY header whose connection it is, the tenant's name in type 0xE0."),
    ],
};

/// `streams[].auth[]`
pub static STREAM_CREDENTIALS: &[&str] = &["client_cert", "network"];

/// `streams[].limits`, `plans.*.streams`
pub static STREAM_LIMITS: Object = Object {
    doc: "What one tenant may use of one stream.",
    keys: &[
        key("connections", Count, Optional, "64", "Open at the same time."),
        key("connects", Rate, Optional, "20/s", "Begun in a period; as many at once. What was refused does not count."),
        key("bytes_in", Speed, Optional, "10MiB/s", "Towards backends. More waits, and nothing is dropped."),
        key("bytes_out", Speed, Optional, "10MiB/s", "Towards callers."),
        key("bytes", Speed, Optional, "15MiB/s", "Both ways together."),
    ],
};

/// `streams[].timeouts`
pub static STREAM_TIMEOUTS: Object = Object {
    doc: "How long a connection may stand open.",
    keys: &[
        key("idle", Duration, Default("10m"), "5m", "Longest silence in both directions."),
        key("total", Duration, Optional, "1d", "Longest life. Default: no end."),
    ],
};

/// The keys of a login at IAM, which `iam` and credentials have in common, and further ones.
macro_rules! iam_login {
    ($doc:literal, $($more:expr),*) => {
        Object {
            doc: $doc,
            keys: &[
                key("endpoint", Text, Required, "https://iam.cn-southwest-2.myhuaweicloud.com", "IAM of the region. `http` only on this machine."),
                key("tls", Kind::Object(&IAM_TLS), Optional, "{ca: ca.pem}", "Whom to trust, if not the machine's authorities."),
                key("hw_ak_sk", Kind::Object(&IAM_AK_SK), Optional, "{access_key: {env: IAM_AK}, secret_key: {env: IAM_SK}}", "Who the gateway is to IAM: a permanent key pair, which IAM sees whole. Either this or `password`."),
                key("password", Kind::Object(&IAM_PASSWORD), Optional, "{user: gateway, domain: acme, password: {env: IAM_PASSWORD}}", "The same: an IAM user and its password."),
                key("agency", Kind::Object(&IAM_AGENCY), Optional, "{domain: models, name: gateway}", "Rights that another account has delegated to that of the gateway, taken on with `assume_role`."),
                key("project", Text, Optional, "cn-southwest-2", "Name or id of the project that the token is for. Default: the whole account."),
                $($more),*
            ],
        }
    };
}

/// `credential.iam_token`
pub static SHOWN_IAM: Object = iam_login!("An IAM token of the gateway's own.",);

/// `iam`
pub static IAM: Object = iam_login!(
    "How callers' IAM tokens are checked: the gateway asks IAM with a token of its own, whose user needs the right to check those of others (Security Administrator).",
    key("cache", Kind::Object(&IAM_CACHE), Optional, "{ttl: 2m}", "How long IAM's answers are believed."),
    key("unknown", Rate, Default("30/s"), "10/s", "Questions to IAM about tokens that nobody has vouched for; in seconds only. Beyond, their requests get a 503."),
    key("unknown_per_address", Rate, Default("10/s"), "2/s", "The same of one address.")
);

/// `iam.cache`
pub static IAM_CACHE: Object = Object {
    doc: "How long IAM's answers are believed.",
    keys: &[
        key("ttl", Duration, Default("5m"), "1m", "A revoked token is refused after this long at the latest; 1 h at most."),
        key("stale", Duration, Default("10m"), "1h", "So much longer while IAM does not answer, but never beyond the token's end."),
        key("negative", Duration, Default("10s"), "1m", "A token that IAM refused is not asked about again for this long."),
        key("max", Count, Default("10000"), "100k", "Tokens remembered at most, and as many refused ones; 16 to 1,000,000."),
    ],
};

/// `tls` of a login at IAM
pub static IAM_TLS: Object = Object {
    doc: "Whom to trust. Verification is always on.",
    keys: &[key("ca", Text, Optional, "ca.pem", "PEM file of the only authorities to trust; relative to the policy directory. Default: the machine's.")],
};

/// `hw_ak_sk` of a login at IAM
pub static IAM_AK_SK: Object = Object {
    doc: "A permanent key pair of an IAM user.",
    keys: &[
        key("access_key", Secret, Required, "{env: IAM_AK}", "The public half."),
        key("secret_key", Secret, Required, "{env: IAM_SK}", "The secret half."),
    ],
};

/// `password` of a login at IAM
pub static IAM_PASSWORD: Object = Object {
    doc: "An IAM user by name and password.",
    keys: &[
        key("user", Text, Required, "gateway", "Name of the user."),
        key("domain", Text, Required, "acme", "Name or id of its account."),
        key("password", Secret, Required, "{env: IAM_PASSWORD}", "Its password."),
    ],
};

/// `agency` of a login at IAM
pub static IAM_AGENCY: Object = Object {
    doc: "Rights that another account has delegated.",
    keys: &[
        key("domain", Text, Required, "models", "Name or id of the account that delegates."),
        key("name", Text, Required, "gateway", "What it calls the agency."),
    ],
};

/// `tenants[].iam`
pub static TENANT_IAM: Object = Object {
    doc: "Whose IAM tokens are a tenant's. What has 32 hexadecimal digits is an id, anything else a name.",
    keys: &[
        key("project", Text, Optional, "0123456789abcdef0123456789abcdef", "Id of a project; or its name, with its account in `domain`."),
        key("domain", Text, Optional, "acme", "Name or id of an account; alone, its tokens for any project that is no tenant's own."),
    ],
};

/// `tenants[].users[].iam`
pub static USER_IAM: Object = Object {
    doc: "An IAM user.",
    keys: &[key("user", Text, Required, "alice", "Its name, unique in the account, or its id.")],
};

/// `guard`
pub static GUARD: Object = Object {
    doc: "Defence before authentication.",
    keys: &[key(
        "per_address",
        Rate,
        Required,
        "200/s",
        "Requests of one address, before anything is hashed; in seconds only.",
    )],
};
