//! `routes[]`: what callers may call, and on what terms.

use super::Kind::{self, Bool, Count, Duration, Either, List, Name, Size, Text, Word};
use super::Need::{Default, Optional, Required};
use super::credential::SHOWN_KIND;
use super::limits::{CEILINGS, ROUTE_LIMIT};
use super::retry::RETRY;
use super::{Object, key, later};

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
        key("headers_max", Count(1..=1_000), Default("100"), "50", "Header lines."),
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

/// `routes[].usage`
pub static USAGE: Object = Object {
    doc: "Where the JSON of an answer says what it used: names of keys with `.` between them.",
    keys: &[
        key("prompt", Text, Required, "usage.input", "Path to the number of prompt tokens."),
        key("completion", Text, Required, "usage.output", "Path to the number of completion tokens."),
    ],
};
