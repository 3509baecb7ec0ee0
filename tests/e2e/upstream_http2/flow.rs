//! Slow readers: what they do not take stays where it is, and nobody else waits for them.

use super::*;
use harness::http2::{Http2, sized};
use harness::http2_backend::{RST_STREAM, SETTINGS, WINDOW_UPDATE};
use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Far beyond what windows and sockets hold.
const LARGE: usize = 48 << 20;
/// One frame's worth.
const PIECE: usize = 16 << 10;
/// What the gateway may grow by while it holds up a large answer.
const GROWTH_KIB_MAX: u64 = 8 << 10;

/// Bytes that tell where they belong.
fn filler() -> Vec<u8> {
    (0..LARGE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What the gateway lets a backend send, on each stream and on all together (RFC 9113 section 5.2).
struct Windows {
    initial: i64,
    all: i64,
    by_stream: HashMap<u32, i64>,
}

impl Windows {
    fn new() -> Windows {
        Windows { initial: 65_535, all: 65_535, by_stream: HashMap::new() }
    }

    fn hear(&mut self, frame: &Frame) {
        let number = |bytes: &[u8]| i64::from(u32::from_be_bytes(bytes.try_into().expect("four bytes")));
        match frame.kind {
            SETTINGS => {
                let initial = frame.payload.chunks(6).find(|setting| setting.starts_with(&[0, 4]));
                self.initial = initial.map_or(self.initial, |setting| number(&setting[2..]));
            }
            WINDOW_UPDATE if frame.stream == 0 => self.all += number(&frame.payload),
            WINDOW_UPDATE => *self.of(frame.stream) += number(&frame.payload),
            _ => {}
        }
    }

    fn of(&mut self, stream: u32) -> &mut i64 {
        self.by_stream.entry(stream).or_insert(self.initial)
    }

    fn room(&mut self, stream: u32) -> usize {
        usize::try_from(self.all.min(*self.of(stream))).unwrap_or(0)
    }

    fn spend(&mut self, stream: u32, bytes: usize) {
        self.all -= bytes as i64;
        *self.of(stream) -= bytes as i64;
    }
}

/// Answers the first request of a connection with all of `large`, and those after it with two bytes, as the windows allow.
/// Counts into `sent` what has left of the large one.
fn serve(mut wire: Wire, large: &[u8], sent: &AtomicUsize) {
    let (mut windows, mut answers) = (Windows::new(), Vec::<(u32, &[u8])>::new());
    while let Some(frame) = wire.frame() {
        windows.hear(&frame);
        wire.acknowledge(&frame);
        match frame.kind {
            HEADERS => {
                let first = sent.load(Ordering::Relaxed) == 0;
                answers.push((frame.stream, if first { large } else { b"ok" }));
                wire.head(frame.stream);
            }
            RST_STREAM => answers.retain(|(stream, _)| *stream != frame.stream),
            _ => {}
        }
        for (stream, rest) in &mut answers {
            while let room @ 1.. = windows.room(*stream).min(PIECE).min(rest.len()) {
                let (now, later) = rest.split_at(room);
                wire.say(&Frame::data(*stream, now));
                windows.spend(*stream, room);
                sent.fetch_add(if rest.len() > 2 { room } else { 0 }, Ordering::Relaxed);
                *rest = later;
            }
            if rest.is_empty() {
                wire.end(*stream, "0");
            }
        }
        answers.retain(|(_, rest)| !rest.is_empty());
    }
}

/// A backend with a large answer, the answer, and how much of it has left.
fn large() -> (Http2Backend, Arc<Vec<u8>>, Arc<AtomicUsize>) {
    let (large, sent) = (Arc::new(filler()), Arc::new(AtomicUsize::new(0)));
    let (bytes, count) = (large.clone(), sent.clone());
    (Http2Backend::start(move |wire, _| serve(wire, &bytes, &count)), large, sent)
}

/// Waits until no more of a large answer leaves the backend.
fn stands_still(sent: &AtomicUsize) {
    let mut before = (0, now());
    eventually("it stands still", secs(10), || {
        let sent = sent.load(Ordering::Relaxed);
        if sent == 0 || sent != before.0 {
            before = (sent, now());
        }
        (before.1.elapsed() > ms(500)).then_some(())
    });
    assert!(before.0 < LARGE / 2, "{} bytes have left for a caller that reads nothing", before.0);
}

/// A connection whose kernel keeps little of what is not read.
fn narrow(gateway: &Gateway) -> Conn {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("socket option");
    socket.connect(&gateway.http.into()).expect("it listens");
    socket.set_read_timeout(Some(secs(10))).expect("socket option");
    Conn::over(TcpStream::from(socket))
}

#[test]
fn what_a_slow_caller_does_not_take_stays_with_the_backend_and_holds_up_nobody() {
    let (backend, large, sent) = large();
    let patient = POLICY.replace("timeouts: {", "timeouts: {write: 30s, ");
    let gateway = Setup::in_front_of(backend.address).policy(&patient).start();
    let before = resident_kib(&gateway);
    let mut slow = narrow(&gateway);
    slow.send("GET /a HTTP/1.1\r\nhost: a\r\n\r\n");
    stands_still(&sent);
    let grown = resident_kib(&gateway).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB are held");

    let began = now();
    for _ in 0..20 {
        assert_eq!(post(&gateway, "x"), 200);
    }
    assert!(began.elapsed() < secs(3), "others took {:?}", began.elapsed());
    assert_eq!(backend.connections(), 1, "all of it on one connection");

    assert_eq!(slow.head().expect("a head").status, 200);
    let mut got = Vec::with_capacity(LARGE);
    loop {
        let chunk = slow.chunk().expect("an end that looks like one");
        if chunk.is_empty() {
            break;
        }
        if got.len() < LARGE / 4 && (got.len() >> 20) != (got.len() + chunk.len()) >> 20 {
            std::thread::sleep(ms(20)); // slow for a while
        }
        got.extend_from_slice(&chunk);
    }
    assert!(got == *large, "{} bytes of {LARGE}, or others", got.len());
    let grown = resident_kib(&gateway).saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB are held");
}

#[test]
fn streams_of_one_caller_do_not_wait_for_each_other() {
    let (backend, large, sent) = large();
    let authority = Authority::new();
    let patient = POLICY.replace("timeouts: {", "timeouts: {write: 30s, ");
    let setup = Setup::in_front_of(backend.address).https().policy(&patient);
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "default");
    let gateway = setup.start();
    let mut caller = Http2::open(gateway.https, &authority, "gateway.test");
    let get = || http::Request::get("https://gateway.test/a").body(sized("")).expect("a request");
    let unread = caller.send(get()).expect("a head");
    stands_still(&sent);
    for _ in 0..20 {
        let answer = caller.send(get()).expect("a head");
        assert_eq!(caller.read(answer.into_body()).expect("a body"), "ok");
    }
    assert_eq!(backend.connections(), 1);
    let got = caller.read(unread.into_body()).expect("an end");
    assert!(got == *large, "{} bytes of {LARGE}, or others", got.len());
}
