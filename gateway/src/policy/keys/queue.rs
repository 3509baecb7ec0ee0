//! `pools[].queue`: whose turn it is.

use super::Kind::{self, Bool, Count, Duration, Either, List, Name, Size};
use super::Need::{Default, Optional, Required};
use super::{Object, key};

/// `pools[].queue`
pub static QUEUE: Object = Object {
    doc: "Whose turn it is: who was served least goes first, by its plan's weight.",
    keys: &[
        key("in_flight_max", Count(1..=u32::MAX), Optional, "64", "Most requests in the pool at once. Without it, as many as the upstream takes. A request has its place once its body has come."),
        key("tokens_max", Count(1..=u32::MAX), Optional, "400k", "Most tokens in the pool at once, prompts and expected answers. A larger request goes alone."),
        key("waiting_max", Count(0..=u32::MAX), Default("1000"), "200", "Most requests that wait; 0: none."),
        key("waiting_bytes_max", Size, Default("64MiB"), "16MiB", "Most bytes of bodies that wait."),
        key("classes", List(&Kind::Object(&QUEUE_CLASS)), Optional, "[{name: interactive, wait_max: 5s, holdback: 10}, {name: batch, wait_max: 5m}]", "Highest first; a higher one is served before a lower one, and plans name theirs. Default: one, `standard`, that waits 10s."),
        key("burst", Count(0..=1_000), Default("16"), "0", "Requests that a tenant which kept below its share may send at a time before the others have their turns again; 0: none."),
        key("headroom", Count(0..=50), Default("10"), "0", "Percent of the room that tenants which have had their share leave free for those that have not, while there are such; 0 to 50."),
        key("adapt", Either(&Bool, &Kind::Object(&QUEUE_ADAPT)), Default("true"), "{keep: 50}", "Takes less at a time when the upstream answers 429 or 503, and more again while it answers well."),
    ],
};

/// `pools[].queue.classes[]`
pub static QUEUE_CLASS: Object = Object {
    doc: "A class of requests.",
    keys: &[
        key("name", Name, Required, "interactive", "Unique in the pool; plans name it."),
        key("wait_max", Duration, Default("10s"), "5s", "Longest wait; then the request is refused with 503."),
        key("holdback", Count(0..=100), Default("0"), "10", "Percent of the room that lower classes leave free, 0 to 100."),
    ],
};

/// `pools[].queue.adapt`
pub static QUEUE_ADAPT: Object = Object {
    doc: "How the room follows the upstream.",
    keys: &[
        key("keep", Count(1..=99), Default("70"), "50", "Percent of the requests in flight that stay after a refusal, 1 to 99."),
        key("pause_max", Duration, Default("30s"), "10s", "Longest `Retry-After` of the upstream that is obeyed."),
        key("first_token_factor", Count(1..=u32::MAX), Optional, "4", "Takes less also when first tokens take so many times their usual time per prompt token."),
    ],
};
