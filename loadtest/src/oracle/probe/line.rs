//! One caller, and what it is told.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Ask;
use crate::clock::mono_us;

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One caller, one request after the other on one connection, as long as that lasts.
pub struct Line<'a, F> {
    ask: &'a Ask<F>,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, and when.
pub struct Answer {
    pub status: u16,
    pub sent_us: u64,
    pub answered_us: u64,
    wait: Option<Wait>,
}

impl<'a, F> Line<'a, F>
where
    F: Fn() -> Vec<(HeaderName, HeaderValue)>,
{
    pub fn new(ask: &'a Ask<F>) -> Line<'a, F> {
        Line { ask, open: None }
    }

    /// Sends until it is refused.
    pub async fn exhaust(&mut self) -> Result<Refusal, String> {
        for _ in 0..self.ask.requests_max {
            let answer = self.send().await?;
            if answer.status != 429 {
                continue;
            }
            let wait = answer.wait.ok_or("a refusal did not say when to try again")?;
            if u128::from(wait.ms) > self.ask.wait_max.as_millis() {
                return Err(format!("a wait of {} ms is longer than the probe waits", wait.ms));
            }
            return Ok(Refusal { sent_us: answer.sent_us, answered_us: answer.answered_us, wait });
        }
        Err(format!("none of {} requests was refused", self.ask.requests_max))
    }

    pub async fn send(&mut self) -> Result<Answer, String> {
        let exchange = timeout(ANSWER_MAX, self.exchange()).await;
        exchange.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs())))
    }

    async fn exchange(&mut self) -> Result<Answer, String> {
        let mut open = match self.open.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => connect(self.ask.gateway)
                .await
                .map_err(|e| format!("the gateway takes no connection: {e}"))?,
        };
        open.ready().await.map_err(|e| e.to_string())?;
        let sent_us = mono_us();
        let answer = open.send_request(self.request()?).await.map_err(|e| e.to_string())?;
        let answered_us = mono_us();
        let number = |name: &str| answer.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
        let exact = number("retry-after-ms").map(|ms| Wait { ms, step_ms: 1 });
        let wait = exact.or_else(|| Some(Wait { ms: number("retry-after")? * 1_000, step_ms: 1_000 }));
        let status = answer.status().as_u16();
        answer.into_body().collect().await.map_err(|e| e.to_string())?;
        self.open = Some(open);
        Ok(Answer { status, sent_us, answered_us, wait })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let Ask { gateway, method, target, headers, body, .. } = self.ask;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().map_err(|e| format!("{target}: {e}"))?;
        request.headers_mut().extend(headers());
        if !request.headers().contains_key(http::header::HOST) {
            let host = HeaderValue::try_from(gateway.to_string()).expect("an address is printable");
            request.headers_mut().insert(http::header::HOST, host);
        }
        Ok(request)
    }
}

async fn connect(gateway: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; its errors reach whoever sends.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// A refusal, and when.
pub struct Refusal {
    pub sent_us: u64,
    pub answered_us: u64,
    pub wait: Wait,
}

/// What a refusal says of when to try again.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    pub ms: u64,
    /// What it is rounded up to.
    pub step_ms: u64,
}
