//! Authentication over TCP: the caller of a request, by its token, its session or its signature.
//!
//! Law: a request reaches the routes with a [`Caller`] or not at all. Bodies of callers without a token are bounded,
//! and a refused token counts against the address that it came from.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::settings::ServeSettings;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::bodies::{self, Bodies};
use super::half_closed;
use super::hosts::Hosts;
use super::peers::Peers;
use super::rate::RequestRates;
use crate::access::{AccessError, Caller, Credential, RequestSession, SessionCookie};
use crate::fault::{Code, Fault};
use crate::http::{BodyMax, MCP_PATH};
use crate::node::Node;

/// The header that a program in the browser sends with a write, so that no other page can.
const CSRF_HEADER: &str = "x-csrf-token";

/// The most bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// As many as the reader of HTTP/1 takes.
const HEADERS_MAX: usize = 100;

/// The path of login links.
const LOGIN: &str = "/login";
/// The path at which programs log in.
const SESSION: &str = "/api/v1/session";
/// The path below which programs call; pages are elsewhere.
const REST: &str = "/api";
/// The path below which services deliver webhooks.
const HOOKS: &str = "/api/v1/hooks/";

/// What stands between the listener and the routes.
pub(super) struct RequestGate {
    node: Arc<Node>,
    rates: RequestRates,
    bodies: Bodies,
    peers: Peers,
    hosts: Hosts,
}

impl RequestGate {
    pub(super) fn new(node: Arc<Node>, settings: &ServeSettings, hosts: Hosts) -> Self {
        let (rates, bodies) = (RequestRates::new(settings), Bodies::default());
        let peers = Peers::new(settings.behind_proxy.clone(), settings.tls.is_some());
        Self { node, rates, bodies, peers, hosts }
    }

    /// Refuses a request in the clear from another machine, to a host that is not served, or from another site's page.
    fn expected(
        &self,
        peer: SocketAddr,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        is_signed: bool,
    ) -> Result<(), Fault> {
        let path = uri.path();
        // Monitoring calls the process by any address, and these routes reveal nothing secret.
        if !matches!(path, "/healthz" | "/readyz") {
            self.peers.let_near(peer)?;
        }
        if matches!(path, "/healthz" | "/readyz" | "/metrics") && is_read(method) {
            return Ok(());
        }
        head_fits(method, uri, headers)?;
        let asked = self.hosts.asked(uri, headers)?;
        // A signature proves the sender, which `Origin` does not.
        if is_read(method) || is_signed {
            return Ok(());
        }
        self.hosts.may_write(&asked, headers, self.peers.is_secure(peer, headers))
    }

    /// Whether a path takes deliveries that their source signs.
    fn takes_signed(&self, path: &str) -> bool {
        path.strip_prefix(HOOKS).is_some_and(|source| self.node.is_signed_source(source))
    }

    async fn caller(
        &self,
        from: IpAddr,
        secure: bool,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Caller, RequestSession), Fault> {
        let session = |secret, expires_at| RequestSession { secret, expires_at, secure };
        // The server judges a login by its code alone, never by a cookie. What everybody may read it gives alike to all: it does
        // not look at a token there, which may be an expired one or another server's.
        if path == LOGIN || (is_read(method) && is_open(path)) {
            return Ok((Caller::anonymous(), session(None, None)));
        }
        if headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Fault::new(Code::Unreadable, "the request has several headers Authorization")
                .hint("send one, `Authorization: Bearer evf_…`"));
        }
        // A delivering service sends the name and password of the URL that it was given; they are no token.
        let is_of_everfold = |value: &&HeaderValue| !path.starts_with(HOOKS) || bearer(value).is_some();
        if let Some(value) = headers.get(header::AUTHORIZATION).filter(is_of_everfold) {
            let secret = bearer(value).ok_or_else(|| {
                Fault::new(Code::NotKnown, "Authorization is no bearer token of Everfold")
                    .hint("send `Authorization: Bearer evf_…`, as `everfold token create` printed it")
            });
            let found = match secret {
                Ok(secret) => self.node.access().caller_by_token(&secret).await.map_err(Fault::from),
                Err(fault) => Err(fault),
            };
            if found.as_ref().is_err_and(|fault| fault.code == Code::NotKnown) {
                self.rates.of_wrong_token(from).map_err(|wait| too_fast(wait, STRANGERS_HINT))?;
            }
            return found.map(|(caller, expires_at)| (caller, session(None, expires_at)));
        }
        for secret in SessionCookie::of(self.node.epoch(), secure).sessions(headers) {
            let (caller, expires_at) = match self.node.access().caller_by_session(&secret).await {
                Ok(found) => found,
                // One that is over, or that another server of this host set, is not the one that counts.
                Err(AccessError::NotLetIn(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            // A form of a page carries it in a field, which the pages compare.
            let is_form = !path.starts_with(REST) && path != MCP_PATH && is_form(headers);
            if !is_read(method) && !is_form && !has_csrf(headers, &secret) {
                return Err(Fault::new(
                    Code::NoCsrf,
                    format!("{CSRF_HEADER} is missing or of another session"),
                )
                .hint("GET /api/v1/session tells it"));
            }
            return Ok((caller, session(Some(secret), Some(expires_at))));
        }
        // A browser without a session, or with an old one, counts as unknown, so that it can log in.
        Ok((Caller::anonymous(), session(None, None)))
    }
}

/// Lets a request in as its caller, or refuses it.
pub(super) async fn let_in(
    State(gate): State<Arc<RequestGate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut request = half_closed::marked(request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_signed = method == Method::POST && gate.takes_signed(&path);
    if let Err(fault) = gate.expected(peer, &method, request.uri(), request.headers(), is_signed) {
        return fault.into_response();
    }
    let from = gate.peers.origin(peer, request.headers());
    let secure = gate.peers.is_secure(peer, request.headers());
    let (caller, session) = match gate.caller(from, secure, &method, &path, &request.headers().clone()).await
    {
        Ok(found) => found,
        Err(fault) => return fault.into_response(),
    };
    let is_stranger = caller.role.is_none();
    // A signed delivery counts against its address only where the answer refuses it, below.
    let is_signed = is_stranger && is_signed;
    let counted = match &caller.role {
        Some(_) => gate.rates.of_token(&caller.actor.to_string()),
        None if is_signed || is_health(&method, &path) => Ok(()),
        None => gate.rates.of_stranger(from),
    };
    if let Err(wait) = counted {
        let hint = if is_stranger { STRANGERS_HINT } else { TOKENS_HINT };
        return too_fast(wait, hint).into_response();
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(session);
    let has_body = is_stranger && !is_read(&method);
    if !has_body {
        return next.run(request).await;
    }
    let Some(_room) = gate.bodies.room(from).await else {
        return busy().into_response();
    };
    let bytes_max = bodies::bytes_max(is_signed);
    request.extensions_mut().insert(BodyMax(bytes_max));
    let answer = next.run(request.map(|body| bodies::bounded(body, bytes_max))).await;
    // A token or code in a body is known to be wrong by the answer alone.
    if method == Method::POST
        && matches!(&*path, LOGIN | SESSION)
        && answer.status() == StatusCode::UNAUTHORIZED
        && let Err(wait) = gate.rates.of_wrong_token(from)
    {
        return too_fast(wait, STRANGERS_HINT).into_response();
    }
    if is_signed
        && answer.status().is_client_error()
        && let Err(wait) = gate.rates.of_stranger(from)
    {
        return too_fast(wait, STRANGERS_HINT).into_response();
    }
    answer
}

/// Refuses a head over the limits: the reader of HTTP/1 refuses one only where it is larger than what it happened to read
/// at once, and that of HTTP/2 counts no headers.
fn head_fits(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
    // The characters between these parts: `GET /path HTTP/1.1\r\n`, `name: value\r\n`.
    let line = method.as_str().len() + uri.path_and_query().map_or(0, |path| path.as_str().len()) + 12;
    let each = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if line + each.sum::<usize>() <= HEAD_BYTES_MAX && headers.len() <= HEADERS_MAX {
        return Ok(());
    }
    Err(Fault::new(Code::HeadTooLarge, "the request line and the headers are over the limit")
        .hint("at most 64 KiB together, and 100 headers"))
}

/// Whether a method only reads.
fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a request asks how the process is. It is answered from memory, for no more than a refusal costs; every command
/// line asks it before it sends its token.
fn is_health(method: &Method, path: &str) -> bool {
    is_read(method) && matches!(path, "/healthz" | "/readyz")
}

/// Whether everybody may read what is at a path: how the process is, and the document of the routes with its page.
fn is_open(path: &str) -> bool {
    let file = path.strip_prefix(REST).and_then(|rest| rest.strip_prefix('/'));
    matches!(path, "/healthz" | "/readyz" | REST) || file.is_some_and(|file| !file.contains('/'))
}

/// The fault where too many bodies of unknown callers are being read.
fn busy() -> Fault {
    let mut fault = Fault::new(Code::TooMany, "too many bodies of callers without a token are on their way")
        .hint("come again a little later");
    fault.retry_after = Some(Duration::from_secs(1));
    fault
}

fn bearer(value: &HeaderValue) -> Option<Credential> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Credential::parse(token.trim()))?
}

/// Whether a body is one of a form on a page.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/x-www-form-urlencoded")
}

fn has_csrf(headers: &HeaderMap, session: &Credential) -> bool {
    let given = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Hashes compare in constant time; the time of comparing texts would reveal how much of them is equal.
    blake3::hash(given.as_bytes()) == blake3::hash(session.derived("csrf").as_bytes())
}

const TOKENS_HINT: &str = "`serve.rate` and `serve.burst` in everfold.toml set the limits of a token";

const STRANGERS_HINT: &str =
    "addresses that send no token, or a wrong one, may ask seldom: send one as `Authorization: Bearer TOKEN`";

fn too_fast(wait: Duration, hint: &str) -> Fault {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    Fault::new(Code::TooFast, format!("too many requests; the next one is welcome in {seconds} s"))
        .hint(hint)
        .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use crate::settings::Proxies;
    use axum::body::Body;
    use axum::http::request::Builder;
    use axum::{Router, middleware};
    use everfold_engine::data_folder::Layout;
    use tower::ServiceExt as _;

    use super::*;

    /// The answer to a caller at an address, by a server that every machine reaches in the clear.
    async fn asked(routes: &Router, peer: &str, path: &str) -> StatusCode {
        sent(routes, peer, Request::get(path)).await
    }

    async fn sent(routes: &Router, peer: &str, request: Builder) -> StatusCode {
        let mut request = request.header(header::HOST, "10.0.0.1:7878").body(Body::empty()).unwrap();
        let peer: SocketAddr = (peer.parse::<IpAddr>().unwrap(), 4711).into();
        request.extensions_mut().insert(ConnectInfo(peer));
        routes.clone().oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn row_57_from_another_machine_in_the_clear_only_proxies_are_believed_and_health_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let node_guard = crate::serve::imagine(Layout::new(folder.path().join("data"))).unwrap();
        for (listed, proxy) in [("10.0.0.0/8", "10.0.0.2"), ("loopback", "127.0.0.1")] {
            let behind_proxy = Proxies::listed([listed]).unwrap();
            let settings =
                ServeSettings { listen: "0.0.0.0:0".into(), behind_proxy, ..ServeSettings::default() };
            let hosts = Hosts::new(&settings, false, None);
            let gate = Arc::new(RequestGate::new(node_guard.node().clone(), &settings, hosts));
            let routes = node_guard.routes().layer(middleware::from_fn_with_state(gate, let_in));
            for (peer, status) in [(proxy, 401), ("127.0.0.1", 401), ("192.0.2.1", 403)] {
                assert_eq!(asked(&routes, peer, "/api/v1/runs").await, status, "{listed} {peer}");
                assert_eq!(asked(&routes, peer, "/healthz").await, 200, "{listed} {peer}");
            }
            assert_eq!(asked(&routes, "192.0.2.1", "/metrics").await, 403, "its token would be read");
        }
    }

    /// The routes of a node behind a gate that everybody reaches.
    fn served(folder: &tempfile::TempDir) -> (crate::serve::NodeGuard, Router) {
        let node_guard = crate::serve::imagine(Layout::new(folder.path().join("data"))).unwrap();
        let settings = ServeSettings { listen: "0.0.0.0:0".into(), ..ServeSettings::default() };
        let hosts = Hosts::new(&settings, false, None);
        let gate = Arc::new(RequestGate::new(node_guard.node().clone(), &settings, hosts));
        let routes = node_guard.routes().layer(middleware::from_fn_with_state(gate, let_in));
        (node_guard, routes)
    }

    #[test]
    fn a_head_has_at_most_100_headers_in_64_kib_over_every_version_of_http() {
        let mut headers = HeaderMap::new();
        let mut fits = |count: usize, value: &str| {
            while headers.len() < count {
                headers.append("x-one", value.parse().unwrap());
            }
            head_fits(&Method::GET, &Uri::from_static("/"), &headers).is_ok()
        };
        assert!(fits(100, "value"));
        assert!(!fits(101, "value"));
        let mut large = HeaderMap::new();
        large.append("x-one", "v".repeat(HEAD_BYTES_MAX).parse().unwrap());
        assert!(head_fits(&Method::GET, &Uri::from_static("/"), &large).is_err());
    }

    #[tokio::test]
    async fn who_asks_for_health_alone_is_never_too_fast() {
        let folder = tempfile::tempdir().unwrap();
        let (_guard, routes) = served(&folder);
        for n in 0..1_000 {
            assert_eq!(asked(&routes, "127.0.0.1", "/healthz").await, 200, "{n}");
        }
        let mut refused = 0;
        for _n in 0..1_000 {
            refused += usize::from(asked(&routes, "127.0.0.1", "/api/v1/runs").await == 429);
        }
        assert!(refused > 0, "other requests without a token are limited");
    }

    #[tokio::test]
    async fn a_token_that_is_not_good_keeps_nobody_from_what_everybody_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let (_guard, routes) = served(&folder);
        let with = async |path: &str, given: &str| {
            sent(&routes, "127.0.0.1", Request::get(path).header(header::AUTHORIZATION, given)).await
        };
        let stale = format!("Bearer {}", Credential::draw().reveal());
        for _n in 0..100 {
            with("/api/v1/runs", &stale).await;
        }
        assert_eq!(with("/api/v1/runs", &stale).await, 429, "wrong tokens are limited");
        for path in ["/healthz", "/readyz", "/api", "/api/openapi.json", "/api/reference.js"] {
            for given in [&*stale, "Basic bW9uaXRvcjpzZWNyZXQ="] {
                let status = with(path, given).await;
                // Whether it is ready is another question.
                assert!(status == 200 || (path == "/readyz" && status == 503), "{path} {given}: {status}");
            }
        }
    }
}
