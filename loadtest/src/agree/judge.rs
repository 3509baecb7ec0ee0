//! Judge: do the generators agree?

use super::generator::Generator;
use super::outcome::{Entry, Figure, Outcome};

/// How far the median of the ratios may be from 1. Repeated runs on a machine with two cores differ by a few percent.
pub const MARGIN: f64 = 0.1;

/// Figures that must agree. The 99th percentile is shown and not judged: at this load it is made of the generators' own
/// pauses, in which they do differ.
pub const JUDGED: [Figure; 2] = [Figure::Rate, Figure::P50];

/// Every disagreement, in a sentence each; empty if there is none.
///
/// A generator must have counted what arrived, but for the requests that were open when it left; in every turn, since no
/// noise makes a request. Rate and median latency must be the others', within [`MARGIN`].
pub fn disagreements(outcome: &Outcome) -> Vec<String> {
    let counts = outcome.runs.iter().filter_map(miscounted);
    let pairs = JUDGED.into_iter().flat_map(|figure| Generator::OTHERS.map(|other| (figure, other)));
    counts.chain(pairs.filter_map(|(figure, other)| apart(outcome, other, figure))).collect()
}

fn miscounted(entry: &Entry) -> Option<String> {
    let Entry { round, generator, seen, arrived } = entry;
    let could_arrive = seen.requests..=seen.requests + seen.open_max;
    (!could_arrive.contains(arrived)).then(|| {
        format!(
            "{} says that {} requests were completed in round {}, and at most {} were open at the end, but {arrived} \
             arrived at the mock",
            generator.name(),
            seen.requests,
            round + 1,
            seen.open_max
        )
    })
}

fn apart(outcome: &Outcome, other: Generator, figure: Figure) -> Option<String> {
    let Some(ratio) = outcome.ratio(other, figure) else {
        return Some(format!("there is no round with a {} of both {} and ours", figure.name(), other.name()));
    };
    // Written so that a ratio that is no number is no agreement.
    let agrees = (ratio.median - 1.0).abs() <= MARGIN;
    (!agrees).then(|| {
        format!(
            "{}: ours is {:.2} times {}'s ({:.2} to {:.2}), more than {:.0} % apart; if the machine had other work, \
             repeat it with more --rounds and --seconds",
            figure.name(),
            ratio.median,
            other.name(),
            ratio.low,
            ratio.high,
            MARGIN * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::outcome::tests::{example, ours};

    #[test]
    fn generators_that_say_the_same_agree_whatever_the_machine_does_from_round_to_round() {
        assert_eq!(disagreements(&example()), Vec::<String>::new());
        let a_little_faster = ours(|entry| entry.seen.rate_per_s *= 1.09);
        assert_eq!(disagreements(&a_little_faster), Vec::<String>::new());
    }

    #[test]
    fn a_generator_that_counts_double_is_caught() {
        let doubled = ours(|entry| {
            entry.seen.requests *= 2;
            entry.seen.rate_per_s *= 2.0;
        });
        let said = disagreements(&doubled);
        let first = "pangu-loadtest says that 24000 requests were completed in round 1, and at most 0 were open at \
                     the end, but 12000 arrived at the mock";
        assert_eq!(said[0], first);
        assert_eq!(said.len(), 3 + 2, "each round, and the rate against each: {said:#?}");
    }

    #[test]
    fn one_request_too_many_or_too_few_is_caught() {
        for (change, what) in [(1, "sent and not counted"), (-1, "counted and not sent")] {
            let miscounted = ours(|entry| {
                let off = if entry.round == 1 { change } else { 0 };
                entry.arrived = entry.arrived.saturating_add_signed(off);
            });
            let said = disagreements(&miscounted);
            assert!(said.len() == 1 && said[0].contains("in round 2"), "{what}: {said:#?}");
        }
        let mut more_than_were_open = example();
        more_than_were_open.runs[1].arrived += 1;
        assert!(disagreements(&more_than_were_open)[0].starts_with("wrk says that 12000 requests"));
    }

    #[test]
    fn a_generator_that_is_slow_is_caught() {
        let slow = ours(|entry| {
            entry.seen.rate_per_s *= 0.7;
            entry.seen.p50_us /= 0.7;
        });
        let said = disagreements(&slow);
        assert_eq!(said.len(), 4, "{said:#?}");
        assert!(said[0].starts_with("rate: ours is 0.70 times wrk's (0.70 to 0.70), more than 10 % apart"));
        assert!(said[3].starts_with("median latency: ours is 1.43 times h2load's"));
    }

    #[test]
    fn a_latency_that_is_not_measured_from_where_the_others_do_is_caught() {
        for factor in [0.5, 1.12, f64::NAN] {
            let said = disagreements(&ours(|entry| entry.seen.p50_us *= factor));
            assert!(said.len() == 2 && said[0].starts_with("median latency"), "{factor}: {said:#?}");
        }
    }

    #[test]
    fn one_bad_round_of_three_is_noise_and_two_are_not() {
        let slow_until =
            |rounds| ours(move |entry| entry.seen.rate_per_s *= if entry.round < rounds { 0.7 } else { 1.0 });
        assert_eq!(disagreements(&slow_until(1)), Vec::<String>::new());
        assert_eq!(disagreements(&slow_until(2)).len(), 2);
    }

    #[test]
    fn without_a_turn_of_both_there_is_no_agreement() {
        let mut outcome = example();
        outcome.runs.retain(|entry| entry.generator != Generator::Wrk);
        let said = disagreements(&outcome);
        assert_eq!(said[0], "there is no round with a rate of both wrk and ours");
    }
}
