//! The table of refusals in the README against the enum.

use super::Reject;
use crate::fair::Reason;
use std::collections::BTreeSet;

const README: &str = include_str!("../../../README.md");
const SOURCE: &str = include_str!("words.rs");

/// Words of the table's rows, with their statuses.
fn rows() -> BTreeSet<(&'static str, &'static str)> {
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (status, word) = (cells.next()?, cells.next()?);
        Some((word.strip_prefix('`')?.strip_suffix('`')?, status))
    };
    README.lines().filter_map(row).collect()
}

/// What `Reject::code` may answer, as it is written there.
fn codes() -> Vec<&'static str> {
    let (_, from) = SOURCE.split_once("pub fn code(&self)").expect("it is there");
    let (body, _) = from.split_once("pub fn detail").expect("it is there");
    body.split('"').skip(1).step_by(2).collect()
}

#[test]
fn every_word_of_a_refusal_is_in_the_readme() {
    let rows = rows();
    let words: BTreeSet<&str> = rows.iter().map(|(word, _)| *word).collect();
    let codes = codes();
    assert!(codes.len() > 25 && codes.contains(&Reject::NoBackend.code()), "{codes:?}");
    let queue = [Reason::QueueFull, Reason::Displaced, Reason::Hopeless, Reason::TimedOut].map(Reason::code);
    // Told in the trailers of a call only; the text below the table has them.
    let told = |word: &str| words.contains(word) || README.contains(&format!("`{word}`"));
    let missing: Vec<&str> = codes.into_iter().chain(queue).filter(|word| !told(word)).collect();
    assert!(missing.is_empty(), "the table of refusals in README.md lacks {missing:?}");
}

#[test]
fn statuses_in_the_readme_are_those_of_the_program() {
    let samples = [
        Reject::NoRoute,
        Reject::BodyTooSlow,
        Reject::BodyBroken,
        Reject::WebSocketVersion,
        Reject::Overloaded,
        Reject::NoBackend,
        Reject::Undiscovered,
        Reject::NoToken { token: "a".into() },
        Reject::Unreachable { detail: String::new() },
        Reject::UpstreamReset { detail: String::new() },
        Reject::FirstByteLate,
        Reject::TotalLate,
        Reject::DeadlineOver,
        Reject::GrpcVersion,
        Reject::NotGrpc,
    ];
    for reject in samples {
        let status = reject.status().as_u16().to_string();
        assert!(rows().contains(&(reject.code(), &*status)), "{status} {}", reject.code());
    }
}
