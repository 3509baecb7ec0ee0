//! A token of the gateway's own, always at hand: asked for by one task, renewed before its end, read without a lock.
//!
//! *Outages.* A token outlives IAM's absence up to its own end; attempts go on with growing pauses. After the end there
//! is none, and whoever needs one says so to its caller.

use super::answer::{self, Issued};
use super::budget::Budget;
use super::client::{Answer, Client, Unanswered};
use super::login::Login;
use super::pace::{self, Dice};
use crate::clock::Now;
use crate::observe::iam::{IamCall, IamOutcome, TokenMetrics};
use crate::observe::log::Sampled;
use arc_swap::ArcSwapOption;
use http::{HeaderValue, StatusCode};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use zeroize::Zeroizing;

/// One token of the gateway's own.
pub struct Source {
    /// What it is for, as logs and metrics call it.
    pub name: Arc<str>,
    pub(super) client: Client,
    login: Login,
    account: Arc<str>,
    user: Arc<str>,
    current: ArcSwapOption<HeaderValue>,
    /// Somebody has reason to ask for a new one now.
    distrusted: Arc<Notify>,
    metrics: TokenMetrics,
    failures: Sampled,
}

/// Longest time for one question to IAM, its connection included: callers may be waiting for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl Source {
    /// A source without a token yet: [`keep`] gets it one.
    ///
    /// # Errors
    /// One sentence: as [`Client::new`].
    pub fn new(name: Arc<str>, login: Login) -> Result<Source, String> {
        let client = Client::new(login.endpoint.clone(), PATIENCE)?;
        Ok(Source {
            metrics: TokenMetrics::new(&name),
            account: login.account(),
            user: login.user(),
            current: ArcSwapOption::empty(),
            distrusted: Arc::default(),
            failures: Sampled::default(),
            name,
            client,
            login,
        })
    }

    /// The token, for `X-Auth-Token`; None: there is none to be had. Hot path: one load.
    pub fn current(&self) -> Option<HeaderValue> {
        self.current.load().as_deref().cloned()
    }

    /// IAM does not know the token any more: a new one is asked for at once.
    pub fn distrust(&self) {
        self.distrusted.notify_one();
    }

    async fn fetch(&self, budget: &Budget) -> Result<Issued, Failure> {
        let first = self.issue(budget, self.login.body(), None).await?;
        match self.login.agency_body() {
            None => Ok(first),
            Some(body) => self.issue(budget, body, Some(&first.value)).await,
        }
    }

    async fn issue(
        &self,
        budget: &Budget,
        body: Zeroizing<Vec<u8>>,
        own: Option<&HeaderValue>,
    ) -> Result<Issued, Failure> {
        let issued = match budget.take(&self.account, &self.user) {
            Err(wait) => Err(Failure::Budget(wait)),
            Ok(()) => self.client.issue(body, own).await.map_err(Failure::from).and_then(read),
        };
        let outcome = issued.as_ref().map_or_else(Failure::outcome, |_| IamOutcome::Ok);
        IamCall::Issue.count(outcome);
        issued
    }

    /// Puts a token in force; returns how long it lives.
    fn begin(&self, issued: Issued, now: Now) -> Duration {
        self.metrics.issued(now.wall_ms, issued.expires_ms);
        self.current.store(Some(Arc::new(issued.value)));
        Duration::from_millis(issued.expires_ms.saturating_sub(now.wall_ms))
    }

    fn end(&self) {
        if self.current.swap(None).is_some() {
            tracing::error!(source = %self.name, "the IAM token has ended and there is no other");
        }
    }

    fn failed(&self, failure: &Failure) {
        if let Some(times) = self.failures.due() {
            let held = self.current.load().is_some();
            tracing::warn!(source = %self.name, %failure, times, held, "no new IAM token");
        }
    }
}

impl Drop for Source {
    /// Wakes its task, to end.
    fn drop(&mut self) {
        self.distrusted.notify_one();
    }
}

/// Without the login and the token.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Keeps a source in tokens until nobody has it any more.
pub async fn keep(source: Weak<Source>, budget: Arc<Budget>) {
    let Some(distrusted) = source.upgrade().map(|source| source.distrusted.clone()) else { return };
    let mut failures = 0;
    // Until when the token in force lives, on tokio's clock: wall clocks jump.
    let mut end = tokio::time::Instant::now();
    loop {
        let Some(held) = source.upgrade() else { return };
        let wait = match held.fetch(&budget).await {
            Ok(issued) => {
                let lifetime = held.begin(issued, Now::read());
                (failures, end) = (0, tokio::time::Instant::now() + lifetime);
                pace::renewal(lifetime, Dice::cast()).max(LEAST)
            }
            Err(failure) => {
                failures += 1;
                held.failed(&failure);
                failure.wait().max(pace::pause(failures, Dice::cast()))
            }
        };
        drop(held);
        let next = tokio::time::Instant::now() + wait;
        // After a failure the pause is there for a reason: only the end of the source cuts it short.
        let woken = || source.strong_count() == 0 || failures == 0;
        if !sleep_until(end.min(next), &distrusted, woken).await && end < next {
            if let Some(held) = source.upgrade() {
                held.end();
            }
            sleep_until(next, &distrusted, woken).await;
        }
    }
}

/// A token that lives for nearly nothing is not asked for without end.
const LEAST: Duration = Duration::from_millis(500);

/// Sleeps; `true` if somebody has woken it before, for good.
async fn sleep_until(moment: tokio::time::Instant, distrusted: &Notify, good: impl Fn() -> bool) -> bool {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(moment) => return false,
            () = distrusted.notified() => if good() { return true },
        }
    }
}

fn read(answer: Answer) -> Result<Issued, Failure> {
    match answer.status {
        StatusCode::CREATED => Ok(answer::issued(&answer.headers, &answer.body)?),
        status => Err(Failure::Status(status)),
    }
}

/// Why there is no new token. Nothing of question and answer but the status is told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error(transparent)]
    Malformed(#[from] answer::Malformed),
    #[error("IAM answered {0}; check the credential and its rights")]
    Status(StatusCode),
    #[error("the gateway's own calls of IAM are used up for {0:?}")]
    Budget(Duration),
}

impl Failure {
    fn outcome(&self) -> IamOutcome {
        match self {
            Failure::Unanswered(unanswered) => unanswered.outcome(),
            Failure::Malformed(_) => IamOutcome::Malformed,
            Failure::Status(status) => IamOutcome::of(*status),
            Failure::Budget(_) => IamOutcome::Held,
        }
    }

    fn wait(&self) -> Duration {
        match self {
            Failure::Budget(wait) => *wait,
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::login::{Secret, Who};
    use super::super::names::Ref;
    use super::*;
    use crate::upstream::BackendSpec;

    #[test]
    fn neither_the_login_nor_the_token_is_shown() {
        let endpoint = BackendSpec {
            host: "iam".into(),
            ip: None,
            port: 80,
            base_path: "".into(),
            tls: None,
            protocol: Default::default(),
        };
        let password = Secret::new(b"canary-password").unwrap();
        let who = Who::Password { user: "gateway".into(), domain: Ref::of("acme"), password };
        let login = Login { endpoint, who, agency: None, project: None };
        let source = Source::new("own".into(), login).unwrap();
        let issued = Issued { value: HeaderValue::from_static("canary-token"), expires_ms: 1_000 };
        source.begin(issued, Now::default());
        assert!(source.current().is_some());
        for shown in [format!("{source:?}"), format!("{source:#?}")] {
            assert!(shown.contains("own") && !shown.contains("canary"), "{shown}");
        }
    }
}
