//! What the caller reads.

use super::*;
use crate::limit::headers::{RetryAfter, admitted, refused};
use crate::limit::money::Currency;
use http::HeaderMap;
use proptest::prelude::*;

fn standing(limit: &str, window: Duration, remaining: u64, reset: Duration) -> Standing {
    Standing {
        limit: limit.into(),
        unit: if window.is_zero() { Unit::Places } else { Unit::Requests },
        currency: Currency::NONE,
        quota: 2000,
        most: 2000,
        window,
        used: 2000 - remaining,
        held: 0,
        remaining,
        reset,
        budget: false,
    }
}

fn limited(standing: Standing, per: Per, retry_after: Duration) -> Limited {
    let Standing { limit, unit, currency, quota, most, window, used, held, reset, budget, .. } = standing;
    let [tenant, user, route, model] = ["acme", "alice", "chat", "pangu"].map(|name| Some(name.into()));
    let full = Full {
        limit,
        per,
        tenant,
        user,
        route,
        model,
        unit,
        currency,
        budget,
        requested: 1,
        quota,
        most,
        window,
        used,
        held,
    };
    Limited { full: full.into(), reset, retry_after }
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")));
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines
}

#[test]
fn an_answer_tells_where_the_limit_stands() {
    let mut headers = HeaderMap::new();
    let standing = standing("rpm", MINUTE, 50, Duration::from_millis(29_500));
    admitted(&Standings { requests: Some(standing), tokens: None, ..Standings::default() }, &mut headers);
    assert_eq!(
        lines(&headers),
        [
            r#"ratelimit-policy: "rpm";q=2000;w=60"#,
            r#"ratelimit: "rpm";r=50;t=30"#,
            "x-ratelimit-limit-requests: 2000",
            "x-ratelimit-remaining-requests: 50",
            "x-ratelimit-reset-requests: 29.5s",
        ]
    );
}

#[test]
fn a_refusal_tells_when_to_try_again() {
    let mut headers = HeaderMap::new();
    let refusal = limited(standing("rpm", MINUTE, 0, MINUTE), Per::Tenant, Duration::from_micros(1_500_001));
    refused(&refusal, 0, &mut headers);
    assert_eq!(
        lines(&headers),
        [
            r#"ratelimit-policy: "rpm";q=2000;w=60"#,
            r#"ratelimit: "rpm";r=0;t=2"#,
            "retry-after-ms: 1501",
            "retry-after: 2",
            "x-ratelimit-limit-requests: 2000",
            "x-ratelimit-remaining-requests: 0",
            "x-ratelimit-reset-requests: 1m0s",
        ]
    );
}

#[test]
fn a_concurrency_limit_names_its_unit_and_no_window() {
    let mut headers = HeaderMap::new();
    let refusal = limited(standing("in\"flight 并发", Duration::ZERO, 0, SECOND), Per::Tenant, SECOND);
    refused(&refusal, 0, &mut headers);
    assert_eq!(headers["ratelimit-policy"], r#""in\"flight __";q=2000;qu="concurrent-requests""#);
    assert_eq!(headers["ratelimit"], r#""in\"flight __";r=0;t=1"#);
}

/// The IETF's headers have no unit for tokens, and none of them one for money.
#[test]
fn tokens_have_headers_of_their_own_and_money_has_none() {
    for (unit, expected) in [
        (
            Unit::CompletionTokens,
            &[
                "retry-after-ms: 1000",
                "retry-after: 1",
                "x-ratelimit-limit-tokens: 2000",
                "x-ratelimit-remaining-tokens: 0",
                "x-ratelimit-reset-tokens: 1m0s",
            ][..],
        ),
        (Unit::Money, &["retry-after-ms: 1000", "retry-after: 1"]),
    ] {
        let mut headers = HeaderMap::new();
        let standing = Standing { unit, ..standing("tpm", MINUTE, 0, MINUTE) };
        refused(&limited(standing, Per::Tenant, SECOND), 0, &mut headers);
        assert_eq!(lines(&headers), expected);
    }
}

#[test]
fn a_reset_reads_as_openai_writes_it() {
    let read = |reset_us| {
        let mut headers = HeaderMap::new();
        let standing = standing("rpm", MINUTE, 1, Duration::from_micros(reset_us));
        admitted(&Standings { requests: Some(standing), tokens: None, ..Standings::default() }, &mut headers);
        headers["x-ratelimit-reset-requests"].to_str().expect("text").to_owned()
    };
    let cases = [
        (0, "0s"),
        (1, "1ms"),
        (120_000, "120ms"),
        (999_001, "1s"),
        (1_000_000, "1s"),
        (1_500_000, "1.5s"),
        (1_050_000, "1.05s"),
        (60_000_000, "1m0s"),
        (360_000_000, "6m0s"),
        (61_250_000, "1m1.25s"),
        (3_600_000_000, "1h0m0s"),
        (86_399_999_999, "24h0m0s"),
    ];
    for (reset_us, text) in cases {
        assert_eq!(read(reset_us), text, "{reset_us} us");
    }
}

#[test]
fn the_sentence_says_which_limit_which_level_how_much_and_when() {
    let say = |per, window, most, wait_ms| {
        let used = most;
        let standing = Standing { quota: 20, most, used, ..standing("rpm", window, 0, MINUTE) };
        limited(standing, per, Duration::from_millis(wait_ms)).to_string()
    };
    assert_eq!(
        say(Per::User, MINUTE, 20, 1500),
        "Rate limit rpm reached for user alice: Limit 20 per 1m, used 20, requested 1. Please try again in 1.5s."
    );
    assert_eq!(
        say(Per::TenantRoute, 1440 * MINUTE, 5, 120),
        "Rate limit rpm reached for tenant acme on route chat: Limit 20 per 1d and 5 at once, used 5, requested 1. Please try again in 120ms."
    );
    assert_eq!(
        say(Per::Tenant, Duration::ZERO, 20, 1000),
        "Concurrency limit rpm reached for tenant acme: Limit 20 at the same time, used 20, requested 1. Please try again in 1s."
    );
    assert!(say(Per::Route, 60 * MINUTE, 20, 1).contains("for route chat: Limit 20 per 1h,"));
    assert!(say(Per::Route, Duration::from_secs(90), 20, 1).contains("per 90s"));
}

proptest! {
    #[test]
    fn retry_after_is_never_zero_never_early_and_at_most_a_tenth_late(wait_us in 1..100_000_000_000u64, spread in any::<u16>()) {
        let wait = Duration::from_micros(wait_us);
        let RetryAfter { seconds, milliseconds } = RetryAfter::new(wait, spread);
        prop_assert!(seconds >= 1 && milliseconds >= 1);
        prop_assert!(Duration::from_millis(milliseconds) >= wait);
        prop_assert!(Duration::from_secs(seconds) >= Duration::from_millis(milliseconds));
        prop_assert!(milliseconds <= wait_us.div_ceil(1000) + wait_us / 10_000 + 1);
        prop_assert!(seconds <= wait_us.div_ceil(1_000_000) + wait_us / 10_000_000 + 1);

        let mut headers = HeaderMap::new();
        refused(&limited(standing("l", MINUTE, 0, MINUTE), Per::User, wait), spread, &mut headers);
        let t = headers["ratelimit"].to_str().expect("text").rsplit('=').next().expect("t").parse::<u64>();
        prop_assert!(t.expect("a number") <= seconds, "Retry-After is not earlier than t");
    }
}
