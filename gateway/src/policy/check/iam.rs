//! IAM: who the gateway is to it, and whose tokens belong to whom.

use super::{Check, Firsts, Iam};
use crate::auth::Kind;
use crate::iam::{CheckSpec, Login, Member, Membership, Secret, Who};
use crate::policy::problem::{Located, Place};
use crate::policy::spec;

impl Check<'_> {
    pub(super) fn iam(&self, iam: spec::Iam) -> Option<Iam> {
        let spec::Iam { login, terms, max, unknown, unknown_per_address } = iam;
        let login = self.login(login, "iam")?;
        Some(Iam { login, checks: CheckSpec { terms, max, unknown, unknown_per_address } })
    }

    /// Reads the secrets of a login; `path` is where its keys are.
    pub(super) fn login(&self, login: spec::Login, path: &str) -> Option<Login> {
        let Located { value: mut endpoint, place } = login.endpoint;
        if let (Some(tls), Some(file)) = (&mut endpoint.tls, &login.ca_file) {
            let at = self.secrets.at(&file.value);
            tls.ca_pem = Some(self.authorities(&at, file.place, format!("{path}.tls.ca"))?);
        }
        // Built once to be sure that it can be.
        if let Err(what) = crate::iam::reachable(endpoint.clone()) {
            self.problems.add(place, format!("{path}.endpoint"), what, "check `endpoint` and `tls`");
            return None;
        }
        let text = |source: &Located<spec::Source>, key: &str| self.text(source, format!("{path}.{key}"));
        let who = match &login.who {
            spec::Who::Password { user, domain, password } => Who::Password {
                user: user.clone(),
                domain: domain.clone(),
                password: text(password, "password.password")?,
            },
            spec::Who::AkSk { access_key, secret_key } => {
                let access_key = text(access_key, "hw_ak_sk.access_key");
                let secret_key = text(secret_key, "hw_ak_sk.secret_key");
                Who::AkSk { access_key: access_key?, secret_key: secret_key? }
            }
        };
        Some(Login { endpoint, who, agency: login.agency, project: login.project })
    }

    fn text(&self, source: &Located<spec::Source>, path: String) -> Option<Secret> {
        let secret = self.secret(&source.value, source.place, path.clone())?;
        let text = Secret::new(secret.bytes());
        if text.is_err() {
            self.problems.add(source.place, path, "what is there is not text", "IAM takes UTF-8");
        }
        text.ok()
    }

    /// Routes that take tokens can have them checked, and every token belongs to one caller.
    pub(super) fn tokens(&self, policy: &spec::Policy) {
        let known = policy.iam.is_some() || policy.iam_broken;
        let takes = |route: &&spec::Route| {
            route.auth.as_ref().is_some_and(|rules| rules.kinds.contains(&Kind::IamToken))
        };
        if let Some(route) = policy.routes.iter().find(takes).filter(|_| !known) {
            let path = format!("routes.{}.auth", route.name.value);
            let help = "add the section `iam`, so that the gateway can ask about tokens";
            self.problems.add(route.name.place, path, "`iam_token` needs IAM", help);
        }
        let mut memberships: Firsts<&Membership> = Firsts::new();
        for tenant in &policy.tenants {
            let path = format!("tenants.{}", tenant.name.value);
            if let Some(Located { value, place }) = &tenant.iam {
                self.once(&mut memberships, value, "project or account", format!("{path}.iam"), *place);
            }
            self.members(tenant, &path);
        }
    }

    fn members(&self, tenant: &spec::Tenant, path: &str) {
        let mut members: Firsts<&Member> = Firsts::new();
        for user in &tenant.users {
            for credential in &user.credentials {
                let spec::Credential::Iam(member) = &credential.value else { continue };
                let path = format!("{path}.users.{}.iam", user.name.value);
                if tenant.iam.is_none() && !tenant.iam_broken {
                    self.nobodys(credential.place, path.clone());
                }
                self.once(&mut members, member, "IAM user", path, credential.place);
            }
        }
    }

    fn nobodys(&self, place: Place, path: String) {
        let what = "its tenant does not say which tokens are its own";
        self.problems.add(
            place,
            path,
            what,
            "write `iam: {project: ID}` or `iam: {domain: NAME}` at the tenant",
        );
    }
}
