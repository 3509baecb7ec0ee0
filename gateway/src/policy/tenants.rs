//! `tenants`, their users and credentials, as written. Nothing here quotes what may be a secret.

use super::decode::{At, Entry, text};
use super::iam;
use super::keys;
use super::problem::{Located, Problems};
use super::spec::{Credential, Hashed, Source, Tenant, User};
use super::yaml::{Node, Value};

/// `tenants[]`
pub fn tenant(entry: &Entry<'_>) -> Option<Tenant> {
    let name = entry.name("name");
    let plan = entry.name("plan");
    let at = entry.at.key("users");
    let items = entry.items("users");
    let open = |(i, node)| Entry::open(node, &keys::USER, at.item(i, node), entry.problems);
    let users = items.iter().enumerate().filter_map(open).filter_map(|entry| user(&entry)).collect();
    let iam = iam::membership(entry);
    let iam_broken = iam.is_none() && entry.has("iam");
    Some(Tenant { name: name?, plan: plan?, users, iam, iam_broken })
}

fn user(entry: &Entry<'_>) -> Option<User> {
    let name = entry.name("name");
    let mut credentials = Vec::new();
    for key in keys::USER_CREDENTIALS {
        let at = entry.at.key(key);
        for node in entry.many(key) {
            let value = match *key {
                "ak_sk" => ak_sk(node, at, entry.problems),
                "app_code" => hashed(node, at, entry.problems).map(Credential::AppCode),
                _ => hashed(node, at, entry.problems).map(Credential::ApiKey),
            };
            credentials.extend(value.map(|value| Located { value, place: at.place(node.mark) }));
        }
    }
    if let Some(node) = entry.get("iam") {
        let at = entry.at.key("iam");
        let member = iam::member(node, at, entry.problems).map(Credential::Iam);
        credentials.extend(member.map(|value| Located { value, place: at.place(node.mark) }));
    }
    if !entry.has("iam") && !keys::USER_CREDENTIALS.iter().any(|key| entry.has(key)) {
        entry.problems.add(
            entry.place(),
            entry.at,
            "a user without a credential can never call",
            "add `ak_sk`, `app_code`, `api_key` or `iam`",
        );
    }
    Some(User { name: name?, credentials })
}

fn ak_sk(node: &Node<'_>, at: At<'_>, problems: &Problems) -> Option<Credential> {
    if literal(node, at, problems, "write `{access_key: AK, secret_key: {env: NAME}}`") {
        return None;
    }
    let entry = Entry::open(node, &keys::AK_SK, at, problems)?;
    let access_key = entry.text("access_key");
    if access_key.as_ref().is_some_and(|key| {
        key.value.is_empty() || !key.value.bytes().all(|b| b.is_ascii_graphic() && !b",;=/".contains(&b))
    }) {
        entry.wrong(
            "access_key",
            "cannot stand in an Authorization header",
            "write letters, digits, `-`, `_` and the like",
        );
    }
    let secret_key =
        entry.get("secret_key").and_then(|node| source(node, entry.at.key("secret_key"), problems));
    let security_token =
        entry.get("security_token").and_then(|node| source(node, entry.at.key("security_token"), problems));
    Some(Credential::AkSk { access_key: access_key?.value.into(), secret_key: secret_key?, security_token })
}

/// Where a secret is: `{env: NAME}` or `{file: path}`.
pub fn source(node: &Node<'_>, at: At<'_>, problems: &Problems) -> Option<Located<Source>> {
    if literal(node, at, problems, "name it: `{env: NAME}` or `{file: path}`") {
        return None;
    }
    let value = one_of(node, at, problems, &["env", "file"])?;
    let value = match value {
        ("env", name) => Source::Env(name),
        (_, path) => Source::File(path),
    };
    Some(Located { value, place: at.place(node.mark) })
}

fn hashed(node: &Node<'_>, at: At<'_>, problems: &Problems) -> Option<Hashed> {
    if literal(node, at, problems, "write `{sha256: ...}`, or name it: `{env: NAME}` or `{file: path}`") {
        return None;
    }
    match one_of(node, at, problems, &["sha256", "env", "file"])? {
        ("env", name) => Some(Hashed::At(Source::Env(name))),
        ("file", path) => Some(Hashed::At(Source::File(path))),
        (_, digest) => {
            let bytes = sha256(&digest);
            if bytes.is_none() {
                let help = "`printf %s CODE | sha256sum` prints them";
                problems.add(at.place(node.mark), at.key("sha256"), "64 hex digits are needed here", help);
            }
            bytes.map(Hashed::Sha256)
        }
    }
}

/// A secret written out. The text itself goes nowhere.
fn literal(node: &Node<'_>, at: At<'_>, problems: &Problems, help: &str) -> bool {
    let written = matches!(node.value, Value::Text(_));
    if written {
        problems.add(at.place(node.mark), at, "a secret may not be written in a policy", help);
    }
    written
}

/// The one key of a mapping that names a secret. No text of it is quoted: it may be the secret itself.
fn one_of(
    node: &Node<'_>,
    at: At<'_>,
    problems: &Problems,
    keys: &[&'static str],
) -> Option<(&'static str, String)> {
    let wrong = |what: &str| {
        let help = format!("write exactly one of: {}", keys.join(", "));
        problems.add(at.place(node.mark), at, what, help);
    };
    let Value::Map(entries) = &node.value else {
        wrong("a mapping that names the secret is needed here");
        return None;
    };
    let [(key, value)] = entries.as_slice() else {
        wrong("one key is needed here");
        return None;
    };
    let Some(known) = keys.iter().find(|known| **known == key.name) else {
        wrong("unknown key");
        return None;
    };
    let text = text(value, at.key(known), problems)?;
    if text.value.is_empty() || text.value.contains('\0') {
        problems.add(text.place, at.key(known), "nothing usable is written here", "");
        return None;
    }
    Some((known, text.value.to_string()))
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
