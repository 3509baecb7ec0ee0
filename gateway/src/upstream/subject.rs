//! What requests have in common that a pool keeps together: a caller, a header, the beginning of a prompt.

use crate::ids::mix;
use http::{HeaderMap, HeaderName};

/// Requests with the same one go the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The tenant.
    Tenant,
    /// The tenant's user.
    User,
    /// The first value of this header.
    Header(HeaderName),
    /// So many bytes at the beginning of the prompt's text: what a model has cached of one prompt is of use to the next.
    Prompt {
        /// At least 1.
        bytes: usize,
    },
}

/// Who asks, as far as a pool may want to know.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Names of tenant and user; `None` on a route that is open to anybody.
    pub caller: Option<(&'a str, &'a str)>,
    /// As the caller sent them.
    pub headers: &'a HeaderMap,
    /// Digest of the beginning of its prompt, if [`Pool::prompt_bytes`](super::Pool::prompt_bytes) asks for it.
    pub prompt: Option<u64>,
}

impl Subject {
    /// Hot path. The key of this asker's subject; `None` if it has none.
    pub fn of(&self, asker: &Asker<'_>) -> Option<u64> {
        let mut digest = Digest::default();
        match self {
            Subject::Tenant => digest.add(asker.caller?.0.as_bytes()),
            Subject::User => {
                let (tenant, user) = asker.caller?;
                digest.add(tenant.as_bytes());
                digest.add(b"/"); // in no name
                digest.add(user.as_bytes());
            }
            Subject::Header(name) => digest.add(asker.headers.get(name)?.as_bytes()),
            Subject::Prompt { .. } => return asker.prompt,
        }
        Some(digest.end())
    }
}

/// A hash that is the same in every gateway and after every restart, so that all of them send a subject the same way:
/// FNV-1a, mixed once more since its high bits depend little on the last bytes. Whoever chooses its input can choose
/// where it goes; that is nothing that the header itself would not let them choose.
#[derive(Debug, Clone, Copy)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    /// Takes more bytes; how they are cut into pieces does not matter.
    pub fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of all of them.
    pub fn end(self) -> u64 {
        mix(self.0)
    }

    /// The hash of some bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Digest::default();
        digest.add(bytes);
        digest.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(subject: &Subject, caller: Option<(&str, &str)>, session: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        if let Some(session) = session {
            headers.insert("x-session", session.parse().unwrap());
        }
        subject.of(&Asker { caller, headers: &headers, prompt: Some(7) })
    }

    #[test]
    fn a_subject_is_what_it_says_and_nothing_else() {
        let alice = key(&Subject::User, Some(("acme", "alice")), None);
        assert_eq!(alice, key(&Subject::User, Some(("acme", "alice")), Some("s")));
        assert_ne!(alice, key(&Subject::User, Some(("acme", "bob")), None));
        assert_ne!(alice, key(&Subject::User, Some(("globex", "alice")), None));
        assert_ne!(
            key(&Subject::User, Some(("a", "bc")), None),
            key(&Subject::User, Some(("ab", "c")), None)
        );
        let tenant = key(&Subject::Tenant, Some(("acme", "alice")), None);
        assert_eq!(tenant, key(&Subject::Tenant, Some(("acme", "bob")), None));
        let header = Subject::Header(HeaderName::from_static("x-session"));
        assert_eq!(key(&header, None, Some("s")), key(&header, Some(("acme", "alice")), Some("s")));
        assert_ne!(key(&header, None, Some("s")), key(&header, None, Some("t")));
        assert_eq!(key(&Subject::Prompt { bytes: 256 }, None, None), Some(7));
    }

    #[test]
    fn who_has_no_subject_has_no_key() {
        assert_eq!(key(&Subject::Tenant, None, None), None);
        assert_eq!(key(&Subject::User, None, None), None);
        assert_eq!(key(&Subject::Header(HeaderName::from_static("x-session")), None, None), None);
    }

    /// Every gateway of a fleet, of whatever build, has to agree.
    #[test]
    fn the_hash_never_changes() {
        assert_eq!(Digest::of(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(Digest::of(b"acme"), 0x130a_7622_2d44_27ef);
        let mut pieces = Digest::default();
        pieces.add(b"ac");
        pieces.add(b"");
        pieces.add(b"me");
        assert_eq!(pieces.end(), Digest::of(b"acme"));
    }
}
