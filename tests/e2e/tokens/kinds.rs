//! Kinds of limits on what is spent: shadows, money, per model; and requests whose signature covers the body.

use super::*;

fn request(tokens: u32) -> Request {
    post(OPENAI_CHAT, &hello_m(r#","max_tokens":5"#)).header("x-mock-tokens", tokens.to_string())
}

#[test]
fn a_shadow_counts_and_refuses_nobody() {
    let shadow = "- {name: tested, per: tenant, tokens: 50/month, counts: completion, mode: shadow, on_exhausted: cut}";
    let (mock, gateway) = start_metered(&limited(shadow));
    for _ in 0..4 {
        let answer = request(20).send(gateway.http);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);
    }
    let stream =
        post(PANGU_CHAT, &hello(r#","stream":true"#)).header("x-mock-tokens", "100").send(gateway.http);
    assert!(
        stream.text().contains(r#""finish_reason":"stop""#),
        "a shadow cuts no stream: {}",
        stream.text()
    );
    assert_eq!((mock.requests(), charged(&gateway).completion), (5, 180));
    let level = level(&gateway, "acme", "tested");
    // What it would have refused it has not counted: the fourth and fifth, after 60 of 50.
    assert_eq!((&level["mode"], number(&level, "used")), (&"shadow".into(), 60), "{level}");
}

#[test]
fn a_budget_in_money_is_spent_by_the_prices_of_models() {
    // 2 tokens of prompt at 1, 5 of completion at 2 CNY per 1000: 0.012 CNY a request.
    let (mock, gateway) = start_metered(&limited("- {name: tested, per: tenant, budget: 0.1 CNY/month}"));
    let refused = (0..20).map(|_| request(5).send(gateway.http)).find(|answer| answer.status != 200);
    let refused = refused.expect("a budget of 0.1 CNY is spent at some time");
    let error = refused.json();
    assert_eq!((refused.status, &error["error"]["code"]), (429, &"insufficient_quota".into()), "{error}");
    assert_eq!(error["error"]["type"], "insufficient_quota");
    let why = error["error_msg"].as_str().expect("a sentence");
    assert!(
        why.starts_with("Budget tested reached for tenant acme: Limit 0.1 CNY per month, used 0.0"),
        "{why}"
    );
    assert!(why.contains(" CNY, requested 0.0"), "{why}");
    let wait: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!(wait <= 31 * 86_400 * 11 / 10, "not beyond the month: {wait}");

    charged(&gateway);
    // Whole requests of 12 thousandths each, and the next one might have been more than what is left.
    let sent = mock.requests();
    let thousandths = 12 * sent;
    assert!((70..=100).contains(&thousandths), "{sent} requests");
    let level = level(&gateway, "acme", "tested");
    let used = level["used"].as_str().and_then(|used| used.strip_suffix(" CNY")?.parse::<f64>().ok());
    assert_eq!(used, Some(thousandths as f64 / 1000.0), "{level}");
    // Whoever pays nothing may go on: another model has no price.
    assert_eq!(post(PANGU_CHAT, &hello("")).send(gateway.http).status, 200);
}

/// It is refused before its body is read.
#[test]
fn a_request_before_a_debt_in_money_is_told_no_cost_that_nobody_knows() {
    let (_mock, gateway) = start_metered(&limited("- {name: tested, per: tenant, budget: 0.1 CNY/month}"));
    assert_eq!(request(60).send(gateway.http).status, 200);
    charged(&gateway);
    let why = request(5).send(gateway.http).json()["error_msg"].as_str().expect("a sentence").to_owned();
    assert!(why.contains("Limit 0.1 CNY per month, used 0.122 CNY. Please try again in "), "{why}");
}

#[test]
fn a_signature_covers_what_the_caller_sent_and_not_what_goes_upstream() {
    let (mock, gateway) =
        start_metered(&policy(&[("of each route", "ceilings: {completion_tokens: 5, on_excess: clamp}")]));
    let sent = hello_m(r#","stream":true,"max_tokens":50"#);
    let answer = ALICE.sign(Request::post(OPENAI_CHAT, sent.as_str())).send(gateway.http);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains(r#""choices":[]"#), "{}", answer.text());
    let record = &mock.records(1)[0];
    let upstream = String::from_utf8(record.body().expect("it is kept")).expect("text");
    let edited = sent.replace(":50", ":5").replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1);
    assert_eq!(upstream, edited);
    assert_eq!(record.header("content-length"), Some(&*edited.len().to_string()));
    for header in ["authorization", "x-sdk-date", "x-sdk-content-sha256"] {
        assert_eq!(record.header(header), None, "{header} covers other bytes");
    }
    assert_eq!(charged(&gateway), Cost::of(2, 5));

    // One byte of another body, and it is nobody's.
    let signed = ALICE.sign(Request::post(OPENAI_CHAT, hello_m("")));
    let other = Request::post(OPENAI_CHAT, hello_m(" "));
    let forged = signed
        .headers()
        .iter()
        .skip(1)
        .fold(other, |other, (name, value)| other.header(name, value.as_str()));
    assert_eq!(forged.send(gateway.http).status, 401);
    assert_eq!(mock.requests(), 1);
}

#[test]
fn a_limit_of_a_model_counts_all_tenants_and_no_other_model() {
    let more = r#"- name: small
    match: ["vendor/Small-7B"]
    limits: [{name: tested, per: model, tokens: 50/month, counts: completion}]"#;
    let (_mock, gateway) = start_metered(&policy(&[("models", more)]));
    let status = |post: fn(&str, &str) -> Request, model: &str| {
        let body = hello(&format!(r#","max_tokens":5,"model":"{model}""#));
        post(OPENAI_CHAT, &body).header("x-mock-tokens", "25").send(gateway.http)
    };
    assert_eq!(status(post, "small").status, 200);
    assert_eq!(status(post_of_globex, "vendor/Small-7B").status, 200);
    charged(&gateway);
    let refused = status(post, "small");
    assert_eq!(refused.status, 429);
    assert!(refused.text().contains("Budget tested reached for model small"), "{}", refused.text());
    assert_eq!(status(post_of_globex, "small").status, 429);
    assert_eq!(status(post, "m").status, 200);
    assert_eq!(status(post_of_globex, "vendor/small-7b").status, 200, "names are taken letter by letter");
}

#[test]
fn models_are_counted_apart_and_those_without_a_name_share_one_count() {
    let (_mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant+model, tokens: 50/month, counts: completion}"));
    let status = |model: &str| {
        let body = hello(&format!(r#","max_tokens":5,"model":"{model}""#));
        let answer = post(OPENAI_CHAT, &body).header("x-mock-tokens", "25").send(gateway.http);
        charged(&gateway);
        answer.status
    };
    // `new` and `newer` are `other`, and so is whatever a caller invents.
    assert_eq!(["m", "new", "newer"].map(status), [200; 3]);
    assert_eq!(["unheard-of", "new", "m", "known"].map(status), [429, 429, 200, 429]);
    let models: Vec<String> = levels(&gateway, "acme")
        .iter()
        .filter(|level| level["limit"] == "tested")
        .map(|level| format!("{} {}", level["model"].as_str().unwrap_or_default(), number(level, "used")))
        .collect();
    assert_eq!(models.len(), 2, "{models:?}");
    assert!(models.contains(&"known 50".to_owned()) && models.contains(&"other 50".to_owned()), "{models:?}");
}

#[test]
fn globex_has_limits_of_its_own() {
    let (_mock, gateway) =
        start_metered(&limited("- {name: tested, per: tenant, tokens: 20/month, counts: completion}"));
    assert_eq!(request(20).send(gateway.http).status, 200);
    charged(&gateway);
    assert_eq!(request(20).send(gateway.http).status, 429);
    assert_eq!(post_of_globex(OPENAI_CHAT, &hello_m("")).send(gateway.http).status, 200);
}
