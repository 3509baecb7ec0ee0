//! How far a signature's date may be off.

use super::denied::Denied;
use crate::clock::Now;
use crate::signing::SdkDate;
use std::time::Duration;

/// # Errors
/// [`Denied::Skew`] if the date is further than `allowed` from now, either way
pub(super) fn check(date: &SdkDate, allowed: Duration, now: Now) -> Result<(), Denied> {
    let behind_ms = now.wall_ms as i64 - date.unix_ms();
    if u128::from(behind_ms.unsigned_abs()) <= allowed.as_millis() {
        return Ok(());
    }
    let secs = behind_ms.unsigned_abs().div_ceil(1000) as i64;
    Err(Denied::Skew { behind_secs: secs * behind_ms.signum(), allowed_secs: allowed.as_secs() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_counts_both_ways_and_says_how_far() {
        let date = SdkDate::parse(b"20240115T083000Z").unwrap();
        let at = |offset_ms: i64| Now { mono_us: 0, wall_ms: (date.unix_ms() + offset_ms) as u64 };
        let allowed = Duration::from_secs(900);

        assert_eq!(check(&date, allowed, at(900_000)), Ok(()));
        assert_eq!(check(&date, allowed, at(-900_000)), Ok(()));
        let late = check(&date, allowed, at(900_001)).unwrap_err();
        assert_eq!(late, Denied::Skew { behind_secs: 901, allowed_secs: 900 });
        assert!(late.to_string().contains("901 s behind the gateway's clock, at most 900 s"), "{late}");
        let early = check(&date, allowed, at(-1_000_000)).unwrap_err();
        assert!(early.to_string().contains("1000 s ahead of the gateway's clock"), "{early}");
    }
}
