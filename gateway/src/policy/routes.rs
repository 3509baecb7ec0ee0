//! `routes` as written.

use super::credential::credential;
use super::decode::Entry;
use super::keys;
use super::limits::limits;
use super::models::{ceilings, metering};
use super::problem::{Located, quoted};
use super::protocol::websocket;
use super::retry::retry;
use super::sections::{BODY_MAX, DAY};
use super::snapshot::{Api, Caps, Timeouts};
use super::spec::{Route, Rules};
use super::url;
use super::yaml::Value;
use crate::auth::Kind;
use http::{HeaderName, Method};
use std::time::Duration;

/// Huawei's own window; a wider one would only give a thief more time.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// An entry of `routes`; None if something is wrong, which is recorded.
pub fn route(entry: &Entry<'_>) -> Option<Route> {
    let matched = entry.object("match", &keys::MATCH).filter(|_| entry.has("match"));
    // All are read before any `?`, so that one wrong key does not hide the next.
    let name = entry.name("name");
    let path = matched.as_ref().and_then(|m| m.text("path"));
    let methods = matched.as_ref().map_or_else(Vec::new, methods);
    let host = matched.as_ref().and_then(host);
    let api = entry.word("api", &[]).map(api);
    let auth = auth(entry);
    let pool = entry.name("pool");
    let caps = caps(entry);
    let timeouts = timeouts(entry);
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

fn caps(entry: &Entry<'_>) -> Option<Caps> {
    let body_max = entry.size("body_max", 0..=BODY_MAX);
    let caps = entry.object("caps", &keys::CAPS)?;
    let head_max = caps.size("head_max", 1 << 10..=1 << 20);
    let headers_max = caps.count("headers_max");
    let target_max = caps.size("target_max", 64..=64 << 10);
    Some(Caps {
        body_max: body_max?,
        head_max: head_max? as u32,
        headers_max: headers_max? as u16,
        target_max: target_max? as u32,
    })
}

fn timeouts(entry: &Entry<'_>) -> Option<Timeouts> {
    let timeouts = entry.object("timeouts", &keys::TIMEOUTS)?;
    let [first_byte, idle, total, write] =
        ["first_byte", "idle", "total", "write"].map(|key| timeouts.duration(key, DAY));
    Some(Timeouts { first_byte: first_byte?, idle: idle?, total: total?, write: write? })
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
