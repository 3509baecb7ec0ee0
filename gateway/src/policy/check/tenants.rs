//! Who calls: plans found, secrets read, and every credential given to one user only.

use super::{Check, Credential, Firsts, Index, Tenant, User, good};
use crate::auth::Kind;
use crate::policy::problem::{Located, Place};
use crate::policy::secret::{Missing, Secret};
use crate::policy::spec::{self, Hashed};
use std::hash::Hash;

impl Check<'_> {
    /// Every access key names one user, and every user's name is its own.
    pub(super) fn credentials(&self, tenants: &[spec::Tenant]) {
        let mut keys: Firsts<&str> = Firsts::new();
        for tenant in tenants {
            let path = format!("tenants.{}.users", tenant.name.value);
            self.index(&path, tenant.users.iter().map(|user| &user.name));
            for user in &tenant.users {
                for credential in &user.credentials {
                    let spec::Credential::AkSk { access_key, .. } = &credential.value else { continue };
                    let path = format!("{path}.{}.ak_sk", user.name.value);
                    self.once(&mut keys, access_key.as_ref(), "access key", path, credential.place);
                }
            }
        }
    }

    pub(super) fn once<K: Hash + Eq>(
        &self,
        seen: &mut Firsts<K>,
        key: K,
        what: &str,
        path: String,
        place: Place,
    ) {
        let Some((first, other)) = seen.insert(key, (place, path.clone())) else { return };
        let what = format!("this {what} stands at {} already, as `{other}`", self.at(first));
        self.problems.add(place, path, what, "a credential says who calls: give each user its own");
    }

    pub(super) fn tenant(&self, tenant: spec::Tenant, plans: &Index) -> Option<Tenant> {
        let path = format!("tenants.{}", tenant.name.value);
        let plan = self.find(format!("{path}.plan"), "plan", &tenant.plan, plans);
        let users = tenant.users.into_iter().map(|user| self.user(user, &path)).collect();
        let on_streams = !tenant.networks.is_empty() || !tenant.client_certs.is_empty();
        let iam = tenant.iam.map(|iam| iam.value);
        Some(Tenant { name: tenant.name.value, plan: plan?, users, iam, on_streams })
    }

    fn user(&self, user: spec::User, tenant: &str) -> User {
        let path = format!("{tenant}.users.{}", user.name.value);
        let credentials = user.credentials.into_iter().filter_map(|c| self.credential(c, &path)).collect();
        User { name: user.name.value, credentials }
    }

    fn credential(&self, credential: Located<spec::Credential>, path: &str) -> Option<Credential> {
        let place = credential.place;
        match credential.value {
            spec::Credential::AkSk { access_key, secret_key, security_token } => {
                let secret =
                    self.secret(&secret_key.value, secret_key.place, format!("{path}.ak_sk.secret_key"));
                let token = security_token.map(|token| {
                    self.secret(&token.value, token.place, format!("{path}.ak_sk.security_token"))
                });
                let security_token = good(token)?;
                Some(Credential::AkSk { access_key, secret_key: secret?, security_token })
            }
            spec::Credential::Iam(member) => Some(Credential::Iam(member)),
            spec::Credential::AppCode(hashed) => {
                self.code(Kind::AppCode, hashed, place, format!("{path}.app_code")).map(Credential::AppCode)
            }
            spec::Credential::ApiKey(hashed) => {
                self.code(Kind::ApiKey, hashed, place, format!("{path}.api_key")).map(Credential::ApiKey)
            }
        }
    }

    /// The digest of an AppCode or API key, which names one user.
    fn code(&self, kind: Kind, hashed: Hashed, place: Place, path: String) -> Option<[u8; 32]> {
        let digest = match hashed {
            Hashed::Sha256(digest) => digest,
            Hashed::At(source) => self.secret(&source, place, path.clone())?.sha256(),
        };
        let what = if kind == Kind::AppCode { "AppCode" } else { "API key" };
        self.once(&mut self.codes.borrow_mut(), (kind, digest), what, path, place);
        Some(digest)
    }

    pub(super) fn secret(&self, source: &spec::Source, place: Place, path: String) -> Option<Secret> {
        let read = self.secrets.read(source);
        read.map_err(|Missing { what, help }| self.problems.add(place, path, what, help)).ok()
    }
}
