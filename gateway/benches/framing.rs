//! What it costs to judge a request's framing: a head of about 300 bytes as SDKs send it, whole and in
//! two pieces, and a chunked body.

use criterion::{Criterion, criterion_group, criterion_main};
use pangu_gateway::server::framing::{FramingCaps, FramingScanner, Scan};
use std::hint::black_box;

const HEAD: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: gateway.example.com:8443\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: AsyncOpenAI/Python 1.99.0\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Content-Length: 0\r\n\
    Connection: keep-alive\r\n\r\n";

const CHUNKED: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    let mut scanner = FramingScanner::new(FramingCaps::default());
    group.bench_function(format!("head of {} bytes", HEAD.len()), |bencher| {
        bencher.iter(|| all_pass(&mut scanner, black_box(HEAD)))
    });
    group.bench_function("the same in two pieces", |bencher| {
        bencher.iter(|| {
            let first = scanner.scan(black_box(&HEAD[..150]));
            assert_eq!(first, Scan { pass: 0, violation: None });
            all_pass(&mut scanner, black_box(HEAD));
        })
    });
    group.bench_function("head and three chunks", |bencher| {
        bencher.iter(|| all_pass(&mut scanner, black_box(CHUNKED)))
    });
    group.finish();
}

fn all_pass(scanner: &mut FramingScanner, bytes: &[u8]) {
    assert_eq!(scanner.scan(bytes), Scan { pass: bytes.len(), violation: None });
}

criterion_group!(benches, framing);
criterion_main!(benches);
