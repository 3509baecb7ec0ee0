//! How long what IAM once said of a token may be believed: pure, time is a parameter.

use super::answer::Identity;
use crate::clock::Now;
use std::time::Duration;

/// How long answers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Terms {
    /// A token that was revoked is refused after this long. It is asked about again before, while it is used.
    pub ttl: Duration,
    /// So much longer while IAM cannot be asked.
    pub stale: Duration,
    /// A token that IAM did not know is not asked about again for this long.
    pub negative: Duration,
}

/// A token that IAM has vouched for.
#[derive(Debug)]
pub struct Known {
    /// Whom it stands for.
    pub identity: Identity,
    /// When IAM said so.
    pub checked_us: u64,
}

/// What is to be made of it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It holds.
    Holds,
    /// It holds, and it is time to ask again beside.
    Ages,
    /// IAM has to be asked; if it cannot be, the token holds all the same.
    Stale,
    /// IAM has to be asked.
    Old,
    /// It has ended, whatever IAM says.
    Ended,
}

impl Known {
    /// What is to be made of it at `now`.
    pub fn standing(&self, terms: &Terms, now: Now) -> Standing {
        let age = Duration::from_micros(now.mono_us.saturating_sub(self.checked_us));
        match age {
            _ if now.wall_ms >= self.identity.expires_ms => Standing::Ended,
            age if age < terms.ttl / 4 * 3 => Standing::Holds,
            age if age < terms.ttl => Standing::Ages,
            age if age < terms.ttl + terms.stale => Standing::Stale,
            _ => Standing::Old,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::names::Named;
    use super::*;

    #[test]
    fn a_token_ages_step_by_step() {
        let seconds = Duration::from_secs;
        let terms = Terms { ttl: seconds(100), stale: seconds(50), negative: seconds(1) };
        let named = Named::new("id", "name");
        let identity = Identity {
            user: named.clone(),
            user_domain: named.clone(),
            project: None,
            domain: named,
            expires_ms: 1_000_000,
        };
        let known = Known { identity, checked_us: 7_000_000 };
        let at = |age_s: u64, wall_ms| {
            known.standing(&terms, Now { mono_us: 7_000_000 + age_s * 1_000_000, wall_ms })
        };
        use Standing::*;
        let steps = [(0, Holds), (74, Holds), (75, Ages), (99, Ages), (100, Stale), (149, Stale), (150, Old)];
        for (age, standing) in steps {
            assert_eq!(at(age, 0), standing, "{age} s");
        }
        assert_eq!(at(0, 999_999), Holds);
        assert_eq!(at(0, 1_000_000), Ended);
        assert_eq!(known.standing(&terms, Now::default()), Holds, "a clock read earlier, on another thread");
    }
}
