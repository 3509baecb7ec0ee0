//! The oracle: it remembers when everything was admitted and recounts from the definition each time.

use super::*;
use std::collections::HashMap;

/// All admissions under one request limit, in order.
#[derive(Debug, Default, Clone)]
pub(super) struct Log(Vec<u64>);

impl Log {
    pub(super) fn admit(&mut self, now_us: u64) {
        self.0.push(now_us);
    }

    /// Token bucket, from its bound: for every `t1`, what was admitted since, with one more, is at most
    /// `burst + requests / period * (now - t1)`. Says no exactly when some `t1` says no.
    pub(super) fn bucket_has_room(&self, n: u32, period: Duration, burst: u32, now_us: u64) -> bool {
        let (n, period_us) = (u128::from(n), period.as_micros());
        let since = |i: usize| (self.0.len() - i + 1) as u128 * period_us;
        let grants = |t: u64| u128::from(burst) * period_us + n * u128::from(now_us - t);
        self.0.iter().enumerate().all(|(i, &t)| since(i) <= grants(t))
    }

    /// Fixed window: walks from one window's first request to the next one's.
    pub(super) fn fixed_has_room(&self, n: u32, period: Duration, now_us: u64) -> bool {
        let period_us = period.as_micros() as u64;
        let mut window = &self.0[..];
        while let Some(end) = window.first().map(|start| start + period_us) {
            if now_us < end {
                return window.len() < n as usize;
            }
            window = &window[window.partition_point(|&t| t < end)..];
        }
        true
    }

    /// Admissions in `(now - span, now]`.
    pub(super) fn within(&self, span_us: u64, now_us: u64) -> usize {
        self.0.iter().filter(|&&t| t + span_us > now_us).count()
    }
}

/// The subject a limit counts, by names of the world; its own spelling of `Per`.
pub(super) fn subject(per: Per, Ask { tenant, user, route }: Ask) -> [Option<usize>; 3] {
    match per {
        Per::Tenant => [Some(tenant), None, None],
        Per::User => [Some(tenant), Some(user), None],
        Per::Route => [None, None, Some(route)],
        Per::TenantRoute => [Some(tenant), None, Some(route)],
        Per::Model | Per::TenantModel => unreachable!("these requests name no model"),
    }
}

/// What an oracle says of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// A sliding window may say either within a fifteenth of its period.
    Either,
}

/// Recounts every limit of every subject.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    logs: HashMap<(usize, [Option<usize>; 3]), Log>,
    open: Vec<Ask>,
}

impl Oracle {
    pub(super) fn verdict(&self, limits: &[Limit], ask: Ask, now_us: u64) -> Verdict {
        self.verdict_of(limits, |_| true, ask, now_us)
    }

    /// What the request limits alone say: those that time gives room.
    pub(super) fn verdict_of_rates(&self, limits: &[Limit], ask: Ask, now_us: u64) -> Verdict {
        self.verdict_of(limits, |limit| !matches!(limit.amount, Amount::Concurrent(_)), ask, now_us)
    }

    fn verdict_of(&self, limits: &[Limit], asked: fn(&Limit) -> bool, ask: Ask, now_us: u64) -> Verdict {
        let limits = limits.iter().enumerate().filter(|(_, limit)| asked(limit));
        let verdicts = limits.map(|(i, limit)| self.one(i, limit, ask, now_us));
        verdicts.fold(Verdict::Yes, |all, one| match (all, one) {
            (Verdict::No, _) | (_, Verdict::No) => Verdict::No,
            (Verdict::Either, _) | (_, Verdict::Either) => Verdict::Either,
            _ => Verdict::Yes,
        })
    }

    fn one(&self, i: usize, limit: &Limit, ask: Ask, now_us: u64) -> Verdict {
        let of = subject(limit.per, ask);
        let empty = Log::default();
        let log = self.logs.get(&(i, of)).unwrap_or(&empty);
        let yes = match limit.amount {
            Amount::Concurrent(most) => {
                let open = self.open.iter().filter(|&&open| subject(limit.per, open) == of).count();
                open < most.get() as usize
            }
            Amount::Tokens { .. } | Amount::Budget { .. } => true, // these requests are not metered
            Amount::Requests { requests, period, burst, algorithm } => match algorithm {
                Algorithm::TokenBucket => log.bucket_has_room(requests.get(), period, burst.get(), now_us),
                Algorithm::FixedWindow => log.fixed_has_room(requests.get(), period, now_us),
                Algorithm::SlidingWindow => {
                    let (n, period_us) = (requests.get() as usize, period.as_micros() as u64);
                    let longest_us = period_us + 2 * period_us.div_ceil(15);
                    let surely = log.within(longest_us, now_us) < n;
                    match (surely, log.within(period_us, now_us) < n) {
                        (false, true) => return Verdict::Either,
                        (surely, _) => surely,
                    }
                }
            },
        };
        if yes { Verdict::Yes } else { Verdict::No }
    }

    pub(super) fn admitted(&mut self, limits: &[Limit], ask: Ask, now_us: u64) {
        for (i, limit) in limits.iter().enumerate() {
            self.logs.entry((i, subject(limit.per, ask))).or_default().admit(now_us);
        }
        self.open.push(ask);
    }

    pub(super) fn ended(&mut self, open: usize) {
        self.open.swap_remove(open);
    }
}
