//! Policy: what happens to a request on its way through.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, HOST};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_limits::rate::Rate;
use pingora_proxy::{ProxyHttp, Session};

use crate::access_log::{AccessLog, Line};
use crate::callers::{Caller, Callers};

const BODY_BYTES_MAX: u64 = 1 << 20;
/// So high that nobody is refused: what is measured is the counting.
const PER_SECOND_MAX: isize = 1_000_000;

/// The policy; one for all requests.
pub struct Policy {
    callers: Callers,
    by_tenant: Rate,
    by_user: Rate,
    by_tenant_and_route: Rate,
    origin: String,
    host: HeaderValue,
    log: AccessLog,
    requests: AtomicU64,
}

impl Policy {
    /// Forwards to `origin`.
    pub fn new(callers: Callers, log: AccessLog, origin: SocketAddr) -> Policy {
        let rate = || Rate::new(Duration::from_secs(1));
        Policy {
            callers,
            by_tenant: rate(),
            by_user: rate(),
            by_tenant_and_route: rate(),
            origin: origin.to_string(),
            host: HeaderValue::from_str(&origin.to_string()).expect("an address has no odd characters"),
            log,
            requests: AtomicU64::new(0),
        }
    }

    /// Status of the refusal, if there is one; else whose request it is.
    fn admit(&self, request: &RequestHeader) -> Result<&Caller, u16> {
        let code = request.headers.get("x-apig-appcode").ok_or(401u16)?;
        let caller = self.callers.find(code).ok_or(401u16)?;
        let declared =
            request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.unwrap_or(0) > BODY_BYTES_MAX {
            return Err(413);
        }
        let counts = [
            self.by_tenant.observe(&caller.tenant_key, 1),
            self.by_user.observe(&caller.user_key, 1),
            self.by_tenant_and_route.observe(&(caller.tenant_key, "bench"), 1),
        ];
        if counts.into_iter().any(|count| count > PER_SECOND_MAX) {
            return Err(429);
        }
        Ok(caller)
    }

    /// Unlike any other of this process; the mixing (splitmix64) makes neighbours look unlike.
    fn next_id(&self) -> String {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        format!("{number:016x}{:016x}", mixed ^ (mixed >> 27))
    }
}

/// What is remembered of one request.
pub struct Context {
    id: String,
    began: Instant,
    first_byte: Option<Duration>,
    peer: Option<IpAddr>,
    tenant: String,
    user: String,
    tenant_header: Option<HeaderValue>,
    bytes_in: u64,
}

#[async_trait]
impl ProxyHttp for Policy {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            id: self.next_id(),
            began: Instant::now(),
            first_byte: None,
            peer: None,
            tenant: String::new(),
            user: String::new(),
            tenant_header: None,
            bytes_in: 0,
        }
    }

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        context.began = Instant::now();
        context.peer = session.client_addr().and_then(|address| Some(address.as_inet()?.ip()));
        match self.admit(session.req_header()) {
            Ok(caller) => {
                context.tenant.push_str(&caller.tenant);
                context.user.push_str(&caller.user);
                context.tenant_header = Some(caller.tenant_header.clone());
                Ok(false)
            }
            Err(status) => {
                let mut answer = ResponseHeader::build(status, Some(2))?;
                answer.insert_header(CONTENT_LENGTH, "0")?;
                answer.insert_header("x-request-id", context.id.as_str())?;
                session.set_keepalive(None);
                session.write_response_header(Box::new(answer), true).await?;
                Ok(true)
            }
        }
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        context: &mut Context,
    ) -> Result<()> {
        context.bytes_in += body.as_ref().map_or(0, |part| part.len() as u64);
        if context.bytes_in > BODY_BYTES_MAX {
            return Error::e_explain(ErrorType::HTTPStatus(413), "body over the cap");
        }
        Ok(())
    }

    async fn upstream_peer(&self, _session: &mut Session, _context: &mut Context) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.origin.as_str(), false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        request.insert_header(HOST, self.host.clone())?;
        request.remove_header("x-apig-appcode");
        if let Some(tenant) = context.tenant_header.take() {
            request.insert_header("x-tenant", tenant)?;
        }
        request.insert_header("x-request-id", context.id.as_str())?;
        if let Some(peer) = context.peer {
            request.insert_header("x-forwarded-for", peer.to_string())?;
        }
        let tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        request.insert_header("x-forwarded-proto", if tls { "https" } else { "http" })?;
        Ok(())
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        answer: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        context.first_byte = Some(context.began.elapsed());
        answer.insert_header("x-request-id", context.id.as_str())?;
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, context: &mut Context) {
        let request = session.req_header();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let listener = session.server_addr().and_then(|address| Some(address.as_inet()?.port()));
        let peer = context.peer.map(|peer| peer.to_string());
        self.log.write(&Line {
            time_ms: since_epoch.as_millis() as u64,
            request_id: &context.id,
            listener: listener.unwrap_or(0),
            peer: peer.as_deref().unwrap_or(""),
            protocol: request.version,
            method: request.method.as_str(),
            path: request.uri.path(),
            tenant: &context.tenant,
            user: &context.user,
            // 499, as others write it: the caller left before there was a status.
            status: session.response_written().map_or(499, |answer| answer.status.as_u16()),
            bytes_in: context.bytes_in,
            bytes_out: session.body_bytes_sent(),
            duration_us: context.began.elapsed().as_micros(),
            first_byte_us: context.first_byte.unwrap_or_default().as_micros(),
            backend: &self.origin,
        });
    }
}
