//! Calendar windows: the days and months people mean, and nothing credited twice.

use crate::limit::calendar::{Calendar, CalendarMeter, Period, Unit};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

const HOUR_MS: u64 = 3_600_000;

/// Zones that change clocks at midnight, over midnight, by half an hour, by a day, or not at all.
const ZONES: [&str; 12] = [
    "UTC",
    "Asia/Shanghai",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Havana",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
];

fn ms(moment: &str) -> u64 {
    u64::try_from(moment.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

/// The period of a moment, which must be within it.
fn period(unit: Unit, zone: &str, wall_ms: u64) -> Period {
    let period = Calendar::new(unit, zone).unwrap().period(wall_ms, &mut Period::default());
    assert!(period.begins_ms <= wall_ms && wall_ms < period.ends_ms, "{zone} {wall_ms} {period:?}");
    period
}

/// Serial and hours of the period of a moment, and when it begins.
fn shape(unit: Unit, zone: &str, moment: &str) -> (u32, f64, String) {
    let Period { serial, begins_ms, ends_ms } = period(unit, zone, ms(moment));
    let begins = Timestamp::from_millisecond(begins_ms as i64).unwrap();
    (serial, (ends_ms - begins_ms) as f64 / HOUR_MS as f64, begins.to_string())
}

proptest! {
    #[test]
    fn the_end_of_a_serial_is_that_of_its_period(
        zone in proptest::sample::select(&ZONES[..]),
        unit in proptest::sample::select(&[Unit::Day, Unit::Month][..]),
        days in 1..80_000_u64, // west of Greenwich the first is still 1969, which has no serial of its own
    ) {
        let period = period(unit, zone, days * 24 * HOUR_MS);
        prop_assert_eq!(Calendar::new(unit, zone).unwrap().end_ms(period.serial), period.ends_ms);
    }
}

#[test]
fn a_serial_beyond_the_calendar_has_an_end() {
    for unit in [Unit::Day, Unit::Month] {
        assert!(Calendar::new(unit, "UTC").unwrap().end_ms(u32::MAX) > ms("9000-01-01T00:00:00Z"));
    }
}

#[test]
fn a_day_begins_at_the_zones_midnight() {
    let shape = |zone, moment| shape(Unit::Day, zone, moment);
    assert_eq!(shape("UTC", "1970-01-01T00:00:00Z"), (0, 24.0, "1970-01-01T00:00:00Z".into()));
    assert_eq!(shape("UTC", "1970-01-01T23:59:59.999Z").0, 0);
    assert_eq!(shape("Asia/Shanghai", "2026-11-22T15:59:59.999Z").2, "2026-11-21T16:00:00Z");
    let (today, tomorrow) = (
        shape("Asia/Shanghai", "2026-11-22T15:59:59.999Z").0,
        shape("Asia/Shanghai", "2026-11-22T16:00:00Z").0,
    );
    assert_eq!((today, tomorrow), (20_779, 20_780));
}

#[test]
fn days_have_23_or_25_hours_where_clocks_change() {
    let hours = |zone, moment| shape(Unit::Day, zone, moment).1;
    assert_eq!(hours("America/New_York", "2026-03-08T12:00:00Z"), 23.0);
    assert_eq!(hours("America/New_York", "2026-11-01T12:00:00Z"), 25.0);
    assert_eq!(hours("Australia/Lord_Howe", "2026-04-04T20:00:00Z"), 24.5, "back by half an hour");
}

#[test]
fn a_day_without_midnight_begins_with_its_first_moment() {
    // 2018-11-04: from 00:00 to 01:00.
    let (_, hours, begins) = shape(Unit::Day, "America/Sao_Paulo", "2018-11-04T12:00:00Z");
    assert_eq!((hours, begins.as_str()), (23.0, "2018-11-04T03:00:00Z"));
}

#[test]
fn a_day_that_has_begun_is_not_ended_by_clocks_put_back_over_midnight() {
    // 2010-11-07: at 00:01 back to 23:01 of the day before.
    let day = |moment| shape(Unit::Day, "America/St_Johns", moment);
    let midnight = "2010-11-07T02:30:00Z";
    let before = day("2010-11-07T02:29:59Z");
    assert_eq!(day(midnight), (before.0 + 1, 25.0, midnight.into()));
    assert_eq!(day("2010-11-07T02:31:00Z"), day(midnight), "23:01 of the day before, by the clock");
    assert_eq!(day("2010-11-07T12:00:00Z"), day(midnight));
}

#[test]
fn a_date_that_was_left_out_is_left_out() {
    // Samoa had no 2011-12-30.
    let day = |moment| shape(Unit::Day, "Pacific/Apia", moment);
    let (before, after) = (day("2011-12-30T09:59:59Z"), day("2011-12-30T10:00:00Z"));
    assert_eq!(after.0, before.0 + 2);
    assert_eq!((before.1, after.2.as_str()), (24.0, "2011-12-30T10:00:00Z"));
}

#[test]
fn months_end_when_they_end() {
    let month = |moment| shape(Unit::Month, "Asia/Shanghai", moment);
    assert_eq!(month("2024-02-15T00:00:00Z").1, 29.0 * 24.0, "leap year");
    assert_eq!(month("2026-02-15T00:00:00Z").1, 28.0 * 24.0);
    assert_eq!(month("2100-02-15T00:00:00Z").1, 28.0 * 24.0, "no leap year");
    let (december, january) = (month("2026-12-31T15:59:59.999Z"), month("2026-12-31T16:00:00Z"));
    assert_eq!((december.0, january.0), (56 * 12 + 11, 57 * 12));
    assert_eq!(month("1970-01-05T00:00:00Z").0, 0);
}

#[test]
fn a_clock_that_was_never_set_and_one_beyond_the_calendar_do_no_harm() {
    let new_york = Calendar::new(Unit::Month, "America/New_York").unwrap();
    let mut cached = Period::default();
    assert_eq!(new_york.period(0, &mut cached).serial, 0);
    assert_eq!(new_york.period(6 * HOUR_MS, &mut cached).serial, 0);
    let last = new_york.period(u64::MAX, &mut cached);
    assert_eq!(last.serial, (9998 - 1970) * 12 + 11, "the last of its months");
    assert_eq!(CalendarMeter::default().wait_ms(&last, u64::MAX), 0);
}

#[test]
fn a_wrong_zone_is_answered_by_the_nearest_name() {
    let message = |zone| Calendar::new(Unit::Day, zone).unwrap_err().to_string();
    let shanghai = "did you mean `Asia/Shanghai`?";
    for zone in ["Asia/Shangai", "asia-shanghai", "Shanghai", "Asia/ShangHay"] {
        assert_eq!(message(zone), format!("no time zone is named `{zone}`; {shanghai}"));
    }
    assert!(message("New York").ends_with("did you mean `America/New_York`?"));
    for zone in ["", "GMT+8", "Beijing", "+08:00", "../../etc/passwd"] {
        assert!(message(zone).ends_with("`Europe/Berlin` or `UTC`"), "{}", message(zone));
    }
    assert_eq!(Calendar::new(Unit::Day, "asia/shanghai"), Calendar::new(Unit::Day, "Asia/Shanghai"));
}

#[test]
fn an_idle_window_admits_one_request_of_any_size() {
    let mut meter = CalendarMeter::default();
    assert!(meter.fits(100, 101));
    meter.hold(101);
    assert!(!meter.fits(100, 0) && !meter.fits(100, 1), "held");
    meter.release(101);
    meter.charge(1);
    assert!(!meter.fits(100, 100) && meter.fits(100, 99), "spent");
}

#[test]
fn holds_stay_over_midnight_and_cost_goes_to_the_day_of_settlement() {
    let day = |serial| Period { serial, begins_ms: 0, ends_ms: 1 };
    let mut meter = CalendarMeter::with_used(7, 90);
    meter.hold(30);
    meter.roll(&day(8));
    assert_eq!((meter.used(), meter.remaining(100)), (30, 70));
    meter.release(30);
    meter.charge(25);
    assert_eq!(meter.spent(), (8, 25));
    meter.roll(&day(7));
    assert_eq!(meter.spent(), (8, 25), "the clock stepped back");
}

#[test]
fn debts_are_kept_and_refunds_end_at_nothing() {
    let mut meter = CalendarMeter::default();
    meter.charge(250);
    assert_eq!((meter.used(), meter.remaining(100)), (250, 0));
    meter.refund(200);
    assert_eq!(meter.used(), 50);
    meter.refund(u64::MAX);
    assert_eq!(meter.used(), 0);
    meter.hold(u64::MAX);
    meter.hold(5);
    assert!(!meter.fits(u64::MAX - 1, 1));
    meter.release(u64::MAX);
    assert_eq!(meter, CalendarMeter::default());
}

#[test]
fn another_calendar_keeps_what_was_used_and_held() {
    let day = period(Unit::Day, "UTC", ms("2026-11-22T12:00:00Z"));
    let month = period(Unit::Month, "UTC", ms("2026-11-22T12:00:00Z"));
    let next = period(Unit::Month, "UTC", ms("2026-12-01T00:00:00Z"));
    let mut meter = CalendarMeter::with_used(day.serial, 40);
    meter.hold(2);
    let mut meter = meter.carried(&month);
    meter.roll(&month);
    assert_eq!(meter.used(), 42);
    meter.roll(&next);
    assert_eq!(meter.used(), 2, "the holds");
}

#[test]
fn the_wait_ends_with_the_period() {
    let day = period(Unit::Day, "Asia/Shanghai", ms("2026-11-22T12:00:00Z"));
    let meter = CalendarMeter::with_used(day.serial, 1);
    assert_eq!(meter.wait_ms(&day, ms("2026-11-22T12:00:00Z")), 4 * HOUR_MS);
    assert_eq!(meter.wait_ms(&day, ms("2026-11-22T15:59:59.999Z")), 1);
}

fn zone_of(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap()
}

fn wall() -> impl Strategy<Value = u64> {
    ms("1975-01-01T00:00:00Z")..ms("2090-01-01T00:00:00Z")
}

proptest! {
    #![proptest_config(crate::proptests::cases(500))]

    #[test]
    fn periods_follow_one_another_without_gap(zone in prop::sample::select(&ZONES), wall_ms in wall(), month in any::<bool>()) {
        let unit = if month { Unit::Month } else { Unit::Day };
        let now = period(unit, zone, wall_ms);
        prop_assert_eq!(period(unit, zone, now.begins_ms), now);
        prop_assert_eq!(period(unit, zone, now.ends_ms - 1), now);
        let next = period(unit, zone, now.ends_ms);
        prop_assert_eq!(next.begins_ms, now.ends_ms);
        prop_assert!(next.serial == now.serial + 1 || zone == "Pacific/Apia" || zone == "Pacific/Kiritimati");
        prop_assert!(next.serial > now.serial);

        let date = |ms: u64| Timestamp::from_millisecond(ms as i64).unwrap().to_zoned(zone_of(zone)).date();
        prop_assert!(date(now.begins_ms) > date(now.begins_ms - 1), "a date begins");
        prop_assert!(!month || date(now.begins_ms).day() == 1);
    }

    #[test]
    fn the_cache_changes_nothing(zone in prop::sample::select(&ZONES), start in wall(), steps in prop::collection::vec(-40 * 3_600_000i64..80 * 3_600_000, 1..20)) {
        let calendar = Calendar::new(Unit::Day, zone).unwrap();
        let (mut cached, mut wall_ms) = (Period::default(), start);
        for step in steps {
            wall_ms = wall_ms.saturating_add_signed(step);
            prop_assert_eq!(calendar.period(wall_ms, &mut cached), calendar.period(wall_ms, &mut Period::default()));
        }
    }

    /// The clock runs and jumps; one unit is spent at each step. The oracle keeps what was spent since the
    /// latest period ever seen was first seen.
    #[test]
    fn rolls_once_per_period_and_never_on_a_backward_jump(
        zone in prop::sample::select(&ZONES),
        start in wall(),
        steps in prop::collection::vec(prop_oneof![4 => 0..20 * 3_600_000i64, 1 => -400 * 3_600_000i64..0], 1..80),
    ) {
        let calendar = Calendar::new(Unit::Day, zone).unwrap();
        let (mut cached, mut wall_ms) = (Period::default(), start);
        let (mut meter, mut latest, mut since, mut rolls) = (CalendarMeter::default(), 0, 0, 0);
        let mut seen = std::collections::BTreeSet::new();
        for step in steps {
            wall_ms = wall_ms.saturating_add_signed(step);
            let period = calendar.period(wall_ms, &mut cached);
            if period.serial > latest {
                (latest, since) = (period.serial, 0);
                seen.insert(latest);
            }
            let before = meter.spent();
            meter.roll(&period);
            rolls += u32::from(meter.spent() != before);
            meter.roll(&period);
            prop_assert_eq!(meter.spent(), (latest, since));
            meter.charge(1);
            since += 1;
        }
        prop_assert_eq!(rolls as usize, seen.len());
    }
}
