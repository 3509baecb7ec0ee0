//! Callers' tokens: what IAM has said of them, and who is being asked about.
//!
//! Workers look tokens up here, by their SHA-256; what is not known becomes a [`Question`] for the main thread, one per
//! token however many requests wait for it ([`judge`](super::judge) asks).
//!
//! *Floods.* Tokens that nobody has vouched for are asked about so often per address and so often in all; beyond that
//! their requests are refused at once, and IAM hears nothing of them. Known ones are asked about again without counting
//! against that, so a flood cannot push them out.
//!
//! *Memory.* `max` known tokens and as many refused ones at most, each some 300 bytes; what is not used makes room.

use super::known::{Known, Standing, Terms};
use super::pace::{self, Dice};
use super::source::Source;
use crate::auth::TokenDenied;
use crate::clock::Now;
use crate::limit::Guard;
use crate::observe::iam::TokenLookUps;
use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use http::HeaderValue;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// SHA-256 of a token: what it is known by.
pub type Fingerprint = [u8; 32];

/// What policy says of checks. Two that are equal share what they know across reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckSpec {
    /// How long answers are believed.
    pub terms: Terms,
    /// Most tokens that are remembered.
    pub max: usize,
    /// Questions per second about tokens that nobody has vouched for.
    pub unknown: NonZeroU32,
    /// The same, of one address.
    pub unknown_per_address: NonZeroU32,
}

/// Every token seen lately.
pub struct Checks {
    pub(super) source: Arc<Source>,
    spec: CheckSpec,
    known: Cache<Fingerprint, Arc<Known>>,
    /// Until when, in monotonic microseconds.
    refused: Cache<Fingerprint, u64>,
    asked: Mutex<HashMap<Fingerprint, Answers>>,
    absence: Mutex<Absence>,
    questions: mpsc::UnboundedSender<Question>,
    guard: Guard,
    unknown: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    metrics: TokenLookUps,
}

type Answers = watch::Receiver<Option<Verdict>>;

/// What IAM said.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It vouches for the token.
    Good(Arc<Known>),
    /// It does not know it, or not any more.
    Refused,
    /// It could not be asked.
    Unanswered,
}

/// One token to be asked about.
pub struct Question {
    pub(super) checks: Arc<Checks>,
    pub(super) token: HeaderValue,
    fingerprint: Fingerprint,
    answer: watch::Sender<Option<Verdict>>,
}

/// For how long IAM has not answered.
#[derive(Default)]
struct Absence {
    /// Attempts in a row that came to nothing.
    failures: u32,
    /// When to try again.
    until_us: u64,
}

impl Checks {
    /// Nothing known yet; questions go to `questions`.
    pub fn new(spec: CheckSpec, source: Arc<Source>, questions: mpsc::UnboundedSender<Question>) -> Checks {
        Checks {
            known: Cache::new(spec.max),
            refused: Cache::new(spec.max),
            asked: Mutex::default(),
            absence: Mutex::default(),
            guard: Guard::default(),
            unknown: RateLimiter::direct(Quota::per_second(spec.unknown)),
            metrics: TokenLookUps::default(),
            source,
            spec,
            questions,
        }
    }

    /// Hot path: whom does the token stand for, as far as that is known? A hash of the token, and one lock of a shard.
    ///
    /// # Errors
    /// [`Unsure`]: refused, or IAM has to be asked
    pub fn find(self: &Arc<Self>, token: &HeaderValue, now: Now) -> Result<Arc<Known>, Unsure> {
        let fingerprint = super::fingerprint(token.as_bytes());
        let Some(known) = self.known.get(&fingerprint) else {
            return Err(match self.refused.get(&fingerprint) {
                Some(until_us) if now.mono_us < until_us => {
                    self.metrics.negative.increment(1);
                    Unsure::Refused(TokenDenied::Refused)
                }
                _ => Unsure::Ask(Doubt { fingerprint, known: None }),
            });
        };
        match known.standing(&self.spec.terms, now) {
            Standing::Holds => self.metrics.hits.increment(1),
            Standing::Ages => {
                self.metrics.hits.increment(1);
                self.ask_beside(fingerprint, token, now);
            }
            Standing::Stale if self.absence.lock().failures > 0 => {
                self.metrics.stale.increment(1);
                self.ask_beside(fingerprint, token, now);
            }
            Standing::Stale => return Err(Unsure::Ask(Doubt { fingerprint, known: Some(known) })),
            Standing::Old => return Err(Unsure::Ask(Doubt { fingerprint, known: None })),
            Standing::Ended => return Err(Unsure::Refused(TokenDenied::Ended)),
        }
        Ok(known)
    }

    /// Asks IAM, or waits for an answer that somebody else has asked for.
    ///
    /// # Errors
    /// It does not vouch for the token, cannot be asked, or is asked too much already.
    pub async fn ask(
        self: &Arc<Self>,
        doubt: Doubt,
        token: &HeaderValue,
        from: IpAddr,
        now: Now,
    ) -> Result<Arc<Known>, TokenDenied> {
        self.metrics.misses.increment(1);
        let mut answers = self.begin(doubt.fingerprint, token, || self.may_ask(&doubt, from, now))?;
        let verdict = answers.wait_for(Option::is_some).await.ok().and_then(|verdict| verdict.clone());
        match (verdict, doubt.known) {
            (Some(Verdict::Good(known)), _) => Ok(known),
            (Some(Verdict::Refused), _) => Err(TokenDenied::Refused),
            (Some(Verdict::Unanswered) | None, Some(known)) => Ok(known),
            (Some(Verdict::Unanswered) | None, None) => Err(TokenDenied::Unavailable { retry_after: SOON }),
        }
    }

    /// How many tokens are known.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    /// A token that nobody has vouched for has to pass the bounds on such questions; one that holds while IAM cannot be
    /// asked has not.
    fn may_ask(&self, doubt: &Doubt, from: IpAddr, now: Now) -> Result<(), TokenDenied> {
        if doubt.known.is_some() {
            return Ok(());
        }
        self.absence.lock().check(now).map_err(|retry_after| TokenDenied::Unavailable { retry_after })?;
        self.check_flood(from, now).map_err(|retry_after| TokenDenied::Busy { retry_after })
    }

    /// Asks about a token that holds for now; nobody waits for the answer.
    fn ask_beside(self: &Arc<Self>, fingerprint: Fingerprint, token: &HeaderValue, now: Now) {
        let may_ask = || self.absence.lock().check(now).map_err(|_| ());
        let _ = self.begin(fingerprint, token, may_ask); // else later
    }

    /// Joins whoever asks about the token already, or asks.
    fn begin<E>(
        self: &Arc<Self>,
        fingerprint: Fingerprint,
        token: &HeaderValue,
        may_ask: impl FnOnce() -> Result<(), E>,
    ) -> Result<Answers, E> {
        let mut asked = self.asked.lock();
        if let Some(answers) = asked.get(&fingerprint) {
            return Ok(answers.clone());
        }
        may_ask()?;
        let (answer, answers) = watch::channel(None);
        asked.insert(fingerprint, answers.clone());
        drop(asked); // a question that nobody takes is dropped here, and that takes the lock
        let question = Question { checks: self.clone(), token: token.clone(), fingerprint, answer };
        // Nobody takes it only while the gateway ends; whoever waits then sees that the sender is gone.
        let _ = self.questions.send(question);
        Ok(answers)
    }

    fn check_flood(&self, from: IpAddr, now: Now) -> Result<(), Duration> {
        self.guard.admit(from, self.spec.unknown_per_address.get(), now)?;
        self.unknown.check().map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// When to try again what failed because IAM did not answer: nobody can know, so soon.
const SOON: Duration = Duration::from_secs(1);

/// Why a token cannot simply be taken.
pub enum Unsure {
    /// It cannot be taken at all.
    Refused(TokenDenied),
    /// [`Checks::ask`] knows.
    Ask(Doubt),
}

/// A token to be asked about.
pub struct Doubt {
    fingerprint: Fingerprint,
    /// What holds if IAM cannot be asked.
    known: Option<Arc<Known>>,
}

impl Question {
    /// Remembers what IAM said, and tells everybody who waits.
    pub fn answer(self, verdict: Verdict, now: Now) {
        let checks = &self.checks;
        match &verdict {
            Verdict::Good(known) => {
                checks.refused.remove(&self.fingerprint);
                checks.known.insert(self.fingerprint, known.clone());
            }
            Verdict::Refused => {
                checks.known.remove(&self.fingerprint);
                let until_us = now.after(checks.spec.terms.negative).mono_us;
                checks.refused.insert(self.fingerprint, until_us);
            }
            Verdict::Unanswered => {}
        }
        match verdict {
            Verdict::Unanswered => checks.absence.lock().goes_on(now),
            Verdict::Good(_) | Verdict::Refused => *checks.absence.lock() = Absence::default(),
        }
        self.answer.send_replace(Some(verdict));
    }
}

/// Answered or not, it is not being asked any more.
impl Drop for Question {
    fn drop(&mut self) {
        self.checks.asked.lock().remove(&self.fingerprint);
    }
}

impl Absence {
    /// # Errors
    /// How long IAM is better left alone.
    fn check(&self, now: Now) -> Result<(), Duration> {
        match self.until_us.saturating_sub(now.mono_us) {
            0 => Ok(()),
            us => Err(Duration::from_micros(us)),
        }
    }

    fn goes_on(&mut self, now: Now) {
        // Those that were asked together failed together.
        if self.check(now).is_ok() {
            self.failures += 1;
            let pause = pace::pause(self.failures, Dice::cast()).min(PAUSE_MAX);
            self.until_us = now.after(pause).mono_us;
        }
    }
}

/// IAM that is back is noticed within this long.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Without tokens, and without whom they stand for.
impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks")
            .field("spec", &self.spec)
            .field("known", &self.count())
            .finish_non_exhaustive()
    }
}
