//! A correct limiter is never accused.

use super::world::{Keeps, World};
use super::{broken, judged};

const BUCKET: Keeps = Keeps::Bucket { count: 100, period_us: 1_000_000, burst: 20 };

fn worlds() -> Vec<World> {
    let limits = [
        ("requests: 100/s, burst: 20", BUCKET),
        ("requests: 100/s", Keeps::Bucket { count: 100, period_us: 1_000_000, burst: 100 }),
        ("requests: 600/min, burst: 1", Keeps::Bucket { count: 600, period_us: 60_000_000, burst: 1 }),
        ("requests: 40/s, algorithm: fixed_window", Keeps::Fixed { count: 40, period_us: 1_000_000 }),
        ("requests: 40/s, algorithm: sliding_window", Keeps::Sliding { count: 40, period_us: 1_000_000 }),
        ("concurrent: 2", Keeps::Concurrent(2)),
    ];
    let mut worlds = Vec::new();
    for (limit, keeps) in limits {
        for (delay_us, service_us, leaves) in
            [(0, 0, 0.0), (1, 3, 0.0), (300, 5_000, 0.1), (20_000, 50_000, 0.3)]
        {
            worlds.push(World { limit, keeps, delay_us, service_us, leaves, ..World::default() });
        }
    }
    worlds
}

#[test]
fn a_correct_limiter_is_never_accused_whatever_the_delays() {
    for world in worlds() {
        for seed in 1..=6 {
            for rate_per_s in [30.0, 150.0, 1_000.0] {
                let world = World { seed, rate_per_s, lasts_us: 2_000_000, ..world.clone() };
                let verdict = judged(&world);
                assert!(broken(&verdict).is_empty(), "{}, seed {seed}: {verdict:#?}", world.limit);
            }
        }
    }
}

#[test]
fn what_is_checked_has_evidence() {
    // Where answers take no time, nobody is ever in the way of another.
    for world in worlds().into_iter().filter(|world| world.service_us > 1_000) {
        let verdict = judged(&World { rate_per_s: 1_000.0, ..world.clone() });
        let named = |part: &str| verdict.checks.iter().find(|check| check.claim.contains(part)).unwrap();
        for part in ["limit tested", "nobody was refused", "twice", "the mock's", "right tenant"] {
            assert!(named(part).evidence > 50, "{}, {part}: {verdict:#?}", world.limit);
        }
        let tightest = named("limit tested").tightest.unwrap();
        assert!((0.3..=1.0).contains(&tightest), "{}: {tightest}", world.limit);
    }
}
