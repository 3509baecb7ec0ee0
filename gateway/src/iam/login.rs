//! Who the gateway is to IAM, and the questions in which it says so.

use super::names::Ref;
use crate::upstream::BackendSpec;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// What a token is asked for with, and for what. Two that are equal share their token across reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Login {
    /// Where IAM is.
    pub endpoint: BackendSpec,
    /// Who asks.
    pub who: Who,
    /// Whose rights are asked for; None: its own.
    pub agency: Option<Agency>,
    /// The project that the token is for; None: the whole account.
    pub project: Option<Ref>,
}

/// An IAM user and what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// By name.
    Password {
        /// Name of the user.
        user: Box<str>,
        /// Its account.
        domain: Ref,
        /// Its password.
        password: Secret,
    },
    /// By a permanent key pair (`hw_ak_sk`), which IAM gets to see whole.
    AkSk {
        /// The public half.
        access_key: Secret,
        /// The secret half.
        secret_key: Secret,
    },
}

/// Rights that another account has delegated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Agency {
    /// The account that delegates.
    pub domain: Ref,
    /// What it calls the delegation.
    pub name: Box<str>,
}

/// A secret that goes into JSON. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// # Errors
    /// What IAM takes is text; these bytes are none.
    pub fn new(bytes: &[u8]) -> Result<Secret, std::str::Utf8Error> {
        std::str::from_utf8(bytes).map(|text| Secret(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Login {
    /// The user's name in budgets: what IAM counts a user's calls by.
    pub fn user(&self) -> Arc<str> {
        match &self.who {
            Who::Password { user, domain, .. } => format!("{domain}/{user}").into(),
            Who::AkSk { access_key, .. } => access_key.0.clone(),
        }
    }

    /// The account in budgets; where only the pair is known, the pair stands for it.
    pub fn account(&self) -> Arc<str> {
        match &self.who {
            Who::Password { domain, .. } => domain.as_str().into(),
            Who::AkSk { access_key, .. } => access_key.0.clone(),
        }
    }

    /// The body that asks for the first token: the last one, too, unless an agency follows.
    pub fn body(&self) -> Vec<u8> {
        let (method, proof) = match &self.who {
            Who::Password { user, domain, password } => {
                let user = json!({"name": user, "password": &*password.0, "domain": named("", domain)});
                ("password", json!({ "user": user }))
            }
            Who::AkSk { access_key, secret_key } => {
                let (access, secret) = (json!({"key": &*access_key.0}), json!({"key": &*secret_key.0}));
                ("hw_ak_sk", json!({"access": access, "secret": secret}))
            }
        };
        let scope = match (&self.agency, &self.project, &self.who) {
            (None, Some(project), _) => Some(json!({"project": named("", project)})),
            // Rights are taken on by a user of an account, not of one of its projects.
            (_, _, Who::Password { domain, .. }) => Some(json!({"domain": named("", domain)})),
            _ => None,
        };
        question(method, proof, scope)
    }

    /// The body that asks for the agency's token with that of [`body`](Login::body).
    pub fn agency_body(&self) -> Option<Vec<u8>> {
        let agency = self.agency.as_ref()?;
        let mut proof = named("domain_", &agency.domain);
        proof["agency_name"] = json!(agency.name);
        let scope = match &self.project {
            Some(project) => json!({"project": named("", project)}),
            None => json!({"domain": named("", &agency.domain)}),
        };
        Some(question("assume_role", proof, Some(scope)))
    }
}

fn question(method: &str, proof: Value, scope: Option<Value>) -> Vec<u8> {
    let mut auth = json!({"identity": {"methods": [method], method: proof}});
    if let Some(scope) = scope {
        auth["scope"] = scope;
    }
    json!({ "auth": auth }).to_string().into_bytes()
}

/// `{"id": ...}` or `{"name": ...}`, the key with something before it.
fn named(before: &str, what: &Ref) -> Value {
    match what {
        Ref::Id(id) => json!({format!("{before}id"): id}),
        Ref::Name(name) => json!({format!("{before}name"): name}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(who: Who, agency: Option<Agency>, project: Option<Ref>) -> Login {
        Login { endpoint: BackendSpec::plain("iam", 443), who, agency, project }
    }

    fn ak_sk() -> Who {
        Who::AkSk { access_key: Secret::new(b"AK").unwrap(), secret_key: Secret::new(b"SK").unwrap() }
    }

    fn password() -> Who {
        let (user, domain) = ("gateway".into(), Ref::of("acme"));
        Who::Password { user, domain, password: Secret::new(b"canary").unwrap() }
    }

    fn sent(body: Option<Vec<u8>>) -> Value {
        serde_json::from_slice(&body.unwrap()).unwrap()
    }

    #[test]
    fn questions_are_as_iam_documents_them() {
        let project = Some(Ref::of("cn-southwest-2"));
        assert_eq!(
            sent(Some(login(password(), None, project.clone()).body())),
            json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": {
                    "name": "gateway", "password": "canary", "domain": {"name": "acme"}}}},
                "scope": {"project": {"name": "cn-southwest-2"}}}})
        );
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(
            sent(Some(login(ak_sk(), None, Some(Ref::of(id))).body())),
            json!({"auth": {
                "identity": {"methods": ["hw_ak_sk"], "hw_ak_sk": {"access": {"key": "AK"}, "secret": {"key": "SK"}}},
                "scope": {"project": {"id": id}}}})
        );
    }

    #[test]
    fn an_agency_is_asked_for_by_a_user_of_its_account() {
        let agency = Some(Agency { domain: Ref::of("models"), name: "gateway".into() });
        let login = login(password(), agency, Some(Ref::of("cn-southwest-2")));
        assert_eq!(sent(Some(login.body()))["auth"]["scope"], json!({"domain": {"name": "acme"}}));
        assert_eq!(
            sent(login.agency_body()),
            json!({"auth": {
                "identity": {"methods": ["assume_role"],
                    "assume_role": {"domain_name": "models", "agency_name": "gateway"}},
                "scope": {"project": {"name": "cn-southwest-2"}}}})
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?} {:?}", login(password(), None, None), ak_sk());
        assert!(!shown.contains("canary") && !shown.contains("\"SK\""), "{shown}");
    }
}
