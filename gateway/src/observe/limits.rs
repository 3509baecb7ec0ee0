//! The metrics of each limit, written when somebody scrapes.
//!
//! They come from the levels themselves and not through the recorder, which never forgets a series: what has gone from
//! policy must not be shown for ever with what it was last. Here a limit is on the page for as long as somebody's use
//! of it counts, and then is not. Label values are names in policy and closed enums.

use super::metrics;
use super::page::{self, head};
use crate::limit::money::Money;
use crate::limit::{Totals, Unit};
use std::fmt::Write;

/// What is shown of a limit.
type Value = fn(&Totals) -> u64;

/// Whether the value is in the limit's unit, or counts requests.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Unit,
    Requests,
}

#[rustfmt::skip] // one metric a row
const SHOWN: &[(&str, In, Value)] = &[
    (metrics::LIMIT_USED,         In::Unit,     |limit| limit.used),
    (metrics::LIMIT_HELD,         In::Unit,     |limit| limit.held),
    (metrics::LIMIT_REMAINING,    In::Unit,     |limit| limit.remaining),
    (metrics::LIMIT_DEBT,         In::Unit,     |limit| limit.debt),
    (metrics::LIMIT_REFUSED,      In::Requests, |limit| limit.counts.refused),
    (metrics::LIMIT_WOULD_REFUSE, In::Requests, |limit| limit.counts.would_refuse),
    (metrics::LIMIT_OVERSHOOT,    In::Unit,     |limit| limit.counts.overshoot),
];

/// Labels of each of them.
pub(super) const LABELS: &[&str] = &["kind", "of", "per", "limit", "unit"];

/// Appends every limit to a page in Prometheus' text format. Money is in units of its currency, exact to a billionth.
pub fn write(limits: &[Totals], page: &mut String) {
    if limits.is_empty() {
        return;
    }
    let labels: Vec<String> = limits.iter().map(labels).collect();
    for (name, unit, value) in SHOWN {
        head(name, page);
        for (limit, labels) in limits.iter().zip(&labels) {
            let value = value(limit);
            let _ = if *unit == In::Unit && limit.unit == Unit::Money {
                writeln!(page, "{name}{{{labels}}} {}", Money { nano: value }) // writing to a string cannot fail
            } else {
                writeln!(page, "{name}{{{labels}}} {value}")
            };
        }
        page.push('\n');
    }
}

fn labels(limit: &Totals) -> String {
    page::labels(LABELS, &[limit.kind, &*limit.of, limit.per.name(), &*limit.limit, limit.unit.name()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Counts, Per};

    fn totals(limit: &str, unit: Unit) -> Totals {
        Totals {
            kind: "plan",
            of: "gold".into(),
            per: Per::TenantModel,
            limit: limit.into(),
            unit,
            counts: Counts { refused: 1, would_refuse: 2, overshoot: 3_000_000_000 },
            used: 12_500_000_000,
            held: 5,
            remaining: 4,
            debt: 7,
        }
    }

    #[test]
    fn every_limit_stands_under_every_name_with_its_labels() {
        let mut page = String::from("before 1\n");
        write(&[totals("tpm", Unit::Tokens), totals("b\"ad\\", Unit::Tokens)], &mut page);
        assert!(page.starts_with("before 1\n# HELP gateway_limit_used "), "{page}");
        for line in [
            "# TYPE gateway_limit_used gauge",
            "# TYPE gateway_limit_refused_total counter",
            r#"gateway_limit_used{kind="plan",of="gold",per="tenant+model",limit="tpm",unit="tokens"} 12500000000"#,
            r#"gateway_limit_remaining{kind="plan",of="gold",per="tenant+model",limit="tpm",unit="tokens"} 4"#,
            r#"gateway_limit_debt{kind="plan",of="gold",per="tenant+model",limit="tpm",unit="tokens"} 7"#,
            r#"gateway_limit_would_refuse_total{kind="plan",of="gold",per="tenant+model",limit="tpm",unit="tokens"} 2"#,
            r#"gateway_limit_held{kind="plan",of="gold",per="tenant+model",limit="b\"ad\\",unit="tokens"} 5"#,
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        for (name, ..) in SHOWN {
            assert_eq!(page.matches(&format!("\n{name}{{")).count(), 2, "{name}");
        }
    }

    #[test]
    fn money_is_in_units_of_its_currency_and_requests_are_not() {
        let mut page = String::new();
        write(&[totals("monthly", Unit::Money)], &mut page);
        let labels = r#"{kind="plan",of="gold",per="tenant+model",limit="monthly",unit="money"}"#;
        for line in [
            format!("gateway_limit_used{labels} 12.5"),
            format!("gateway_limit_held{labels} 0.000000005"),
            format!("gateway_limit_overshoot_total{labels} 3"),
            format!("gateway_limit_refused_total{labels} 1"),
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }

    #[test]
    fn without_limits_there_is_nothing_to_say() {
        let mut page = String::new();
        write(&[], &mut page);
        assert_eq!(page, "");
    }
}
