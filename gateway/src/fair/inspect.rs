//! What operators see of a gate: plain values, read under the lock and printed after.

use super::scheduler::Scheduler;
use super::{Reason, TenantKey};
use serde::Serialize;
use std::sync::Arc;

/// Where a gate stands. `T` tells tenants apart: the gate by their keys, a page by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State<T = TenantKey> {
    /// Requests in flight.
    pub in_flight: u32,
    /// Most at once, as of now: by policy, or what the upstream has shown to take. Absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u32>,
    /// Tokens in flight, the outputs as expected.
    pub tokens: u64,
    /// Most at once. Absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_max: Option<u64>,
    /// Requests that wait.
    pub waiting: u32,
    /// Bytes of their bodies.
    pub waiting_bytes: u64,
    /// By class, highest first.
    pub classes: Vec<ClassState>,
    /// Requests that end in a minute, at the present pace. Absent: nobody knows yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_per_minute: Option<u64>,
    /// Milliseconds until something is let in again, as the upstream has asked for; 0: no pause.
    pub paused_ms: u64,
    /// Requests let in since the start.
    pub let_in: u64,
    /// Refusals since the start, by reason.
    pub refused: Vec<RefusedState>,
    /// Accounts in memory: one per tenant and class.
    pub accounts: usize,
    /// Those that use most, by tokens in flight and then by requests that wait.
    pub tenants: Vec<TenantShare<T>>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassState {
    /// As written in policy.
    pub class: Arc<str>,
    /// Requests that wait.
    pub waiting: u32,
    /// Milliseconds that the oldest of them has waited.
    pub oldest_ms: u64,
}

/// Refusals for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RefusedState {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
}

/// One tenant in one class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantShare<T = TenantKey> {
    /// Who.
    pub tenant: T,
    /// In which class.
    pub class: Arc<str>,
    /// Its share, by that of others.
    pub weight: u32,
    /// Requests in flight.
    pub in_flight: u32,
    /// Tokens in flight.
    pub tokens: u64,
    /// Requests that wait.
    pub waiting: u32,
    /// Bytes of their bodies.
    pub waiting_bytes: u64,
}

impl State {
    /// The same with names for keys.
    pub fn named<T>(self, name: impl Fn(TenantKey) -> T) -> State<T> {
        let share = |share: TenantShare| TenantShare {
            tenant: name(share.tenant),
            class: share.class,
            weight: share.weight,
            in_flight: share.in_flight,
            tokens: share.tokens,
            waiting: share.waiting,
            waiting_bytes: share.waiting_bytes,
        };
        State {
            in_flight: self.in_flight,
            in_flight_max: self.in_flight_max,
            tokens: self.tokens,
            tokens_max: self.tokens_max,
            waiting: self.waiting,
            waiting_bytes: self.waiting_bytes,
            classes: self.classes,
            drain_per_minute: self.drain_per_minute,
            paused_ms: self.paused_ms,
            let_in: self.let_in,
            refused: self.refused,
            accounts: self.accounts,
            tenants: self.tenants.into_iter().map(share).collect(),
        }
    }
}

impl<W> Scheduler<W> {
    /// Where it stands. Looks at everybody: for operators, not for a request.
    pub(super) fn state(&self, top: usize) -> State {
        let in_flight = self.capacity.in_flight();
        let stay_us = self.pace.stay_us(in_flight, self.now_us);
        State {
            in_flight,
            in_flight_max: Some(self.capacity.places(self.learned.places())).filter(|max| *max < u32::MAX),
            tokens: self.capacity.tokens(),
            tokens_max: self.capacity.tokens_max(),
            waiting: self.line.waiting(),
            waiting_bytes: self.line.bytes(),
            classes: self.class_states(),
            drain_per_minute: stay_us.map(|stay_us| u64::from(in_flight) * 60_000_000 / stay_us),
            paused_ms: self.learned.paused_until_us().saturating_sub(self.now_us).div_ceil(1000),
            let_in: self.admitted,
            refused: Reason::ALL
                .map(|reason| RefusedState { reason, count: self.refused[reason as usize] })
                .into(),
            accounts: self.lanes.iter().map(|lane| lane.accounts().count()).sum(),
            tenants: self.tenant_shares(top),
        }
    }

    fn class_states(&self) -> Vec<ClassState> {
        let mut since_us = vec![self.now_us; self.lanes.len()];
        for (_, waiter) in self.line.each() {
            since_us[waiter.lane] = since_us[waiter.lane].min(waiter.since_us);
        }
        let each = self.lanes.iter().zip(since_us).enumerate();
        each.map(|(at, (lane, since_us))| ClassState {
            class: self.class_name(at),
            waiting: lane.waiting(),
            oldest_ms: (self.now_us - since_us) / 1000,
        })
        .collect()
    }

    fn tenant_shares(&self, top: usize) -> Vec<TenantShare> {
        let each = self.lanes.iter().enumerate();
        let each = each.flat_map(|(at, lane)| lane.accounts().map(move |(_, account)| (at, account)));
        let mut shares: Vec<_> = each.filter(|(_, account)| !account.is_idle()).collect();
        shares.sort_by_key(|(at, account)| {
            (std::cmp::Reverse((account.tokens, account.queue.len())), *at, account.tenant)
        });
        shares.truncate(top);
        let share = |(at, account): (usize, &super::account::Account)| TenantShare {
            tenant: account.tenant,
            class: self.class_name(at),
            weight: account.weight.get(),
            in_flight: account.in_flight,
            tokens: account.tokens,
            waiting: account.queue.len(),
            waiting_bytes: account.waiting_bytes,
        };
        shares.into_iter().map(share).collect()
    }

    fn class_name(&self, lane: usize) -> Arc<str> {
        match self.config.classes.get(lane) {
            Some(class) => Arc::clone(&class.name),
            None if lane == 0 => "default".into(),
            None => "gone".into(), // a reload took it, and somebody in it is not served yet
        }
    }
}
