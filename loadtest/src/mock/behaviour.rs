//! Behaviour: how the mock answers, beyond what was asked.
//!
//! Set by flags at start, changed through the control API, and overruled for one request by `x-mock-*`
//! headers. All chance comes from `seed` and the number of the request, so a run can be repeated: with one
//! worker, request `n` meets the same fate each time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fault::{self, Drip, Fault, FaultRule};

/// The knobs. Field names are the keys of the control API; the defaults are a mock that answers at once.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Where all chance starts. Default: 0.
    pub seed: u64,
    /// Milliseconds from the end of the request to the head of the answer. Default: 0.
    pub latency_ms: Span,
    /// Milliseconds from the head to the first token. Default: 0.
    pub ttft_ms: Span,
    /// Milliseconds from one token to the next. Default: 0.
    pub token_every_ms: Span,
    /// Completion tokens, whatever the request asks. Default: `min(max_tokens, 32)`.
    pub tokens: Option<u32>,
    /// Longest piece of a body sent at once, to cut events and characters apart. Default: 0, no cutting.
    pub chunk_bytes: usize,
    /// What may go wrong; at most one of them happens, in the order written. Default: nothing.
    pub faults: Vec<FaultRule>,
    /// What `/health` says. Default: `ok`.
    pub health: Health,
}

/// What `/health` does. Other knobs do not touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// 200 `{"status":"ok"}`.
    #[default]
    Ok,
    /// 503 `{"status":"unhealthy"}`.
    Failing,
    /// No answer.
    Hang,
    /// The connection is reset.
    Reset,
}

/// A number of milliseconds, fixed (`20`) or drawn evenly from a range (`5..20`).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span {
    low: f64,
    high: f64,
}

/// What one request meets: the behaviour after headers and dice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Wait before the head.
    pub latency: Duration,
    /// Wait from the head to the first token.
    pub ttft: Duration,
    /// Wait between tokens.
    pub token_every: Duration,
    /// Completion tokens; None: as the request asks.
    pub tokens: Option<u32>,
    /// How the body is cut into pieces; None: not at all.
    pub pieces: Option<Drip>,
    /// What goes wrong, pieces apart.
    pub fault: Option<Fault>,
}

/// An `x-mock-*` header, or a knob's text, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct BadKnob {
    name: String,
    what: String,
}

impl Behaviour {
    /// Decides what request `number` meets.
    ///
    /// # Errors
    /// [`BadKnob`] if a header starts with `x-mock-` and is unknown or unreadable: a misspelt knob must not
    /// look like a test that passed.
    pub fn plan(&self, number: u64, headers: &HeaderMap) -> Result<Plan, BadKnob> {
        let overruled = self.overruled(headers)?;
        let knobs = overruled.as_ref().unwrap_or(self);
        let mut dice = Dice::new(knobs.seed, number);
        let fault = dice.pick(&knobs.faults);
        let pieces = match fault {
            Some(Fault::Drip(drip)) => Some(drip),
            _ => (knobs.chunk_bytes > 0).then_some(Drip { bytes: knobs.chunk_bytes, every: Duration::ZERO }),
        };
        Ok(Plan {
            latency: knobs.latency_ms.draw(&mut dice),
            ttft: knobs.ttft_ms.draw(&mut dice),
            token_every: knobs.token_every_ms.draw(&mut dice),
            tokens: knobs.tokens,
            pieces,
            fault: fault.filter(|fault| !matches!(fault, Fault::Drip(_))),
        })
    }

    /// These knobs with the request's own on top; None if the request has none, which is the usual case.
    fn overruled(&self, headers: &HeaderMap) -> Result<Option<Behaviour>, BadKnob> {
        let mut knobs = None;
        for (name, value) in headers {
            let Some(knob) = name.as_str().strip_prefix("x-mock-") else { continue };
            let text = value.to_str().unwrap_or("\u{fffd}");
            knobs.get_or_insert_with(|| self.clone()).set(knob, text)?;
        }
        Ok(knobs)
    }

    /// Sets one knob from text; `name` as in the headers, without `x-mock-`.
    ///
    /// # Errors
    /// [`BadKnob`] if there is no such knob, or the text is not a value for it.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), BadKnob> {
        let bad = |what: String| BadKnob { name: format!("x-mock-{name}"), what };
        let number = |what: std::num::ParseIntError| bad(what.to_string());
        match name {
            "latency-ms" => self.latency_ms = text.parse().map_err(bad)?,
            "ttft-ms" => self.ttft_ms = text.parse().map_err(bad)?,
            "token-every-ms" => self.token_every_ms = text.parse().map_err(bad)?,
            "tokens" => self.tokens = Some(text.parse().map_err(number)?),
            "chunk-bytes" => self.chunk_bytes = text.parse().map_err(number)?,
            "fault" => self.faults = fault::parse_rules(text).map_err(|e| bad(e.to_string()))?,
            "seed" => self.seed = text.parse().map_err(number)?,
            _ => return Err(bad("no such knob".to_owned())),
        }
        Ok(())
    }
}

impl Span {
    /// A fixed number of milliseconds.
    pub const fn fixed(ms: f64) -> Span {
        Span { low: ms, high: ms }
    }

    fn draw(self, dice: &mut Dice) -> Duration {
        let ms =
            if self.low < self.high { self.low + (self.high - self.low) * dice.roll() } else { self.low };
        Duration::from_secs_f64(ms / 1000.0)
    }
}

/// The longest wait that can be asked for: a day. Keeps every later sum of waits far from overflow.
const SPAN_MAX_MS: f64 = 86_400_000.0;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Span, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let ms = |part: &str| part.trim().parse::<f64>().ok().filter(|ms| (0.0..=SPAN_MAX_MS).contains(ms));
        match (ms(low), ms(high)) {
            (Some(low), Some(high)) if low <= high => Ok(Span { low, high }),
            _ => Err(format!("`{text}` is neither milliseconds (`20`) nor a range of them (`5..20`)")),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low < self.high {
            write!(f, "{}..{}", self.low, self.high)
        } else {
            write!(f, "{}", self.low)
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.low < self.high { serializer.collect_str(self) } else { serializer.serialize_f64(self.low) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(ms) => ms.to_string(),
            Written::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): tiny, and any seed is a good one.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Dice {
        let mut dice = Dice(seed);
        let start = dice.next() ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        Dice(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly from [0, 1).
    fn roll(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick(&mut self, rules: &[FaultRule]) -> Option<Fault> {
        rules.iter().find(|rule| self.roll() < rule.probability).map(|rule| rule.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(behaviour: &Behaviour, number: u64) -> Plan {
        behaviour.plan(number, &HeaderMap::new()).unwrap()
    }

    #[test]
    fn chance_follows_seed_and_number_alone() {
        let behaviour = Behaviour {
            seed: 7,
            latency_ms: "5..20".parse().unwrap(),
            faults: fault::parse_rules("status:429@0.3,reset-mid@0.3").unwrap(),
            ..Behaviour::default()
        };
        let first: Vec<_> = (0..1000).map(|n| plan(&behaviour, n)).collect();
        let again: Vec<_> = (0..1000).map(|n| plan(&behaviour, n)).collect();
        assert_eq!(first, again);

        let other: Vec<_> = (0..1000).map(|n| plan(&Behaviour { seed: 8, ..behaviour.clone() }, n)).collect();
        assert_ne!(first, other);

        let refused = first.iter().filter(|plan| matches!(plan.fault, Some(Fault::Status { .. }))).count();
        assert!((250..350).contains(&refused), "{refused} of 1000 at p = 0.3");
        assert!(first.iter().all(|plan| (5..=20).contains(&plan.latency.as_millis())));
    }

    #[test]
    fn headers_overrule_knobs_for_one_request() {
        let behaviour = Behaviour { latency_ms: Span::fixed(9.0), tokens: Some(3), ..Behaviour::default() };
        let mut headers = HeaderMap::new();
        headers.insert("x-mock-latency-ms", "1".parse().unwrap());
        headers.insert("x-mock-fault", "drip:4:5".parse().unwrap());
        let plan = behaviour.plan(0, &headers).unwrap();
        assert_eq!(plan.latency, Duration::from_millis(1));
        assert_eq!(plan.tokens, Some(3));
        assert_eq!(plan.pieces, Some(Drip { bytes: 4, every: Duration::from_millis(5) }));
        assert_eq!(plan.fault, None);
    }

    #[test]
    fn a_misspelt_header_is_an_error() {
        let mut headers = HeaderMap::new();
        headers.insert("x-mock-latency", "1".parse().unwrap());
        let error = Behaviour::default().plan(0, &headers).unwrap_err();
        assert_eq!(error.to_string(), "x-mock-latency: no such knob");
    }

    #[test]
    fn knobs_read_back_from_their_own_json() {
        let text = r#"{"seed":1,"latency_ms":"5..20","ttft_ms":2.5,"faults":["status:429:2@0.1"],"health":"failing"}"#;
        let behaviour: Behaviour = serde_json::from_str(text).unwrap();
        assert_eq!(behaviour.ttft_ms, Span::fixed(2.5));
        let json = serde_json::to_string(&behaviour).unwrap();
        assert_eq!(serde_json::from_str::<Behaviour>(&json).unwrap(), behaviour);
        assert!(serde_json::from_str::<Behaviour>(r#"{"latency":5}"#).is_err());
        for span in ["-1", "20..5", "x", "1e300", "NaN"] {
            assert!(span.parse::<Span>().is_err(), "{span}");
        }
    }
}
