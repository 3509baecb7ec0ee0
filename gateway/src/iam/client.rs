//! One IAM endpoint and the connections to it: HTTP/1.1, on the main thread's runtime, never a worker's.

use crate::observe::iam::IamOutcome;
use crate::upstream::{Backend, BackendSpec, Trust};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Both questions have this path; without `nocatalog` an answer carries every service's address.
const TOKENS: &str = "/v3/auth/tokens?nocatalog=true";
/// The caller of IAM, as IAM calls it.
pub const AUTH_TOKEN: &str = "x-auth-token";

/// Longest body of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Questions at once: more wait for one another here and not at IAM.
const AT_ONCE: usize = 16;
/// Idle connections that are kept.
const IDLE_MAX: usize = 4;

/// Asks one IAM endpoint.
pub struct Client {
    backend: Backend,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    uri: String,
    within: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    places: Semaphore,
}

/// An answer, whole.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is no answer. Says nothing of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("IAM cannot be reached: {0}")]
    Unreachable(std::io::Error),
    #[error("the connection to IAM broke: {0}")]
    Broken(hyper::Error),
    #[error("IAM's answer is longer than {ANSWER_BYTES_MAX} bytes, or broke off")]
    Body,
    #[error("IAM did not answer within {0:?}")]
    Late(Duration),
}

impl Unanswered {
    /// What the metric calls it.
    pub fn outcome(&self) -> IamOutcome {
        match self {
            Unanswered::Unreachable(_) | Unanswered::Broken(_) | Unanswered::Body => IamOutcome::Unreachable,
            Unanswered::Late(_) => IamOutcome::Timeout,
        }
    }
}

impl Client {
    /// `within`: longest time for one question, its connection included.
    ///
    /// # Errors
    /// One sentence: a name that is none, or authorities that cannot be read.
    pub fn new(spec: BackendSpec, within: Duration) -> Result<Client, String> {
        let tls = match &spec.tls {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(tls.name.to_string())
                    .map_err(|_| format!("`{}` is not a name that a certificate can carry", tls.name))?;
                Some((Trust::new(tls.ca_pem.as_deref(), None, spec.protocol)?.connector(), name))
            }
        };
        let uri = format!("{}{TOKENS}", spec.base_path);
        let backend = Backend::new(spec)?;
        Ok(Client { backend, tls, uri, within, idle: Mutex::default(), places: Semaphore::new(AT_ONCE) })
    }

    /// Asks for a token. The question is wiped once it is sent; what the connection copies of it is not ours to wipe.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub async fn issue(
        &self,
        body: Zeroizing<Vec<u8>>,
        own: Option<&HeaderValue>,
    ) -> Result<Answer, Unanswered> {
        let own = own.map(|own| (AUTH_TOKEN, own));
        self.ask(&Method::POST, own.as_slice(), Bytes::from_owner(body)).await
    }

    /// Asks about a token of somebody else's.
    ///
    /// # Errors
    /// [`Unanswered`]
    pub async fn check(&self, own: &HeaderValue, subject: &HeaderValue) -> Result<Answer, Unanswered> {
        let headers = [(AUTH_TOKEN, own), (super::answer::SUBJECT_TOKEN, subject)];
        self.ask(&Method::GET, &headers, Bytes::new()).await
    }

    async fn ask(
        &self,
        method: &Method,
        headers: &[(&'static str, &HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Unanswered> {
        let asked = async {
            let _place = self.places.acquire().await.expect("nobody closes it");
            self.send(method, headers, body).await
        };
        tokio::time::timeout(self.within, asked).await.map_err(|_| Unanswered::Late(self.within))?
    }

    /// On an idle connection; if that turns out to be dead, on a new one. No question does harm twice.
    async fn send(
        &self,
        method: &Method,
        headers: &[(&'static str, &HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Unanswered> {
        while let Some(mut link) = self.warm() {
            let request = self.request(method, headers, body.clone());
            if let Ok(response) = link.send_request(request).await {
                return self.read(response, link).await;
            }
        }
        let mut link = self.open().await?;
        let request = self.request(method, headers, body);
        let response = link.send_request(request).await.map_err(Unanswered::Broken)?;
        self.read(response, link).await
    }

    async fn read(
        &self,
        response: http::Response<hyper::body::Incoming>,
        link: SendRequest<Full<Bytes>>,
    ) -> Result<Answer, Unanswered> {
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|_| Unanswered::Body)?;
        let mut idle = self.idle.lock();
        if !link.is_closed() && idle.len() < IDLE_MAX {
            idle.push(link);
        }
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }

    fn warm(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock();
        idle.retain(|link| !link.is_closed());
        idle.pop()
    }

    fn request(
        &self,
        method: &Method,
        headers: &[(&'static str, &HeaderValue)],
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.uri.parse().expect("policy has checked the base path");
        let all = request.headers_mut();
        all.insert(HOST, self.backend.host_header.clone());
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            all.insert(*name, (*value).clone());
        }
        request
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, Unanswered> {
        let spec = &self.backend.spec;
        let tcp = TcpStream::connect((&*spec.host, spec.port)).await.map_err(Unanswered::Unreachable)?;
        tcp.set_nodelay(true).map_err(Unanswered::Unreachable)?;
        match &self.tls {
            None => speak(tcp).await,
            Some((connector, name)) => {
                speak(connector.connect(name.clone(), tcp).await.map_err(Unanswered::Unreachable)?).await
            }
        }
    }
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Unanswered>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (link, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Unanswered::Broken)?;
    // Its end is seen by whoever asks next; there is nobody else to tell.
    tokio::spawn(async move { drop(connection.await) });
    Ok(link)
}
