//! Closed load: so many requests under way, the next when one is answered.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;

use super::lanes::{DRAIN, Lanes};
use super::plan::Plan;
use super::queue::{Source, Turns};
use super::record::Record;

/// Drives one thread's part of the load.
pub async fn drive(plan: &Arc<Plan>, thread: usize, record: &Rc<RefCell<Record>>, in_flight: u32) {
    let until_us = plan.start_us + plan.lasts_us();
    let next = Arc::clone(&plan.turn);
    let turns = Turns { next, requests_max: plan.scenario.requests_max, until_us };
    let source = Rc::new(Source::Turns(turns));
    let mut lanes = Lanes::new(Arc::clone(plan), thread, Rc::clone(record), source);
    for _ in 0..plan.in_flight(in_flight, thread) {
        lanes.add();
    }
    let lasts = Duration::from_micros(until_us.saturating_sub(clock::mono_us()));
    lanes.finish(lasts + DRAIN).await;
}
