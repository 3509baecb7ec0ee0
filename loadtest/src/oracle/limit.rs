//! A limit as the oracle reads it: how much of what, and counted how.
//!
//! Each is read as a mapping of words, so that a key that came later is no reason to give up the whole policy. But one
//! that is not known here makes its limit one that is not understood: it might change what the limit means.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::price::{self, Price};

/// A limit of a plan, a route or a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// As written.
    pub name: String,
    /// What is counted separately, as written.
    pub per: String,
    /// How much it lets through.
    pub amount: Amount,
    /// It counts, and refuses nobody.
    pub shadow: bool,
    /// A stream ends in its middle once it is spent.
    pub cuts: bool,
}

/// How much a limit lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// Requests in every period.
    Requests(Rate, Counting),
    /// Requests at the same time.
    Concurrent(u64),
    /// Tokens, or money.
    Spend(Measure, Bound),
    /// None of these; what is wrong with it.
    NotUnderstood(String),
}

/// So many in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Per period.
    pub count: u64,
    /// Length of the period.
    pub period_us: u64,
    /// At once.
    pub burst: u64,
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// At most `burst + rate * t` in any stretch of `t`.
    Bucket,
    /// At most the number in a window that opens with its first request and lasts a period.
    Fixed,
    /// At most the number in any period.
    Sliding,
}

/// Which part of what a request spends is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Prompt and completion tokens.
    Total,
    /// Prompt tokens.
    Prompt,
    /// Completion tokens.
    Completion,
    /// Billionths of the currency.
    Money,
}

/// How what was spent comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Bit by bit.
    Bucket(Rate),
    /// All at once, with the next day or month.
    Calendar {
        /// In each.
        most: u64,
        /// A period can begin only at a multiple of this since 1970-01-01 UTC: a day where the zone is UTC; elsewhere
        /// a quarter of an hour, since there is no zone whose midnight is at another time.
        turns_us: u64,
    },
}

const DAY_US: u64 = 86_400_000_000;
const QUARTER_US: u64 = 900_000_000;

/// Keys that are understood.
const KEYS: [&str; 12] = [
    "name",
    "per",
    "requests",
    "tokens",
    "budget",
    "concurrent",
    "burst",
    "algorithm",
    "counts",
    "timezone",
    "mode",
    "on_exhausted",
];

impl Measure {
    /// How much that many tokens are.
    pub fn of(self, prompt: u64, completion: u64, price: Price) -> u64 {
        match self {
            Measure::Total => prompt.saturating_add(completion),
            Measure::Prompt => prompt,
            Measure::Completion => completion,
            Measure::Money => price.of(prompt, completion),
        }
    }

    /// What it counts.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Total => "tokens",
            Measure::Prompt => "prompt tokens",
            Measure::Completion => "completion tokens",
            Measure::Money => "billionths of the currency",
        }
    }
}

/// A limit as written: every key with its value as text.
#[derive(Deserialize)]
#[serde(transparent)]
pub struct LimitSpec(BTreeMap<String, Text>);

impl From<LimitSpec> for Limit {
    fn from(spec: LimitSpec) -> Limit {
        let text = |key| spec.get(key).unwrap_or_default().to_owned();
        let amount = spec.amount().unwrap_or_else(Amount::NotUnderstood);
        Limit {
            name: text("name"),
            per: text("per"),
            amount,
            shadow: spec.get("mode") == Some("shadow"),
            cuts: spec.get("on_exhausted") == Some("cut"),
        }
    }
}

impl LimitSpec {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|text| text.0.as_str())
    }

    fn amount(&self) -> Result<Amount, String> {
        if let Some(key) = self.0.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(format!("key `{key}` is not known here"));
        }
        self.one_of("mode", &["enforce", "shadow"])?;
        self.one_of("on_exhausted", &["finish", "cut"])?;
        let counted = ["requests", "concurrent", "tokens", "budget"].map(|key| self.get(key));
        match counted {
            [Some(requests), None, None, None] => {
                let (count, period_us) = rate(requests)
                    .ok_or_else(|| format!("`{requests}` is no number per s, min, h or day"))?;
                Ok(Amount::Requests(self.rate(count, period_us)?, self.counting()?))
            }
            [None, Some(most), None, None] => Ok(Amount::Concurrent(
                number(most).ok_or_else(|| format!("`concurrent: {most}` is no number"))?,
            )),
            [None, None, Some(tokens), None] => self.tokens(tokens),
            [None, None, None, Some(budget)] => self.budget(budget),
            _ => Err("it counts none of requests, tokens, budget and concurrent, or several".to_owned()),
        }
    }

    fn tokens(&self, text: &str) -> Result<Amount, String> {
        let unknown = || format!("`{text}` is no number per s, min, h, day or month");
        let measure = match self.get("counts") {
            None | Some("total") => Measure::Total,
            Some("prompt") => Measure::Prompt,
            Some("completion") => Measure::Completion,
            Some(other) => return Err(format!("`counts: {other}` is not known here")),
        };
        let (count, unit) = text.split_once('/').ok_or_else(unknown)?;
        let bound = match unit.trim() {
            "day" | "month" => Bound::Calendar {
                most: number(count).filter(|&most| most > 0).ok_or_else(unknown)?,
                turns_us: self.turns_us(),
            },
            _ => {
                let (count, period_us) = rate(text).ok_or_else(unknown)?;
                Bound::Bucket(self.rate(count, period_us)?)
            }
        };
        Ok(Amount::Spend(measure, bound))
    }

    fn budget(&self, text: &str) -> Result<Amount, String> {
        let most = price::budget(text).ok_or_else(|| format!("`{text}` is no money per day or month"))?;
        Ok(Amount::Spend(Measure::Money, Bound::Calendar { most, turns_us: self.turns_us() }))
    }

    fn turns_us(&self) -> u64 {
        if matches!(self.get("timezone"), None | Some("UTC")) { DAY_US } else { QUARTER_US }
    }

    fn rate(&self, count: u64, period_us: u64) -> Result<Rate, String> {
        let burst = match self.get("burst") {
            None => count,
            Some(burst) => number(burst).ok_or_else(|| format!("`burst: {burst}` is no number"))?,
        };
        Ok(Rate { count, period_us, burst })
    }

    fn counting(&self) -> Result<Counting, String> {
        match self.get("algorithm") {
            None | Some("token_bucket") => Ok(Counting::Bucket),
            Some("fixed_window") => Ok(Counting::Fixed),
            Some("sliding_window") => Ok(Counting::Sliding),
            Some(other) => Err(format!("algorithm `{other}` is not known")),
        }
    }

    fn one_of(&self, key: &str, words: &[&str]) -> Result<(), String> {
        match self.get(key).filter(|word| !words.contains(word)) {
            Some(word) => Err(format!("`{key}: {word}` is not known here")),
            None => Ok(()),
        }
    }
}

/// `500/s`, `2k/min`, `1M/day`: the number, and the period in microseconds.
pub fn rate(text: &str) -> Option<(u64, u64)> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    let count = number(count).filter(|&count| count > 0)?;
    Some((count, seconds * 1_000_000))
}

/// `64`, `2k`, `1M`, `3G`; at most what 40 bits hold, so that no sum of a few comes near the end of the numbers.
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let factors = [('k', 1_000), ('M', 1_000_000), ('G', 1_000_000_000)];
    let suffixed = factors.iter().find_map(|&(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (digits, factor) = suffixed.unwrap_or((text, 1));
    let number: u64 = digits.trim_end().parse().ok()?;
    number.checked_mul(factor).filter(|&number| number < 1 << 40)
}

/// Any value as text; of a list or a mapping nothing but that it is one.
#[derive(Debug)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct Anything;
        impl<'de> Visitor<'de> for Anything {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Text, E> {
                Ok(Text(number.to_string()))
            }

            fn visit_bool<E: serde::de::Error>(self, word: bool) -> Result<Text, E> {
                Ok(Text(word.to_string()))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Text, E> {
                Ok(Text(String::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text("a list".to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text("a mapping".to_owned()))
            }
        }
        deserializer.deserialize_any(Anything)
    }
}
