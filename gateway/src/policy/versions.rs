//! Where requests of a pool go, as written: `backends` or `versions`, `split`, `balance`.

use super::decode::Entry;
use super::discover::discover;
use super::keys;
use super::problem::{Located, quoted};
use super::spec::{Discover, Rule, Split, Version};
use super::url;
use super::yaml::Value;
use crate::upstream::{BackendSpec, Balance, Subject, When};
use http::HeaderName;
use std::path::Path;

/// More than anybody compares; a pool can tell 64 apart.
const VERSIONS_MAX: usize = 16;
/// Rules of one pool: every request asks them all.
const RULES_MAX: usize = 100;
/// Two prompts that begin alike for less have nothing in common that is worth it.
const PREFIX_MIN: u64 = 16;
/// What is hashed of every request.
const PREFIX_MAX: u64 = 64 << 10;

/// All backends of a pool.
#[derive(Default)]
pub struct Backends {
    pub all: Vec<(Located<BackendSpec>, u32)>,
    /// Which of them stand for those that are found.
    pub discovers: Vec<Discover>,
    /// Which of them are of which version; empty: the pool has none.
    pub versions: Vec<Version>,
    /// They are for streams, and for no route.
    pub raw: bool,
}

/// What is written of a pool's backends; paths count from `dir`.
pub fn backends(pool: &Entry<'_>, dir: &Path) -> Backends {
    let mut read = Backends::default();
    match (pool.has("backends") || pool.has("discover"), pool.has("versions")) {
        (true, false) => read.add(pool, dir),
        (false, true) => read.add_versions(pool, dir),
        (true, true) => {
            let help = "write each backend under its version, and `versions` alone";
            pool.wrong("versions", "a pool has `backends` or `versions`, not both", help);
        }
        (false, false) => {
            let help = "for instance `backends: [{url: \"https://10.0.0.11:8443\"}]`; upstream addresses";
            pool.problems.add(pool.place(), pool.at, "`backends` is missing", help);
        }
    }
    read
}

impl Backends {
    /// Those of a pool or a version.
    fn add(&mut self, entry: &Entry<'_>, dir: &Path) {
        self.add_written(entry);
        if let Some((form, discover)) = discover(entry, self.all.len(), dir) {
            if self.raw {
                let help =
                    "write the backends of streams as `tcp://name:port`: a name stands for all its addresses";
                entry.wrong("discover", "backends for streams are not discovered", help);
                return;
            }
            self.all.push((form, 1));
            self.discovers.push(discover);
        }
    }

    /// Adds the entries of `backends` of a pool or a version.
    fn add_written(&mut self, entry: &Entry<'_>) {
        let at = entry.at.key("backends");
        for (i, node) in entry.items("backends").iter().enumerate() {
            let Some(backend) = Entry::open(node, &keys::BACKEND, at.item(i, node), entry.problems) else {
                continue;
            };
            let weight = backend.count("weight");
            let Some(text) = backend.text("url") else { continue };
            let spec = match url::backend(text.value) {
                Ok(spec) => spec,
                Err(wrong) => {
                    backend.wrong("url", wrong.what, wrong.help);
                    continue;
                }
            };
            let raw = url::is_raw(text.value);
            if !self.all.is_empty() && self.raw != raw {
                let help = "`tcp` and `tls` are for streams, `http` and `https` for routes: write two pools";
                backend.wrong("url", "backends of one pool that speak different things", help);
                continue;
            }
            self.raw = raw;
            self.all.push((Located { value: spec, place: text.place }, weight.unwrap_or(1)));
        }
        if is_empty_list(entry, "backends") {
            entry.wrong("backends", "a pool needs a backend", "add `- url: https://...`");
        }
    }

    fn add_versions(&mut self, pool: &Entry<'_>, dir: &Path) {
        let at = pool.at.key("versions");
        let items = pool.items("versions");
        if is_empty_list(pool, "versions") {
            pool.wrong("versions", "no version at all", "write some, or `backends` instead");
        }
        if items.len() > VERSIONS_MAX {
            let what = format!("more than {VERSIONS_MAX} versions");
            pool.wrong("versions", what, "keep those that still serve");
        }
        let mut weights = 0;
        for (i, node) in items.iter().enumerate().take(VERSIONS_MAX) {
            let Some(entry) = Entry::open(node, &keys::VERSION, at.item(i, node), pool.problems) else {
                continue;
            };
            let name = entry.name("name");
            let weight = entry.count("weight");
            let first = self.all.len();
            if !entry.has("backends") && !entry.has("discover") {
                let help = "for instance `backends: [{url: \"https://10.0.0.12:8443\"}]`; or `discover`";
                entry.problems.add(entry.place(), entry.at, "`backends` is missing", help);
            }
            self.add(&entry, dir);
            weights += weight.unwrap_or(1); // what could not be read is not what is missed
            if let (Some(name), Some(weight)) = (name, weight) {
                self.versions.push(Version { name, weight, backends: first..self.all.len() });
            }
        }
        if !items.is_empty() && weights == 0 {
            pool.wrong("versions", "no version has a weight", "give the one that most requests are for 100");
        }
    }
}

fn is_empty_list(entry: &Entry<'_>, key: &str) -> bool {
    entry.get(key).is_some_and(|node| matches!(&node.value, Value::List(list) if list.is_empty()))
}

/// `split` of a pool. Which versions and tenants there are is not known yet.
pub fn split(pool: &Entry<'_>) -> Option<Split> {
    if !pool.has("split") {
        return Some(Split::default());
    }
    if !pool.has("versions") {
        let help = "write `versions` instead of `backends`, or leave `split` out";
        pool.wrong("split", "this pool has no versions to split its requests among", help);
    }
    let entry = pool.object("split", &keys::SPLIT)?;
    let by = match entry.text("by")?.value {
        "request" => Some(None),
        _ => subject(&entry, &["request", "user", "tenant"]).map(Some),
    };
    let at = entry.at.key("when");
    let items = entry.items("when");
    if items.len() > RULES_MAX {
        entry.wrong("when", format!("more than {RULES_MAX} rules"), "let a header say which version it is");
    }
    let open = |(i, node)| Entry::open(node, &keys::WHEN, at.item(i, node), pool.problems);
    let rules = items.iter().enumerate().filter_map(open).filter_map(|entry| rule(&entry)).collect();
    Some(Split { by: by?, rules })
}

fn rule(entry: &Entry<'_>) -> Option<Rule> {
    let place = entry.place();
    let version = entry.name("version");
    let when = match (entry.has("tenant"), entry.has("header")) {
        (true, false) => {
            let Located { value, place } = entry.name("tenant")?;
            Located { value: When::Tenant(value), place }
        }
        (false, true) => {
            let header = entry.object("header", &keys::HEADER_IS)?;
            let name = header.text("name").and_then(|name| header_name(&header, "name", name.value));
            let value = header.text("value")?.value;
            Located { value: When::Header(name?, value.as_bytes().into()), place }
        }
        _ => {
            let what = "exactly one of `tenant` and `header` is needed here";
            entry.problems.add(place, entry.at, what, "write two rules if both are to have the version");
            return None;
        }
    };
    Some(Rule { when, version: version? })
}

/// `balance` of a pool, with its `hash`.
pub fn balance(pool: &Entry<'_>) -> Option<Balance> {
    let balance = match pool.word("balance", &[])? {
        "least_requests" => Balance::LeastRequests,
        "ewma" => Balance::Ewma,
        "hash" if !pool.has("hash") => {
            let help = "add `hash: {by: user}`, or another subject";
            pool.wrong("balance", "by what? `hash` is missing", help);
            return None;
        }
        "hash" => return hashed(pool).map(Balance::Hash),
        _ => Balance::RoundRobin,
    };
    if pool.has("hash") {
        pool.wrong("hash", "nothing is hashed here", "write `balance: hash`, or leave `hash` out");
    }
    Some(balance)
}

fn hashed(pool: &Entry<'_>) -> Option<Subject> {
    let entry = pool.object("hash", &keys::HASH)?;
    let subject = subject(&entry, &["user", "tenant", "prompt"]);
    let bytes = entry.size("prefix", PREFIX_MIN..=PREFIX_MAX);
    match subject? {
        Subject::Prompt { .. } => Some(Subject::Prompt { bytes: bytes? as usize }),
        other => {
            if entry.has("prefix") {
                entry.wrong("prefix", "only prompts have one", "write `by: prompt`, or leave `prefix` out");
            }
            Some(other)
        }
    }
}

/// The subject written at `by`: one of these words, or a header.
fn subject(entry: &Entry<'_>, words: &[&str]) -> Option<Subject> {
    let text = entry.text("by")?.value;
    if let Some(name) = text.strip_prefix("header ") {
        return header_name(entry, "by", name.trim()).map(Subject::Header);
    }
    match text {
        "tenant" => Some(Subject::Tenant),
        "user" => Some(Subject::User),
        "prompt" if words.contains(&"prompt") => Some(Subject::Prompt { bytes: 0 }),
        _ => {
            let help = format!("one of: {}, header NAME", words.join(", "));
            entry.wrong("by", format!("{} is not possible here", quoted(text)), help);
            None
        }
    }
}

fn header_name(entry: &Entry<'_>, key: &str, name: &str) -> Option<HeaderName> {
    let parsed = name.parse().ok();
    if parsed.is_none() {
        let what = format!("{} is not a header name", quoted(name));
        entry.wrong(key, what, "letters, digits and `-`, such as `x-session`");
    }
    parsed
}
