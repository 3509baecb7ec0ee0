//! What is asked for in the body of `POST /v3/auth/tokens`, and whose it is.

use super::{ACCOUNTS, Token, USERS, account};
use serde::Deserialize;

#[derive(Deserialize)]
pub(super) struct Asked {
    pub(super) auth: Auth,
}

#[derive(Deserialize)]
pub(super) struct Auth {
    pub(super) identity: Identity,
    pub(super) scope: Option<Scope>,
}

#[derive(Deserialize)]
pub(super) struct Identity {
    pub(super) methods: Vec<String>,
    pub(super) password: Option<Password>,
    pub(super) hw_ak_sk: Option<KeyPair>,
    pub(super) assume_role: Option<Role>,
}

#[derive(Deserialize)]
pub(super) struct Password {
    pub(super) user: User,
}

#[derive(Deserialize)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
    pub(super) domain: Named,
}

#[derive(Deserialize)]
pub(super) struct KeyPair {
    pub(super) access: Key,
    pub(super) secret: Key,
}

#[derive(Deserialize)]
pub(super) struct Key {
    pub(super) key: String,
}

#[derive(Deserialize)]
pub(super) struct Role {
    pub(super) domain_name: Option<String>,
    pub(super) domain_id: Option<String>,
    pub(super) agency_name: String,
}

#[derive(Deserialize)]
pub(super) struct Scope {
    pub(super) project: Option<Named>,
    pub(super) domain: Option<Named>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

impl Named {
    pub(super) fn text(&self) -> Option<&str> {
        self.id.as_deref().or(self.name.as_deref())
    }
}

impl Password {
    pub(super) fn find(&self) -> Option<Token> {
        let account = account(self.user.domain.text()?)?;
        let user = USERS.into_iter().find(|user| *user == self.user.name)?;
        (self.user.password == format!("password-of-{user}")).then(|| Token::of(user, account, "password"))
    }
}

impl KeyPair {
    pub(super) fn find(&self) -> Option<Token> {
        let all = ACCOUNTS.into_iter().flat_map(|account| USERS.map(|user| (account, user)));
        let mut same = all.filter(|(account, user)| self.access.key == format!("AK-{account}-{user}"));
        let (account, user) = same.next()?;
        (self.secret.key == format!("sk-of-{user}")).then(|| Token::of(user, account, "hw_ak_sk"))
    }
}
