//! V11's keys of one credential, derived once per scope.

use crate::signing::DerivedKey;
use parking_lot::Mutex;

/// The derived keys of one credential for the scopes used last.
///
/// A real client uses one scope a day. Who knows only the access key can push scopes out, which costs the
/// owner the derivation (two HMACs) again and nothing else; so keys are kept before the signature is checked,
/// and a known and an unknown access key take the same time.
#[derive(Default)]
pub(super) struct DerivedKeys(Mutex<Vec<(Box<str>, DerivedKey)>>);

const SCOPES_MAX: usize = 4;

impl DerivedKeys {
    /// The key for `scope`, derived unless it is at hand. The scope must be bounded by the caller.
    pub(super) fn get(&self, access_key: &str, secret_key: &[u8], scope: &str) -> DerivedKey {
        if let Some((_, key)) = self.0.lock().iter().find(|(of, _)| **of == *scope) {
            return key.clone();
        }
        let key = DerivedKey::derive(access_key, secret_key, scope);
        let mut keys = self.0.lock();
        if keys.len() >= SCOPES_MAX {
            keys.remove(0);
        }
        keys.push((scope.into(), key.clone()));
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_are_remembered_and_bounded() {
        let keys = DerivedKeys::default();
        let first = keys.get("AK", b"SK", "20240115/a/b");
        assert_eq!(keys.get("AK", b"SK", "20240115/a/b").as_bytes(), first.as_bytes());
        assert_eq!(keys.0.lock().len(), 1);
        for i in 0..100 {
            keys.get("AK", b"SK", &format!("20240115/a/{i}"));
        }
        assert_eq!(keys.0.lock().len(), SCOPES_MAX);
        assert_eq!(
            keys.get("AK", b"SK", "20240115/a/b").as_bytes(),
            first.as_bytes(),
            "derived again, to the same key"
        );
    }
}
