//! `routes[].retry`: who is asked after an attempt in vain.

use super::Kind::{self, Bool, Count, Duration, List, Name, Size, Text, Word};
use super::Need::{Default, Optional, Required};
use super::{Object, key};

/// `routes[].retry`
pub static RETRY: Object = Object {
    doc: "Who is asked after an attempt in vain, while nothing of an answer has gone down.",
    keys: &[
        key("on", List(&Word(RETRY_ON)), Required, "[connect, reset, 429, 502, 503, 504, first_byte]", "After what. What the upstream may have worked on (`reset`, 502, 504, `first_byte`) is sent again only if the method is idempotent, or the caller gave an `Idempotency-Key`, or `repeat_post` says so; with 429 and 503 it says that it has not worked on it."),
        key("attempts", Count(1..=5), Default("2"), "3", "At one pool, the first included, each at another backend; 5 at most."),
        key("first_byte", Duration, Optional, "2s", "How long one attempt may take to begin its answer (a stream: its first part) while another may follow; less than `timeouts.first_byte`, which bounds them all. With `on: [first_byte]`."),
        key("repeat_post", Bool, Default("false"), "true", "POST and PATCH are sent again also where they may have been worked on: a model may then answer, and be paid for, twice."),
        key("hold_max", Size, Default("256KiB"), "1MiB", "Bodies that declare to be this long at most are held, so that they can be sent again. Bodies for models and signed ones are held anyway."),
        key("budget", Count(0..=100), Default("20"), "10", "Further attempts at a pool, in percent of its requests, 0 to 100; 3 a second need no requests."),
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
