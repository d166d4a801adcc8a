//! The client: one connection for each request, or kept connections for a caller whose requests may be repeated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use everfold_system::os_error::is_shortage;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::body::{BodyError, read_body};
use super::connection::{KeptConnection, TlsError, connect_tcp, is_unknown_host, start_http, start_tls};
use super::endpoint::Endpoint;
use super::idle::IdleConnections;
use super::request::{HttpAnswer, HttpError, HttpRequest};
use super::tls::{native_roots, tls};

/// Redirects that are followed before the chain counts as endless.
const REDIRECTS_MAX: usize = 5;
/// The pause before a request asks the system again for a file handle.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);
/// The `User-Agent` of every request of the program.
pub const USER_AGENT: &str = concat!("everfold/", env!("CARGO_PKG_VERSION"));
/// Headers that only describe the request. Any other may identify the caller (`X-Api-Key`, `Private-Token`, a name of
/// the service's own), so another host gets these alone.
const DESCRIBING: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::RANGE,
    header::USER_AGENT,
];

/// How far a request has come.
#[derive(Default)]
struct RequestProgress {
    is_sent: AtomicBool,
    /// The system had no handle or memory for it.
    is_held_back: AtomicBool,
}

/// Sends requests, each over a connection of its own unless it keeps them. Cheap to clone.
#[derive(Clone, Default)]
pub struct HttpClient {
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
    idle: Option<Arc<IdleConnections>>,
}

impl HttpClient {
    /// A client that trusts what this machine trusts (`SSL_CERT_FILE`, `SSL_CERT_DIR`, or the system's
    /// store); it is read when the first `https` request is made.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that trusts these authorities only.
    #[must_use]
    pub fn trusting(roots: RootCertStore) -> Self {
        let tls = OnceLock::new();
        // A new cell is empty.
        let _set = tls.set(self::tls(roots));
        Self { tls: Arc::new(tls), idle: None }
    }

    /// Keeps connections for its next requests, which share them with those of its clones from now on.
    ///
    /// A server may close a connection while a request is on its way to it. Nothing says then whether the request
    /// arrived, so this is for callers that may send a request again.
    #[must_use]
    pub fn keeping(self) -> Self {
        Self { idle: Some(Arc::default()), ..self }
    }

    /// Sends a request; a `GET` or `HEAD` is sent on to where the answer says that it moved. Where the system has
    /// no file handle for a connection, it waits for one, up to the request's time limit.
    ///
    /// # Errors
    /// [`HttpError`]: there is no answer. Any status is one.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let limit = request.timeout;
        let mut place = Endpoint::of(&request.url)?;
        let host = place.authority();
        let progress = RequestProgress::default();
        match tokio::time::timeout(limit, self.follow(request, &mut place, &progress)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let limit = everfold_base::duration::format(limit);
                Err(if progress.is_sent.into_inner() {
                    HttpError::NoAnswer { host, reason: format!("no answer within {limit}") }
                } else if progress.is_held_back.into_inner() {
                    let reason = format!("this machine had no file handle or memory for it within {limit}");
                    HttpError::Unreachable { host, reason }
                } else {
                    HttpError::Unreachable { host, reason: format!("no answer within {limit}") }
                })
            }
        }
    }

    /// Its TLS configuration. Where the system gave no authority, the next request asks again: it may have had no file
    /// handle to read them.
    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.tls.get() {
            return config.clone();
        }
        let config = tls(native_roots()?);
        self.tls.get_or_init(|| config).clone()
    }

    async fn follow(
        &self,
        request: HttpRequest,
        place: &mut Endpoint,
        progress: &RequestProgress,
    ) -> Result<HttpAnswer, HttpError> {
        let mut headers = headers(&request.headers)?;
        let is_safe = matches!(request.method, Method::GET | Method::HEAD);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.once(&request, place, headers.clone(), progress).await?;
            let moved = match answer.status {
                301 | 302 | 303 | 307 | 308 if is_safe => answer.headers.get("location"),
                _stays => None,
            };
            let Some(moved) = moved else { return Ok(answer) };
            let next = place.join(moved)?;
            if next.authority() != place.authority() || (place.is_tls && !next.is_tls) {
                headers = describing(&headers);
            }
            *place = next;
        }
        let reason = format!("more than {REDIRECTS_MAX} redirects");
        Err(HttpError::NoAnswer { host: place.authority(), reason })
    }

    async fn once(
        &self,
        request: &HttpRequest,
        place: &Endpoint,
        headers: HeaderMap,
        progress: &RequestProgress,
    ) -> Result<HttpAnswer, HttpError> {
        let message = message(request, place, headers)?;
        if let Some(mut connection) = self.idle.as_ref().and_then(|idle| idle.take(place))
            && connection.freed().await
        {
            return self.kept(request, place, message, connection, progress).await;
        }
        let unreachable =
            |reason: String| HttpError::Unreachable { host: place.authority(), reason: shown(reason) };
        let stream = loop {
            match connect_tcp(&place.host, place.port).await {
                Ok(stream) => break stream,
                Err(error) if is_shortage(&error) => {
                    progress.is_held_back.store(true, Ordering::Relaxed);
                    tokio::time::sleep(SHORTAGE_PAUSE).await;
                }
                Err(error) => return Err(unreachable(error.to_string())),
            }
        };
        if !place.is_tls {
            return self.exchange(request, place, message, stream, progress).await;
        }
        let config = self.config().map_err(unreachable)?;
        let stream = start_tls(stream, &place.host, config).await.map_err(|error| match error {
            TlsError::HostName(_) => HttpError::Invalid(error.to_string()),
            TlsError::Handshake(error) => unreachable(error.to_string()),
        })?;
        self.exchange(request, place, message, stream, progress).await
    }

    /// Sends a request over a new connection.
    async fn exchange<S>(
        &self,
        request: &HttpRequest,
        place: &Endpoint,
        message: Request<Full<Bytes>>,
        stream: S,
        progress: &RequestProgress,
    ) -> Result<HttpAnswer, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.idle.is_some() {
            let connection = KeptConnection::over(stream).await.map_err(|error| broken(place, &error))?;
            return self.kept(request, place, message, connection, progress).await;
        }
        let (mut sender, connection) = start_http(stream).await.map_err(|error| broken(place, &error))?;
        progress.is_sent.store(true, Ordering::Relaxed);
        let answered = async {
            let response = sender.send_request(message).await.map_err(|error| broken(place, &error))?;
            read(response, place, request.body_bytes_max).await
        };
        // Both on this task: a request that is given up leaves nothing behind.
        let connection = std::pin::pin!(connection);
        let answered = std::pin::pin!(answered);
        match futures::future::select(answered, connection).await {
            futures::future::Either::Left((answer, _)) => answer,
            // The connection ended; what was received of the answer is still to be read.
            futures::future::Either::Right((Ok(()), answered)) => answered.await,
            futures::future::Either::Right((Err(error), _)) => Err(broken(place, &error)),
        }
    }

    /// Sends a request over a connection that is kept when its answer has been read.
    async fn kept(
        &self,
        request: &HttpRequest,
        place: &Endpoint,
        message: Request<Full<Bytes>>,
        mut connection: KeptConnection<Full<Bytes>>,
        progress: &RequestProgress,
    ) -> Result<HttpAnswer, HttpError> {
        progress.is_sent.store(true, Ordering::Relaxed);
        let response = connection.send(message).await.map_err(|error| broken(place, &error))?;
        let answer = read(response, place, request.body_bytes_max).await?;
        if let Some(idle) = self.idle.as_ref().filter(|_| !answer.truncated) {
            idle.put(place, connection);
        }
        Ok(answer)
    }
}

/// A connection broke before the answer was there.
fn broken(place: &Endpoint, error: &hyper::Error) -> HttpError {
    let reason = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    HttpError::NoAnswer { host: place.authority(), reason: shown(reason) }
}

fn message(
    request: &HttpRequest,
    place: &Endpoint,
    headers: HeaderMap,
) -> Result<Request<Full<Bytes>>, HttpError> {
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let mut message = Request::builder().method(request.method.clone()).uri(place.target.clone());
    if let Some(all) = message.headers_mut() {
        all.insert(header::HOST, value("Host", &place.host_header())?);
        all.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(user) = &place.user {
            all.insert(header::AUTHORIZATION, value("Authorization", user)?);
        }
        all.extend(headers);
    }
    message.body(body).map_err(|error| HttpError::Invalid(error.to_string()))
}

async fn read(
    response: Response<Incoming>,
    place: &Endpoint,
    bytes_max: usize,
) -> Result<HttpAnswer, HttpError> {
    let (head, incoming) = response.into_parts();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let all = headers.entry(name.as_str().to_owned()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    // The request's own limit covers silence.
    let body = read_body(incoming, bytes_max, Duration::MAX).await.map_err(|error| match error {
        BodyError::Broken(error) => broken(place, &error),
        BodyError::Silent(span) => HttpError::NoAnswer {
            host: place.authority(),
            reason: format!("nothing came for {}", everfold_base::duration::format(span)),
        },
    })?;
    let (body, truncated) = (body.bytes, body.is_truncated);
    Ok(HttpAnswer { status: head.status.as_u16(), headers, body, truncated, url: place.shown() })
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, HttpError> {
    let mut headers = HeaderMap::new();
    for (name, text) in given {
        let known = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| HttpError::Invalid(format!("“{name}” is no name of a header")))?;
        headers.insert(known, value(name, text)?);
    }
    Ok(headers)
}

/// What another host may get of the headers.
fn describing(headers: &HeaderMap) -> HeaderMap {
    let describes = |(name, _): &(&HeaderName, &HeaderValue)| DESCRIBING.contains(name);
    headers.iter().filter(describes).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Never shows the value: it may be a secret.
fn value(name: &str, text: &str) -> Result<HeaderValue, HttpError> {
    HeaderValue::from_str(text)
        .map_err(|_| HttpError::Invalid(format!("the value of header {name} holds a line break or the like")))
}

fn shown(reason: String) -> String {
    if is_unknown_host(&reason) {
        return "there is no host of that name".to_owned();
    }
    reason
}
