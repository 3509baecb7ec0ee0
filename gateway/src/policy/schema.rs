//! The table of keys as JSON Schema, for editors, and as a Markdown table, for people.

use super::keys::{self, Key, Kind, Need, Object};
use serde_json::{Value, json};
use std::fmt::Write;
use std::ops::RangeInclusive;

const SIZE: &str = "^[0-9]+ ?(B|KB|kB|KiB|MB|MiB|GB|GiB)?$";
const DURATION: &str = "^[0-9]+ ?(ms|s|m|min|h|d)$";
const RATE: &str = "^[0-9]+ ?[kMG]? ?/ ?(s|min|h|day)$";
const SPEED: &str = "^[0-9]+ ?(B|KB|kB|KiB|MB|MiB|GB|GiB)? ?/s$";
const TOKENS: &str = "^[0-9]+ ?[kMG]? ?/ ?(s|min|h|day|month)$";
const BUDGET: &str = "^[0-9]+([.][0-9]+)? ?[A-Z]{3} ?/ ?(day|month)$";
const DECIMAL: &str = "^[0-9]+([.][0-9]+)?$";
const CURRENCY: &str = "^[A-Z]{3}$";
const COUNT: &str = "^[0-9]+ ?[kMG]?$";
const PERCENT: &str = "^[0-9]{1,3} ?%$";
const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// JSON Schema (draft 2020-12) of a policy file.
pub fn schema() -> Value {
    let mut schema = object(&keys::POLICY);
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["title"] = "pangu-gateway policy".into();
    schema
}

fn object(object: &'static Object) -> Value {
    let known = || object.keys.iter().filter(|key| !matches!(key.kind, Kind::Later));
    let properties: serde_json::Map<String, Value> =
        known().map(|key| (key.name.to_string(), property(key))).collect();
    let required: Vec<&str> =
        known().filter(|key| matches!(key.need, Need::Required)).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": object.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn property(key: &'static Key) -> Value {
    let mut schema = kind(&key.kind);
    schema["description"] = key.doc.into();
    if let Need::Default(text) = key.need {
        schema["default"] = match text.parse::<u32>() {
            Ok(number) => number.into(),
            Err(_) => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        };
    }
    schema
}

fn kind(of: &'static Kind) -> Value {
    match of {
        Kind::Name => json!({"type": "string", "pattern": NAME}),
        Kind::Text => json!({"type": "string", "minLength": 1}),
        Kind::Size => json!({"type": ["string", "integer"], "pattern": SIZE, "minimum": 0}),
        Kind::Duration => json!({"type": "string", "pattern": DURATION}),
        Kind::Rate => json!({"type": "string", "pattern": RATE}),
        Kind::Speed => json!({"type": "string", "pattern": SPEED}),
        Kind::Tokens => json!({"type": "string", "pattern": TOKENS}),
        Kind::Budget => json!({"type": "string", "pattern": BUDGET}),
        Kind::Decimal => json!({"type": ["string", "number"], "pattern": DECIMAL, "minimum": 0}),
        Kind::Currency => json!({"type": "string", "pattern": CURRENCY}),
        Kind::Count(range) => count(range),
        Kind::Percent => json!({"type": "string", "pattern": PERCENT}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Object(keys) => object(keys),
        Kind::List(item) => json!({"type": "array", "items": kind(item)}),
        Kind::Many(item) => json!({"anyOf": [kind(item), {"type": "array", "items": kind(item)}]}),
        Kind::Named(value) => json!({"type": "object", "additionalProperties": kind(value)}),
        Kind::Either(one, other) => json!({"anyOf": [kind(one), kind(other)]}),
        Kind::Secret => one_key_of(&keys::SECRET),
        Kind::Hashed => one_key_of(&keys::HASHED),
        Kind::Later => json!(false),
    }
}

fn count(range: &RangeInclusive<u32>) -> Value {
    let mut schema = json!({"type": ["string", "integer"], "pattern": COUNT, "minimum": range.start()});
    if *range.end() < u32::MAX {
        schema["maximum"] = (*range.end()).into();
    }
    schema
}

fn one_key_of(keys: &'static Object) -> Value {
    let mut schema = object(keys);
    schema["minProperties"] = 1.into();
    schema["maxProperties"] = 1.into();
    schema
}

/// Every key with what it may be, its default and an example: the table of `policies/README.md`.
pub fn reference() -> String {
    let mut table = String::from("| key | value | default | example | |\n| --- | --- | --- | --- | --- |\n");
    rows(&keys::POLICY, "", "", &mut table);
    table
}

/// A row for each key and for what is below it, except below the key `told`.
fn rows(object: &'static Object, prefix: &str, told: &str, table: &mut String) {
    for key in object.keys.iter().filter(|key| !matches!(key.kind, Kind::Later)) {
        let default = match key.need {
            Need::Required => "required".to_string(),
            Need::Optional => "-".to_string(),
            Need::Default(text) => format!("`{text}`"),
        };
        let path = format!("{prefix}{}", key.name);
        let row = format!(
            "| `{path}` | {} | {default} | `{}` | {} |",
            words(&key.kind),
            key.example,
            cell(key.doc)
        );
        let _into_a_string = writeln!(table, "{row}");
        // A route's credential has the keys of a pool's.
        if key.name != told && path != "routes[].credential" {
            below(&key.kind, &path, table);
        }
    }
}

fn below(kind: &'static Kind, path: &str, table: &mut String) {
    match kind {
        Kind::Object(object) => rows(object, &format!("{path}."), "", table),
        Kind::List(item) => below(item, &format!("{path}[]"), table),
        Kind::Many(item) => below(item, path, table),
        Kind::Named(value) => below(value, &format!("{path}.*"), table),
        Kind::Either(one, other) => {
            below(one, path, table);
            match other {
                // The longer form of a plan has the same limits.
                Kind::Object(object) => rows(object, &format!("{path}."), "limits", table),
                other => below(other, path, table),
            }
        }
        Kind::Secret => rows(&keys::SECRET, &format!("{path}."), "", table),
        Kind::Hashed => rows(&keys::HASHED, &format!("{path}."), "", table),
        _ => {}
    }
}

/// A bar would end the cell.
fn cell(doc: &str) -> String {
    doc.replace('|', "\\|")
}

fn words(kind: &'static Kind) -> String {
    match kind {
        Kind::Name => "name".into(),
        Kind::Text => "text".into(),
        Kind::Size => "size: B, KB, KiB, MB, MiB, GB, GiB".into(),
        Kind::Duration => "duration: ms, s, m, h, d".into(),
        Kind::Rate => "number per s, min, h or day".into(),
        Kind::Speed => "size per s".into(),
        Kind::Tokens => "number per s, min, h, day or month; k, M, G".into(),
        Kind::Budget => "amount and currency per day or month".into(),
        Kind::Decimal => "decimal".into(),
        Kind::Currency => "currency".into(),
        Kind::Count(_) => "number; k, M, G".into(),
        Kind::Percent => "percentage".into(),
        Kind::Bool => "`true` or `false`".into(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Object(_) => "mapping".into(),
        Kind::List(item) => format!("list of {}", words(item)),
        Kind::Many(item) => format!("{}, or a list", words(item)),
        Kind::Named(value) => format!("by name: {}", words(value)),
        Kind::Either(one, other) => format!("{} or {}", words(one), words(other)),
        Kind::Secret => "`{env}` or `{file}`".into(),
        Kind::Hashed => "`{sha256}`, `{env}` or `{file}`".into(),
        Kind::Later => String::new(),
    }
}
