//! The flood guard.

use super::*;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(n).into()
}

fn passed(guard: &Guard, addr: IpAddr, per_second: u32, now_us: u64) -> usize {
    (0..1000).filter(|_| guard.admit(addr, per_second, at_us(now_us)).is_ok()).count()
}

#[test]
fn an_address_gets_its_number_and_others_theirs() {
    let guard = Guard::default();
    assert_eq!(passed(&guard, v4(1), 50, 0), 50);
    assert_eq!(passed(&guard, v4(2), 50, 0), 50);
    assert_eq!(passed(&guard, v4(1), 50, 500_000), 0);
    assert_eq!(passed(&guard, v4(1), 50, 1_000_000), 0, "the last second still counts in full");
    assert_eq!(passed(&guard, v4(1), 50, 1_500_000), 25);
    assert_eq!(passed(&guard, v4(1), 50, 10_000_000), 50, "long silent");
    assert_eq!(passed(&guard, v4(1), 0, 10_000_000), 1000, "0: no guard");
}

#[test]
fn ipv6_counts_by_64_and_mapped_addresses_as_ipv4() {
    let guard = Guard::default();
    let of = |text: &str| text.parse::<Ipv6Addr>().expect("an address").into();
    assert_eq!(passed(&guard, of("2001:db8:0:1::1"), 10, 0), 10);
    assert_eq!(passed(&guard, of("2001:db8:0:1:ffff::2"), 10, 0), 0, "the same /64");
    assert_eq!(passed(&guard, of("2001:db8:0:2::1"), 10, 0), 10, "another");
    assert_eq!(passed(&guard, of("::ffff:192.0.2.1"), 10, 0), 10);
    assert_eq!(passed(&guard, "192.0.2.1".parse().expect("an address"), 10, 0), 0, "the same host");
}

#[test]
fn a_clock_that_steps_back_gives_no_credit() {
    let guard = Guard::default();
    assert_eq!(passed(&guard, v4(1), 10, 5_500_000), 10);
    assert_eq!(passed(&guard, v4(1), 10, 0), 0);
}

#[test]
fn a_million_strangers_do_not_shut_out_a_neighbour() {
    let guard = Guard::default();
    for i in 0..1_000_000u32 {
        let _ = guard.admit(v4(i.wrapping_mul(2_654_435_761)), 200, at_us(u64::from(i) * 10));
    }
    assert!(passed(&guard, v4(7), 200, 10_000_000) >= 180, "the sketch errs by little");
}

proptest! {
    #[test]
    fn the_wait_is_sound_minimal_and_never_zero(per_second in 1..=20u32, gaps in prop::collection::vec(0..300_000u64, 1..100)) {
        let guard = Guard::default();
        let (mut now_us, mut log) = (0, Vec::new());
        for gap in gaps {
            now_us += gap;
            if let Err(wait) = guard.admit(v4(1), per_second, at_us(now_us)) {
                let wait_us = wait.as_micros() as u64;
                prop_assert!(wait_us > 0);
                prop_assert!(guard.admit(v4(1), per_second, at_us(now_us + wait_us - 1)).is_err());
                now_us += wait_us;
                prop_assert_eq!(guard.admit(v4(1), per_second, at_us(now_us)), Ok(()));
            }
            log.push(now_us);
            let lately = log.iter().filter(|&&t| t + 1_000_000 > now_us).count();
            prop_assert!(lately < 2 * per_second as usize || lately == 1, "{lately} in a second");
        }
    }
}
