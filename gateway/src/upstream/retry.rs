//! May a request be sent again? The rule of a route, as plain data: no clock, no socket.
//!
//! What was never sent, or was refused before it was worked on, may go elsewhere whatever it is. What may have been
//! worked on is sent again only if doing it twice is doing it once: the method is idempotent (RFC 9110 section 9.2.2),
//! the caller gave an `Idempotency-Key`, or the rule says that repeating POSTs is fine here.

use http::StatusCode;
use std::time::Duration;

/// Why an attempt was in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// No connection: nothing was sent.
    Connect,
    /// The connection broke before the answer began.
    Reset,
    /// 429.
    TooMany,
    /// 502.
    BadGateway,
    /// 503.
    Unavailable,
    /// 504.
    GatewayTimeout,
    /// The answer did not begin in time.
    FirstByte,
    /// Nobody was there to be asked. Always a reason for the fallback, so no rule names it.
    NoBackend,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 8] = [
        Reason::Connect,
        Reason::Reset,
        Reason::TooMany,
        Reason::BadGateway,
        Reason::Unavailable,
        Reason::GatewayTimeout,
        Reason::FirstByte,
        Reason::NoBackend,
    ];

    /// As policy, metrics and logs spell it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Connect => "connect",
            Reason::Reset => "reset",
            Reason::TooMany => "429",
            Reason::BadGateway => "502",
            Reason::Unavailable => "503",
            Reason::GatewayTimeout => "504",
            Reason::FirstByte => "first_byte",
            Reason::NoBackend => "no_backend",
        }
    }

    /// The status of an answer that is none.
    #[inline]
    pub fn of(status: StatusCode) -> Option<Reason> {
        match status.as_u16() {
            429 => Some(Reason::TooMany),
            502 => Some(Reason::BadGateway),
            503 => Some(Reason::Unavailable),
            504 => Some(Reason::GatewayTimeout),
            _ => None,
        }
    }

    /// May the upstream have worked on the request? With 429 and 503 it says that it has not; 502 and 504 come from
    /// somebody on the way who does not know.
    pub fn may_have_been_processed(self) -> bool {
        match self {
            Reason::Connect | Reason::TooMany | Reason::Unavailable | Reason::NoBackend => false,
            Reason::Reset | Reason::BadGateway | Reason::GatewayTimeout | Reason::FirstByte => true,
        }
    }
}

/// A set of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons(u8);

impl Reasons {
    /// Is `reason` among them?
    #[inline]
    pub fn contains(self, reason: Reason) -> bool {
        self.0 & (1 << reason as u8) != 0
    }

    /// In the order of [`Reason::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Reason> {
        Reason::ALL.into_iter().filter(move |reason| self.contains(*reason))
    }
}

impl FromIterator<Reason> for Reasons {
    fn from_iter<T: IntoIterator<Item = Reason>>(reasons: T) -> Reasons {
        Reasons(reasons.into_iter().fold(0, |set, reason| set | 1 << reason as u8))
    }
}

/// When a route tries again, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// After what.
    pub on: Reasons,
    /// Attempts at one pool, the first included; at least 1.
    pub attempts: u32,
    /// How long one attempt may take to begin its answer while another may follow; `None`: as long as all of them.
    pub first_byte: Option<Duration>,
    /// POST and PATCH are sent again even where they may have been processed.
    pub repeat_post: bool,
    /// Bodies up to this many bytes are held, so that they can be sent again.
    pub hold_max: u64,
    /// Further attempts per hundred requests of the pool.
    pub budget_percent: u32,
}

/// What a request allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// Doing it twice is doing it once.
    pub repeatable: bool,
    /// Its body is held, or there is none.
    pub held: bool,
}

impl Rule {
    /// May a request that failed by `reason` be sent again? The answer has not begun to go down.
    pub fn allows(&self, reason: Reason, request: Replay) -> bool {
        let unsent = matches!(reason, Reason::Connect | Reason::NoBackend);
        let safe = !reason.may_have_been_processed() || request.repeatable || self.repeat_post;
        (self.on.contains(reason) || reason == Reason::NoBackend) && (unsent || request.held) && safe
    }

    /// Is there a reason for which a body would have to be held?
    pub fn needs_body(&self, repeatable: bool) -> bool {
        let request = Replay { repeatable, held: true };
        self.on.iter().any(|reason| reason != Reason::Connect && self.allows(reason, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: Replay = Replay { repeatable: true, held: true };
    const POST: Replay = Replay { repeatable: false, held: true };
    const PASSING: Replay = Replay { repeatable: false, held: false };

    fn rule(repeat_post: bool) -> Rule {
        Rule {
            on: Reason::ALL.into_iter().filter(|reason| *reason != Reason::NoBackend).collect(),
            attempts: 2,
            first_byte: None,
            repeat_post,
            hold_max: 0,
            budget_percent: 20,
        }
    }

    fn allowed(rule: &Rule, request: Replay) -> Vec<&'static str> {
        Reason::ALL.into_iter().filter(|reason| rule.allows(*reason, request)).map(Reason::name).collect()
    }

    #[test]
    fn a_post_goes_elsewhere_only_after_what_proves_that_nobody_worked_on_it() {
        assert_eq!(allowed(&rule(false), POST), ["connect", "429", "503", "no_backend"]);
        assert_eq!(allowed(&rule(true), POST), Reason::ALL.map(Reason::name));
        assert_eq!(allowed(&rule(false), GET), Reason::ALL.map(Reason::name));
    }

    #[test]
    fn a_body_that_passes_goes_elsewhere_only_while_nothing_of_it_has_left() {
        assert_eq!(allowed(&rule(true), PASSING), ["connect", "no_backend"]);
    }

    #[test]
    fn a_rule_does_what_it_names_and_no_more() {
        let only = Rule { on: [Reason::Reset].into_iter().collect(), ..rule(false) };
        assert_eq!(allowed(&only, GET), ["reset", "no_backend"]);
        assert!(!only.needs_body(false), "no POST would be sent again");
        assert!(only.needs_body(true));
        let connect = Rule { on: [Reason::Connect].into_iter().collect(), ..rule(true) };
        assert!(!connect.needs_body(true));
    }
}
