//! From located trees to the spec: every section of a file, in the order of the table of keys.

use super::decode::{At, Entry};
use super::iam::iam;
use super::keys;
use super::limits::plans;
use super::models::model;
use super::pools::pool;
use super::problem::{Located, Problems};
use super::routes::route;
use super::spec::Policy;
use super::streams::stream;
use super::tenants::tenant;
use super::yaml::{Node, Value};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest time that can be written.
pub const DAY: Duration = Duration::from_secs(86_400);
/// 1 TiB: beyond any model's input, far from overflow.
pub const BODY_MAX: u64 = 1 << 40;

/// Adds the document of a file to the policy.
pub fn read(document: &Node<'_>, file: u16, dir: &Path, policy: &mut Policy, problems: &Problems) {
    let at = At::file(file);
    if let Some((what, help)) = alien(document) {
        problems.add(at.place(document.mark), at, what, help);
        return;
    }
    let Some(top) = Entry::open(document, &keys::POLICY, at, problems) else { return };
    for (key, object) in [
        ("routes", &keys::ROUTE),
        ("pools", &keys::POOL),
        ("models", &keys::MODEL),
        ("tenants", &keys::TENANT),
        ("streams", &keys::STREAM),
    ] {
        let at = at.key(key);
        for (i, node) in top.items(key).iter().enumerate() {
            if problems.full() {
                return;
            }
            let Some(entry) = Entry::open(node, object, at.item(i, node), problems) else { continue };
            match key {
                "routes" => policy.routes.extend(route(&entry)),
                "pools" => match pool(&entry, dir) {
                    Some(pool) => policy.pools.push(pool),
                    None => policy.broken.extend(name_of(node)),
                },
                "models" => match model(&entry) {
                    Some(model) => policy.models.push(model),
                    None => policy.broken.extend(name_of(node)),
                },
                "streams" => policy.streams.extend(stream(&entry, dir)),
                _ => policy.tenants.extend(tenant(&entry)),
            }
        }
    }
    plans(&top, policy);
    iam(&top, policy);
    guard(&top, policy);
}

/// A file of some other program: one problem says more than one for each of its keys.
fn alien(document: &Node<'_>) -> Option<(&'static str, &'static str)> {
    let keys = match &document.value {
        Value::Map(entries) => entries,
        Value::Null => return Some(("the file holds no policy", "write a policy into it, or remove it")),
        _ => {
            return Some((
                "not a policy",
                "a policy begins with `routes:`, `pools:`, `models:`, `plans:`, `tenants:`, `streams:`, `iam:` or `guard:`",
            ));
        }
    };
    let has = |name: &str| keys.iter().any(|(key, _)| key.name == name);
    if keys::POLICY.keys.iter().any(|known| has(known.name)) {
        return None;
    }
    if has("apiVersion") && has("kind") {
        return Some((
            "a Kubernetes object, not a policy",
            "mount the files of a ConfigMap here, not its manifest; keep manifests elsewhere",
        ));
    }
    if has("services") {
        return Some(("a compose file, not a policy", "keep it out of the policy directory"));
    }
    // One unknown key may be a misspelt section: the table of keys suggests the right one.
    (keys.len() != 1).then_some((
        "not a policy: none of its keys is `routes`, `pools`, `models`, `plans`, `tenants`, `streams`, `iam` or `guard`",
        "keep other files out of the policy directory",
    ))
}

fn name_of(node: &Node<'_>) -> Option<Arc<str>> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find_map(|(key, node)| match &node.value {
        Value::Text(name) if key.name == "name" => Some(name.as_ref().into()),
        _ => None,
    })
}

fn guard(top: &Entry<'_>, policy: &mut Policy) {
    let Some(entry) = top.object("guard", &keys::GUARD).filter(|_| top.has("guard")) else { return };
    let Some(rate) = entry.rate("per_address") else { return };
    if rate.period != Duration::from_secs(1) {
        entry.wrong("per_address", "the guard counts by the second", "write `200/s`");
    }
    if policy.guard.is_some() {
        top.wrong("guard", "written in two files", "keep one of them");
    }
    policy.guard = Some(Located { value: rate.count, place: top.place_of("guard") });
}
