//! Reads what ModelArts answers to `predict/endpoints?type=host_endpoints`: which instances a service has.
//!
//! The documents show `schema`, `ip` and `port` of an instance, and not what stands around them. So a plain list is
//! taken, a list (or a single instance) under one of a few names, and a single instance by itself. All else is refused,
//! and what came is told: to guess would mean to send requests to whatever looks like an address.

use super::{Found, shown, whole};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Under which the instances may stand.
const LISTS: [&str; 5] = ["endpoints", "host_endpoints", "predict_endpoints", "hosts", "instances"];

/// The instances in the body of an answer; perhaps none.
///
/// # Errors
/// One sentence: what came, without values that could be secrets.
pub fn read(body: &[u8]) -> Result<Vec<Found>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        format!("the answer is no JSON (line {}, column {})", error.line(), error.column())
    })?;
    let instances = match &value {
        Value::Array(list) => list.as_slice(),
        Value::Object(object) if object.contains_key("ip") => std::slice::from_ref(&value),
        Value::Object(object) => listed(object)?,
        other => return Err(format!("the answer is {}, and no list of endpoints", kind(other))),
    };
    whole(instances.iter().map(instance).collect::<Result<_, _>>()?)
}

/// What stands under the one name that is known.
fn listed(object: &Map<String, Value>) -> Result<&[Value], String> {
    let mut known = LISTS.iter().filter_map(|name| object.get(*name));
    match (known.next(), known.next()) {
        (Some(Value::Array(list)), None) => Ok(list),
        (Some(one @ Value::Object(_)), None) => Ok(std::slice::from_ref(one)),
        (Some(other), None) => Err(format!("the endpoints are {}, and no list", kind(other))),
        (Some(_), Some(_)) => Err(format!("the answer has several lists of endpoints; {}", keys(object))),
        (None, _) => Err(format!("the answer has no list of endpoints; {}", keys(object))),
    }
}

fn instance(value: &Value) -> Result<Found, String> {
    let Value::Object(object) = value else {
        return Err(format!("an endpoint is {}, and no object", kind(value)));
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let ip = text("ip").and_then(|ip| ip.parse::<IpAddr>().ok());
    let port = object.get("port").and_then(|port| match port {
        Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    });
    let tls = text("schema").or(text("scheme")).and_then(|schema| match schema {
        http if http.eq_ignore_ascii_case("http") => Some(false),
        https if https.eq_ignore_ascii_case("https") => Some(true),
        _ => None,
    });
    match (ip, port.filter(|port| *port > 0), tls) {
        (Some(ip), port @ Some(_), tls @ Some(_)) => Ok(Found { tls, ..Found::at(ip, port, 1) }),
        (None, ..) => Err(format!("an endpoint without an address in `ip`; {}", keys(object))),
        (_, None, _) => Err(format!("an endpoint without a number in `port`; {}", keys(object))),
        (.., None) => Err(format!("an endpoint without http or https in `schema`; {}", keys(object))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn keys(object: &Map<String, Value>) -> String {
    const SHOWN_MAX: usize = 8;
    let names: Vec<String> = object.keys().take(SHOWN_MAX).map(|name| shown(name)).collect();
    match names.len() {
        0 => "it is an empty object".into(),
        _ => format!("its keys: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &str = r#"{"schema":"http","ip":"192.168.205.58","port":31997}"#;

    fn ports(body: &str) -> Vec<u16> {
        read(body.as_bytes()).unwrap().iter().filter_map(|found| found.port).collect()
    }

    #[test]
    fn plausible_envelopes_are_read() {
        for envelope in [
            "[ONE]",
            "ONE",
            r#"{"endpoints":[ONE]}"#,
            r#"{"endpoints":ONE}"#,
            r#"{"host_endpoints":[ONE],"service_id":"s"}"#,
            r#"{"predict_endpoints":[ONE,ONE]}"#,
            r#"{"type":"host_endpoints","instances":[ONE]}"#,
        ] {
            assert_eq!(ports(&envelope.replace("ONE", ONE)), [31997], "{envelope}");
        }
        assert_eq!(ports("[]"), [0; 0]);
    }

    #[test]
    fn instances_are_told_apart_and_say_whether_they_speak_tls() {
        let body = r#"[{"schema":"HTTPS","ip":"10.0.0.2","port":"8080"},{"scheme":"http","ip":"10.0.0.1","port":1}]"#;
        let found = read(body.as_bytes()).unwrap();
        let seen: Vec<_> = found.iter().map(|one| (one.ip.to_string(), one.port, one.tls)).collect();
        assert_eq!(seen[0], ("10.0.0.1".into(), Some(1), Some(false)));
        assert_eq!(seen[1], ("10.0.0.2".into(), Some(8080), Some(true)));
    }

    #[test]
    fn all_else_is_refused_and_told() {
        for (body, told) in [
            ("", "no JSON"),
            ("<html>", "no JSON"),
            ("null", "null"),
            ("\"text\"", "a text"),
            ("{}", "an empty object"),
            (r#"{"data":{"list":[]}}"#, "`data`"),
            (r#"{"endpoints":3}"#, "a number"),
            (r#"{"endpoints":[],"hosts":[]}"#, "several lists"),
            ("[3]", "an endpoint is a number"),
            (r#"[{"ip":"10.0.0.1","port":1}]"#, "`schema`"),
            (r#"[{"schema":"ws","ip":"10.0.0.1","port":1}]"#, "`schema`"),
            (r#"[{"schema":"http","ip":"models.example.com","port":1}]"#, "`ip`"),
            (r#"[{"schema":"http","ip":"10.0.0.1","port":0}]"#, "`port`"),
            (r#"[{"schema":"http","ip":"10.0.0.1","port":65536}]"#, "`port`"),
            (r#"{"error_code":"ModelArts.0203","error_msg":"secret-canary"}"#, "`error_code`"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(error.contains(told) && !error.contains("canary"), "{body}: {error}");
        }
    }

    #[test]
    fn too_many_are_refused_whole() {
        let many: Vec<String> = (0..=1_000)
            .map(|n| format!(r#"{{"schema":"http","ip":"10.0.{}.{}","port":1}}"#, n / 250, n % 250))
            .collect();
        assert!(read(format!("[{}]", many.join(",")).as_bytes()).unwrap_err().contains("more than 1000"));
        assert_eq!(ports(&format!("[{}]", many[..1_000].join(","))).len(), 1_000);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop_oneof!["[ -~]{0,12}", Just("10.0.0.1".to_owned()), Just("http".to_owned())]
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            let key = prop_oneof!["(ip|port|schema|endpoints|hosts)", "\\PC{0,60}"];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(key, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_talk_long(value in json(), noise: Vec<u8>) {
            for body in [value.to_string().into_bytes(), noise] {
                match read(&body) {
                    Ok(found) => prop_assert!(found.len() <= 1_000 && found.iter().all(|one| one.port != Some(0))),
                    Err(told) => prop_assert!(told.len() < 2_000, "{}", told.len()),
                }
            }
        }
    }
}
