//! IAM: tokens for users of two made-up accounts, and what they stand for.
//!
//! `POST /v3/auth/tokens` issues (`password`, `hw_ak_sk`, `assume_role`), `GET` and `HEAD` describe the token in
//! `X-Subject-Token` to whoever shows a good one in `X-Auth-Token`, both as Huawei Cloud documents them. Tokens can be
//! revoked, given a short life, and IAM can be slow or away: see [`control`](super::control).
//!
//! Accounts `acme` and `other` have the users `gateway`, `alice`, `bob` and `mallory` each, with `password-of-NAME` and
//! the key pair `AK-ACCOUNT-NAME`, `sk-of-NAME`; the projects `cn-southwest-2` and `cn-north-4`; and the agency `models`
//! for each other's users. Ids are digests of names.
//!
//! *Not here.* The counters of model endpoints: calls of IAM are counted apart.

mod answer;
mod asked;

use answer::{Answer, error};
use asked::{Asked, KeyPair, Password, Role, Scope};
use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock;

/// The one path.
pub const PATH: &str = "/v3/auth/tokens";

const ACCOUNTS: [&str; 2] = ["acme", "other"];
const USERS: [&str; 4] = ["gateway", "alice", "bob", "mallory"];
const PROJECTS: [&str; 2] = ["cn-southwest-2", "cn-north-4"];
const AGENCY: &str = "models";

/// The mock IAM.
#[derive(Debug, Default)]
pub struct Iam(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    knobs: Knobs,
    counts: Counts,
    issued: HashMap<String, Token>,
}

/// How it behaves. Field names are the keys of the control API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Answers this to everything, if set. Default: none.
    pub status: Option<u16>,
    /// Milliseconds before each answer. Default: 0.
    pub latency_ms: u64,
    /// Milliseconds that a token lives. Default: 24 h.
    pub lifetime_ms: u64,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs { status: None, latency_ms: 0, lifetime_ms: 86_400_000 }
    }
}

/// Calls so far, whatever came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// `POST`
    pub issue: u64,
    /// `GET` and `HEAD`
    pub check: u64,
}

#[derive(Debug, Clone)]
struct Token {
    user: String,
    account: &'static str,
    /// Name and account, or the whole account.
    project: Option<&'static str>,
    scope_account: &'static str,
    method: &'static str,
    issued_ms: u64,
    expires_ms: u64,
}

impl Iam {
    /// Answers one request; its body was read already.
    pub async fn answer(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> Response<Full<Bytes>> {
        let latency = self.0.lock().knobs.latency_ms;
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        let mut state = self.0.lock();
        let answer = match *method {
            Method::POST => {
                state.counts.issue += 1;
                state.away().unwrap_or_else(|| state.issue(headers, body))
            }
            Method::GET | Method::HEAD => {
                state.counts.check += 1;
                state.away().unwrap_or_else(|| state.check(headers))
            }
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed."),
        };
        drop(state);
        answer.response(*method == Method::HEAD)
    }

    /// How it behaves now.
    pub fn knobs(&self) -> Knobs {
        self.0.lock().knobs.clone()
    }

    /// Sets all knobs.
    pub fn turn(&self, knobs: Knobs) {
        self.0.lock().knobs = knobs;
    }

    /// Calls so far.
    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    /// Ends a token before its time; all, if none is named.
    pub fn revoke(&self, token: Option<&str>) {
        let mut state = self.0.lock();
        match token {
            Some(token) => drop(state.issued.remove(token)),
            None => state.issued.clear(),
        }
    }

    /// Forgets calls and knobs; tokens stay good.
    pub fn reset(&self) {
        let mut state = self.0.lock();
        (state.counts, state.knobs) = (Counts::default(), Knobs::default());
    }
}

impl State {
    fn away(&self) -> Option<Answer> {
        let status = StatusCode::from_u16(self.knobs.status?).ok()?;
        Some(error(status, "The mock was told to say so."))
    }

    fn issue(&mut self, headers: &HeaderMap, body: &[u8]) -> Answer {
        let Ok(asked) = serde_json::from_slice::<Asked>(body) else {
            return error(StatusCode::BAD_REQUEST, "The request body is invalid.");
        };
        let identity = &asked.auth.identity;
        let found = match identity.methods.as_slice() {
            [method] if method == "password" => identity.password.as_ref().and_then(Password::find),
            [method] if method == "hw_ak_sk" => identity.hw_ak_sk.as_ref().and_then(KeyPair::find),
            [method] if method == "assume_role" => self.assume(headers, identity.assume_role.as_ref()),
            _ => return error(StatusCode::BAD_REQUEST, "The authentication method is not supported."),
        };
        let Some(found) = found else {
            return error(StatusCode::UNAUTHORIZED, "The username or password is wrong.");
        };
        let Some(project) = scope(asked.auth.scope.as_ref(), found.scope_account) else {
            return error(StatusCode::UNAUTHORIZED, "The scope is not one of the user's.");
        };
        let issued_ms = clock::since_epoch().as_millis() as u64;
        let expires_ms = issued_ms + self.knobs.lifetime_ms;
        let token = Token { project, issued_ms, expires_ms, ..found };
        self.issued.retain(|_, token| token.expires_ms > issued_ms);
        let text = text(self.counts.issue, &token);
        let mut answer = token.described(StatusCode::CREATED);
        answer.token = HeaderValue::from_str(&text).ok();
        self.issued.insert(text, token);
        answer
    }

    fn assume(&self, headers: &HeaderMap, role: Option<&Role>) -> Option<Token> {
        let (asker, role) = (self.good(headers, "x-auth-token")?, role?);
        let account = account(role.domain_name.as_deref().or(role.domain_id.as_deref())?)?;
        let user = format!("{}/{AGENCY}", asker.account);
        (role.agency_name == AGENCY && asker.account != account).then(|| Token {
            user,
            account,
            scope_account: account,
            method: "assume_role",
            ..asker.clone()
        })
    }

    fn check(&self, headers: &HeaderMap) -> Answer {
        let Some(asker) = self.good(headers, "x-auth-token") else {
            return error(StatusCode::UNAUTHORIZED, "The token must be updated.");
        };
        let Some(subject) = self.good(headers, "x-subject-token") else {
            return error(StatusCode::NOT_FOUND, "The token could not be found.");
        };
        if asker.account != subject.account {
            return error(StatusCode::FORBIDDEN, "You are not authorized to perform the requested action.");
        }
        subject.described(StatusCode::OK)
    }

    fn good(&self, headers: &HeaderMap, name: &str) -> Option<&Token> {
        let token = self.issued.get(headers.get(name)?.to_str().ok()?)?;
        (u128::from(token.expires_ms) > clock::since_epoch().as_millis()).then_some(token)
    }
}

/// The project that is asked for, if it is the account's: `Some(None)` is the account itself.
fn scope(scope: Option<&Scope>, of: &'static str) -> Option<Option<&'static str>> {
    let Some(scope) = scope else { return Some(None) };
    if let Some(project) = &scope.project {
        let wanted = project.text()?;
        let project = PROJECTS.into_iter().find(|name| *name == wanted || project_id(of, name) == wanted);
        return project.map(Some);
    }
    (account(scope.domain.as_ref()?.text()?)? == of).then_some(None)
}

fn account(named: &str) -> Option<&'static str> {
    ACCOUNTS.into_iter().find(|account| *account == named || id("domain", account) == named)
}

/// Id of a project: the same name is another project in another account.
pub fn project_id(account: &str, project: &str) -> String {
    id("project", &format!("{account}/{project}"))
}

fn id(kind: &str, name: &str) -> String {
    let digest = digest(&SHA256, format!("{kind} {name}").as_bytes());
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As long as a real one without a catalog, and as opaque.
fn text(number: u64, token: &Token) -> String {
    let mut text = String::from("MIIEmock");
    for part in 0..16 {
        text += &id("token", &format!("{number} {part} {} {}", token.user, token.issued_ms));
    }
    text
}

impl Token {
    fn of(user: &str, account: &'static str, method: &'static str) -> Token {
        let user = user.to_owned();
        Token { user, account, project: None, scope_account: account, method, issued_ms: 0, expires_ms: 0 }
    }

    fn described(&self, status: StatusCode) -> Answer {
        let domain = |account| json!({"id": id("domain", account), "name": account});
        let mut token = json!({
            "methods": [self.method],
            "issued_at": moment(self.issued_ms),
            "expires_at": moment(self.expires_ms),
            "user": {
                "id": id("user", &format!("{}/{}", self.account, self.user)),
                "name": self.user,
                "password_expires_at": "",
                "domain": domain(self.account),
            },
            "roles": [{"id": "0", "name": "te_admin"}],
            "catalog": [],
        });
        match self.project {
            Some(project) => {
                token["project"] = json!({
                    "id": project_id(self.scope_account, project),
                    "name": project,
                    "domain": domain(self.scope_account),
                });
            }
            None => token["domain"] = domain(self.scope_account),
        }
        Answer { status, token: None, body: json!({ "token": token }) }
    }
}

fn moment(ms: u64) -> String {
    let moment = jiff::Timestamp::from_millisecond(ms as i64).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.6}")
}
