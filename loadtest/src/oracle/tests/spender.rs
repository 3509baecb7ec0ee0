//! A small world in virtual time for limits on tokens: streams, a gateway that meters them, and a mock that counts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::cost::Told;
use crate::measure::Sample;
use crate::mock::count::Outcome;
use crate::mock::journal::{Arrival, Journal};
use crate::scenario::{BodyKind, Scenario};

use super::world::{self, Dice};

/// When the first request may be sent; also the beginning of the only period of a calendar.
pub const START_US: u64 = 1_000_000;
const BODY_BYTES: u32 = 128;
/// Billionths for a token of the prompt, and of the completion.
const PRICE: (u64, u64) = (8_000, 20_000);

/// What happens, and what is wrong with the gateway.
#[derive(Debug, Clone)]
pub struct Spender {
    pub seed: u64,
    /// The limit of the only plan, as a policy writes it after `per: tenant, `.
    pub limit: &'static str,
    /// The same as the gateway keeps it.
    pub keeps: Keeps,
    pub defect: Option<Defect>,
    /// Where the usage is told; where it is not yet, the gateway counts.
    pub told: Told,
    /// Mean requests per second of each of the two tenants.
    pub rate_per_s: f64,
    pub lasts_us: u64,
    /// Longest delay of each of the ways between caller, gateway and mock.
    pub delay_us: u64,
    /// One token to the next.
    pub every_us: u64,
    /// Most tokens of an answer; the least are 16.
    pub longest: u64,
    /// Most that callers ask for; the model does not keep to it.
    pub asks: u64,
    /// Share of callers that leave.
    pub leaves: f64,
    /// Estimates are the least that can be.
    pub estimates_least: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Keeps {
    pub most: u64,
    /// Per second; 0: it is a calendar's.
    pub per_s: u64,
    pub counts: Counts,
    pub cuts: bool,
    pub shadow: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Counts {
    #[default]
    Total,
    Prompt,
    Completion,
    Money,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Defect {
    ChargesAtTheEnd,
    HoldsNothing,
    ChargesNothing,
    ForgetsDebts,
    LeaksHolds,
    IgnoresDisconnects,
    RefusesAtHalf,
    ChargesRefused,
    ChargesTwice,
    HoldsTooMuch,
    NeverCuts,
    RefillsFast,
    ResetsAtHalfTime,
    EnforcesShadow,
}

impl Default for Spender {
    fn default() -> Spender {
        Spender {
            seed: 1,
            limit: "tokens: 500/s, burst: 1000",
            keeps: Keeps { most: 1_000, per_s: 500, ..Keeps::default() },
            defect: None,
            told: Told::EachEvent,
            rate_per_s: 40.0,
            lasts_us: 10_000_000,
            delay_us: 3_000,
            every_us: 5_000,
            longest: 60,
            asks: 64,
            leaves: 0.0,
            estimates_least: false,
        }
    }
}

/// One request, drawn beforehand.
struct Stream {
    tenant: usize,
    sent_us: u64,
    decided_us: u64,
    /// From caller to gateway and from gateway to mock, and as long back.
    near_us: u64,
    far_us: u64,
    prompt: u64,
    completion: u64,
    leaves_us: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Refused,
    Open {
        hold: (u64, u64),
        charged: (u64, u64),
    },
    /// Whole at this time, as the gateway sees it.
    Whole(u64),
    /// Cut, after so many tokens had passed.
    Cut(u64, u64),
    Left,
}

impl Stream {
    fn arrived_us(&self) -> u64 {
        self.decided_us + self.far_us
    }

    /// When the gateway gets token `k`; the last is the end.
    fn token_us(&self, k: u64, every_us: u64) -> u64 {
        self.arrived_us() + self.far_us + (k + 1) * every_us
    }
}

pub struct Run {
    pub scenario: Scenario,
    pub samples: Vec<Sample>,
    pub journal: Journal,
}

impl Spender {
    pub fn policy(&self) -> String {
        let api = match self.told {
            Told::EachEvent => "pangu",
            Told::Nowhere => "modelarts",
            _ => "openai",
        };
        format!(
            "routes: [{{name: chat, api: {api}, auth: [api_key]}}]\n\
             models: [{{name: loadtest, price: {{prompt: 0.008, completion: 0.02, per: 1k, currency: CNY}}}}]\n\
             plans:\n  only: [{{name: tested, per: tenant, {}}}]\n\
             tenants: [{{name: t0, plan: only}}, {{name: t1, plan: only}}]\n",
            self.limit
        )
    }

    pub fn run(&self) -> Run {
        let mut dice = Dice::new(self.seed);
        let mut streams: Vec<Stream> = Vec::new();
        for tenant in 0..2 {
            let mut at_us = START_US as f64;
            while at_us < (START_US + self.lasts_us) as f64 {
                at_us += -(1.0 - dice.share()).ln() * 1e6 / self.rate_per_s;
                streams.push(self.stream(tenant, at_us as u64, &mut dice));
            }
        }
        let mut due: BinaryHeap<_> =
            (0..streams.len()).map(|i| Reverse((streams[i].decided_us, i, None))).collect();
        let mut limiters = [Limiter::new(self), Limiter::new(self)];
        let mut answers = (256, 256);
        while let Some(Reverse((now_us, i, token))) = due.pop() {
            let stream = &mut streams[i];
            let limiter = &mut limiters[stream.tenant];
            let Some(k) = token else {
                let hold = self.estimate(stream, answers, &mut dice);
                stream.state = match limiter.admit(hold, now_us, i) {
                    true => State::Open { hold, charged: (0, 0) },
                    false => State::Refused,
                };
                if stream.state != State::Refused {
                    due.push(Reverse((stream.token_us(0, self.every_us), i, Some(0))));
                    if let Some(leaves_us) = stream.leaves_us {
                        due.push(Reverse((leaves_us + stream.near_us, i, Some(u64::MAX))));
                    }
                }
                continue;
            };
            let State::Open { hold, charged } = stream.state else { continue };
            if k == u64::MAX {
                let charged_now =
                    if self.defect == Some(Defect::IgnoresDisconnects) { (0, 0) } else { charged };
                limiter.step(hold, charged, charged_now, true, now_us);
                stream.state = State::Left;
                continue;
            }
            let passed = k + 1;
            let last = passed == stream.completion;
            // Without being told, a gateway counts its estimate of the prompt, and two tokens for each of the mock's.
            let to = match self.told {
                Told::Nowhere => (hold.0, 3 * passed),
                Told::AtTheEnd if !last => (hold.0, 2 * passed),
                _ => (stream.prompt, passed),
            };
            let spent = limiter.step(hold, charged, to, last, now_us);
            stream.state = State::Open { hold, charged: to };
            if last {
                stream.state = State::Whole(now_us);
                answers = (to.1.min(answers.0), to.1.max(answers.1));
            } else if spent {
                limiter.step(hold, to, to, true, now_us);
                stream.state = State::Cut(now_us, passed);
            } else {
                due.push(Reverse((stream.token_us(passed, self.every_us), i, Some(passed))));
            }
        }
        self.written(&streams, &mut dice)
    }

    fn stream(&self, tenant: usize, sent_us: u64, dice: &mut Dice) -> Stream {
        let (near_us, far_us) = (dice.up_to(self.delay_us), dice.up_to(self.delay_us));
        let completion = 16 + dice.up_to(self.longest - 16);
        let takes_us = 2 * (near_us + far_us) + completion * self.every_us;
        let leaves = dice.share() < self.leaves;
        Stream {
            tenant,
            sent_us,
            decided_us: sent_us + near_us,
            near_us,
            far_us,
            prompt: 8 + dice.up_to(8),
            completion,
            leaves_us: leaves.then(|| sent_us + dice.up_to(takes_us)),
            state: State::New,
        }
    }

    /// Anything that a gateway may hold, by what it was told of earlier answers.
    fn estimate(&self, stream: &Stream, (shortest, longest): (u64, u64), dice: &mut Dice) -> (u64, u64) {
        if self.defect == Some(Defect::HoldsTooMuch) {
            return (stream.prompt, 800);
        }
        let mark = if self.estimates_least { shortest } else { shortest + dice.up_to(longest - shortest) };
        let prompt = if self.estimates_least { 1 } else { 1 + dice.up_to(3 * stream.prompt) };
        (prompt, mark.max(16).min(self.asks))
    }

    /// What callers and mock write down of it.
    fn written(&self, streams: &[Stream], dice: &mut Dice) -> Run {
        let mut order: Vec<&Stream> = streams.iter().collect();
        order.sort_by_key(|stream| stream.sent_us);
        let (mut samples, mut journal) = (Vec::new(), Journal::default());
        journal.tenants = vec!["t0".to_owned(), "t1".to_owned()];
        for (at, stream) in order.into_iter().enumerate() {
            let number = at as u64 + 1;
            let (near_us, far_us) = (stream.near_us, stream.far_us);
            // Who leaves before the gateway has decided is admitted or refused all the same, and does not know.
            let gone_us =
                stream.leaves_us.filter(|_| stream.state == State::Left || stream.state == State::Refused);
            let ended_us = match stream.state {
                State::Whole(at_us) | State::Cut(at_us, _) => at_us + near_us,
                State::Refused if gone_us.is_none_or(|gone_us| gone_us > stream.decided_us + near_us) => {
                    stream.decided_us + near_us
                }
                _ => gone_us.unwrap_or(stream.decided_us + near_us).max(stream.sent_us),
            };
            // Tokens whose way back to `by_us` is done.
            let given = |by_us: u64, way_us: u64| {
                let first_us = stream.arrived_us() + self.every_us + way_us;
                (by_us + self.every_us).saturating_sub(first_us) / self.every_us
            };
            let reached = given(ended_us, far_us + near_us).min(stream.completion);
            let whole = !(stream.state == State::Left
                || (stream.state == State::Refused && ended_us < stream.decided_us + near_us));
            let status = match stream.state {
                State::Refused if whole => 429,
                State::Whole(_) | State::Cut(..) => 200,
                _ if reached > 0 => 200,
                _ => 0,
            };
            let tokens = match stream.state {
                State::Refused => 0,
                State::Cut(_, passed) => passed,
                _ => reached,
            };
            samples.push(Sample {
                number,
                caller: stream.tenant as u32,
                status,
                sent_us: stream.sent_us,
                answered_us: ended_us,
                ended_us,
                tokens: tokens as u32,
                whole,
                ..Sample::default()
            });
            let (mock_ended_us, outcome) = match stream.state {
                State::Whole(at_us) => (at_us - far_us, Outcome::Completed),
                State::Cut(at_us, _) => (at_us + far_us + dice.up_to(self.delay_us), Outcome::Cancelled),
                State::Left => (ended_us + near_us + far_us, Outcome::Cancelled),
                _ => continue,
            };
            let mock_ended_us = mock_ended_us.max(stream.arrived_us());
            let completion = given(mock_ended_us, 0).min(stream.completion);
            let token_us = |k: u64| stream.arrived_us() + k * self.every_us;
            journal.arrivals.push(Arrival {
                number,
                tenant: Some(stream.tenant as u32),
                arrived_us: stream.arrived_us(),
                ended_us: mock_ended_us,
                prompt_tokens: stream.prompt,
                completion_tokens: completion as u32,
                first_token_us: if completion > 0 { token_us(1) } else { 0 },
                last_token_us: if completion > 0 { token_us(completion) } else { 0 },
                status: 200,
                outcome: Some(outcome),
            });
        }
        Run { scenario: self.scenario(), samples, journal }
    }

    fn scenario(&self) -> Scenario {
        let mut scenario = world::scenario();
        let request = &mut scenario.requests[0];
        (request.stream, request.body, request.body_bytes) = (true, BodyKind::Chat, BODY_BYTES);
        request.max_tokens = Some(self.asks as u32);
        match self.told {
            Told::EachEvent => "/v1/p1/deployments/d1/chat/completions".clone_into(&mut request.target),
            Told::Nowhere => "/v1/infers/s1/predict".clone_into(&mut request.target),
            _ => {}
        }
        scenario
    }
}

/// The limit of one tenant: holds, charges, and a level that flows out, in millionths of what is counted.
struct Limiter {
    keeps: Keeps,
    defect: Option<Defect>,
    half_time_us: u64,
    level: u64,
    level_us: u64,
    held: u64,
}

const UNIT: u64 = 1_000_000;

impl Limiter {
    fn new(spender: &Spender) -> Limiter {
        let half_time_us = START_US + spender.lasts_us / 2;
        Limiter { keeps: spender.keeps, defect: spender.defect, half_time_us, level: 0, level_us: 0, held: 0 }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn count(&self, (prompt, completion): (u64, u64)) -> u64 {
        match self.keeps.counts {
            Counts::Total => prompt + completion,
            Counts::Prompt => prompt,
            Counts::Completion => completion,
            Counts::Money => PRICE.0 * prompt + PRICE.1 * completion,
        }
    }

    fn flow(&mut self, now_us: u64) {
        let faster = if self.has(Defect::RefillsFast) { 12 } else { 10 };
        let flown = (now_us - self.level_us) * self.keeps.per_s * faster / 10;
        (self.level, self.level_us) = (self.level.saturating_sub(flown), now_us);
        if self.has(Defect::ResetsAtHalfTime) && now_us >= self.half_time_us {
            (self.level, self.half_time_us) = (0, u64::MAX);
        }
    }

    fn admit(&mut self, hold: (u64, u64), now_us: u64, i: usize) -> bool {
        self.flow(now_us);
        let most = if self.has(Defect::RefusesAtHalf) { self.keeps.most / 2 } else { self.keeps.most };
        let cost = self.count(hold);
        let has_room = self.level + (self.held + cost.min(most)) * UNIT <= most * UNIT;
        let unseen = self.keeps.shadow && !self.has(Defect::EnforcesShadow);
        if has_room || unseen {
            let never = [Defect::ChargesAtTheEnd, Defect::ChargesNothing, Defect::HoldsNothing];
            let holds = !never.into_iter().any(|defect| self.has(defect)) && !unseen;
            self.held += if holds { cost } else { 0 };
            self.held += if self.has(Defect::LeaksHolds) && i.is_multiple_of(20) { cost } else { 0 };
        } else if self.has(Defect::ChargesRefused) {
            self.level += cost * UNIT;
        }
        has_room || unseen
    }

    /// Charges what is new; returns whether the limit cuts and is spent.
    fn step(&mut self, hold: (u64, u64), from: (u64, u64), to: (u64, u64), last: bool, now_us: u64) -> bool {
        if self.keeps.shadow && !self.has(Defect::EnforcesShadow) {
            return false;
        }
        self.flow(now_us);
        let (hold, from, to) = (self.count(hold), self.count(from), self.count(to));
        let times = if self.has(Defect::ChargesTwice) { 2 } else { 1 };
        if self.has(Defect::ChargesAtTheEnd) {
            self.level += if last { to * UNIT } else { 0 };
            return false;
        }
        let held = !self.has(Defect::HoldsNothing) && !self.has(Defect::ChargesNothing);
        let hold = if held { hold } else { 0 };
        let left = hold.saturating_sub(from);
        self.held -= if last { left } else { left.saturating_sub(hold.saturating_sub(to)) };
        match to.checked_sub(from) {
            _ if self.has(Defect::ChargesNothing) => {}
            Some(more) => self.level += more * times * UNIT,
            None => self.level = self.level.saturating_sub((from - to) * times * UNIT),
        }
        if self.has(Defect::ForgetsDebts) {
            self.level = self.level.min(self.keeps.most * UNIT);
        }
        self.keeps.cuts && !self.has(Defect::NeverCuts) && self.level >= self.keeps.most * UNIT
    }
}
