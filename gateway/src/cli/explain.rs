//! `pangu-gateway explain`: which limits a request would meet, as a table.

use super::fetch;
use crate::admin::query::encoded;
use crate::admin::shown::{Explained, Limit, Missing, Verdict};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

/// Whose request, and whom to ask.
#[derive(Debug, Args)]
pub struct Explain {
    /// Who calls. Needed unless anybody may call the route.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// On which route.
    #[arg(long, value_name = "NAME")]
    route: String,
    /// Which of its users. Default: one that has used nothing yet.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For which model. Default: the route's.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Where the gateway's admin API is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9900")]
    admin: String,
    /// File with the admin token, if the gateway asks for one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Asks the gateway.
    ///
    /// # Errors
    /// One or two sentences that say what to do.
    pub fn ask(&self) -> Result<String, String> {
        let answer = fetch::get(&self.admin, &self.target(), self.token_file.as_deref())?;
        let body = String::from_utf8_lossy(&answer.body);
        match answer.status {
            200 if self.json => Ok(body.into_owned()),
            200 => {
                let explained = serde_json::from_str(&body);
                explained.map(|explained| table(&explained)).map_err(|e| self.not_understood(&e))
            }
            401 => Err(format!("{} asks for its token; name the file: --token-file FILE", self.admin)),
            404 => {
                let missing: Missing = serde_json::from_str(&body).map_err(|e| self.not_understood(&e))?;
                Err(format!("{}\n help: {}", missing.error, missing.help))
            }
            status => Err(format!("{} answered {status}: {}", self.admin, body.trim_end())),
        }
    }

    fn target(&self) -> String {
        let mut target = format!("/explain?route={}", encoded(&self.route));
        for (name, value) in [("tenant", &self.tenant), ("user", &self.user), ("model", &self.model)] {
            if let Some(value) = value {
                let _ = write!(target, "&{name}={}", encoded(value)); // writing to a string cannot fail
            }
        }
        target
    }

    fn not_understood(&self, error: &serde_json::Error) -> String {
        format!(
            "{}: no answer to `explain` ({error}); is this the gateway's `admin.address`, and of the same version?",
            self.admin
        )
    }
}

fn table(explained: &Explained) -> String {
    let mut text = String::new();
    let Explained { now, tenant, user, route, model, .. } = explained;
    let whose = match (tenant, user) {
        (Some(tenant), Some(user)) => format!("tenant {tenant}, user {user}"),
        (Some(tenant), None) => format!("tenant {tenant}, a user that has used nothing"),
        (None, _) => "anybody (limits per tenant and user do not count here)".into(),
    };
    let model = model.as_ref().map(|model| format!(", model {model}")).unwrap_or_default();
    let _ = writeln!(text, "{whose}, route {route}{model}, at {now}\n");
    if explained.limits.is_empty() {
        text.push_str("no limit\n");
    } else {
        columns(&explained.limits.iter().map(row).collect::<Vec<_>>(), &mut text);
    }
    text.push('\n');
    terms(explained, &mut text);
    let _ = writeln!(text, "now: {}", verdict(&explained.one_token));
    text
}

const HEAD: [&str; 10] =
    ["LIMIT", "PER", "COUNTS", "QUOTA", "USED", "HELD", "LEFT", "DEBT", "EMPTY IN", "MODE"];

/// Columns of numbers stand at their right ends.
const NUMBERS: std::ops::Range<usize> = 3..9;

fn row(limit: &Limit) -> [String; 10] {
    let window = limit.window_ms.map(|ms| format!("/{}", window(ms, limit.budget))).unwrap_or_default();
    let burst = if limit.most == limit.quota { String::new() } else { format!(" ({} at once)", limit.most) };
    let cut = if limit.on_exhausted == "cut" { ", cut" } else { "" };
    [
        limit.limit.clone(),
        limit.per.clone(),
        limit.unit.replace('_', " "),
        format!("{}{window}{burst}", limit.quota),
        limit.used.to_string(),
        limit.held.to_string(),
        limit.remaining.to_string(),
        limit.debt.to_string(),
        limit.reset_ms.map_or_else(|| "-".into(), span),
        format!("{}{cut}", limit.mode),
    ]
}

fn columns(rows: &[[String; 10]], text: &mut String) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEAD[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 10] = std::array::from_fn(width);
    for row in std::iter::once(&HEAD.map(String::from)).chain(rows) {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if NUMBERS.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line: Vec<String> = cells.collect();
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
}

/// Ceilings, price and estimate, as far as there are any.
fn terms(explained: &Explained, text: &mut String) {
    let ceilings = &explained.ceilings;
    if let Some(most) = ceilings.prompt_tokens {
        let _ = writeln!(text, "ceiling: {most} prompt tokens; a longer prompt is refused");
    }
    if let Some(most) = ceilings.completion_tokens {
        let excess = if ceilings.on_excess == "clamp" { "cut down to it" } else { "refused" };
        let _ =
            writeln!(text, "ceiling: {most} completion tokens of one choice; a request for more is {excess}");
    }
    if ceilings.clamp_to_budget {
        text.push_str("ceiling: completion tokens are cut down to what is left of limits and budgets\n");
    }
    if let Some(price) = &explained.price {
        let (prompt, completion) = (&price.prompt_per_million, &price.completion_per_million);
        let _ = writeln!(text, "price: {prompt} for 1M prompt tokens, {completion} for 1M completion tokens");
    }
    if let Some(estimate) = &explained.estimate {
        let _ = writeln!(
            text,
            "held for a prompt: {:.2} tokens an ASCII byte, {:.2} any other byte, {:.1} a message, {:.1} in any case; \
             and {:.0} % on top",
            estimate.per_ascii_byte,
            estimate.per_other_byte,
            estimate.per_message,
            estimate.per_prompt,
            (estimate.margin - 1.0) * 100.0,
        );
        if let Some(completion) = estimate.completion {
            let _ = writeln!(
                text,
                "held for an answer: {completion} tokens for each choice, or `max_tokens` if less"
            );
        }
    }
}

fn verdict(verdict: &Verdict) -> String {
    if verdict.admitted {
        return "a request of one token would be let in".into();
    }
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let wait = span(verdict.retry_after_ms.unwrap_or_default());
    let (limit, per, at, why) =
        (part(&verdict.limit), part(&verdict.per), part(&verdict.at), part(&verdict.why));
    format!(
        "a request of one token would be refused by {limit} (per {per}) for {wait}, until {at}\n  \"{why}\""
    )
}

fn window(ms: u64, budget: bool) -> String {
    const DAY_MS: u64 = 86_400_000;
    match ms {
        1_000 => "s".into(),
        60_000 => "min".into(),
        3_600_000 => "h".into(),
        DAY_MS => "day".into(),
        _ if budget => "month".into(),
        ms => span(ms),
    }
}

/// Two units at most, rounded up: `1d 2h`, `3m 20s`, `1.5s`.
fn span(ms: u64) -> String {
    let s = ms.div_ceil(1000);
    match s {
        _ if ms < 10_000 => format!("{}.{}s", ms.div_ceil(100) / 10, ms.div_ceil(100) % 10),
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m {}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shown::{Amount, Ceilings, Estimate, Price};

    fn limit(name: &str, per: &str, unit: &str, most: Amount, used: Amount) -> Limit {
        let zero = Amount::Count(0);
        Limit {
            limit: name.into(),
            per: per.into(),
            user: None,
            route: None,
            model: None,
            unit: unit.into(),
            quota: most.clone(),
            window_ms: Some(60_000),
            budget: false,
            most,
            used,
            held: zero.clone(),
            remaining: zero.clone(),
            debt: zero,
            reset_ms: Some(61_500),
            mode: "enforce".into(),
            on_exhausted: "finish".into(),
        }
    }

    #[test]
    fn a_table_says_it_all() {
        let mut budget = limit(
            "monthly",
            "tenant",
            "money",
            Amount::Money("100 CNY".into()),
            Amount::Money("12.5 CNY".into()),
        );
        (budget.window_ms, budget.budget, budget.mode) = (Some(30 * 86_400_000), true, "shadow".into());
        let mut tpm = limit("tpm", "tenant+model", "tokens", Amount::Count(1000), Amount::Count(1200));
        (tpm.debt, tpm.on_exhausted, tpm.most) = (Amount::Count(200), "cut".into(), Amount::Count(500));
        let explained = Explained {
            now: "2026-03-01T00:00:00Z".into(),
            tenant: Some("acme".into()),
            user: None,
            route: "chat".into(),
            model: Some("pangu-large".into()),
            limits: vec![budget, tpm],
            ceilings: Ceilings {
                prompt_tokens: Some(8000),
                completion_tokens: Some(2000),
                on_excess: "clamp".into(),
                clamp_to_budget: true,
            },
            price: Some(Price {
                prompt_per_million: Amount::Money("8 CNY".into()),
                completion_per_million: Amount::Money("20 CNY".into()),
            }),
            estimate: Some(Estimate {
                per_ascii_byte: 0.27,
                per_other_byte: 0.25,
                per_message: 4.0,
                per_prompt: 3.0,
                margin: 1.3,
                completion: Some(256),
            }),
            one_token: Verdict {
                admitted: false,
                limit: Some("tpm".into()),
                per: Some("tenant+model".into()),
                why: Some("too much".into()),
                retry_after_ms: Some(12_000),
                at: Some("2026-03-01T00:00:12Z".into()),
            },
        };
        let expected = "\
tenant acme, a user that has used nothing, route chat, model pangu-large, at 2026-03-01T00:00:00Z

LIMIT    PER           COUNTS                   QUOTA      USED  HELD  LEFT  DEBT  EMPTY IN  MODE
monthly  tenant        money            100 CNY/month  12.5 CNY     0     0     0     1m 2s  shadow
tpm      tenant+model  tokens  1000/min (500 at once)      1200     0     0   200     1m 2s  enforce, cut

ceiling: 8000 prompt tokens; a longer prompt is refused
ceiling: 2000 completion tokens of one choice; a request for more is cut down to it
ceiling: completion tokens are cut down to what is left of limits and budgets
price: 8 CNY for 1M prompt tokens, 20 CNY for 1M completion tokens
held for a prompt: 0.27 tokens an ASCII byte, 0.25 any other byte, 4.0 a message, 3.0 in any case; and 30 % on top
held for an answer: 256 tokens for each choice, or `max_tokens` if less
now: a request of one token would be refused by tpm (per tenant+model) for 12s, until 2026-03-01T00:00:12Z
  \"too much\"
";
        assert_eq!(table(&explained), expected);
    }

    #[test]
    fn spans_are_rounded_up_and_short() {
        let cases = [
            (0, "0.0s"),
            (1, "0.1s"),
            (1_450, "1.5s"),
            (9_999, "10.0s"),
            (10_001, "11s"),
            (60_000, "1m 0s"),
            (3_599_001, "1h 0m"),
            (90_000_000, "1d 1h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(span(ms), expected);
        }
    }
}
