//! Lane: sends one request after the other, each when the last has ended.
//!
//! There are as many lanes as requests can be under way: one per connection of HTTP/1.1, one per stream of HTTP/2.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::scenario::Request;

use super::alarm::Alarm;
use super::choose::Choice;
use super::connect::{Reason, hyper_reason};
use super::flight::Flight;
use super::plan::Plan;
use super::queue::{Job, Source};
use super::record::Record;
use super::tally::End;
use super::wire::{Age, Shared, Wire};

/// A request that has no whole answer after this time has failed; slow readers included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

const TIMED_OUT: Reason = Reason::Borrowed("no whole answer within 60 s");

/// Sends requests, one at a time.
pub struct Lane {
    plan: Arc<Plan>,
    record: Rc<RefCell<Record>>,
    wire: Wire,
    alarm: Alarm,
}

/// What came of one attempt to send.
enum Attempt {
    Ended(End),
    /// The connection had ended before the request reached the target, as idle ones do.
    Stale,
}

impl Lane {
    /// A lane; `shared` if it uses a stream of a connection in place of one of its own.
    pub fn new(plan: Arc<Plan>, record: Rc<RefCell<Record>>, shared: Option<Shared>) -> Lane {
        Lane { plan, record, wire: Wire::new(shared), alarm: Alarm::default() }
    }

    /// Sends whatever `source` gives, until it gives no more.
    pub async fn run(mut self, source: Rc<Source>) {
        while let Some(job) = source.next().await {
            self.serve(job).await;
        }
    }

    async fn serve(&mut self, job: Job) {
        let plan = Arc::clone(&self.plan);
        let choice = plan.chooser.choose(job.number);
        let mut flight = Flight::take(Rc::clone(&self.record), &plan.scenario, job, choice);
        let end = match self.attempt(&plan, choice, job, &mut flight).await {
            Attempt::Ended(end) => end,
            // On a connection of its own now, unless that is shared; either way for the last time.
            Attempt::Stale => match self.attempt(&plan, choice, job, &mut flight).await {
                Attempt::Ended(end) => end,
                Attempt::Stale => End::Failed("connection: closed before the request was sent, twice".into()),
            },
        };
        if end != End::Whole {
            self.wire.cut();
        } else if !plan.scenario.connections.keep_alive {
            self.wire.close();
        }
        flight.finish(end);
    }

    async fn attempt(&mut self, plan: &Plan, choice: Choice, job: Job, flight: &mut Flight) -> Attempt {
        let request = &plan.scenario.requests[usize::from(choice.request)];
        let give_up_us = flight.sent_us() + REQUEST_TIMEOUT.as_micros() as u64;
        let age = match self.alarm.within(give_up_us, self.wire.ready(&plan.dialer)).await {
            Some(Ok(age)) => age,
            Some(Err(reason)) => return Attempt::Ended(End::Failed(reason)),
            None => return Attempt::Ended(End::Failed(TIMED_OUT)),
        };
        if age == Age::New {
            flight.connected();
        }
        let asked = plan.asker.ask(choice, job.number);
        let sent_us = flight.sent();
        let leave = request.leave.filter(|_| choice.leaves);
        let until_us = leave.map_or(give_up_us, |leave| sent_us + leave.after.as_micros() as u64);

        let wire = &mut self.wire;
        let exchange = async {
            let answer = match wire.send(asked).await {
                Ok(answer) => answer,
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    let harmless = request.method == Method::GET && wire.is_closed();
                    return if age == Age::Used && (unsent || harmless) {
                        Attempt::Stale
                    } else {
                        Attempt::Ended(End::Failed(hyper_reason(error.error())))
                    };
                }
            };
            flight.answered(answer.status().as_u16(), answer.headers());
            Attempt::Ended(read(answer.into_body(), request, flight).await)
        };
        match self.alarm.within(until_us, exchange).await {
            Some(attempt) => attempt,
            None if leave.is_some() => Attempt::Ended(End::Left),
            None => Attempt::Ended(End::Failed(TIMED_OUT)),
        }
    }
}

/// Reads the answer to its end; a slow reader asks for the next piece only when it has had time for the last.
async fn read(mut body: Incoming, request: &Request, flight: &mut Flight) -> End {
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let piece = match frame {
            Ok(frame) => frame.into_data(),
            Err(error) => return End::Failed(hyper_reason(&error)),
        };
        let Ok(piece) = piece else { continue }; // trailers
        flight.received(&piece);
        if let Some(bytes_per_s) = request.read_bytes_per_s {
            let rest = piece.len() as f64 / f64::from(bytes_per_s.max(1));
            tokio::time::sleep(Duration::from_secs_f64(rest)).await;
        }
    }
    End::Whole
}
