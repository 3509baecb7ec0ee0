//! A small world in virtual time: callers, a gateway, a mock, and delays between them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use http::Method;

use crate::measure::Sample;
use crate::mock::count::Outcome;
use crate::mock::journal::{Arrival, Journal};
use crate::scenario::{
    Arrivals, BodyKind, Caller, Connections, Credential, Group, Http, Load, Phase, Request, Scenario,
};

/// What happens, and what is wrong with the gateway.
#[derive(Clone)]
pub struct World {
    pub seed: u64,
    /// The limit of the only plan, as a policy writes it after `per: tenant, `.
    pub limit: &'static str,
    /// The same as the gateway keeps it.
    pub keeps: Keeps,
    pub defect: Option<Defect>,
    /// Mean requests per second of each of the two tenants.
    pub rate_per_s: f64,
    pub lasts_us: u64,
    /// Longest delay of each of the ways between caller, gateway and mock.
    pub delay_us: u64,
    /// Longest time the mock takes.
    pub service_us: u64,
    /// Share of callers that leave.
    pub leaves: f64,
}

/// A limit as the gateway of this world keeps it.
#[derive(Clone, Copy)]
pub enum Keeps {
    Bucket { count: u64, period_us: u64, burst: u64 },
    Fixed { count: u64, period_us: u64 },
    Sliding { count: u64, period_us: u64 },
    Concurrent(u64),
}

#[derive(Clone, Copy, PartialEq)]
pub enum Defect {
    OneTooMany,
    RefillsFast,
    ResetsAtHalfTime,
    CountsPerWorker,
    RefusesAtHalf,
    ChargesRefused,
    LeaksPlaces,
    ForgetsOpen,
    SendsTwice,
    SendsRefused,
    SwapsTenants,
    InventsAnswers,
}

pub struct Run {
    pub scenario: Scenario,
    pub samples: Vec<Sample>,
    pub journal: Journal,
}

impl Default for World {
    fn default() -> World {
        World {
            seed: 1,
            limit: "requests: 100/s, burst: 20",
            keeps: Keeps::Bucket { count: 100, period_us: 1_000_000, burst: 20 },
            defect: None,
            rate_per_s: 150.0,
            lasts_us: 10_000_000,
            delay_us: 3_000,
            service_us: 20_000,
            leaves: 0.0,
        }
    }
}

/// Moments of one request, drawn beforehand.
#[derive(Clone, Copy)]
struct Moments {
    tenant: usize,
    sent_us: u64,
    decided_us: u64,
    arrived_us: u64,
    mock_ended_us: u64,
    /// When the gateway gives the place back.
    released_us: u64,
    ended_us: u64,
    left: bool,
    /// Admitted, if it is, and given up before it reaches the mock.
    lost: bool,
}

impl World {
    pub fn policy(&self) -> String {
        format!(
            "routes: [{{name: chat, auth: [api_key]}}]\nplans:\n  only: [{{name: tested, per: tenant, {}}}]\n\
             tenants: [{{name: t0, plan: only}}, {{name: t1, plan: only}}]\n",
            self.limit
        )
    }

    pub fn run(&self) -> Run {
        let mut dice = Dice::new(self.seed);
        let mut all: Vec<Moments> = Vec::new();
        for tenant in 0..2 {
            let mut at_us = 1_000_000.0;
            while at_us < 1_000_000.0 + self.lasts_us as f64 {
                at_us += -(1.0 - dice.share()).ln() * 1e6 / self.rate_per_s;
                all.push(self.moments(tenant, at_us as u64, &mut dice));
            }
        }
        all.sort_by_key(|one| one.decided_us);

        let mut gateway: HashMap<usize, Limiter> = HashMap::new();
        let (mut samples, mut journal) = (Vec::new(), Journal::default());
        journal.tenants = vec!["t0".to_owned(), "t1".to_owned()];
        for (at, one) in all.iter().enumerate() {
            let number = at as u64 + 1;
            let worker = if self.defect == Some(Defect::CountsPerWorker) { at % 2 } else { 0 };
            let limiter = gateway.entry(2 * one.tenant + worker).or_insert_with(|| Limiter::new(self));
            let admitted = limiter.admit(one, at);
            let refused_yet_sent = !admitted && self.is_chosen(Defect::SendsRefused, at);
            let invented = admitted && self.is_chosen(Defect::InventsAnswers, at);
            if (admitted && !invented && !one.lost) || refused_yet_sent {
                let swapped = usize::from(self.is_chosen(Defect::SwapsTenants, at));
                let arrival = one.arrival(number, (one.tenant + swapped) % 2);
                journal.arrivals.push(arrival);
                if self.is_chosen(Defect::SendsTwice, at) {
                    journal.arrivals.push(Arrival { arrived_us: one.arrived_us + 50, ..arrival });
                }
            }
            samples.push(one.sample(number, admitted, dice.up_to(self.delay_us)));
        }
        Run { scenario: scenario(), samples, journal }
    }

    /// The defects of single requests hit one in a hundred.
    fn is_chosen(&self, defect: Defect, at: usize) -> bool {
        self.defect == Some(defect) && at % 100 == 50
    }

    fn moments(&self, tenant: usize, sent_us: u64, dice: &mut Dice) -> Moments {
        let decided_us = sent_us + dice.up_to(self.delay_us);
        let arrived_us = decided_us + dice.up_to(self.delay_us);
        let mut mock_ended_us = arrived_us + dice.up_to(self.service_us);
        let left = dice.share() < self.leaves;
        let lost = left && dice.share() < 0.5;
        let (released_us, ended_us);
        if left {
            // The caller goes at any time, the gateway sees it, and then the mock, which may just have begun.
            ended_us = decided_us + dice.up_to(mock_ended_us - decided_us);
            released_us = ended_us.max(decided_us) + dice.up_to(self.delay_us);
            mock_ended_us = arrived_us.max(released_us) + dice.up_to(self.delay_us);
        } else {
            released_us = mock_ended_us + dice.up_to(self.delay_us);
            ended_us = released_us + dice.up_to(self.delay_us);
        }
        Moments { tenant, sent_us, decided_us, arrived_us, mock_ended_us, released_us, ended_us, left, lost }
    }
}

impl Moments {
    fn arrival(&self, number: u64, tenant: usize) -> Arrival {
        let outcome = if self.left { Outcome::Cancelled } else { Outcome::Completed };
        Arrival {
            number,
            tenant: Some(tenant as u32),
            arrived_us: self.arrived_us,
            ended_us: self.mock_ended_us,
            status: 200,
            outcome: Some(outcome),
            ..Arrival::default()
        }
    }

    fn sample(&self, number: u64, admitted: bool, delay_us: u64) -> Sample {
        let Moments { tenant, sent_us, decided_us, ended_us, left, .. } = *self;
        let refused_us = decided_us + delay_us;
        let sample = Sample { number, caller: tenant as u32, sent_us, ..Sample::default() };
        match (admitted, left) {
            (false, _) => {
                Sample { status: 429, answered_us: refused_us, ended_us: refused_us, whole: true, ..sample }
            }
            (true, true) => Sample { status: 0, answered_us: ended_us, ended_us, ..sample },
            (true, false) => Sample { status: 200, answered_us: ended_us, ended_us, whole: true, ..sample },
        }
    }
}

/// The limit of one tenant, kept in the plainest way there is: a list of what was admitted.
struct Limiter {
    keeps: Keeps,
    defect: Option<Defect>,
    half_time_us: u64,
    admitted: Vec<u64>,
    level: f64,
    level_us: u64,
    window: (u64, u64),
    places: BinaryHeap<Reverse<u64>>,
    leaked: u64,
}

impl Limiter {
    fn new(world: &World) -> Limiter {
        Limiter {
            keeps: world.keeps,
            defect: world.defect,
            half_time_us: 1_000_000 + world.lasts_us / 2,
            admitted: Vec::new(),
            level: 0.0,
            level_us: 0,
            window: (0, 0),
            places: BinaryHeap::new(),
            leaked: 0,
        }
    }

    fn admit(&mut self, one: &Moments, at: usize) -> bool {
        let has = |defect| self.defect == Some(defect);
        let now_us = one.decided_us;
        if has(Defect::ResetsAtHalfTime) && now_us >= self.half_time_us {
            (self.level, self.window, self.half_time_us) = (0.0, (0, 0), u64::MAX);
            self.admitted.clear();
        }
        let more = u64::from(has(Defect::OneTooMany) || has(Defect::ForgetsOpen));
        let most = |limit: u64| if has(Defect::RefusesAtHalf) { limit / 2 } else { limit + more };
        let charges = has(Defect::ChargesRefused);
        let has_room = match self.keeps {
            Keeps::Bucket { count, period_us, burst } => {
                let faster = if has(Defect::RefillsFast) { 1.05 } else { 1.0 };
                let rate = faster * count as f64 / period_us as f64;
                // Rounding of floats must not let in what whole numbers would not.
                let leaked = (now_us - self.level_us) as f64 * rate;
                (self.level, self.level_us) = ((self.level - leaked).max(0.0), now_us);
                let has_room = self.level + 1.0 <= most(burst) as f64 - 1e-9 || self.level == 0.0;
                if has_room || (charges && self.level < 1.5 * burst as f64) {
                    self.level += 1.0;
                }
                has_room
            }
            Keeps::Fixed { count, period_us } => {
                if now_us >= self.window.0 + period_us || self.window.1 == 0 {
                    self.window = (now_us, 0);
                }
                let has_room = self.window.1 < most(count);
                self.window.1 += u64::from(has_room);
                has_room
            }
            Keeps::Sliding { count, period_us } => {
                let recent = self.admitted.iter().rev().take_while(|&&at| at + period_us > now_us).count();
                (recent as u64) < most(count)
            }
            Keeps::Concurrent(limit) => {
                while self.places.peek().is_some_and(|Reverse(end)| *end <= now_us) {
                    self.places.pop();
                }
                self.places.len() as u64 + self.leaked < most(limit)
            }
        };
        if has_room {
            self.admitted.push(now_us);
            self.places.push(Reverse(one.released_us));
            self.leaked += u64::from(has(Defect::LeaksPlaces) && at.is_multiple_of(500));
        }
        has_room
    }
}

/// Chance without a library: xorshift64*.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn up_to(&mut self, most: u64) -> u64 {
        self.roll() % (most + 1)
    }

    pub fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub fn scenario() -> Scenario {
    let caller = |n: u32| Caller {
        tenant: format!("t{n}"),
        user: "u".to_owned(),
        group: 0,
        weight: 1.0,
        credential: Credential::ApiKey("k".to_owned()),
        sends: vec![(0, 1.0)],
    };
    let second = Duration::from_secs(1);
    Scenario {
        name: "world".to_owned(),
        about: String::new(),
        seed: 0,
        load: Load::Open {
            arrivals: Arrivals::Poisson,
            phases: vec![Phase { lasts: second, from_per_s: 1.0, to_per_s: 1.0 }],
        },
        connections: Connections {
            http: Http::One,
            tls: false,
            open_max: 1,
            streams_max: 1,
            keep_alive: true,
        },
        callers: vec![caller(0), caller(1)],
        requests: vec![Request {
            name: "chat".to_owned(),
            route: "chat".to_owned(),
            method: Method::POST,
            target: "/v1/chat/completions".to_owned(),
            body_bytes: 0,
            body: BodyKind::Empty,
            stream: false,
            max_tokens: None,
            read_bytes_per_s: None,
            leave: None,
            headers: Vec::new(),
        }],
        groups: vec![Group { name: "all".to_owned(), callers: 2 }],
        time_max: second,
        requests_max: 1,
    }
}
