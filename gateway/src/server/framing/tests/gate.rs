//! The gate before a real hyper connection.

use super::super::*;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf, duplex};

/// What the service behind hyper saw: method, path, and the body or `!` if it failed.
type Seen = Rc<RefCell<Vec<String>>>;

/// Writes each piece, with time between them for the other side to read; gives all that came back
/// until the connection closed or the caller did.
async fn talk(pieces: &[&[u8]]) -> (String, Vec<String>, Rc<HeadWatch>) {
    let (caller, downstream) = duplex(64 << 10);
    let seen = Seen::default();
    let (gate, watch) = HeadGate::new(downstream, FramingCaps::default());
    let (answers, ()) = tokio::join!(write(caller, pieces), serve(gate, Rc::clone(&watch), Rc::clone(&seen)));
    (answers, seen.take(), watch)
}

async fn write(mut caller: DuplexStream, pieces: &[&[u8]]) -> String {
    for piece in pieces {
        if caller.write_all(piece).await.is_err() {
            break; // closed on a violation before all was sent
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    let _ = caller.shutdown().await;
    let mut answers = Vec::new();
    caller.read_to_end(&mut answers).await.unwrap();
    String::from_utf8(answers).unwrap()
}

/// The part a connection's task plays: polls hyper, and once all requests before a violation are
/// answered and flushed, takes the connection back and answers the violation itself.
async fn serve(gate: HeadGate<DuplexStream>, watch: Rc<HeadWatch>, seen: Seen) {
    let answered = Cell::new(0);
    let service = service_fn(|request| echo(request, &seen, &answered));
    let mut connection = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(gate), service);
    let violation = poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let quiet = answered.get() == watch.heads_complete.get() && !watch.write_pending.get();
        match watch.violation.get() {
            Some(violation) if quiet => Poll::Ready(Some(violation)),
            _ => Poll::Pending,
        }
    })
    .await;
    let Some(violation) = violation else { return };
    let (mut io, _unread) = connection.into_parts().io.into_inner().into_parts();
    let answer = format!("HTTP/1.1 {} {}\r\n\r\n", violation.status(), violation.code());
    io.write_all(answer.as_bytes()).await.unwrap();
}

async fn echo(
    request: Request<Incoming>,
    seen: &Seen,
    answered: &Cell<u32>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let line = format!("{} {}", request.method(), request.uri());
    seen.borrow_mut().push(line.clone());
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    answered.set(answered.get() + 1);
    let body = body.unwrap_or_else(|_| Bytes::from_static(b"!"));
    seen.borrow_mut().last_mut().unwrap().push_str(&format!(" {}", String::from_utf8_lossy(&body)));
    Ok(Response::new(Full::new(body)))
}

const PIPELINE: &[u8] =
    b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\noneGET /2 HTTP/1.1\r\nHost: a\r\n\r\n\
    POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n0\r\n\r\n";

#[tokio::test]
async fn pipelined_requests_pass_however_they_are_cut() {
    for size in [1, 2, 7, 40, 1000] {
        let pieces: Vec<&[u8]> = PIPELINE.chunks(size).collect();
        let (answers, seen, watch) = talk(&pieces).await;
        assert_eq!(seen, ["POST /1 one", "GET /2 ", "POST /3 three"], "in pieces of {size}");
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "in pieces of {size}: {answers}");
        assert_eq!(watch.heads_complete.get(), 3);
        assert_eq!(watch.violation.get(), None);
    }
}

#[tokio::test]
async fn a_bad_head_never_reaches_hyper_and_is_answered_last() {
    let bad = b"POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let stream = [PIPELINE, bad].concat();
    for size in [1, 7, 1000] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (answers, seen, watch) = talk(&pieces).await;
        assert_eq!(seen, ["POST /1 one", "GET /2 ", "POST /3 three"], "in pieces of {size}");
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "in pieces of {size}: {answers}");
        assert!(answers.ends_with("threeHTTP/1.1 400 length_and_encoding\r\n\r\n"), "{answers}");
        assert_eq!(watch.violation.get(), Some(Framing::LengthAndEncoding));
    }
}

#[tokio::test]
async fn a_bad_first_head_is_all_there_is() {
    let (answers, seen, _) = talk(&[b"GET / HTTP/1.1\nHost: a\n\n"]).await;
    assert_eq!((answers.as_str(), seen.len()), ("HTTP/1.1 400 bare_line_end\r\n\r\n", 0));
    let (answers, seen, _) = talk(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]).await;
    assert_eq!((answers.as_str(), seen.len()), ("HTTP/1.1 505 version\r\n\r\n", 0));
    let (answers, seen, _) = talk(&[b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b" folded\r\n\r\n"]).await;
    assert_eq!((answers.as_str(), seen.len()), ("HTTP/1.1 400 fold\r\n\r\n", 0));
}

#[tokio::test]
async fn a_bad_chunk_fails_the_request_it_is_in() {
    let head = b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (_, seen, watch) = talk(&[head, b"3\r\nabc\r\n", b"5;ext\r\nabcde\r\n0\r\n\r\n"]).await;
    assert_eq!(seen, ["POST /1 !"]);
    assert_eq!(watch.violation.get(), Some(Framing::ChunkSize));
    assert!(watch.reading_body.get());
}

#[tokio::test]
async fn a_head_larger_than_hypers_buffer_passes() {
    let head = format!(
        "GET /1 HTTP/1.1\r\nHost: a\r\n{}\r\n",
        format!("X-Long: {}\r\n", "a".repeat(1000)).repeat(60)
    );
    let stream = [head.as_bytes(), PIPELINE].concat();
    for size in [5000, 100_000] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let (_, seen, _) = talk(&pieces).await;
        assert_eq!(seen, ["GET /1 ", "POST /1 one", "GET /2 ", "POST /3 three"]);
    }
}

#[tokio::test]
async fn the_watch_tells_a_slow_head_from_an_idle_connection() {
    let (mut caller, downstream) = duplex(1024);
    let (mut gate, watch) = HeadGate::new(downstream, FramingCaps::default());
    let mut buffer = [0; 100];
    let mut read = async |gate: &mut HeadGate<DuplexStream>| {
        let mut reading = std::pin::pin!(gate.read(&mut buffer));
        poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_ready())).await
    };
    assert!(!read(&mut gate).await);
    assert!(!watch.head_started.get());
    caller.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    assert!(!read(&mut gate).await, "held until whole");
    assert!(watch.head_started.get());
    caller.write_all(b"Host: a\r\nContent-Length: 2\r\n\r\n").await.unwrap();
    assert!(read(&mut gate).await);
    assert!(!watch.head_started.get() && watch.reading_body.get());
    assert_eq!(watch.heads_complete.get(), 1);
}

#[tokio::test]
async fn what_follows_an_upgrade_is_not_lost() {
    let (mut caller, downstream) = duplex(1024);
    let (mut gate, _watch) = HeadGate::new(downstream, FramingCaps::default());
    let mut buffer = [0; 100];
    caller.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n\x81\x05").await.unwrap();
    let read = gate.read(&mut buffer).await.unwrap();
    assert!(buffer[..read].ends_with(b"\r\n\r\n"), "what follows is not a head yet");
    let (mut downstream, held) = gate.into_parts();
    caller.write_all(b"he\nlo").await.unwrap();
    assert_eq!(held, b"\x81\x05");
    assert_eq!(downstream.read(&mut buffer).await.unwrap(), 5);
    assert_eq!(&buffer[..5], b"he\nlo");
}

/// A request before the violation may take minutes to answer; reading meanwhile must not spin.
#[tokio::test]
async fn a_violation_wakes_the_task_once() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let (mut caller, downstream) = duplex(1024);
    let (mut gate, watch) = HeadGate::new(downstream, FramingCaps::default());
    caller.write_all(b"GET / HTTP/1.1\n").await.unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut buffer = [0; 100];
    for _ in 0..3 {
        let mut buffer = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut gate).poll_read(&mut Context::from_waker(&waker), &mut buffer);
        assert!(read.is_pending());
    }
    assert_eq!(watch.violation.get(), Some(Framing::BareLineEnd));
    assert_eq!(count.0.load(Relaxed), 1);
}

#[tokio::test]
async fn what_was_not_passed_on_comes_back() {
    let (mut caller, downstream) = duplex(1024);
    let (mut gate, _watch) = HeadGate::new(downstream, FramingCaps::default());
    let mut buffer = [0; 100];
    caller.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2").await.unwrap();
    let _ = gate.read(&mut buffer).await.unwrap();
    let (_io, unread) = gate.into_parts();
    assert_eq!(unread, b"GET /2");
}

/// Takes everything, and remembers how it came.
#[derive(Default)]
struct Pieces {
    written: Vec<u8>,
    calls: Vec<(&'static str, usize)>,
}

impl tokio::io::AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let pieces = self.get_mut();
        pieces.written.extend_from_slice(bytes);
        pieces.calls.push(("write", bytes.len()));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let pieces = self.get_mut();
        slices.iter().for_each(|slice| pieces.written.extend_from_slice(slice));
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        pieces.calls.push(("gather", bytes));
        Poll::Ready(Ok(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn small_answers_leave_as_one_piece_and_large_ones_are_not_copied() {
    let (mut gate, _) = HeadGate::new(Pieces::default(), FramingCaps::default());
    let (head, small, large) = (vec![b'h'; 200], vec![b's'; 3_000], vec![b'l'; 4_000]);
    for body in [&small, &large] {
        let slices = [std::io::IoSlice::new(&head), std::io::IoSlice::new(body)];
        let written = poll_fn(|cx| {
            let gate = Pin::new(&mut gate);
            tokio::io::AsyncWrite::poll_write_vectored(gate, cx, &slices)
        });
        assert_eq!(written.await.unwrap(), head.len() + body.len());
    }
    let (pieces, _) = gate.into_parts();
    assert_eq!(pieces.calls, [("write", 3_200), ("gather", 4_200)]);
    assert_eq!(pieces.written, [&head[..], &small, &head, &large].concat());
}
