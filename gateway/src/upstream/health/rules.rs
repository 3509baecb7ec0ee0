//! How a pool judges its backends, as policy says.

use crate::observe::metrics::UpstreamError;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// How one pool judges its backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What they are asked, and how often; None: nothing.
    pub probe: Option<Arc<Probe>>,
    /// What takes one out whose requests fail; None: nothing does.
    pub eject: Option<Eject>,
    /// With less than this percentage of the weight open, all backends are used again; 0: never.
    pub panic_percent: u8,
}

impl Rules {
    /// How long a backend that comes back takes to get its whole share.
    pub fn slow_start(&self) -> Duration {
        self.probe.as_ref().map_or(Duration::ZERO, |probe| probe.slow_start)
    }
}

/// What a backend is asked, again and again. Pools with equal ones share its answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Behind the base path of the backend; begins with `/`. Empty: a connection that opens is all that is asked.
    pub path: Box<str>,
    /// From the begin of one to the begin of the next.
    pub every: Duration,
    /// From opening the connection to the last byte that matters.
    pub timeout: Duration,
    /// Successes in a row that bring it back; at least 1.
    pub healthy_after: u32,
    /// Failures in a row that take it out; at least 1.
    pub unhealthy_after: u32,
    /// Any of these statuses is a success.
    pub expect: Vec<RangeInclusive<u16>>,
    /// What the first 64 KiB of the body have to contain.
    pub body: Option<Box<str>>,
    /// How long a backend that comes back takes to get its whole share; at most [`SLOW_START_MAX`].
    pub slow_start: Duration,
}

/// The longest slow start.
pub const SLOW_START_MAX: Duration = Duration::from_secs(3_600);

/// What takes a backend out whose requests fail, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eject {
    /// So many failures in a row.
    pub consecutive: Option<NonZeroU32>,
    /// So many of all.
    pub rate: Option<ErrorRate>,
    /// What counts as a failure.
    pub on: Failures,
    /// How long it is out for the first time; twice as long each further time.
    pub first: Duration,
    /// Never longer than this; and who has been back for so long begins anew.
    pub longest: Duration,
    /// Percentage of the pool's weight that stays open; what would leave less does not happen.
    pub keep_percent: u8,
}

impl Default for Eject {
    /// What holds where policy says nothing: only what no request can bring about.
    fn default() -> Eject {
        Eject {
            consecutive: NonZeroU32::new(5),
            rate: None,
            on: Failures { connect: true, ..Failures::default() },
            first: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            keep_percent: 50,
        }
    }
}

/// A part of the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRate {
    /// 1 to 100.
    pub percent: u8,
    /// Of the last so many seconds, 1 to 60.
    pub of_last_s: u8,
    /// Once there were so many; at least 1.
    pub at_least: u32,
}

/// Which ends of an attempt are failures of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Failures {
    /// No connection, or no TLS session.
    pub connect: bool,
    /// Closed or broken before the head of an answer.
    pub reset: bool,
    /// No head in time.
    pub timeout: bool,
    /// 502, 503 or 504.
    pub unavailable: bool,
    /// Broken off, or silent for too long, after the head of an answer.
    pub cut: bool,
}

impl Failures {
    /// Is an attempt without an answer, or with only part of one, among them? None: it says nothing of the backend that its
    /// head has not said.
    pub fn have(&self, error: UpstreamError) -> Option<bool> {
        match error {
            UpstreamError::Connect | UpstreamError::Tls => Some(self.connect),
            UpstreamError::Reset => Some(self.reset),
            UpstreamError::Timeout => Some(self.timeout),
            UpstreamError::Cut => self.cut.then_some(true),
            UpstreamError::Local => None,
        }
    }

    /// Is an answer of this status one of them?
    pub fn have_status(&self, status: u16) -> bool {
        self.unavailable && matches!(status, 502..=504)
    }
}
