//! What IAM says, from bytes to meaning. Nothing here waits, and no error repeats what was said.

use super::names::Named;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// A token that was issued to the gateway.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Goes into `X-Auth-Token`; marked as sensitive, and wiped once nobody has it any more.
    pub value: HeaderValue,
    /// Wall time of its end.
    pub expires_ms: u64,
}

/// Whom a token stands for, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who asked for it.
    pub user: Named,
    /// The account that the user is of.
    pub user_domain: Named,
    /// The project it is good for; None: all of an account.
    pub project: Option<Named>,
    /// The account it is good for.
    pub domain: Named,
    /// Wall time of its end.
    pub expires_ms: u64,
}

/// An answer that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("IAM's answer {0}")]
pub struct Malformed(&'static str);

/// The header that carries a token that was issued, and one that is asked about.
pub const SUBJECT_TOKEN: &str = "x-subject-token";

/// Longer than any real token, which end below 32 KiB.
const TOKEN_BYTES_MAX: usize = 64 << 10;
/// Ids have 32 bytes, names 64; what is kept of each is bounded.
const NAME_BYTES_MAX: usize = 256;

/// Reads the answer to a request for a token (201).
///
/// # Errors
/// [`Malformed`]
pub fn issued(headers: &HeaderMap, body: &[u8]) -> Result<Issued, Malformed> {
    let value = headers.get(SUBJECT_TOKEN).ok_or(Malformed("has no X-Subject-Token"))?;
    if value.is_empty() || value.len() > TOKEN_BYTES_MAX {
        return Err(Malformed("has a token of an impossible length"));
    }
    let Answer { token } = parse(body)?;
    Ok(Issued { value: secret(value), expires_ms: wall_ms(&token.expires_at)? })
}

/// The same value in memory of its own, which is wiped once nobody has it any more. The answer's other headers would
/// else keep it, and it them.
fn secret(value: &HeaderValue) -> HeaderValue {
    let wiped = Bytes::from_owner(Zeroizing::new(value.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(wiped).expect("it was a header's value before");
    value.set_sensitive(true);
    value
}

/// Reads the answer to a question about a token (200).
///
/// # Errors
/// [`Malformed`]
pub fn identity(body: &[u8]) -> Result<Identity, Malformed> {
    let Answer { token } = parse(body)?;
    let user = token.user.ok_or(Malformed("names no user"))?;
    let user_domain = user.domain.named()?;
    let (project, domain) = match (token.project, token.domain) {
        (Some(project), _) => (Some(named(&project.id, &project.name)?), project.domain.named()?),
        (None, Some(domain)) => (None, domain.named()?),
        // A token without a scope is good for nothing but itself; it is mapped by its user's account.
        (None, None) => (None, user_domain.clone()),
    };
    Ok(Identity {
        user: named(&user.id, &user.name)?,
        user_domain,
        project,
        domain,
        expires_ms: wall_ms(&token.expires_at)?,
    })
}

fn parse(body: &[u8]) -> Result<Answer<'_>, Malformed> {
    serde_json::from_slice(body).map_err(|_| Malformed("is not a token's description"))
}

/// `2015-11-09T01:42:57.527363Z`
fn wall_ms(expires_at: &str) -> Result<u64, Malformed> {
    let moment: Option<jiff::Timestamp> = expires_at.parse().ok();
    let ms = moment.and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    ms.ok_or(Malformed("has an `expires_at` that is no moment"))
}

fn named(id: &str, name: &str) -> Result<Named, Malformed> {
    if id.is_empty() || id.len() > NAME_BYTES_MAX || name.len() > NAME_BYTES_MAX {
        return Err(Malformed("has an id or a name of an impossible length"));
    }
    Ok(Named::new(id, name))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    token: Token<'a>,
}

#[derive(Deserialize)]
struct Token<'a> {
    #[serde(borrow)]
    expires_at: Cow<'a, str>,
    #[serde(borrow)]
    user: Option<Within<'a>>,
    #[serde(borrow)]
    project: Option<Within<'a>>,
    #[serde(borrow)]
    domain: Option<Domain<'a>>,
}

/// A user or project, and its account.
#[derive(Deserialize)]
struct Within<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    domain: Domain<'a>,
}

#[derive(Deserialize)]
struct Domain<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

impl Domain<'_> {
    fn named(&self) -> Result<Named, Malformed> {
        named(&self.id, &self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &str = r#"{"token":{"methods":["password"],"expires_at":"2015-11-09T01:42:57.527363Z",
        "issued_at":"2015-11-08T01:42:57.527363Z","roles":[{"id":"r","name":"te_admin"}],"catalog":[],
        "user":{"id":"u1","name":"al\u0069ce","domain":{"id":"d1","name":"acme"},"password_expires_at":""},
        "project":{"id":"p1","name":"cn-north-4","domain":{"id":"d1","name":"acme"}}}}"#;

    #[test]
    fn a_description_becomes_an_identity() {
        let who = identity(BODY.as_bytes()).unwrap();
        assert_eq!(who.user, Named::new("u1", "alice"));
        assert_eq!(who.project, Some(Named::new("p1", "cn-north-4")));
        assert_eq!(who.domain, Named::new("d1", "acme"));
        assert_eq!(who.expires_ms, 1_447_033_377_527);
    }

    #[test]
    fn a_token_for_an_account_has_no_project() {
        let body = BODY.replace(
            r#""project":{"id":"p1","name":"cn-north-4","domain":{"id":"d1","name":"acme"}}"#,
            r#""domain":{"id":"d2","name":"other"}"#,
        );
        let who = identity(body.as_bytes()).unwrap();
        assert_eq!((who.project, who.domain), (None, Named::new("d2", "other")));
    }

    #[test]
    fn a_token_comes_in_a_header_and_is_not_shown() {
        let mut headers = HeaderMap::new();
        assert!(issued(&headers, BODY.as_bytes()).is_err());
        headers.insert(SUBJECT_TOKEN, HeaderValue::from_static("MIIcanary"));
        let issued = issued(&headers, BODY.as_bytes()).unwrap();
        assert_eq!((&issued.value, issued.expires_ms), (&"MIIcanary".parse().unwrap(), 1_447_033_377_527));
        assert!(!format!("{issued:?} {issued:#?}").contains("canary"));
    }

    #[test]
    fn a_token_shares_no_memory_with_the_answer_it_came_in() {
        let answer = Bytes::from_static(b"MIIcanary");
        let value = HeaderValue::from_maybe_shared(answer.clone()).unwrap();
        assert_eq!(value.as_bytes().as_ptr(), answer.as_ptr(), "as it comes");
        let kept = secret(&value);
        assert_ne!(kept.as_bytes().as_ptr(), answer.as_ptr());
        assert!(kept.is_sensitive() && kept == value);
        assert_eq!(
            kept.clone().as_bytes().as_ptr(),
            kept.as_bytes().as_ptr(),
            "one copy for all who have it"
        );
    }

    #[test]
    fn what_lacks_something_is_malformed() {
        for (from, to) in [
            ("2015-11-09T01:42:57.527363Z", "tomorrow"),
            ("2015-11-09T01:42:57.527363Z", "1915-11-09T01:42:57Z"),
            (r#""id":"u1""#, r#""id":"""#),
            (r#""user":"#, r#""nobody":"#),
            (r#"{"token""#, r#"{"error""#),
        ] {
            assert!(identity(BODY.replace(from, to).as_bytes()).is_err(), "{from} -> {to}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>, at in 0..BODY.len(), byte: u8) {
            let _ = identity(&body);
            let mut flipped = BODY.as_bytes().to_vec();
            flipped[at] = byte;
            let _ = identity(&flipped);
        }
    }
}
