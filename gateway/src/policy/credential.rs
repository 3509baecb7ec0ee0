//! `credential` of pools and routes, and the client certificate of pools, as written. Nothing here quotes what may be a
//! secret.

use super::decode::Entry;
use super::iam;
use super::keys;
use super::problem::{Located, quoted};
use super::spec::{ClientFiles, Shown, Signing, Source};
use super::tenants::source;
use super::yaml::Value;
use http::{HeaderName, HeaderValue};
use std::path::Path;

/// `credential` of a pool or route; None if it is not there or cannot be read.
pub fn credential(entry: &Entry<'_>) -> Option<Located<Shown>> {
    let node = entry.get("credential")?;
    let place = entry.place_of("credential");
    if let Value::Text(word) = &node.value {
        if word == "none" {
            return Some(Located { value: Shown::None, place });
        }
        // Not quoted: somebody may have put the secret here.
        let help = "write `{app_code: {env: NAME}}` and the like, or `none`";
        entry.wrong("credential", "a credential is `none` or a mapping", help);
        return None;
    }
    one_of(entry, &keys::SHOWN)
}

/// `credential` of a source of backends: what an API of the cloud's own takes; None if it cannot be read.
pub fn api_credential(entry: &Entry<'_>) -> Option<Located<Shown>> {
    one_of(entry, &keys::API_CREDENTIAL)
}

/// A `credential` that is one of these kinds.
fn one_of(entry: &Entry<'_>, kinds: &'static keys::Object) -> Option<Located<Shown>> {
    let place = entry.place_of("credential");
    let entry = entry.object("credential", kinds)?;
    let names = || kinds.keys.iter().map(|key| key.name);
    let mut written = names().filter(|name| entry.has(name));
    let (Some(kind), None) = (written.next(), written.next()) else {
        let names: Vec<&str> = names().collect();
        let help = format!("write exactly one of: {}", names.join(", "));
        entry.problems.add(place, entry.at, "one kind of credential is needed here", help);
        return None;
    };
    let value = match kind {
        "ak_sk" => signing(&entry.object("ak_sk", &keys::SHOWN_AK_SK)?).map(Shown::AkSk),
        "app_code" => named(&entry, "app_code").map(Shown::AppCode),
        "api_key" => named(&entry, "api_key").map(Shown::ApiKey),
        "iam_token" => iam::login(&entry.object("iam_token", &keys::SHOWN_IAM)?)
            .map(|login| Shown::IamToken(Box::new(login))),
        "header" => header(&entry.object("header", &keys::SHOWN_HEADER)?),
        _ => pass(&entry),
    };
    Some(Located { value: value?, place })
}

fn named(entry: &Entry<'_>, key: &'static str) -> Option<Located<Source>> {
    source(entry.get(key)?, entry.at.key(key), entry.problems)
}

fn pass(entry: &Entry<'_>) -> Option<Shown> {
    if entry.flag("pass") {
        return Some(Shown::Pass);
    }
    let help = "write `true` to let the callers' own credentials pass, or `credential: none`";
    entry.wrong("pass", "there is nothing to pass then", help);
    None
}

fn signing(entry: &Entry<'_>) -> Option<Signing> {
    let [access_key, secret_key, security_token] =
        ["access_key", "secret_key", "security_token"].map(|key| named(entry, key));
    let [region, service] = ["region", "service"].map(|key| scope_part(entry, key));
    let derived = entry.word("algorithm", &[])? == "v11";
    for key in ["region", "service"] {
        let (what, help) = match (derived, entry.has(key)) {
            (true, false) => (
                "`v11` derives its key for a region and a service",
                "write both, such as `region: cn-southwest-2, service: modelarts`",
            ),
            (false, true) => ("only with `algorithm: v11`", "leave it out, or write `algorithm: v11`"),
            _ => continue,
        };
        entry.wrong(key, what, help);
        return None;
    }
    if entry.has("security_token") && security_token.is_none() {
        return None;
    }
    Some(Signing {
        access_key: access_key?,
        secret_key: secret_key?,
        security_token,
        derived: if derived { Some((region?, service?)) } else { None },
        unsigned_payload: entry.flag("unsigned_payload"),
        project_id: project_id(entry)?,
    })
}

fn scope_part(entry: &Entry<'_>, key: &'static str) -> Option<Box<str>> {
    let text = entry.text(key)?.value;
    let good = (1..=48).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !good {
        let help = "write it as Huawei Cloud does, such as `cn-southwest-2` or `modelarts`";
        entry.wrong(key, format!("{} is not a {key}", quoted(text)), help);
    }
    good.then(|| text.into())
}

/// `Some(None)`: not written.
fn project_id(entry: &Entry<'_>) -> Option<Option<HeaderValue>> {
    if !entry.has("project_id") {
        return Some(None);
    }
    let text = entry.text("project_id")?.value;
    let good =
        text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let value = HeaderValue::from_str(text).ok().filter(|_| good && !text.is_empty());
    if value.is_none() {
        entry.wrong("project_id", "not the id of a project", "write the 32 digits that the console shows");
    }
    value.map(Some)
}

/// Headers with a meaning of their own, which a secret in them would break.
const NOT_FOR_SECRETS: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-modelarts-user-id",
    "x-request-id",
    "x-tenant",
];

fn header(entry: &Entry<'_>) -> Option<Shown> {
    let value = named(entry, "value");
    let text = entry.text("name")?.value.to_ascii_lowercase();
    let taken = NOT_FOR_SECRETS.contains(&text.as_str())
        || ["x-forwarded-", "x-sdk-"].iter().any(|prefix| text.starts_with(prefix));
    let Some(name) = text.parse::<HeaderName>().ok().filter(|_| !taken) else {
        let help = "write the header that the backend knows its callers by, such as `x-api-key`";
        entry.wrong("name", format!("{} cannot carry a credential", quoted(&text)), help);
        return None;
    };
    Some(Shown::Header(name, value?))
}

/// `tls.client`; paths count from `dir`.
pub fn client(tls: &Entry<'_>, dir: &Path) -> Option<ClientFiles> {
    let entry = tls.object("client", &keys::CLIENT).filter(|_| tls.has("client"))?;
    let file = |key| entry.text(key).map(|path| Located { value: dir.join(path.value), place: path.place });
    let (cert, key) = (file("cert"), file("key"));
    Some(ClientFiles { cert: cert?, key: key? })
}
