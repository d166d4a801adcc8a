//! An HTTP client for what a step or a gate asks of other machines.
//!
//! Law: bounded in time, size and redirects. An error says whether the request may have arrived, so
//! that nothing that must not happen twice is sent again blindly. Names and passwords in a URL, and
//! headers that name an identity, are never sent on to another host and never shown.
//!
//! Used by the prober `http`, the executor of that name, and the providers of git hosts.

mod executor;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use everfold_engine::store::is_shortage;
use everfold_engine::time::Timestamp;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub use executor::HttpExecutor;

/// Redirects that are followed before the chain counts as endless.
const REDIRECTS_MAX: usize = 5;
/// How long a request waits that the system has no handle for, before it asks for one again.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(500);
/// Headers of one answer.
const HEADERS_MAX: usize = 256;
const AGENT: &str = concat!("everfold/", env!("CARGO_PKG_VERSION"));
/// Headers that name who asks: another host must not learn them.
const IDENTITY: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A request.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`, ….
    pub method: Method,
    /// `http://` or `https://`.
    pub url: String,
    /// Beside `Host`, `User-Agent` and `Content-Length`.
    pub headers: BTreeMap<String, String>,
    /// What is sent.
    pub body: Option<Vec<u8>>,
    /// From looking the name up to the last byte of the body.
    pub timeout: Duration,
    /// More of the answer's body is not read.
    pub body_bytes_max: usize,
}

impl HttpRequest {
    /// A `GET` within 30 seconds that reads up to 1 MiB.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: BTreeMap::new(),
            body: None,
            timeout: Duration::from_secs(30),
            body_bytes_max: 1024 * 1024,
        }
    }
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// By name in lower case; repeated ones joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// There was more than was to be read.
    pub truncated: bool,
    /// Where it came from, after redirects, without a name and password.
    pub url: String,
}

impl HttpAnswer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none, or was cut.
    pub fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// How long the other side wants to be left alone: `Retry-After`, in seconds or as a date.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let said = self.headers.get("retry-after")?.trim();
        if let Ok(seconds) = said.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let at = jiff::fmt::rfc2822::parse(said).ok()?.timestamp().as_millisecond();
        Some(Timestamp(at).since(now))
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The request makes no sense; asking again cannot help.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was sent: no such host, nobody listens, a certificate nobody vouches for.
    #[error("{host} cannot be reached: {reason}")]
    Unreachable {
        /// The host and port.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The request may have arrived; there is no whole answer.
    #[error("{host} did not answer: {reason}")]
    NoAnswer {
        /// The host and port.
        host: String,
        /// What happened.
        reason: String,
    },
}

impl HttpError {
    /// Whether the other side may have seen the request.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// How far a request has come.
#[derive(Default)]
struct Stand {
    is_sent: AtomicBool,
    /// The system had no handle or memory for it.
    is_held_back: AtomicBool,
}

/// Sends requests, each over a connection of its own. Cheap to clone.
#[derive(Clone, Default)]
pub struct HttpClient {
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
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
        Self { tls: Arc::new(tls) }
    }

    /// Sends a request; a `GET` or `HEAD` is sent on to where the answer says that it moved. Where the system has
    /// no file handle for a connection, it waits for one, up to the request's time limit.
    ///
    /// # Errors
    /// [`HttpError`]: there is no answer. Any status is one.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let limit = request.timeout;
        let mut place = Place::of(&request.url)?;
        let host = place.authority();
        let stand = Stand::default();
        match tokio::time::timeout(limit, self.follow(request, &mut place, &stand)).await {
            Ok(answer) => answer,
            Err(_elapsed) => {
                let limit = everfold_engine::duration::format(limit);
                Err(if stand.is_sent.into_inner() {
                    HttpError::NoAnswer { host, reason: format!("no answer within {limit}") }
                } else if stand.is_held_back.into_inner() {
                    let reason = format!("this machine had no file handle or memory for it within {limit}");
                    HttpError::Unreachable { host, reason }
                } else {
                    HttpError::Unreachable { host, reason: format!("no answer within {limit}") }
                })
            }
        }
    }

    /// How it speaks TLS. A machine that named no authority is asked again: it may have had no handle to read them.
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
        place: &mut Place,
        stand: &Stand,
    ) -> Result<HttpAnswer, HttpError> {
        let mut headers = headers(&request.headers)?;
        let is_safe = matches!(request.method, Method::GET | Method::HEAD);
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.once(&request, place, headers.clone(), stand).await?;
            let moved = match answer.status {
                301 | 302 | 303 | 307 | 308 if is_safe => answer.headers.get("location"),
                _stays => None,
            };
            let Some(moved) = moved else { return Ok(answer) };
            let next = place.join(moved)?;
            if next.authority() != place.authority() || (place.is_tls && !next.is_tls) {
                IDENTITY.iter().for_each(|name| drop(headers.remove(name)));
            }
            *place = next;
        }
        let reason = format!("more than {REDIRECTS_MAX} redirects");
        Err(HttpError::NoAnswer { host: place.authority(), reason })
    }

    async fn once(
        &self,
        request: &HttpRequest,
        place: &Place,
        headers: HeaderMap,
        stand: &Stand,
    ) -> Result<HttpAnswer, HttpError> {
        let unreachable =
            |reason: String| HttpError::Unreachable { host: place.authority(), reason: shown(reason) };
        let stream = loop {
            match TcpStream::connect((place.host.as_str(), place.port)).await {
                Ok(stream) => break stream,
                Err(error) if is_shortage(&error) => {
                    stand.is_held_back.store(true, Ordering::Relaxed);
                    tokio::time::sleep(SHORTAGE_PAUSE).await;
                }
                Err(error) => return Err(unreachable(error.to_string())),
            }
        };
        let _small_writes_go_at_once = stream.set_nodelay(true);
        if !place.is_tls {
            return exchange(request, place, headers, stream, stand).await;
        }
        let config = self.config().map_err(unreachable)?;
        let name = ServerName::try_from(place.host.clone())
            .map_err(|_| HttpError::Invalid(format!("{} is no name of a host", place.host)))?;
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        exchange(request, place, headers, stream, stand).await
    }
}

async fn exchange<S>(
    request: &HttpRequest,
    place: &Place,
    headers: HeaderMap,
    stream: S,
    stand: &Stand,
) -> Result<HttpAnswer, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: hyper::Error| HttpError::NoAnswer {
        host: place.authority(),
        reason: shown(
            std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string),
        ),
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let mut message = Request::builder().method(request.method.clone()).uri(place.target.clone());
    if let Some(all) = message.headers_mut() {
        all.insert(header::HOST, value("Host", &place.host_header())?);
        all.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(user) = &place.user {
            all.insert(header::AUTHORIZATION, value("Authorization", user)?);
        }
        all.extend(headers);
    }
    let message = message.body(body).map_err(|error| HttpError::Invalid(error.to_string()))?;
    stand.is_sent.store(true, Ordering::Relaxed);
    let answered = async {
        let response = sender.send_request(message).await.map_err(failed)?;
        read(response, place, request.body_bytes_max).await.map_err(failed)
    };
    // Both on this task: a request that is given up leaves nothing behind.
    let connection = std::pin::pin!(connection);
    let answered = std::pin::pin!(answered);
    match futures::future::select(answered, connection).await {
        futures::future::Either::Left((answer, _)) => answer,
        // The connection ended; what was received of the answer is still to be read.
        futures::future::Either::Right((Ok(()), answered)) => answered.await,
        futures::future::Either::Right((Err(error), _)) => Err(failed(error)),
    }
}

async fn read(
    response: Response<Incoming>,
    place: &Place,
    bytes_max: usize,
) -> Result<HttpAnswer, hyper::Error> {
    let (head, mut incoming) = response.into_parts();
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let all = headers.entry(name.as_str().to_owned()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    let (mut body, mut truncated) = (Vec::new(), false);
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = bytes_max - body.len();
        truncated = data.len() > room;
        body.extend_from_slice(&data[..data.len().min(room)]);
        if truncated {
            break;
        }
    }
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

/// Never shows the value: it may be a secret.
fn value(name: &str, text: &str) -> Result<HeaderValue, HttpError> {
    HeaderValue::from_str(text)
        .map_err(|_| HttpError::Invalid(format!("the value of header {name} holds a line break or the like")))
}

fn shown(reason: String) -> String {
    if reason.contains("Name or service not known") || reason.contains("failed to lookup address") {
        return "there is no host of that name".to_owned();
    }
    reason
}

/// The authorities that this machine trusts.
///
/// # Errors
/// It names none.
pub fn native_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!(
            "this machine names no certificate authority{why}; install ca-certificates, or set SSL_CERT_FILE"
        ));
    }
    Ok(roots)
}

/// How a client speaks TLS that trusts these authorities.
///
/// # Errors
/// This build speaks no version of TLS that is safe.
pub fn tls(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A URL, taken apart.
#[derive(Debug, Clone)]
struct Place {
    is_tls: bool,
    host: String,
    port: u16,
    /// `Basic …`, of `NAME:PASSWORD@`.
    user: Option<String>,
    /// Path and query.
    target: Uri,
}

impl Place {
    fn of(url: &str) -> Result<Self, HttpError> {
        // What is shown of a wrong one must not hold a password.
        let invalid = |what: &str| HttpError::Invalid(format!("the URL {what}"));
        let url = url.split('#').next().unwrap_or_default();
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| invalid("begins with http:// or https://"))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _other => return Err(invalid("begins with http:// or https://")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let parsed: hyper::http::uri::Authority =
            authority.parse().map_err(|_| invalid("names no host that there could be"))?;
        if parsed.host().is_empty() {
            return Err(invalid("names no host"));
        }
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => {
                port.parse().map_err(|_| invalid("names no port that there could be"))?
            }
            _none => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        let target = match target {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        let target = target.parse().map_err(|_| invalid("holds a character that must be written as %XX"))?;
        Ok(Self {
            is_tls,
            host: parsed.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            user: user.map(basic),
            target,
        })
    }

    fn join(&self, moved: &str) -> Result<Self, HttpError> {
        if moved.contains("://") {
            return Self::of(moved);
        }
        let scheme = if self.is_tls { "https" } else { "http" };
        if let Some(rest) = moved.strip_prefix("//") {
            return Self::of(&format!("{scheme}://{rest}"));
        }
        let path = if moved.starts_with('/') {
            moved.to_owned()
        } else {
            let folder = self.target.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{moved}")
        };
        Ok(Self { user: self.user.clone(), ..Self::of(&format!("{scheme}://{}{path}", self.authority()))? })
    }

    /// Host and port.
    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The same, without the scheme's own port.
    fn host_header(&self) -> String {
        let own = if self.is_tls { ":443" } else { ":80" };
        let authority = self.authority();
        authority.strip_suffix(own).map_or(authority.clone(), str::to_owned)
    }

    fn shown(&self) -> String {
        format!("{}://{}{}", if self.is_tls { "https" } else { "http" }, self.host_header(), self.target)
    }
}

fn basic(user: &str) -> String {
    use base64::Engine as _;
    let user = percent_decoded(user);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _plain => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_shown_without_its_password() {
        let place = Place::of("https://ada:s%40cret@example.org/a/b?q=1#part").unwrap();
        assert_eq!((place.is_tls, place.host.as_str(), place.port), (true, "example.org", 443));
        assert_eq!(place.user.as_deref(), Some("Basic YWRhOnNAY3JldA=="));
        assert_eq!(place.shown(), "https://example.org/a/b?q=1");
        assert_eq!(place.join("c").unwrap().shown(), "https://example.org/a/c");
        assert_eq!(place.join("/c?d").unwrap().shown(), "https://example.org/c?d");
        assert_eq!(place.join("//other.org/x").unwrap().shown(), "https://other.org/x");
        assert!(place.join("http://other.org").unwrap().user.is_none());
        let local = Place::of("http://[::1]:8080").unwrap();
        assert_eq!((local.host.as_str(), local.authority().as_str()), ("::1", "[::1]:8080"));
        assert_eq!(local.shown(), "http://[::1]:8080/");
        for wrong in [
            "",
            "example.org",
            "ftp://x/",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a:99999/",
            "http://a/b c",
        ] {
            let Err(HttpError::Invalid(message)) = Place::of(wrong) else { panic!("{wrong}") };
            assert!(message.starts_with("the URL "), "{message}");
        }
    }
}
