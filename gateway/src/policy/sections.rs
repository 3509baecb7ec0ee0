//! From located trees to the spec: one function for each kind of entry, in the order of the table of keys.

use super::credential::{client, credential};
use super::decode::{At, Entry};
use super::discover::networks;
use super::health::health;
use super::iam::iam;
use super::keys;
use super::limits::{limits, plans};
use super::models::{ceilings, metering, model};
use super::problem::{Located, Problems, quoted};
use super::protocol::{protocol, websocket};
use super::queue::queue;
use super::retry::retry;
use super::snapshot::{Api, Caps, Timeouts};
use super::spec::{Discover, Policy, Pool, Route, Rules};
use super::streams::{self, stream};
use super::tenants::tenant;
use super::yaml::{Node, Value};
use super::{url, versions};
use crate::auth::Kind;
use crate::upstream::discover::Source;
use http::{HeaderName, Method};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The longest time that can be written.
pub const DAY: Duration = Duration::from_secs(86_400);
/// Huawei's own window; a wider one would only give a thief more time.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
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

fn route(entry: &Entry<'_>) -> Option<Route> {
    let matched = entry.object("match", &keys::MATCH).filter(|_| entry.has("match"));
    let caps = entry.object("caps", &keys::CAPS);
    let timeouts = entry.object("timeouts", &keys::TIMEOUTS);
    // All are read before any `?`, so that one wrong key does not hide the next.
    let name = entry.name("name");
    let path = matched.as_ref().and_then(|m| m.text("path"));
    let methods = matched.as_ref().map_or_else(Vec::new, methods);
    let host = matched.as_ref().and_then(host);
    let api = entry.word("api", &[]).map(api);
    let auth = auth(entry);
    let pool = entry.name("pool");
    let body_max = entry.size("body_max", 0..=BODY_MAX);
    let caps = caps.and_then(|caps| {
        let head_max = caps.size("head_max", 1 << 10..=1 << 20);
        let headers_max = caps.count("headers_max");
        let target_max = caps.size("target_max", 64..=64 << 10);
        Some(Caps {
            body_max: body_max?,
            head_max: head_max? as u32,
            headers_max: headers_max? as u16,
            target_max: target_max? as u32,
        })
    });
    let timeouts = timeouts.and_then(|timeouts| {
        let [first_byte, idle, total, write] =
            ["first_byte", "idle", "total", "write"].map(|key| timeouts.duration(key, DAY));
        Some(Timeouts { first_byte: first_byte?, idle: idle?, total: total?, write: write? })
    });
    let retry = retry(entry, timeouts);
    let limits = limits(entry, "limits", &keys::ROUTE_LIMIT);
    let unlimited = unlimited(entry);
    let websocket = websocket(entry, api, &methods);
    let rate_headers = entry.flag("rate_headers");
    let tenant_header = tenant_header(entry, api);
    let credential = credential(entry);
    let metering = metering(entry, api);
    let ceilings = ceilings(entry);
    let path = path?;
    Some(Route {
        name: name?,
        path: Located { value: path.value.to_string(), place: path.place },
        methods,
        host,
        api: api?,
        auth: auth?,
        pool: pool?,
        caps: caps?,
        timeouts: timeouts?,
        limits,
        unlimited,
        websocket,
        rate_headers,
        tenant_header,
        metering: metering?,
        ceilings: ceilings?,
        credential,
        retry,
    })
}

fn api(word: &str) -> Api {
    match word {
        "pangu" => Api::Pangu,
        "openai" => Api::OpenAi,
        "modelarts" => Api::ModelArts,
        "grpc" => Api::Grpc,
        _ => Api::Plain,
    }
}

fn methods(matched: &Entry<'_>) -> Vec<Method> {
    let words = matched.words("methods", &[]);
    if words.is_empty()
        && matched.get("methods").is_some_and(|node| matches!(&node.value, Value::List(l) if l.is_empty()))
    {
        matched.wrong("methods", "no method at all", "leave `methods` out for every method");
    }
    words.iter().filter_map(|word| word.parse().ok()).collect()
}

/// Lower case, a name or an address without port; `*.` may come first.
fn host(matched: &Entry<'_>) -> Option<String> {
    let host = matched.text("host")?.value.to_ascii_lowercase();
    let plain = host.strip_prefix("*.").unwrap_or(&host);
    if url::is_host(plain) {
        return Some(host);
    }
    let help = "write a name without scheme, port and path, such as `api.example.com` or `*.example.com`";
    matched.wrong("host", format!("{} is not a host", quoted(&host)), help);
    None
}

/// `Some(None)` is `auth: none`.
fn auth(entry: &Entry<'_>) -> Option<Option<Rules>> {
    let open = match &entry.get("auth")?.value {
        Value::Text(word) if word == "none" => true,
        Value::Text(_) => {
            entry.wrong(
                "auth",
                "a list of kinds of credential is needed here",
                "write `[ak_sk, app_code, api_key]`, fewer of them, or `none`",
            );
            return None;
        }
        _ => false,
    };
    let signing = entry.object("signing", &keys::SIGNING)?;
    let kinds: Vec<Kind> = if open { Vec::new() } else { kinds(entry) };
    if entry.has("signing") && !kinds.contains(&Kind::AkSk) && (open || !kinds.is_empty()) {
        entry.wrong(
            "signing",
            "this route takes no signature",
            "add `ak_sk` to `auth`, or leave `signing` out",
        );
    }
    let skew = signing.duration("skew", SKEW_MAX);
    let replay = signing.word("replay", &[]);
    let rules = Rules {
        skew: skew?,
        unsigned_payload: signing.flag("unsigned_payload"),
        double_encoded_path: signing.flag("double_encoded_path"),
        refuse_replay: replay? == "refuse",
        kinds,
    };
    Some((!open).then_some(rules))
}

fn kinds(entry: &Entry<'_>) -> Vec<Kind> {
    if entry.get("auth").is_some_and(|node| matches!(&node.value, Value::List(kinds) if kinds.is_empty())) {
        entry.wrong(
            "auth",
            "no kind of credential: nobody could call",
            "name one, or write `none` to let anybody in",
        );
    }
    let words = entry.words("auth", keys::CREDENTIALS_LATER);
    words
        .iter()
        .map(|word| match *word {
            "ak_sk" => Kind::AkSk,
            "app_code" => Kind::AppCode,
            "iam_token" => Kind::IamToken,
            _ => Kind::ApiKey,
        })
        .collect()
}

fn unlimited(entry: &Entry<'_>) -> Option<Located<String>> {
    let reason = entry.text("unlimited")?;
    if reason.value.trim().len() < 3 || matches!(reason.value, "true" | "yes") {
        entry.wrong(
            "unlimited",
            "a reason is needed here",
            "say why no limit is needed, for whoever reads `posture`",
        );
        return None;
    }
    Some(Located { value: reason.value.trim().to_string(), place: reason.place })
}

/// Headers the gateway or its neighbours give a meaning to.
const RESERVED_HEADERS: &[&str] =
    &["x-request-id", "x-apig-appcode", "x-security-token", "x-auth-token", "x-project-id", "x-stage"];

fn tenant_header(entry: &Entry<'_>, api: Option<Api>) -> Option<HeaderName> {
    if api == Some(Api::ModelArts) && !entry.has("tenant_header") {
        return Some(HeaderName::from_static("x-modelarts-user-id"));
    }
    let text = entry.text("tenant_header")?.value.to_ascii_lowercase();
    let reserved = RESERVED_HEADERS.contains(&text.as_str())
        || ["x-sdk-", "x-forwarded-", "x-ratelimit-"].iter().any(|prefix| text.starts_with(prefix));
    match text.parse::<HeaderName>() {
        Ok(name) if text.starts_with("x-") && !reserved => Some(name),
        _ => {
            let what = format!("{} cannot carry the tenant", quoted(&text));
            entry.wrong(
                "tenant_header",
                what,
                "write a header name that begins with `x-` and has no other meaning, such as `x-tenant`",
            );
            None
        }
    }
}

fn pool(entry: &Entry<'_>, dir: &Path) -> Option<Pool> {
    let name = entry.name("name");
    let connect_timeout = entry.duration("connect_timeout", DAY);
    let balance = versions::balance(entry);
    let protocol = protocol(entry);
    let tls = entry.object("tls", &keys::TLS)?;
    let ca_file = tls.text("ca").map(|ca| Located { value: dir.join(ca.value), place: ca.place });
    let client = client(&tls, dir);
    let credential = credential(entry);
    let tls_name = tls.text("name").filter(|name| {
        let good = url::is_host(name.value);
        if !good {
            tls.wrong(
                "name",
                format!("{} is not a host name", quoted(name.value)),
                "write the name the certificate carries",
            );
        }
        good
    });
    let networks = networks(entry);
    let versions::Backends { all: mut backends, discovers, versions, raw } = versions::backends(entry, dir);
    let proves_nothing = |discover: &Discover| {
        matches!(discover.source, Source::Records(_)) && backends[discover.at].0.value.tls.is_some()
    };
    if tls_name.is_none() && discovers.iter().any(proves_nothing) {
        let help = "write `tls: {name: ...}`: whoever can change the records could name a host of his own";
        entry.wrong("discover", "SRV records do not say whom to trust", help);
    }
    for (spec, _) in &mut backends {
        spec.value.protocol = protocol.unwrap_or_default();
        if let (Some(tls), Some(name)) = (&mut spec.value.tls, &tls_name) {
            tls.name = name.value.into();
        }
    }
    let split = versions::split(entry);
    if entry.has("tls") && !backends.is_empty() && backends.iter().all(|(spec, _)| spec.value.tls.is_none()) {
        entry.wrong(
            "tls",
            "no backend of this pool speaks TLS",
            "write `https://` (or, for streams, `tls://`) in their urls, or leave `tls` out",
        );
    }
    let queue = queue(entry);
    let health = health(entry);
    let pool = Pool {
        name: name?,
        backends,
        versions,
        discovers,
        networks: networks?,
        tls_only: entry.has("tls"),
        split: split?,
        balance: balance?,
        ca_file,
        client,
        credential,
        connect_timeout: connect_timeout?,
        protocol: protocol?,
        queue,
        health: health?,
        raw,
    };
    if raw {
        streams::pool(entry, &pool);
    }
    Some(pool)
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
