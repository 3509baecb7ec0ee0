//! Budgets of a day or a month: windows that begin when the calendar says so, in the limit's time zone.
//!
//! *Time.* The wall clock counts here, because agreements are made in dates. When it steps back, nothing is
//! credited: a window that has begun stays until a later one begins. Days last 23 or 25 hours where clocks
//! are changed.
//!
//! *Bound.* At most the limit per period and, for the one request an idle window admits whatever its size,
//! that one more. What a request took counts in the period in which it settles.
//!
//! *Cost.* Two comparisons while the period lasts; dates are reckoned once per period. Names of zones are
//! resolved when policy is compiled, from the database inside the program: no container lacks it.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use std::time::Duration;

/// The year 9999, where the calendar ends; later times count as this one.
const LAST_MS: u64 = 253_370_764_800_000;

/// Where serials begin.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// From midnight to midnight.
    Day,
    /// From the first to the first.
    Month,
}

impl Unit {
    /// `day` or `month`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Day => "day",
            Unit::Month => "month",
        }
    }

    /// The period of `wall_ms` in UTC; in other zones it may be the one before or after.
    pub fn serial(self, wall_ms: u64) -> u32 {
        Calendar { unit: self, zone: TimeZone::UTC }.find(wall_ms).serial
    }
}

/// Which period it is, in one time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    unit: Unit,
    zone: TimeZone,
}

/// One day or month: `begins_ms <= wall_ms < ends_ms`. The default is empty: good to begin a cache with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Period {
    /// Days or months since 1970-01-01 of the zone; a date that a zone left out is left out here too.
    pub serial: u32,
    /// Its first millisecond since 1970-01-01 UTC.
    pub begins_ms: u64,
    /// The first millisecond of the next.
    pub ends_ms: u64,
}

/// No time zone has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no time zone is named `{name}`; {}", self.help())]
pub struct NoSuchZone {
    name: String,
    nearest: Option<String>,
}

impl Calendar {
    /// Finds the zone by its IANA name, such as `Asia/Shanghai`.
    ///
    /// # Errors
    /// [`NoSuchZone`], with the nearest name there is.
    pub fn new(unit: Unit, zone: &str) -> Result<Calendar, NoSuchZone> {
        match TimeZoneDatabase::bundled().get(zone) {
            Ok(zone) => Ok(Calendar { unit, zone }),
            Err(_) => Err(NoSuchZone { name: zone.to_string(), nearest: nearest(zone) }),
        }
    }

    /// How long its periods are.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// How long a period is, as a number: a month counts as 30 days.
    pub fn nominal(&self) -> Duration {
        const DAY_S: u64 = 86_400;
        Duration::from_secs(match self.unit {
            Unit::Day => DAY_S,
            Unit::Month => 30 * DAY_S,
        })
    }

    /// The period of `wall_ms`. `cached` is the one found last by this calendar.
    #[inline]
    pub fn period(&self, wall_ms: u64, cached: &mut Period) -> Period {
        if wall_ms < cached.begins_ms || wall_ms >= cached.ends_ms {
            *cached = self.find(wall_ms);
        }
        *cached
    }

    #[cold]
    fn find(&self, wall_ms: u64) -> Period {
        let now = Timestamp::from_millisecond(wall_ms.min(LAST_MS) as i64).expect("before the year 9999");
        let mut first = self.first_day(now.to_zoned(self.zone.clone()).date());
        let mut next = self.next(first);
        if self.beginning(next) <= now {
            // Clocks were put back over midnight: yesterday's date once more, but its period is over.
            (first, next) = (next, self.next(next));
        }
        let ms = |day| u64::try_from(self.beginning(day).as_millisecond()).unwrap_or(0);
        Period { serial: self.serial(first), begins_ms: ms(first), ends_ms: ms(next) }
    }

    /// The first millisecond after the period of this serial, which no clock before the year 9970 exceeds.
    pub fn end_ms(&self, serial: u32) -> u64 {
        let first = EPOCH.saturating_add(match self.unit {
            Unit::Day => i64::from(serial.min(2_922_000)).days(),
            Unit::Month => i64::from(serial.min(96_000)).months(),
        });
        u64::try_from(self.beginning(self.next(first)).as_millisecond()).unwrap_or(0)
    }

    /// The first day of the period that has `date` in it.
    fn first_day(&self, date: Date) -> Date {
        match self.unit {
            Unit::Day => date,
            Unit::Month => date.first_of_month(),
        }
    }

    /// The first day of the period after the one that begins with `first`.
    fn next(&self, first: Date) -> Date {
        match self.unit {
            Unit::Day => first.saturating_add(1.day()),
            Unit::Month => first.saturating_add(1.month()),
        }
    }

    /// The first moment of `day`, which is not midnight where clocks skip it.
    fn beginning(&self, day: Date) -> Timestamp {
        let midnight = day.to_zoned(self.zone.clone());
        midnight.and_then(|midnight| midnight.start_of_day()).expect("before the year 9999").timestamp()
    }

    fn serial(&self, first: Date) -> u32 {
        let serial = match self.unit {
            Unit::Day => first.duration_since(EPOCH).as_hours() / 24,
            Unit::Month => i64::from(first.year() - EPOCH.year()) * 12 + i64::from(first.month()) - 1,
        };
        u32::try_from(serial).unwrap_or(0) // 1969 west of Greenwich: a clock that was never set
    }
}

impl NoSuchZone {
    /// What to write instead.
    pub fn help(&self) -> String {
        match &self.nearest {
            Some(name) => format!("did you mean `{name}`?"),
            None => "write an IANA name, such as `Asia/Shanghai`, `Europe/Berlin` or `UTC`".to_string(),
        }
    }
}

/// The zone whose name, or city alone, is nearest. Never one by its distance from Greenwich: `Etc/GMT+8` is 8
/// hours west of it, the opposite of what whoever writes `GMT+8` means.
fn nearest(written: &str) -> Option<String> {
    let written = written.to_ascii_lowercase().replace(' ', "_");
    let distance = |name: &str| {
        let name = name.to_ascii_lowercase();
        let city = name.rsplit('/').next().unwrap_or(&name);
        [&name, city].into_iter().map(|name| strsim::damerau_levenshtein(&written, name)).min()
    };
    let database = TimeZoneDatabase::bundled();
    let names = database.available().map(|name| name.to_string()).filter(|name| !name.contains("GMT"));
    let near = names.map(|name| (distance(&name), name)).min()?;
    (near.0? <= 1 + written.len() / 6).then_some(near.1)
}

/// What a window of one calendar has been used for, in tokens or billionths of a currency unit.
///
/// [`roll`](Self::roll) comes first, with the period it is now; the rest reads no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CalendarMeter {
    /// The latest period seen.
    serial: u32,
    /// Spent in that period.
    used: u64,
    /// Admitted, with a cost not yet known.
    held: u64,
}

impl CalendarMeter {
    /// A window in which `used` was spent in period `serial`: as it was stored, or moved to a new calendar.
    pub fn with_used(serial: u32, used: u64) -> CalendarMeter {
        CalendarMeter { serial, used, held: 0 }
    }

    /// Begins anew if `period` is later than any before. What is held stays held: it is still under way.
    #[inline]
    pub fn roll(&mut self, period: &Period) {
        if period.serial > self.serial {
            self.serial = period.serial;
            self.used = 0;
        }
    }

    /// The same use under another calendar, whose serials mean other dates.
    pub fn carried(&self, to: &Period) -> CalendarMeter {
        CalendarMeter { serial: to.serial, ..*self }
    }

    /// Does `cost` fit into `most`? Any cost fits an idle window, else it would never pass.
    #[inline]
    pub fn fits(&self, most: u64, cost: u64) -> bool {
        (self.used == 0 && self.held == 0) || self.used().saturating_add(cost) <= most
    }

    /// Takes room for `cost`.
    #[inline]
    pub fn hold(&mut self, cost: u64) {
        self.held = self.held.saturating_add(cost);
    }

    /// The same use with other holds.
    #[must_use]
    pub fn holding(self, held: u64) -> CalendarMeter {
        CalendarMeter { held, ..self }
    }

    /// As it will be once a later period has begun.
    #[must_use]
    pub fn emptied(self) -> CalendarMeter {
        CalendarMeter { used: 0, ..self }
    }

    /// Admitted, with a cost not yet known.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Ends a hold, or a part of it.
    #[inline]
    pub fn release(&mut self, taken: u64) {
        debug_assert!(taken <= self.held, "a hold ends once");
        self.held = self.held.saturating_sub(taken);
    }

    /// Spends `cost`; may go beyond any limit: a debt is recorded, never dropped.
    #[inline]
    pub fn charge(&mut self, cost: u64) {
        self.used = self.used.saturating_add(cost);
    }

    /// Gives back what was charged too much in this period.
    #[inline]
    pub fn refund(&mut self, cost: u64) {
        self.used = self.used.saturating_sub(cost);
    }

    /// Spent and held.
    pub fn used(&self) -> u64 {
        self.used.saturating_add(self.held)
    }

    /// What is left of `most`.
    pub fn remaining(&self, most: u64) -> u64 {
        most.saturating_sub(self.used())
    }

    /// Spent, holds aside, and in which period: what is stored.
    pub fn spent(&self) -> (u32, u64) {
        (self.serial, self.used)
    }

    /// Milliseconds until the period ends, when what is spent is forgotten.
    pub fn wait_ms(&self, period: &Period, wall_ms: u64) -> u64 {
        period.ends_ms.saturating_sub(wall_ms)
    }
}
