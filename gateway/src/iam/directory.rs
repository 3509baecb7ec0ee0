//! Which caller does an identity of IAM's stand for? Part of the snapshot; names come from policy.

use super::answer::Identity;
use super::names::{Named, Ref};
use crate::ids::CallerId;
use ahash::AHashMap;

/// Whose tokens belong to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Those for one project, by its id.
    Project(Box<str>),
    /// Those for one project of an account; every account has projects of the same names.
    ProjectOf(Ref, Box<str>),
    /// Those for an account and for those of its projects that are no tenant's.
    Domain(Ref),
}

/// Which of its users a token belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Member {
    /// This IAM user.
    User(Ref),
    /// Every IAM user that is not named.
    Any,
}

/// Everybody who may call with an IAM token.
#[derive(Debug, Default)]
pub struct Directory {
    projects: AHashMap<Box<str>, usize>,
    accounts: AHashMap<Box<str>, Account>,
    tenants: Vec<Tenant>,
}

#[derive(Debug, Default)]
struct Account {
    whole: Option<usize>,
    projects: AHashMap<Box<str>, usize>,
}

#[derive(Debug, Default)]
struct Tenant {
    users: AHashMap<Box<str>, CallerId>,
    any: Option<CallerId>,
}

impl Directory {
    /// Adds a tenant and its users. Of two with the same membership, which `policy` refuses, the later one counts.
    pub fn add(&mut self, membership: &Membership, users: impl IntoIterator<Item = (Member, CallerId)>) {
        let place = self.tenants.len();
        let mut tenant = Tenant::default();
        for (member, caller) in users {
            match member {
                Member::User(user) => drop(tenant.users.insert(user.as_str().into(), caller)),
                Member::Any => tenant.any = Some(caller),
            }
        }
        self.tenants.push(tenant);
        match membership {
            Membership::Project(id) => drop(self.projects.insert(id.clone(), place)),
            Membership::ProjectOf(domain, name) => {
                self.account(domain).projects.insert(name.clone(), place);
            }
            Membership::Domain(domain) => self.account(domain).whole = Some(place),
        }
    }

    /// Hot path: the caller that an identity stands for; a few look-ups, no allocation.
    pub fn find(&self, who: &Identity) -> Option<CallerId> {
        let tenant = &self.tenants[self.tenant(who)?];
        let by_id = tenant.users.get(&who.user.id);
        // A name is unique among the users of one account; a user of another one may have the same.
        let named = || (who.user_domain == who.domain).then(|| tenant.users.get(&who.user.name)).flatten();
        by_id.or_else(named).copied().or(tenant.any)
    }

    fn tenant(&self, who: &Identity) -> Option<usize> {
        let accounts = || found(&self.accounts, &who.domain);
        let project = who.project.as_ref();
        let by_id = project.and_then(|project| self.projects.get(&project.id));
        let by_name = || accounts().find_map(|account| account.projects.get(&project?.name));
        by_id.or_else(by_name).copied().or_else(|| accounts().find_map(|account| account.whole))
    }

    fn account(&mut self, domain: &Ref) -> &mut Account {
        self.accounts.entry(domain.as_str().into()).or_default()
    }
}

/// By id, then by name.
fn found<'a, T>(map: &'a AHashMap<Box<str>, T>, named: &'a Named) -> impl Iterator<Item = &'a T> {
    named.keys().into_iter().filter_map(|key| map.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "d0000000000000000000000000000001";
    const PROJECT: &str = "a0000000000000000000000000000001";
    const ALICE: CallerId = CallerId(0);
    const ANY: CallerId = CallerId(1);
    const WHOLE: CallerId = CallerId(2);

    fn token(user: &str, project: Option<(&str, &str)>, domain: (&str, &str)) -> Identity {
        let domain = Named::new(domain.0, domain.1);
        Identity {
            user: Named::new(&format!("id-of-{user}"), user),
            user_domain: domain.clone(),
            project: project.map(|(id, name)| Named::new(id, name)),
            domain,
            expires_ms: 0,
        }
    }

    fn directory(memberships: &[Membership]) -> Directory {
        let mut directory = Directory::default();
        for membership in memberships {
            match membership {
                Membership::Domain(_) => directory.add(membership, [(Member::Any, WHOLE)]),
                _ => directory.add(membership, [(Member::User(Ref::of("alice")), ALICE), (Member::Any, ANY)]),
            }
        }
        directory
    }

    #[test]
    fn the_closest_membership_counts() {
        let by_id = Membership::Project(PROJECT.into());
        let by_name = Membership::ProjectOf(Ref::of("acme"), "cn-north-4".into());
        for project in [by_id, by_name] {
            let directory = directory(&[project, Membership::Domain(Ref::of(ACME))]);
            let acme = (ACME, "acme");
            let find = |user, project| directory.find(&token(user, project, acme));
            assert_eq!(find("alice", Some((PROJECT, "cn-north-4"))), Some(ALICE));
            assert_eq!(find("bob", Some((PROJECT, "cn-north-4"))), Some(ANY));
            assert_eq!(find("alice", Some(("other", "cn-east-3"))), Some(WHOLE));
            assert_eq!(find("alice", None), Some(WHOLE));
        }
    }

    #[test]
    fn another_account_has_projects_and_users_of_the_same_names() {
        let directory = directory(&[Membership::ProjectOf(Ref::of("acme"), "cn-north-4".into())]);
        let mallory = token("alice", Some(("other", "cn-north-4")), ("d2", "mallory"));
        assert_eq!(directory.find(&mallory), None);
        let guest = Identity {
            user_domain: Named::new("d2", "mallory"),
            ..token("alice", Some(("other", "cn-north-4")), (ACME, "acme"))
        };
        assert_eq!(directory.find(&guest), Some(ANY), "another account's alice is not this one's");
    }

    #[test]
    fn a_name_that_looks_like_an_id_is_nobody() {
        let directory = directory(&[Membership::Domain(Ref::of(ACME)), Membership::Project(PROJECT.into())]);
        assert_eq!(directory.find(&token("x", None, ("d2", ACME))), None);
        assert_eq!(directory.find(&token("x", Some(("p", PROJECT)), ("d2", "mallory"))), None);
    }
}
