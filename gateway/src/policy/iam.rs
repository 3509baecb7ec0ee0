//! `iam`, the logins in it and in credentials, and what tenants and users say of their tokens, as written. Nothing here
//! quotes what may be a secret.

use super::decode::{At, Entry};
use super::keys;
use super::problem::{Located, Problems, quoted};
use super::spec::{self, Login, Policy, Who};
use super::tenants::source;
use super::url;
use super::yaml::{Node, Value};
use crate::iam::{Agency, Member, Membership, Ref, Terms};
use std::num::NonZeroU32;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// Longest time that a revoked token may still be accepted.
const TTL_MAX: Duration = Duration::from_secs(3_600);

/// The section `iam`.
pub fn iam(top: &Entry<'_>, policy: &mut Policy) {
    let Some(entry) = top.object("iam", &keys::IAM).filter(|_| top.has("iam")) else { return };
    if policy.iam.is_some() {
        top.wrong("iam", "written in two files", "keep one of them");
    }
    let login = login(&entry);
    let cache = entry.object("cache", &keys::IAM_CACHE);
    let cache = cache.and_then(|cache| {
        let ttl = cache.duration("ttl", TTL_MAX);
        let [stale, negative] = ["stale", "negative"].map(|key| cache.duration(key, DAY));
        let max = cache.count("max");
        Some((Terms { ttl: ttl?, stale: stale?, negative: negative? }, max? as usize))
    });
    let [unknown, unknown_per_address] =
        ["unknown", "unknown_per_address"].map(|key| per_second(&entry, key));
    let place = top.place_of("iam");
    let read = || {
        let (terms, max) = cache?;
        Some(spec::Iam {
            login: login?,
            terms,
            max,
            unknown: unknown?,
            unknown_per_address: unknown_per_address?,
        })
    };
    match read() {
        Some(value) => policy.iam = Some(Located { value, place }),
        None => policy.iam_broken = true,
    }
}

fn per_second(entry: &Entry<'_>, key: &'static str) -> Option<NonZeroU32> {
    let rate = entry.rate(key)?;
    if rate.period != Duration::from_secs(1) {
        entry.wrong(key, "these are counted by the second", "write `30/s`");
        return None;
    }
    Some(rate.count)
}

/// Where IAM is and who asks it: the keys that `iam` and `credential.iam_token` have in common.
pub fn login(entry: &Entry<'_>) -> Option<Login> {
    let endpoint = endpoint(entry);
    let agency = entry.object("agency", &keys::IAM_AGENCY).filter(|_| entry.has("agency")).map(|agency| {
        let (domain, name) = (agency.text("domain"), agency.text("name"));
        Some(Agency { domain: Ref::of(domain?.value), name: name?.value.into() })
    });
    let agency = match agency {
        Some(None) => return None,
        agency => agency.flatten(),
    };
    let project = entry.text("project").map(|project| Ref::of(project.value));
    let who = match (entry.has("password"), entry.has("hw_ak_sk")) {
        (true, false) => password(&entry.object("password", &keys::IAM_PASSWORD)?),
        (false, true) => ak_sk(&entry.object("hw_ak_sk", &keys::IAM_AK_SK)?),
        _ => {
            let what = "IAM has to be told who asks";
            entry.problems.add(entry.place(), entry.at, what, "write either `password` or `hw_ak_sk`");
            None
        }
    };
    let (endpoint, ca_file) = endpoint?;
    Some(Login { endpoint, ca_file, who: who?, agency, project })
}

type Endpoint = (Located<crate::upstream::BackendSpec>, Option<Located<std::path::PathBuf>>);

fn endpoint(entry: &Entry<'_>) -> Option<Endpoint> {
    let tls = entry.object("tls", &keys::IAM_TLS)?;
    let ca_file = tls.text("ca").map(|ca| Located { value: ca.value.into(), place: ca.place });
    let text = entry.text("endpoint")?;
    match url::backend(text.value) {
        Ok(spec) if spec.tls.is_none() && !is_loopback(&spec.host) => {
            let help = "write `https://`; plain HTTP is for a mock on this machine";
            entry.wrong("endpoint", "secrets and tokens would go in the clear", help);
            None
        }
        Ok(spec) => Some((Located { value: spec, place: text.place }, ca_file)),
        Err(wrong) => {
            entry.wrong("endpoint", wrong.what, wrong.help);
            None
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn password(entry: &Entry<'_>) -> Option<Who> {
    let (user, domain) = (entry.text("user"), entry.text("domain"));
    let password = secret(entry, "password");
    Some(Who::Password { user: user?.value.into(), domain: Ref::of(domain?.value), password: password? })
}

fn ak_sk(entry: &Entry<'_>) -> Option<Who> {
    let [access_key, secret_key] = ["access_key", "secret_key"].map(|key| secret(entry, key));
    Some(Who::AkSk { access_key: access_key?, secret_key: secret_key? })
}

fn secret(entry: &Entry<'_>, key: &'static str) -> Option<Located<spec::Source>> {
    source(entry.get(key)?, entry.at.key(key), entry.problems)
}

/// `tenants[].iam`
pub fn membership(tenant: &Entry<'_>) -> Option<Located<Membership>> {
    let entry = tenant.object("iam", &keys::TENANT_IAM).filter(|_| tenant.has("iam"))?;
    let [project, domain] = ["project", "domain"].map(|key| entry.text(key).map(|text| Ref::of(text.value)));
    let value = match (project, domain) {
        (Some(Ref::Id(id)), None) => Membership::Project(id),
        (Some(Ref::Name(name)), Some(domain)) => Membership::ProjectOf(domain, name),
        (None, Some(domain)) => Membership::Domain(domain),
        (Some(Ref::Id(_)), Some(_)) => {
            entry.wrong("domain", "the id of a project says it all", "leave `domain` out");
            return None;
        }
        (Some(Ref::Name(name)), None) => {
            let what = format!("every account has a project named {}", quoted(&name));
            entry.wrong(
                "project",
                what,
                "write the project's id (32 digits), or its account in `domain` beside it",
            );
            return None;
        }
        (None, None) => {
            let help = "write `project`, `domain` or both";
            entry.problems.add(
                entry.place(),
                entry.at,
                "a tenant's tokens are known by project or account",
                help,
            );
            return None;
        }
    };
    Some(Located { value, place: tenant.place_of("iam") })
}

/// `tenants[].users[].iam`
pub fn member(node: &Node<'_>, at: At<'_>, problems: &Problems) -> Option<Member> {
    if let Value::Text(word) = &node.value {
        if word == "any" {
            return Some(Member::Any);
        }
        let what = format!("{} is not possible here", quoted(word));
        problems.add(
            at.place(node.mark),
            at,
            what,
            "write `{user: NAME}`, or `any` for every user that is not named",
        );
        return None;
    }
    let user = Entry::open(node, &keys::USER_IAM, at, problems)?.text("user").map(|user| Ref::of(user.value));
    user.map(Member::User)
}
