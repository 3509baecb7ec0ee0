//! One class: the accounts of its tenants, and whose turn it is among those that wait.

use super::account::{Account, Charge, moved};
use super::line::{Queue, SeatIx};
use super::{Ask, TenantKey};
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;

/// How long it matters that somebody was served more than others.
const LEAD_US: u64 = 60_000_000;
/// How long room is kept free after the last request of somebody who was behind.
const ABOUT_US: u64 = 10_000_000;

/// One class of requests.
#[derive(Default)]
pub(super) struct Lane {
    accounts: Slab<Account>,
    by_tenant: HashMap<TenantKey, usize, ahash::RandomState>,
    /// Every account that waits, by its counter; among equals the one whose head came first.
    turns: BTreeSet<Turn>,
    /// How far service has come: what the least served of those who want more than there is has had by now. Who
    /// has had less is behind.
    floor: u64,
    /// What requests usually cost at a weight of one; None: none has been served yet.
    usual: Option<u64>,
    /// The last one that asked while it was behind, and when.
    behind: Option<(TenantKey, u64)>,
    waiting: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    counter: u64,
    /// Arrival of its head.
    arrival: u64,
    account: usize,
}

impl Lane {
    /// The account that a request is counted in, lifted to how far service has come, less a burst of requests:
    /// what others did while it was idle is not made up for, but who keeps to its share may send in waves.
    ///
    /// Also while it waits: as more is known of what its requests cost, its burst may turn out to be smaller.
    #[inline]
    pub(super) fn account_of(&mut self, ask: &Ask, burst: u32, now_us: u64) -> usize {
        let least = self.turns.first().map_or(0, |turn| turn.counter);
        self.floor = self.floor.max(least);
        let at = match self.by_tenant.get(&ask.tenant) {
            Some(&at) => at,
            None => self.open(ask.tenant, ask.weight),
        };
        self.accounts[at].weight = ask.weight;
        let burst = self.cost_of_one(at, ask).saturating_mul(u64::from(burst));
        self.accounts[at].burst = burst;
        let lowest = self.floor.saturating_sub(burst);
        if self.accounts[at].counter < lowest {
            self.change(at, |account| account.counter = lowest);
        }
        if self.accounts[at].counter < self.floor {
            self.behind = Some((ask.tenant, now_us));
        }
        at
    }

    /// What one request of this account adds to its counter, as far as anybody knows when `ask` comes.
    ///
    /// What a caller makes us expect, such as many answers to one prompt, need not come to pass, and is not paid
    /// for then. It is believed only as long as nothing has been served, or if it is less than usual.
    #[inline]
    pub(super) fn cost_of_one(&self, at: usize, ask: &Ask) -> u64 {
        let account = &self.accounts[at];
        let cost = account.usual.unwrap_or_else(|| {
            let expected = Charge::of(ask.prompt, ask.output).scaled(NonZeroU32::MIN);
            self.usual.map_or(expected, |usual| usual.min(expected))
        });
        cost / u64::from(account.weight.get())
    }

    #[cold]
    fn open(&mut self, tenant: TenantKey, weight: NonZeroU32) -> usize {
        let at = self.accounts.insert(Account {
            tenant,
            weight,
            counter: 0,
            usual: None,
            burst: 0,
            queue: Queue::default(),
            waiting_bytes: 0,
            waiting_tokens: 0,
            in_flight: 0,
            tokens: 0,
            seen_us: 0,
        });
        self.by_tenant.insert(tenant, at);
        at
    }

    /// Must it leave room for others? It is not behind, and somebody else has been lately.
    #[inline]
    pub(super) fn leaves_room(&self, at: usize, now_us: u64) -> bool {
        let account = &self.accounts[at];
        let other_lately = |(tenant, asked_us): (TenantKey, u64)| {
            tenant != account.tenant && now_us < asked_us.saturating_add(ABOUT_US)
        };
        account.counter >= self.floor && self.behind.is_some_and(other_lately)
    }

    /// Does anybody wait?
    #[inline]
    pub(super) fn is_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Would a request of this account go before all that wait?
    #[inline]
    pub(super) fn is_next(&self, at: usize) -> bool {
        self.turns.first().is_none_or(|turn| self.accounts[at].counter < turn.counter)
    }

    /// Whose turn it is: the first request of the least served tenant.
    pub(super) fn next(&self) -> Option<SeatIx> {
        self.turns.first().and_then(|turn| self.accounts[turn.account].queue.head())
    }

    /// Counts a request in flight and charges its prompt.
    #[inline]
    pub(super) fn began(&mut self, at: usize, tokens: u64, charge: Charge, weight: NonZeroU32) {
        let account = &mut self.accounts[at];
        self.floor = self.floor.max(account.counter);
        account.in_flight += 1;
        account.tokens += tokens;
        self.charge(at, Charge::of(0, 0), charge, weight);
    }

    /// Ends what [`began`](Lane::began) counted.
    #[inline]
    pub(super) fn ended(&mut self, at: usize, tokens: u64, now_us: u64) {
        let account = &mut self.accounts[at];
        account.in_flight -= 1;
        account.tokens -= tokens;
        account.seen_us = now_us;
    }

    /// A request has been served, and has cost so much. The first of an account is not believed to be usual if it
    /// cost more than those of others.
    #[inline]
    pub(super) fn served(&mut self, at: usize, charge: Charge) {
        let cost = charge.scaled(NonZeroU32::MIN);
        let account = &mut self.accounts[at];
        let before = account.usual.unwrap_or_else(|| self.usual.map_or(cost, |usual| usual.min(cost)));
        account.usual = Some(moved(before, cost));
        self.usual = Some(moved(self.usual.unwrap_or(cost), cost));
    }

    /// Changes the tokens that one of its requests takes in flight.
    pub(super) fn resized(&mut self, at: usize, before: u64, after: u64) {
        let account = &mut self.accounts[at];
        account.tokens = account.tokens - before + after;
    }

    /// Changes what a request has cost: more as its output comes, or less when an estimate was too high.
    #[inline]
    pub(super) fn charge(&mut self, at: usize, before: Charge, after: Charge, weight: NonZeroU32) {
        let (before, after) = (before.scaled(weight), after.scaled(weight));
        self.change(at, |account| {
            account.counter = account.counter.saturating_add(after).saturating_sub(before);
        });
    }

    /// Changes an account: its counter or its queue, and its turn with them.
    #[inline]
    pub(super) fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Account) -> T) -> T {
        let account = &mut self.accounts[at];
        let before = Turn::of(at, account);
        self.waiting -= account.queue.len();
        let changed = change(account);
        self.waiting += account.queue.len();
        let after = Turn::of(at, account);
        if before != after {
            before.map(|turn| self.turns.remove(&turn));
            after.map(|turn| self.turns.insert(turn));
        }
        changed
    }

    /// Requests that wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Its accounts, in no order.
    pub(super) fn accounts(&self) -> impl Iterator<Item = (usize, &Account)> {
        self.accounts.iter()
    }

    /// Those that wait, the next one first.
    pub(super) fn accounts_waiting(&self) -> impl Iterator<Item = (usize, &Account)> {
        self.turns.iter().map(|turn| (turn.account, &self.accounts[turn.account]))
    }

    /// One account.
    pub(super) fn account(&self, at: usize) -> &Account {
        &self.accounts[at]
    }

    /// Has it forgotten everybody?
    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// Forgets accounts that are idle and stand where whoever comes anew does. What they had more than that is
    /// remembered for a minute.
    pub(super) fn sweep(&mut self, now_us: u64) {
        let (floor, by_tenant) = (self.floor, &mut self.by_tenant);
        self.accounts.retain(|_, account| {
            let has_more = account.counter > floor.saturating_sub(account.burst);
            let is_known = has_more && now_us < account.seen_us.saturating_add(LEAD_US);
            let stays = is_known || !account.is_idle();
            if !stays {
                by_tenant.remove(&account.tenant);
            }
            stays
        });
    }
}

impl Turn {
    fn of(at: usize, account: &Account) -> Option<Turn> {
        let waits = !account.queue.is_empty();
        waits.then(|| Turn { counter: account.counter, arrival: account.queue.head_arrival(), account: at })
    }
}
