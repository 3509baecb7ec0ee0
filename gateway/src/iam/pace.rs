//! When to ask IAM again: pure arithmetic, with the dice as a parameter.

use std::time::Duration;

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// How long a token that lives `lifetime` is used before the next one is asked for: 75 to 85 % of it, so that gateways
/// that started together do not ask together.
pub fn renewal(lifetime: Duration, dice: Dice) -> Duration {
    lifetime.mul_f64(0.75 + 0.10 * dice.0)
}

/// How long to wait after so many failures in a row, at least one: twice as long each time, and half of it by the dice.
pub fn pause(failures: u32, dice: Dice) -> Duration {
    let most = PAUSE_MIN.saturating_mul(1 << failures.clamp(1, 16)).min(PAUSE_MAX);
    most.mul_f64(0.5 + 0.5 * dice.0)
}

/// A number from 0 up to 1.
#[derive(Clone, Copy)]
pub struct Dice(f64);

impl Dice {
    /// One that nobody can foretell.
    pub fn cast() -> Dice {
        let bits = ahash::RandomState::new().hash_one(()) >> 12; // 52 bits, as a fraction has
        Dice(bits as f64 / (1u64 << 52) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewals_come_well_before_the_end_and_not_all_at_once() {
        let day = Duration::from_secs(86_400);
        assert_eq!(renewal(day, Dice(0.0)), day * 3 / 4);
        assert!(renewal(day, Dice(0.999)) < day * 85 / 100);
    }

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses: Vec<u64> =
            (0..12).map(|failures| pause(failures, Dice(1.0)).as_millis() as u64).collect();
        assert_eq!(pauses[..5], [1_000, 1_000, 2_000, 4_000, 8_000]);
        assert_eq!(*pauses.last().unwrap(), 60_000);
        assert_eq!(pause(40, Dice(0.0)), PAUSE_MAX / 2, "no overflow");
    }

    #[test]
    fn the_dice_are_fair_enough() {
        let casts: Vec<f64> = (0..64).map(|_| Dice::cast().0).collect();
        assert!(casts.iter().all(|cast| (0.0..1.0).contains(cast)));
        assert!(casts.iter().any(|cast| *cast < 0.5) && casts.iter().any(|cast| *cast >= 0.5));
    }
}
