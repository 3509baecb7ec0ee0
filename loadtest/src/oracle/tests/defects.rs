//! Every defect is found, by the check that is meant for it.

use super::assert_found;
use super::world::{Defect, Keeps, World};

const LIMIT: &str = "limit tested";
const REFUSED: &str = "nobody was refused";

fn with(defect: Defect) -> World {
    World { defect: Some(defect), ..World::default() }
}

fn fixed() -> World {
    let keeps = Keeps::Fixed { count: 40, period_us: 1_000_000 };
    World { limit: "requests: 40/s, algorithm: fixed_window", keeps, ..World::default() }
}

fn sliding() -> World {
    let keeps = Keeps::Sliding { count: 40, period_us: 1_000_000 };
    World { limit: "requests: 40/s, algorithm: sliding_window", keeps, ..World::default() }
}

fn concurrent() -> World {
    World { limit: "concurrent: 4", keeps: Keeps::Concurrent(4), rate_per_s: 1_000.0, ..World::default() }
}

#[test]
fn a_burst_of_one_too_many_is_found() {
    // Many arrive at once, so that the burst is used up in less time than a request takes to come back.
    assert_found(&World { rate_per_s: 5_000.0, delay_us: 100, ..with(Defect::OneTooMany) }, LIMIT);
}

#[test]
fn a_refill_five_percent_too_fast_is_found() {
    assert_found(&World { lasts_us: 30_000_000, ..with(Defect::RefillsFast) }, LIMIT);
}

#[test]
fn a_level_reset_by_a_reload_is_found() {
    assert_found(&with(Defect::ResetsAtHalfTime), LIMIT);
    assert_found(&World { defect: Some(Defect::ResetsAtHalfTime), ..sliding() }, LIMIT);
}

#[test]
fn a_count_per_worker_is_found() {
    for world in [World::default(), fixed(), sliding(), concurrent()] {
        let world = World { defect: Some(Defect::CountsPerWorker), rate_per_s: 1_000.0, ..world };
        assert_found(&world, LIMIT);
    }
}

#[test]
fn windows_with_one_too_many_are_found() {
    assert_found(&World { defect: Some(Defect::OneTooMany), ..fixed() }, LIMIT);
    assert_found(&World { defect: Some(Defect::OneTooMany), ..sliding() }, LIMIT);
}

#[test]
fn a_place_that_is_not_counted_is_found() {
    assert_found(&World { defect: Some(Defect::ForgetsOpen), ..concurrent() }, LIMIT);
}

#[test]
fn a_place_that_is_never_given_back_is_found() {
    assert_found(&World { defect: Some(Defect::LeaksPlaces), ..concurrent() }, REFUSED);
}

#[test]
fn refusals_below_the_limit_are_found() {
    for world in [World::default(), fixed(), sliding(), concurrent()] {
        assert_found(&World { defect: Some(Defect::RefusesAtHalf), ..world }, REFUSED);
    }
}

#[test]
fn refusals_that_are_charged_are_found() {
    assert_found(&with(Defect::ChargesRefused), REFUSED);
}

#[test]
fn a_request_sent_twice_is_found() {
    assert_found(&with(Defect::SendsTwice), "twice");
}

#[test]
fn a_refused_request_that_is_sent_is_found() {
    assert_found(&with(Defect::SendsRefused), "nothing refused went upstream");
}

#[test]
fn an_answer_that_nobody_gave_is_found() {
    assert_found(&with(Defect::InventsAnswers), "every good answer");
}

#[test]
fn a_wrong_tenant_is_found() {
    assert_found(&with(Defect::SwapsTenants), "right tenant");
}
