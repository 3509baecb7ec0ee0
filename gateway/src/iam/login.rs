//! Who the gateway is to IAM, and the questions in which it says so.

use super::names::Ref;
use crate::upstream::BackendSpec;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::{fmt, io};
use zeroize::Zeroizing;

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

/// A secret that goes into JSON. `Debug` does not show it, and its memory is wiped once nobody has it any more.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Box<str>>>);

impl Secret {
    /// # Errors
    /// What IAM takes is text; these bytes are none.
    pub fn new(bytes: &[u8]) -> Result<Secret, std::str::Utf8Error> {
        std::str::from_utf8(bytes).map(|text| Secret(Arc::new(Zeroizing::new(text.into()))))
    }

    fn text(&self) -> &str {
        &self.0
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text().hash(state);
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
            Who::AkSk { access_key, .. } => access_key.text().into(),
        }
    }

    /// The account in budgets; where only the pair is known, the pair stands for it.
    pub fn account(&self) -> Arc<str> {
        match &self.who {
            Who::Password { domain, .. } => domain.as_str().into(),
            Who::AkSk { access_key, .. } => access_key.text().into(),
        }
    }

    /// The body that asks for the first token: the last one, too, unless an agency follows.
    pub fn body(&self) -> Zeroizing<Vec<u8>> {
        let (method, proof) = match &self.who {
            Who::Password { user, domain, password } => {
                let user = User { name: user, password: password.text(), domain: named("", domain) };
                ("password", Proof::Password { user })
            }
            Who::AkSk { access_key, secret_key } => {
                let [access, secret] = [access_key, secret_key].map(|key| Key { key: key.text() });
                ("hw_ak_sk", Proof::AkSk { access, secret })
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
    pub fn agency_body(&self) -> Option<Zeroizing<Vec<u8>>> {
        let agency = self.agency.as_ref()?;
        let mut proof = named("domain_", &agency.domain);
        proof["agency_name"] = json!(agency.name);
        let scope = match &self.project {
            Some(project) => json!({"project": named("", project)}),
            None => json!({"domain": named("", &agency.domain)}),
        };
        Some(question("assume_role", Proof::Agency(proof), Some(scope)))
    }
}

/// What proves who asks. It borrows the secrets, where a [`Value`] would keep copies of them.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Proof<'a> {
    Password { user: User<'a> },
    AkSk { access: Key<'a>, secret: Key<'a> },
    Agency(Value),
}

#[derive(serde::Serialize)]
struct User<'a> {
    name: &'a str,
    password: &'a str,
    domain: Value,
}

#[derive(serde::Serialize)]
struct Key<'a> {
    key: &'a str,
}

#[derive(serde::Serialize)]
struct Question<'a> {
    auth: Auth<'a>,
}

#[derive(serde::Serialize)]
struct Auth<'a> {
    identity: Identity<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Value>,
}

/// The proof stands at the name of its method.
struct Identity<'a> {
    method: &'static str,
    proof: Proof<'a>,
}

impl Serialize for Identity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("methods", &[self.method])?;
        map.serialize_entry(self.method, &self.proof)?;
        map.end()
    }
}

/// Is measured before it is written: a buffer that grows leaves copies of its beginning behind.
fn question(method: &'static str, proof: Proof<'_>, scope: Option<Value>) -> Zeroizing<Vec<u8>> {
    let question = Question { auth: Auth { identity: Identity { method, proof }, scope } };
    let write = |to: &mut dyn io::Write| {
        serde_json::to_writer(to, &question)
            .expect("it has only text, and nothing that it is written to fails")
    };
    let mut length = Length(0);
    write(&mut length);
    let mut body = Zeroizing::new(Vec::with_capacity(length.0));
    write(&mut *body);
    body
}

/// Counts what is written to it.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    use super::super::own::Own;
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

    fn sent(body: Option<Zeroizing<Vec<u8>>>) -> Value {
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
        let ak_sk = Who::AkSk {
            access_key: Secret::new(b"canary-ak").unwrap(),
            secret_key: Secret::new(b"canary-sk").unwrap(),
        };
        for login in [login(password(), None, None), login(ak_sk, None, None)] {
            for shown in
                [format!("{login:?}"), format!("{login:#?}"), format!("{:?}", Own::new(login.clone()))]
            {
                assert!(shown.contains("***") && !shown.contains("canary"), "{shown}");
            }
        }
    }

    #[test]
    fn what_holds_a_secret_wipes_it() {
        fn wiped(_: &impl zeroize::ZeroizeOnDrop) {}
        wiped(&*Secret::new(b"canary").unwrap().0);
        let body = login(password(), None, None).body();
        wiped(&body);
        assert_eq!(body.len(), body.capacity(), "it has not grown, which would leave a copy behind");
    }

    #[test]
    fn a_secret_of_any_letters_arrives_as_it_is() {
        let password = "p\"a\\s\n\u{7}s\u{2028}密";
        let who = Who::Password {
            user: "gateway".into(),
            domain: Ref::of("acme"),
            password: Secret::new(password.as_bytes()).unwrap(),
        };
        let sent = sent(Some(login(who, None, None).body()));
        assert_eq!(sent["auth"]["identity"]["password"]["user"]["password"], password);
    }
}
