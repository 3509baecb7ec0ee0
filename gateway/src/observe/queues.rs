//! The metrics of the gates before pools, written when somebody scrapes.
//!
//! They come from the gates themselves and not through the recorder, for the reason that limits do (see [`super::limits`]):
//! a pool that has gone from policy goes from the page. How long requests waited is a histogram of the recorder's.

use super::metrics;
use super::page::{labels, metric};
use crate::fair::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One series: its labels, and its value.
type Series = (String, u64);

/// What a metric shows of one pool; `labels` begin with the pool's.
type Show = fn(pool: &str, state: &State) -> Vec<Series>;

#[rustfmt::skip] // one metric a row
const SHOWN: &[(&str, Show)] = &[
    (metrics::QUEUE_WAITING,       waiting),
    (metrics::QUEUE_IN_FLIGHT,     |pool, state| one(pool, state.in_flight)),
    (metrics::QUEUE_IN_FLIGHT_MAX, |pool, state| state.in_flight_max.map_or_else(Vec::new, |max| one(pool, max))),
    (metrics::QUEUE_TOKENS,        |pool, state| one(pool, state.tokens)),
    (metrics::QUEUE_LET_IN,        |pool, state| one(pool, state.let_in)),
    (metrics::QUEUE_REFUSED,       refused),
];

/// Appends every gate to a page in Prometheus' text format.
pub fn write(gates: &[(Arc<str>, State)], page: &mut String) {
    for (name, show) in SHOWN {
        metric(name, gates.iter().flat_map(|(pool, state)| show(pool, state)), page);
    }
}

fn one(pool: &str, value: impl Into<u64>) -> Vec<Series> {
    vec![(labels(&["pool"], &[pool]), value.into())]
}

/// Classes that a reload took away all have the same name, and no series may stand twice.
fn waiting(pool: &str, state: &State) -> Vec<Series> {
    let mut by_class: BTreeMap<&str, u64> = BTreeMap::new();
    for class in &state.classes {
        *by_class.entry(&class.class).or_default() += u64::from(class.waiting);
    }
    let series = |(class, waiting)| (labels(&["pool", "class"], &[pool, class]), waiting);
    by_class.into_iter().map(series).collect()
}

fn refused(pool: &str, state: &State) -> Vec<Series> {
    let each = state.refused.iter();
    each.map(|refused| (labels(&["pool", "reason"], &[pool, refused.reason.code()]), refused.count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fair::{ClassState, Reason, RefusedState};

    fn state() -> State {
        let class = |name: &str, waiting| ClassState { class: name.into(), waiting, oldest_ms: 5 };
        State {
            in_flight: 7,
            in_flight_max: None,
            tokens: 5_000,
            tokens_max: None,
            waiting: 6,
            waiting_bytes: 60,
            classes: vec![class("interactive", 1), class("gone", 2), class("gone", 3)],
            drain_per_minute: None,
            paused_ms: 0,
            let_in: 11,
            refused: vec![RefusedState { reason: Reason::Hopeless, count: 4 }],
            accounts: 0,
            tenants: Vec::new(),
        }
    }

    #[test]
    fn every_gate_stands_under_every_name_and_no_series_twice() {
        let narrow = State { in_flight_max: Some(8), ..state() };
        let mut page = String::new();
        write(&[("a".into(), state()), ("b".into(), narrow)], &mut page);
        for line in [
            "# TYPE gateway_queue_waiting gauge",
            "# TYPE gateway_queue_refused_total counter",
            r#"gateway_queue_waiting{pool="a",class="interactive"} 1"#,
            r#"gateway_queue_waiting{pool="b",class="gone"} 5"#,
            r#"gateway_queue_in_flight{pool="a"} 7"#,
            r#"gateway_queue_in_flight_max{pool="b"} 8"#,
            r#"gateway_queue_tokens{pool="a"} 5000"#,
            r#"gateway_queue_let_in_total{pool="a"} 11"#,
            r#"gateway_queue_refused_total{pool="b",reason="hopeless"} 4"#,
        ] {
            assert_eq!(page.lines().filter(|found| *found == line).count(), 1, "{line} in\n{page}");
        }
        assert!(!page.contains(r#"in_flight_max{pool="a"}"#), "any number: {page}");
        assert_eq!(page.matches(r#"class="gone""#).count(), 2);
    }

    #[test]
    fn without_gates_there_is_nothing_to_say() {
        let mut page = String::new();
        write(&[], &mut page);
        assert_eq!(page, "");
    }
}
