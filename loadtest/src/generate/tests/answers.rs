//! What the report makes of answers of every kind.

use super::*;

#[test]
fn streams_show_first_token_gaps_and_whole() {
    let mock = mock(Behaviour {
        ttft_ms: Span::fixed(60.0),
        token_every_ms: Span::fixed(25.0),
        chunk_bytes: 7, // events come in pieces
        ..Behaviour::default()
    });
    for http in [Http::One, Http::Two] {
        let mut scenario = scenario();
        scenario.requests = vec![chat()];
        scenario.load = open(10.0, 300);
        scenario.connections.http = http;
        let totals = drive(&scenario, &mock).report.totals;
        assert_eq!((totals.ok, totals.first_token.count, totals.token_gap.count), (3, 3, 12), "{http:?}");
        assert!(totals.first_token.min_us >= 60_000, "{:?}", totals.first_token.min_us);
        // Timers of the mock have a grain of 1 ms on either side of a gap.
        assert!((23_000.0..60_000.0).contains(&totals.token_gap.mean_us), "{}", totals.token_gap.mean_us);
        assert_eq!(totals.stream.count, 3);
        assert!(totals.stream.min_us >= 160_000 && totals.stream == totals.latency);
    }
}

#[test]
fn a_stream_that_breaks_off_has_failed() {
    let mock = with_fault("truncate");
    for http in [Http::One, Http::Two] {
        let mut scenario = scenario();
        scenario.requests = vec![chat()];
        scenario.load = open(10.0, 300);
        scenario.connections.http = http;
        let totals = drive(&scenario, &mock).report.totals;
        assert_eq!((totals.failed, totals.stream.count), (3, 0), "{http:?}");
        let reason = if http == Http::One { "middle of an answer" } else { "without [DONE]" };
        assert!(totals.failures[0].0.contains(reason) && totals.failures[0].1 == 3, "{:?}", totals.failures);
        assert_eq!(totals.statuses, [(200, 3)]);
    }
}

#[test]
fn callers_who_leave_are_seen_to_leave() {
    for http in [Http::One, Http::Two] {
        for slow in [
            Behaviour { latency_ms: Span::fixed(10_000.0), ..Behaviour::default() },
            Behaviour { token_every_ms: Span::fixed(2_000.0), ..Behaviour::default() },
        ] {
            let mock = mock(slow);
            let mut scenario = scenario();
            scenario.connections.http = http;
            scenario.requests = vec![chat()];
            scenario.requests[0].leave = Some(Leave { share: 1.0, after: Duration::from_millis(30) });
            scenario.load = open(20.0, 200);
            let totals = drive(&scenario, &mock).report.totals;
            assert_eq!((totals.sent, totals.left, totals.failed), (4, 4, 0), "{http:?}");
            let stats = eventually(&mock, |stats| stats.in_flight == 0);
            assert_eq!((stats.cancelled, stats.completed), (4, 0), "{http:?}");
            assert!(mock.requests(9).iter().all(|record| record.outcome == Some(Fate::Cancelled)));
        }
    }
}

#[test]
fn refusals_are_counted_apart_and_say_when() {
    let mock = with_fault("status:429:2@0.5,status:500@0.5");
    let outcome = drive(&scenario(), &mock);
    let totals = &outcome.report.totals;
    let arrived = mock.requests(100);
    let with = |status| arrived.iter().filter(|record| record.status == Some(status)).count() as u64;
    assert!(with(429) > 0 && with(500) > 0);
    assert_eq!((totals.refused, totals.rejected), (with(429), with(500)));
    assert_eq!(totals.latency.count, totals.ok, "refusals are quick, and would flatter");
    for sample in &outcome.samples {
        assert_eq!(sample.retry_after_ms, if sample.status == 429 { 2000 } else { 0 });
        assert!(sample.sent_us <= sample.answered_us && sample.answered_us <= sample.ended_us);
    }
}

#[test]
fn a_request_that_meets_a_closing_connection_is_sent_again_once() {
    let mock = with_fault("close-quiet@0.5");
    let totals = drive(&scenario(), &mock).report.totals;
    assert_eq!((totals.ok, totals.failed), (100, 0), "{:?}", totals.failures);
    assert!(totals.connections > 8, "{}", totals.connections);
}

#[test]
fn a_broken_answer_is_a_failure_with_its_reason() {
    let mock = with_fault("reset-head");
    let mut scenario = scenario();
    scenario.requests[0].method = Method::POST; // nobody may send it again
    scenario.requests[0].target = "/mock/echo".to_owned();
    let totals = drive(&scenario, &mock).report.totals;
    assert_eq!((totals.failed, mock.stats().requests), (100, 100));
    assert_eq!(totals.failures, [("connection: connection reset".to_owned(), 100)]);
    assert_eq!(totals.statuses, [(0, 100)]);
}

#[test]
fn a_target_that_is_not_there_is_a_failure_too() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let totals = run(&scenario(), &Options::to(gone)).unwrap().report.totals;
    assert_eq!((totals.sent, totals.failed, totals.connections), (100, 100, 0));
    assert_eq!(totals.failures, [("connect: connection refused".to_owned(), 100)]);
}

#[test]
fn a_slow_reader_keeps_the_target_waiting() {
    for http in [Http::One, Http::Two] {
        let mock = mock(Behaviour::default());
        let mut scenario = scenario();
        scenario.connections.http = http;
        scenario.requests[0].target = "/mock/bytes/20000000".to_owned();
        scenario.requests[0].read_bytes_per_s = Some(1_000_000);
        scenario.requests[0].leave = Some(Leave { share: 1.0, after: Duration::from_millis(300) });
        scenario.load = open(10.0, 100);
        let outcome = drive(&scenario, &mock);
        let totals = &outcome.report.totals;
        assert_eq!(totals.left, 1);
        assert!(totals.bytes_in > 0 && totals.bytes_in < 2_000_000, "{http:?}: {}", totals.bytes_in);
        let stats = eventually(&mock, |stats| stats.in_flight == 0);
        assert_eq!(
            (stats.cancelled, stats.completed),
            (1, 0),
            "{http:?}: the answer did not fit into buffers"
        );
    }
}
