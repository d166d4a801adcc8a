//! Tells who calls over TCP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use everfold_workflows::settings::ServeSettings;

use super::bodies::{self, Bodies};
use super::cookie::session_of;
use super::rate::Rates;
use crate::access::{AccessError, Secret};
use crate::fault::{Code, Fault};
use crate::http::{BodyMax, Caller, Session};
use crate::owner::Owner;

/// The header that a program in the browser sends with a write, so that no other page can.
const CSRF_HEADER: &str = "x-csrf-token";

/// Where a login link leads.
const LOGIN: &str = "/login";

/// What stands between the listener and the routes.
pub(super) struct Gate {
    owner: Arc<Owner>,
    rates: Rates,
    bodies: Bodies,
    behind_proxy: bool,
    is_tls: bool,
}

impl Gate {
    pub(super) fn new(owner: Arc<Owner>, settings: &ServeSettings, is_tls: bool) -> Self {
        let (rates, bodies) = (Rates::new(settings), Bodies::default());
        Self { owner, rates, bodies, behind_proxy: settings.behind_proxy, is_tls }
    }

    /// Where the request comes from: the last address that a trusted proxy names, else the peer's.
    fn address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let named =
            headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        let last = named.and_then(|named| named.rsplit(',').next()).and_then(|last| last.trim().parse().ok());
        last.filter(|_| self.behind_proxy).unwrap_or_else(|| peer.ip())
    }

    fn is_secure(&self, headers: &HeaderMap) -> bool {
        let forwarded = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        self.is_tls || (self.behind_proxy && forwarded)
    }

    /// Whether a path takes deliveries that their source signs.
    fn takes_signed(&self, path: &str) -> bool {
        path.strip_prefix("/api/v1/hooks/").is_some_and(|source| self.owner.is_signed_source(source))
    }

    async fn caller(
        &self,
        from: IpAddr,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(Caller, Session), Fault> {
        let secure = self.is_secure(headers);
        let session = |secret, expires_at| Session { secret, expires_at, secure };
        if path == LOGIN {
            // Who logs in is known by the code alone, whoever they were before.
            return Ok((Caller::anonymous(), session(None, None)));
        }
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let secret = bearer(value).ok_or_else(|| {
                Fault::new(Code::NotKnown, "Authorization is no bearer token of Everfold")
                    .hint("send `Authorization: Bearer evf_…`, as `everfold token create` printed it")
            });
            let found = match secret {
                Ok(secret) => self.owner.access().caller_by_token(&secret).await.map_err(Fault::from),
                Err(fault) => Err(fault),
            };
            if found.as_ref().is_err_and(|fault| fault.code == Code::NotKnown) {
                self.rates.of_wrong_token(from).map_err(too_fast)?;
            }
            return found.map(|caller| (caller, session(None, None)));
        }
        let Some(secret) = session_of(headers) else { return Ok((Caller::anonymous(), session(None, None))) };
        match self.owner.access().caller_by_session(&secret).await {
            Ok((caller, expires_at)) => {
                let is_write = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
                if is_write && !has_csrf(headers, &secret) {
                    return Err(Fault::new(
                        Code::NoCsrf,
                        format!("{CSRF_HEADER} is missing or of another session"),
                    )
                    .hint("GET /api/v1/session tells it"));
                }
                Ok((caller, session(Some(secret), Some(expires_at))))
            }
            // A browser with an old cookie is a stranger, who may log in.
            Err(AccessError::NotLetIn(_)) => Ok((Caller::anonymous(), session(None, None))),
            Err(error) => Err(error.into()),
        }
    }
}

/// Lets a request in as its caller, or refuses it.
pub(super) async fn let_in(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = gate.address(peer, request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (caller, session) = match gate.caller(from, &method, &path, &request.headers().clone()).await {
        Ok(found) => found,
        Err(fault) => return fault.into_response(),
    };
    let is_stranger = caller.role.is_none();
    // Who signs is no stranger: only what turns out to be signed by nobody counts.
    let is_signed = is_stranger && method == Method::POST && gate.takes_signed(&path);
    let counted = match &caller.role {
        Some(_) => gate.rates.of_token(&caller.actor.to_string()),
        None if is_signed => Ok(()),
        None => gate.rates.of_stranger(from),
    };
    if let Err(wait) = counted {
        return too_fast(wait).into_response();
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(session);
    let has_body = is_stranger && !matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
    if !has_body {
        return next.run(request).await;
    }
    let Some(_room) = gate.bodies.room(from).await else {
        return busy().into_response();
    };
    request.extensions_mut().insert(BodyMax(bodies::BYTES_MAX));
    let answer = next.run(request.map(bodies::bounded)).await;
    if is_signed
        && answer.status().is_client_error()
        && let Err(wait) = gate.rates.of_stranger(from)
    {
        return too_fast(wait).into_response();
    }
    answer
}

/// Too many bodies of strangers are on their way.
fn busy() -> Fault {
    let mut fault = Fault::new(Code::TooMany, "too many bodies of callers without a token are on their way")
        .hint("come again a little later");
    fault.retry_after = Some(Duration::from_secs(1));
    fault
}

fn bearer(value: &HeaderValue) -> Option<Secret> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::parse(token.trim()))?
}

fn has_csrf(headers: &HeaderMap, session: &Secret) -> bool {
    let given = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // As hashes, whose comparison takes equally long whatever they hold.
    blake3::hash(given.as_bytes()) == blake3::hash(session.derived("csrf").as_bytes())
}

fn too_fast(wait: Duration) -> Fault {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    Fault::new(Code::TooFast, format!("too many requests; the next one is welcome in {seconds} s"))
        .hint("`serve.rate` and `serve.burst` in everfold.toml set the limits of a token")
        .retry_after(wait)
}
