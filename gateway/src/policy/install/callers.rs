//! Who calls: callers, and the credentials they are known by.
//!
//! They are numbered in the order of tenants and their users, here as there.

use crate::auth::{Keyring, KeyringBuilder};
use crate::iam;
use crate::ids::CallerId;
use crate::limit::Enrolled;
use crate::policy::Live;
use crate::policy::check::{self, Checked, Credential};
use crate::policy::snapshot::{Caller, Terms};
use std::sync::Arc;

/// All callers, with the places where they are counted.
pub fn callers(checked: &Checked, enrolled: Vec<Enrolled>) -> Vec<Arc<Caller>> {
    let terms: Vec<Arc<Terms>> = checked.plans.iter().map(terms).collect();
    let of = |(spec, enrolled): (&check::Tenant, Enrolled)| {
        let caller = |(user, place): (&check::User, _)| {
            Arc::new(Caller {
                user_name: user.name.clone(),
                tenant: enrolled.tenant.clone(),
                user: place,
                terms: terms[spec.plan].clone(),
            })
        };
        spec.users.iter().zip(enrolled.users).map(caller).collect::<Vec<_>>()
    };
    checked.tenants.iter().zip(enrolled).flat_map(of).collect()
}

fn terms(plan: &check::Plan) -> Arc<Terms> {
    Arc::new(Terms {
        body_max: plan.body_max.unwrap_or(u64::MAX),
        ceilings: plan.ceilings,
        weight: plan.weight,
        class: plan.class.clone(),
    })
}

/// What callers show, but tokens of IAM.
pub fn keyring(tenants: &[check::Tenant], live: &Live) -> Keyring {
    let mut keys = KeyringBuilder::new();
    for (user, id) in tenants.iter().flat_map(|tenant| &tenant.users).zip(0..) {
        let caller = CallerId(id);
        for credential in &user.credentials {
            let added = match credential {
                Credential::AkSk { access_key, secret_key, security_token } => {
                    let token = security_token.as_ref().map(|token| token.sha256());
                    keys.ak_sk(caller, access_key, secret_key.bytes(), token)
                }
                Credential::AppCode(digest) => keys.app_code(caller, *digest),
                Credential::ApiKey(digest) => keys.api_key(caller, *digest),
                Credential::Iam(_) => Ok(()), // in the directory
            };
            debug_assert!(added.is_ok(), "`check` found every credential used once");
        }
    }
    keys.build(&live.auth)
}

/// Everybody who may call with an IAM token.
pub fn at_iam(spec: &check::Iam, tenants: &[check::Tenant], live: &Live) -> iam::Callers {
    let source =
        live.iam.source(&"iam".into(), &spec.login).expect("`check` has built a client of the same login");
    let mut directory = iam::Directory::default();
    let mut ids = (0..).map(CallerId);
    for tenant in tenants {
        let members = tenant.users.iter().zip(&mut ids).flat_map(|(user, id)| {
            let members = user.credentials.iter().filter_map(|credential| match credential {
                Credential::Iam(member) => Some(member.clone()),
                _ => None,
            });
            members.map(move |member| (member, id))
        });
        let members: Vec<_> = members.collect(); // also of a tenant that takes no tokens: ids count on
        if let Some(membership) = &tenant.iam {
            directory.add(membership, members);
        }
    }
    iam::Callers { checks: live.iam.checks(&spec.checks, &source), directory }
}
