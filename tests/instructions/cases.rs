//! The requests that are counted.

use crate::callgrind::Counted;
use crate::lockstep::Lockstep;
use harness::certs::Authority;
use harness::gateway::{ALICE_SK, BATCH_APP_CODE};
use harness::http2::{self, Http2};
use harness::sign::Keys;
use harness::{Conn, Request};
use std::path::PathBuf;

/// Requests before those that are counted: connections open, caches and pools fill, buffers find their size.
const WARM_UP: usize = 50;
/// Requests, or chunks of a stream, that are counted: one after the other on one connection.
const REQUESTS: usize = 300;
/// The median of so many rounds counts: on a busy machine one of them may be off.
const ROUNDS: usize = 5;
/// What one case costs.
pub struct Cost {
    /// Name in the golden file.
    pub case: &'static str,
    /// Per request, or per chunk.
    pub instructions: u64,
    /// How many times the usual margin they may be off.
    pub slack: f64,
    /// Where they went.
    pub profile: PathBuf,
}

/// Counts every case, in the order of the walk.
pub fn count_all(counted: &mut Counted, authority: &Authority, lockstep: &Lockstep) -> Vec<Cost> {
    let code = ("x-apig-appcode", BATCH_APP_CODE);
    let spent = ("x-apig-appcode", SPENT_APP_CODE);
    let get = |(name, value): (&str, &str)| Request::get(BYTES).header(name, value);
    let signed = |n: usize| ALICE.sign(Request::post(&format!("{ECHO}?n={n}"), body()));
    vec![
        over_http1(counted, "get_app_code", 200, |_| get(code)),
        over_http1(counted, "post_2k_app_code", 200, |_| Request::post(ECHO, body()).header(code.0, code.1)),
        over_http1(counted, "post_2k_ak_sk", 200, signed),
        over_http1(counted, "refused_429", 429, |_| get(spent)),
        over_http2(counted, authority, "get_app_code_h2_tls"),
        stream(counted, "stream_chunk", lockstep),
    ]
}

/// AppCode of the caller whose limit is spent.
pub const SPENT_APP_CODE: &str = "canary-app-code-of-spender-0123456789abcdefghijklmnopqrstuvwxyz01";

const ALICE: Keys<'static> = Keys { access_key: "AKACMEALICE", secret_key: ALICE_SK };
/// An answer of 1 KiB.
const BYTES: &str = "/mock/bytes/1024";
/// An answer as long as the request's body.
const ECHO: &str = "/mock/echo";

fn body() -> Vec<u8> {
    vec![b'x'; 2048]
}

/// Warms up, counts, and divides. `one` makes one request, or awaits one chunk.
fn count(counted: &mut Counted, case: &'static str, mut one: impl FnMut()) -> Cost {
    (0..WARM_UP).for_each(|_| one());
    let round = |_| counted.during(|| (0..REQUESTS).for_each(|_| one()));
    let mut rounds: Vec<(f64, PathBuf)> = (0..ROUNDS).map(round).collect();
    rounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (total, profile) = rounds.swap_remove(ROUNDS / 2);
    Cost { case, instructions: (total / REQUESTS as f64) as u64, slack: 1.0, profile }
}

/// `request` makes the n-th request; no two signed ones may be the same, since the second would be a replay.
fn over_http1(
    counted: &mut Counted,
    case: &'static str,
    status: u16,
    request: impl Fn(usize) -> Request,
) -> Cost {
    let mut requests =
        (0..1 + WARM_UP + ROUNDS * REQUESTS).map(|n| request(n).to_bytes()).collect::<Vec<_>>().into_iter();
    let mut conn = Conn::open(counted.gateway.http);
    let mut send = || {
        conn.send(requests.next().expect("as many as are sent"));
        conn.response().expect("an answer").status
    };
    send(); // spends the limit, where there is one to spend
    count(counted, case, || assert_eq!(send(), status, "{case}"))
}

fn over_http2(counted: &mut Counted, authority: &Authority, case: &'static str) -> Cost {
    let mut h2 = Http2::open(counted.gateway.https, authority, HOST);
    count(counted, case, || {
        let request =
            http::Request::get(format!("https://{HOST}{BYTES}")).header("x-apig-appcode", BATCH_APP_CODE);
        let answer = h2.send(request.body(http2::sized("")).expect("a request")).expect("an answer");
        assert_eq!(answer.status(), 200, "{case}");
        assert_eq!(h2.read(answer.into_body()).expect("a body").len(), 1024, "{case}");
    })
}

fn stream(counted: &mut Counted, case: &'static str, upstream: &Lockstep) -> Cost {
    let mut conn = Conn::open(counted.gateway.http);
    conn.send(Request::get("/lockstep").header("x-apig-appcode", BATCH_APP_CODE).to_bytes());
    assert_eq!(conn.head().expect("an answer").status, 200, "{case}");
    let cost = count(counted, case, || {
        upstream.chunk();
        assert!(!conn.chunk().expect("a chunk").is_empty(), "{case}");
    });
    Cost { slack: 2.0, ..cost } // so little that one look too many at a socket is 3 % of it
}

/// The name in the certificate.
pub const HOST: &str = "gateway.test";
