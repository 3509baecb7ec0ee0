//! Whole numbers: the schema and the decoder say the same of what is possible.

use super::super::schema;
use super::*;

/// Where the schema has a number, and a policy with a place for it. `GOOD` is whole, and so is it with this.
fn places() -> Vec<(&'static str, String)> {
    const BACKENDS: &str = r#"backends: [{url: "https://maas.example.com:8443/base", weight: 2}]"#;
    let pool = |more: &str| GOOD.replace(BACKENDS, &format!("{BACKENDS}\n    {more}"));
    let route = |more: &str| GOOD.replace("pool: maas\n", &format!("pool: maas\n    {more}\n"));
    let queue = |more: &str| pool(&format!("queue: {{in_flight_max: 9, {more}}}"));
    let version = |name: &str, weight: &str| {
        format!(r#"{{name: {name}, weight: {weight}, backends: [{{url: "http://{name}:80"}}]}}"#)
    };
    let versions = format!("versions: [{}, {}]", version("a", "NUMBER"), version("b", "1"));
    let daily = "gold: [{name: user-rpm, per: user, requests: 20/min, burst: NUMBER}]";
    vec![
        ("routes/items/properties/caps/properties/headers_max", route("caps: {headers_max: NUMBER}")),
        (
            "routes/items/properties/retry/properties/attempts",
            route("retry: {on: [connect], attempts: NUMBER}"),
        ),
        ("routes/items/properties/retry/properties/budget", route("retry: {on: [connect], budget: NUMBER}")),
        (
            "routes/items/properties/ceilings/properties/prompt_tokens",
            route("ceilings: {prompt_tokens: NUMBER}"),
        ),
        (
            "pools/items/properties/backends/items/properties/weight",
            GOOD.replace("weight: 2", "weight: NUMBER"),
        ),
        ("pools/items/properties/versions/items/properties/weight", GOOD.replace(BACKENDS, &versions)),
        ("pools/items/properties/eject/anyOf/1/properties/consecutive", pool("eject: {consecutive: NUMBER}")),
        (
            "pools/items/properties/health/properties/healthy_after",
            pool("health: {path: /h, healthy_after: NUMBER}"),
        ),
        ("pools/items/properties/queue/properties/waiting_max", queue("waiting_max: NUMBER")),
        ("pools/items/properties/queue/properties/burst", queue("burst: NUMBER")),
        ("pools/items/properties/queue/properties/headroom", queue("headroom: NUMBER")),
        (
            "pools/items/properties/queue/properties/classes/items/properties/holdback",
            queue("classes: [{name: c, wait_max: 1s, holdback: NUMBER}]"),
        ),
        (
            "pools/items/properties/queue/properties/adapt/anyOf/1/properties/keep",
            queue("adapt: {keep: NUMBER}"),
        ),
        (
            "plans/additionalProperties/anyOf/0/items/properties/burst",
            GOOD.replace("gold: [{name: user-rpm, per: user, requests: 20/min}]", daily),
        ),
    ]
}

#[test]
fn a_number_is_possible_where_the_schema_says_so_and_nowhere_else() {
    let schema = schema();
    for (place, policy) in places() {
        let number = schema.pointer(&format!("/properties/{place}")).expect(place);
        let bound = |key: &str| number.get(key).map(|bound| bound.as_i64().expect("a whole number"));
        let (least, most) = (bound("minimum").expect(place), bound("maximum"));
        assert!(policy.contains("NUMBER"), "{place}");
        let out_of_range = |number: i64| {
            let problems = load_text(policy.replace("NUMBER", &number.to_string())).err().unwrap_or_default();
            lines(&problems).contains("is out of range")
        };
        assert!(!out_of_range(least), "{place}: {least}");
        assert!(least == 0 || out_of_range(least - 1), "{place}: {}", least - 1);
        match most {
            Some(most) => assert!(!out_of_range(most) && out_of_range(most + 1), "{place}: {most}"),
            None => assert!(!out_of_range(u32::MAX.into()), "{place}"),
        }
    }
}

#[test]
fn none_is_a_number_where_it_means_something() {
    let schema = schema();
    let from_0 = [
        "retry/properties/budget",
        "eject/anyOf/1/properties/consecutive",
        "versions/items/properties/weight",
    ];
    let queue = ["waiting_max", "burst", "headroom", "classes/items/properties/holdback"];
    let queue = queue.map(|key| format!("queue/properties/{key}"));
    for (place, _) in places() {
        let may_be_0 =
            from_0.iter().any(|end| place.ends_with(end)) || queue.iter().any(|end| place.ends_with(end));
        let number = schema.pointer(&format!("/properties/{place}")).expect(place);
        assert_eq!(number["minimum"] == 0, may_be_0, "{place}");
    }
}
