//! Callers: a group unfolded, each with a credential of its own.
//!
//! Credentials follow from the seed and the caller's name, so that a policy written today lets in the run of
//! tomorrow, and two machines agree without a file in between. That makes them **public knowledge**: they are for
//! load tests and nothing else.

use super::spec::{CredentialSpec, GroupSpec};
use super::{Caller, Credential};
use crate::sign::sha256_hex;

/// Unfolds group number `index`: tenants `NAME-0`, `NAME-1`, ..., each with users `user-0`, `user-1`, ...
///
/// The group's weight is divided evenly.
pub fn unfold(group: &GroupSpec, index: u16, sends: &[(u16, f64)], seed: u64) -> Vec<Caller> {
    let weight = group.weight / (group.count * group.users) as f64;
    let mut callers = Vec::with_capacity((group.count * group.users) as usize);
    for tenant in 0..group.count {
        for user in 0..group.users {
            let (tenant, user) = (format!("{}-{tenant}", group.name), format!("user-{user}"));
            let credential = credential(group.credential, seed, &tenant, &user);
            callers.push(Caller { tenant, user, group: index, weight, credential, sends: sends.to_vec() });
        }
    }
    callers
}

fn credential(kind: CredentialSpec, seed: u64, tenant: &str, user: &str) -> Credential {
    let derived = |what: &str| sha256_hex(format!("pangu-loadtest {seed} {tenant}/{user} {what}").as_bytes());
    match kind {
        CredentialSpec::AkSk => Credential::AkSk {
            access_key: format!("LT{}", derived("access key")[..18].to_ascii_uppercase()),
            secret_key: derived("secret key"),
        },
        CredentialSpec::AppCode => Credential::AppCode(derived("app code")),
        CredentialSpec::ApiKey => Credential::ApiKey(derived("api key")),
        CredentialSpec::None => Credential::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::spec::Sends;

    fn group(credential: CredentialSpec) -> GroupSpec {
        GroupSpec {
            name: "quiet".to_owned(),
            count: 20,
            users: 2,
            weight: 4.0,
            credential,
            sends: Sends::Evenly(vec!["chat".to_owned()]),
            plan: None,
        }
    }

    #[test]
    fn a_group_becomes_tenants_with_users_that_share_its_weight() {
        let callers = unfold(&group(CredentialSpec::ApiKey), 3, &[(0, 1.0)], 7);
        assert_eq!(callers.len(), 40);
        let last = callers.last().unwrap();
        assert_eq!((last.tenant.as_str(), last.user.as_str(), last.group), ("quiet-19", "user-1", 3));
        assert!((callers.iter().map(|caller| caller.weight).sum::<f64>() - 4.0).abs() < 1e-9);
    }

    #[test]
    fn credentials_follow_from_seed_and_name_and_no_two_are_alike() {
        for kind in [CredentialSpec::AkSk, CredentialSpec::AppCode, CredentialSpec::ApiKey] {
            let of = |seed| -> Vec<Credential> {
                unfold(&group(kind), 0, &[], seed).into_iter().map(|caller| caller.credential).collect()
            };
            assert!(of(7) == of(7), "the same again");
            let all: Vec<_> = of(7).into_iter().chain(of(8)).collect();
            for (i, one) in all.iter().enumerate() {
                assert!(!all[..i].contains(one), "caller {i} has the credential of another");
            }
        }
    }
}
