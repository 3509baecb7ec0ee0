//! `pools[].health` and `pools[].eject`: which backends are well.

use super::Kind::{Count, Duration, List, Many, Percent, Text, Word};
use super::Need::{Default, Optional};
use super::{Object, key};

/// `pools[].health`
pub static HEALTH: Object = Object {
    doc: "What every backend is asked, again and again. Pools with the same address and the same question share the answers.",
    keys: &[
        key("path", Text, Optional, "/health", "What is asked for with GET, behind the path of the backend's url. Without it, as for all pools of streams, a connection that opens is a success."),
        key("every", Duration, Default("5s"), "2s", "From one to the next; up to a tenth less, by chance."),
        key("timeout", Duration, Default("1s"), "500ms", "For all of it, the connection included; at most `every`."),
        key("healthy_after", Count(1..=100), Default("2"), "3", "Successes in a row that bring a backend back, 1 to 100. The first success of a new one is enough."),
        key("unhealthy_after", Count(1..=100), Default("3"), "2", "Failures in a row that take a backend out, 1 to 100."),
        key("expect", Many(&Text), Default("200-299"), "[200, 204]", "Statuses that are a success."),
        key("body", Text, Optional, "ready", "What the first 64 KiB of the answer have to contain; 256 bytes at most."),
        key("slow_start", Duration, Optional, "30s", "How long a backend that comes, or comes back, takes to get its whole share; 1h at most. Default: it has it at once."),
    ],
};

/// `pools[].eject`
pub static EJECT: Object = Object {
    doc: "When a backend is taken out whose requests fail, and for how long.",
    keys: &[
        key("consecutive", Count(0..=1_000), Default("5"), "3", "Failures in a row, 1 to 1000; 0: they do not matter."),
        key("error_rate", Percent, Optional, "50%", "Failures of all requests within `of_last`."),
        key("of_last", Duration, Default("30s"), "10s", "Whole seconds, 1s to 60s."),
        key("at_least", Count(1..=1_000_000), Default("20"), "100", "So many requests there have to be before `error_rate` counts."),
        key("on", List(&Word(FAILURES)), Optional, "[connect, reset]", "What is a failure: no connection, closed before an answer, no answer within `first_byte`, 502 to 504; `cut`: broken off, or silent for `idle`, after the head of an answer. Default: all of these."),
        key("for", Duration, Default("10s"), "30s", "How long a backend is out for the first time; twice as long each further time."),
        key("max", Duration, Default("5m"), "10m", "Longest time out. A backend that has been back for so long begins anew."),
        key("keep", Percent, Default("50%"), "70%", "Part of the pool's weight that stays in, whatever happens."),
    ],
};

/// `pools[].eject.on[]`
pub static FAILURES: &[&str] = &["connect", "reset", "timeout", "unavailable", "cut"];
