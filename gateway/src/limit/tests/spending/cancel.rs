//! A caller may leave at any moment: whatever the request was waiting for, it gives back what it held.

use super::*;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Waits once.
async fn pause() {
    let mut waited = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// A request as the proxy walks it: the upstream is asked, answers in three parts, and the last of them goes down.
async fn walk(shop: &Shop, at_us: u64) {
    let Ok(mut permit) = shop.admit(Order { completion_max: Some(30), ..prompt(20) }, later(at_us)) else {
        return;
    };
    pause().await;
    for part in 1..=3 {
        let _ = permit.progress(cost(20, 10 * part), later(at_us + part));
        pause().await;
    }
    permit.settle(cost(20, 30), later(at_us + 4));
    pause().await;
}

#[test]
fn cancelled_at_every_await_nothing_stays_held_and_what_passed_stays_charged() {
    let book = Rulebook {
        plan: vec![
            limit("p0", Per::Tenant, tpm(1_000)),
            limit("p1", Per::User, budget(1_000, Measure::Total, "UTC")),
            limit("p2", Per::TenantModel, tpm(1_000)),
            limit("p3", Per::Tenant, concurrent(1)),
        ],
        route: vec![limit("r0", Per::Route, tpm(1_000)), limit("r1", Per::TenantRoute, concurrent(1))],
        model: vec![limit("m0", Per::Model, tpm(1_000)), limit("m1", Per::TenantModel, tpm(1_000))],
        ..Rulebook::default()
    };
    for (polls, charged) in [(0, 0), (1, 0), (2, 30), (3, 40), (4, 50), (5, 50), (6, 50)] {
        let shop = Shop::open(&book, later(0));
        {
            let mut request = pin!(walk(&shop, 0));
            let mut context = Context::from_waker(Waker::noop());
            let done = (0..polls).filter(|_| request.as_mut().poll(&mut context).is_ready()).count();
            assert_eq!(done, usize::from(polls == 6), "the walk waits five times");
        }
        for (_, limit) in shop.levels(later(4)).iter().filter(|(tenant, _)| *tenant != Some("umbrella")) {
            let expected = if limit.unit.is_tokens() { charged } else { 0 };
            let others = limit.user.as_deref() == Some("bob") || limit.route.as_deref() == Some("embed");
            let others = others || limit.model.as_deref() == Some("other");
            assert_eq!(
                (limit.held, limit.used),
                (0, if others { 0 } else { expected }),
                "{polls}: {limit:?}"
            );
        }
    }
}
