//! The top of the page: what was run, whether its figures may be used, and the numbers most people came for.

use crate::measure::Report;
use crate::report::figures::{self, Standing, per_second, percentile, share};
use crate::report::words;

use super::text::escaped;

/// Name, verdicts, reasons not to use the figures, and cards.
pub fn header(report: &Report, baseline: Option<&Report>) -> String {
    format!(
        "<header><p class=\"over\">pangu-loadtest report</p><h1>{}</h1><p class=\"about\">{}</p>\
         <ul class=\"chips\">{}</ul><p class=\"quiet\">{}</p></header>{}{}",
        escaped(&report.about.scenario),
        escaped(&report.about.about),
        chips(report),
        escaped(&line(report)),
        void(report),
        cards(report, baseline)
    )
}

fn chips(report: &Report) -> String {
    let valid = if report.void.is_empty() { ("held", "✓ VALID") } else { ("broken", "✗ VOID") };
    let oracle = match &report.oracle {
        None => ("unshown", "ORACLE: not asked".to_owned()),
        Some(verdict) => {
            let line = figures::verdict_line(verdict);
            let class = match figures::standings(verdict, Standing::Broken) {
                0 if figures::standings(verdict, Standing::Held) == 0 => "unshown",
                0 => "held",
                _ => "broken",
            };
            (class, format!("ORACLE: {line}"))
        }
    };
    [(valid.0, valid.1.to_owned()), oracle]
        .map(|(class, text)| format!("<li class=\"chip {class}\">{}</li>", escaped(&text)))
        .concat()
}

fn line(report: &Report) -> String {
    let about = &report.about;
    let lasted = words::time_us(about.lasted_s * 1e6);
    format!("{} load on {}, {lasted} from {}", about.load, about.target, about.started)
}

fn void(report: &Report) -> String {
    if report.void.is_empty() {
        return String::new();
    }
    let reasons: String = report.void.iter().map(|reason| format!("<li>{}</li>", escaped(reason))).collect();
    format!(
        "<section class=\"void\" role=\"alert\"><h2>Do not use these figures</h2><ul>{reasons}</ul></section>"
    )
}

/// A number that stands for itself, with the baseline's below.
struct Card {
    name: &'static str,
    class: &'static str,
    value: fn(&Report) -> String,
    note: fn(&Report) -> String,
}

const CARDS: [Card; 7] = [
    Card {
        name: "sent",
        class: "",
        value: |r| words::maybe_rate(per_second(r.totals.sent, r)),
        note: |r| words::plural(r.totals.sent, "request"),
    },
    Card {
        name: "ok",
        class: "ok",
        value: |r| words::maybe_share(share(r.totals.ok, r.totals.sent)),
        note: |r| words::count(r.totals.ok),
    },
    Card {
        name: "refused",
        class: "refused",
        value: |r| words::maybe_share(share(r.totals.refused, r.totals.sent)),
        note: |r| format!("{} with 429", words::count(r.totals.refused)),
    },
    Card {
        name: "failed or rejected",
        class: "failed",
        value: |r| words::maybe_share(share(r.totals.failed + r.totals.rejected, r.totals.sent)),
        note: |r| words::count(r.totals.failed + r.totals.rejected),
    },
    Card {
        name: "latency p50",
        class: "",
        value: |r| words::maybe_time(percentile(&r.totals.latency, 50.0)),
        note: |r| format!("service {}", words::maybe_time(percentile(&r.totals.service, 50.0))),
    },
    Card {
        name: "latency p99",
        class: "",
        value: |r| words::maybe_time(percentile(&r.totals.latency, 99.0)),
        note: |r| format!("service {}", words::maybe_time(percentile(&r.totals.service, 99.0))),
    },
    Card {
        name: "latency p99.9",
        class: "",
        value: |r| words::maybe_time(percentile(&r.totals.latency, 99.9)),
        note: |r| format!("service {}", words::maybe_time(percentile(&r.totals.service, 99.9))),
    },
];

const STREAMS: Card = Card {
    name: "first token p50",
    class: "",
    value: |r| words::maybe_time(percentile(&r.totals.first_token, 50.0)),
    note: |r| format!("p99 {}", words::maybe_time(percentile(&r.totals.first_token, 99.0))),
};

const NO_STREAMS: Card = Card {
    name: "latency max",
    class: "",
    value: |r| words::maybe_time(percentile(&r.totals.latency, 100.0)),
    note: |r| format!("service {}", words::maybe_time(percentile(&r.totals.service, 100.0))),
};

fn cards(report: &Report, baseline: Option<&Report>) -> String {
    let last = if report.totals.first_token.count > 0 { &STREAMS } else { &NO_STREAMS };
    let cards = CARDS.iter().chain([last]).map(|card| {
        let was = baseline.map(|old| format!("<p class=\"was\">baseline {}</p>", escaped(&(card.value)(old))));
        format!(
            "<div class=\"card {}\"><p class=\"name\">{}</p><p class=\"value\">{}</p><p class=\"quiet\">{}</p>{}</div>",
            card.class,
            card.name,
            escaped(&(card.value)(report)),
            escaped(&(card.note)(report)),
            was.unwrap_or_default()
        )
    });
    format!(
        "<section class=\"cards\" aria-label=\"Headline numbers\">{}</section>\n",
        cards.collect::<String>()
    )
}
