//! Tokens, and the sessions of browsers.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everfold_engine::store::DedupKeep;
use everfold_engine::time::Timestamp;
use everfold_engine::tokens::{Role, Token};
use serde::{Deserialize, Serialize};

use super::answer::{Page, written};
use super::app::App;
use super::extract::{JsonBody, Params, Path, once};
use super::session_check::SessionCheck;
use super::values::refuse_credential;
use crate::access::{Caller, Credential, RequestSession, RequiredRole, SessionCookie, TokenWish};
use crate::body::token::{LinkBody, TokenBody};
use crate::fault::{Code, Fault};
use crate::schema;

/// A token that was made; the only answer that ever holds its text.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub(crate) struct TokenMade {
    pub(crate) name: String,
    #[schema(value_type = schema::RoleSchema)]
    pub(crate) role: Role,
    pub(crate) approves: Vec<String>,
    #[schema(value_type = Option<schema::TimeSchema>)]
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) token: String,
}

/// `GET /tokens`: all of them, revoked ones included.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "access",
    responses((status = 200, description = "All tokens, revoked ones included.", body = Page<schema::TokenSchema>))
)]
pub(crate) async fn list(State(app): State<App>) -> Result<Json<Page<Token>>, Fault> {
    let access = app.access().access().await?;
    Ok(Json(Page { items: access.tokens().cloned().collect(), next_cursor: None }))
}

/// `POST /tokens`: makes one.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "access",
    request_body = TokenBody,
    responses((status = 201, description = "The only answer that holds the text of the token.", body = TokenMade))
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: JsonBody<TokenBody>,
) -> Result<Response, Fault> {
    let JsonBody { value: asked, bytes } = body;
    let once = once(&headers, &caller, "POST /tokens", &bytes, DedupKeep::Week)?;
    let lasts = asked.expires_in.as_deref().map(span).transpose()?;
    let (role, approves) = (role_of(asked.role.as_deref(), &asked.approves)?, asked.approves);
    refuse_credential(&app, "the name of the token", &asked.name)?;
    approves.iter().try_for_each(|role| refuse_credential(&app, "a role of the token", role))?;
    let wish = TokenWish { name: asked.name.clone(), role, approves: approves.clone(), lasts };
    let made = app.access().create(wish, caller.actor, once.dedup).await?;
    let token = TokenMade {
        name: asked.name,
        role,
        approves,
        expires_at: made.expires_at,
        token: made.secret.reveal().to_owned(),
    };
    Ok(written(StatusCode::CREATED, made.position, token))
}

/// Reads a role. An unknown word is refused, and so are approval roles of a token that may decide nothing: it would make a
/// token that may do less than was meant, under a name that no other token can have.
fn role_of(word: Option<&str>, approves: &[String]) -> Result<Role, Fault> {
    let Some(word) = word else {
        return match approves.is_empty() {
            false => Ok(Role::Approver),
            true => Err(Fault::new(Code::Invalid, "the token has no role").hint(ROLES)),
        };
    };
    let role = word.parse().map_err(|_| {
        let known = Role::ALL.map(Role::as_str);
        let meant = everfold_engine::definition::similar(word, known.iter().copied());
        let meant = meant.map(|role| format!("; did you mean {role}?")).unwrap_or_default();
        Fault::new(Code::Invalid, format!("role: “{word}” is none{meant}")).hint(ROLES)
    })?;
    // The routes would refuse each vote of it.
    if !approves.is_empty() && !RequiredRole::Decide.has(role) {
        let message = format!("approves: a token of the role {role} decides nothing");
        return Err(Fault::new(Code::TokenRefused, message).hint(DECIDES));
    }
    Ok(role)
}

const DECIDES: &str =
    "--approves needs --role approver, operator or admin; without --role it makes an approver";

const ROLES: &str = "a role is viewer, approver, operator, worker or admin; a word of a pipeline's own, in which it decides, \
                     goes into --approves";

fn span(text: &str) -> Result<Duration, Fault> {
    everfold_engine::duration::parse(text)
        .map_err(|error| Fault::new(Code::Invalid, format!("expires_in: {error}")))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RevokeParams {
    reason: Option<String>,
}

/// A token that is refused from now on.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RevokedAnswer {
    name: String,
    revoked: bool,
}

/// `DELETE /tokens/{name}`: refused from now on, and its sessions with it.
#[utoipa::path(
    delete,
    path = "/tokens/{name}",
    tag = "access",
    params(RevokeParams),
    responses((status = 200, description = "It is refused from now on.", body = RevokedAnswer))
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(name): Path<String>,
    Params(params): Params<RevokeParams>,
) -> Result<Response, Fault> {
    let route = format!("DELETE /tokens/{name}");
    let once = once(&headers, &caller, &route, b"", DedupKeep::Week)?;
    let reason = params.reason.map(|reason| app.engine().masked_text(&reason).into_owned());
    let change = app.access().revoke(&name, reason, caller.actor, once.dedup).await?;
    Ok(written(StatusCode::OK, change, RevokedAnswer { name, revoked: true }))
}

/// Who a session is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Whoami {
    actor: String,
    #[schema(value_type = Option<schema::RoleSchema>)]
    role: Option<Role>,
    /// Null: every role.
    approves: Option<Vec<String>>,
    /// When the session ends, or the token by which the caller came; null: never.
    #[schema(value_type = Option<schema::TimeSchema>)]
    expires_at: Option<Timestamp>,
    /// For `X-CSRF-Token`, where the caller came by a cookie.
    csrf: Option<String>,
}

impl Whoami {
    fn of(caller: &Caller, secret: Option<&Credential>, expires_at: Option<Timestamp>) -> Self {
        Self {
            actor: caller.actor.to_string(),
            role: caller.role,
            approves: caller.roles.clone(),
            expires_at,
            csrf: secret.map(|secret| secret.derived("csrf")),
        }
    }
}

/// `GET /session`: who the caller is.
#[utoipa::path(
    get,
    path = "/session",
    tag = "access",
    responses((status = 200, description = "Who the caller is.", body = Whoami))
)]
pub(crate) async fn whoami(
    State(app): State<App>,
    caller: Caller,
    check: SessionCheck,
    session: Option<Extension<RequestSession>>,
) -> Result<Json<Whoami>, Fault> {
    check.still_good(&app).await?;
    let session = session.map(|Extension(session)| session).unwrap_or_default();
    Ok(Json(Whoami::of(&caller, session.secret.as_ref(), session.expires_at)))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"token": "evf_…"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginBody {
    /// A token, or the code of a login link.
    token: String,
}

/// `POST /session`: logs a browser in.
#[utoipa::path(
    post,
    path = "/session",
    tag = "access",
    request_body = LoginBody,
    responses((status = 201, description = "The session; its cookie is set.", body = Whoami))
)]
pub(crate) async fn login(
    State(app): State<App>,
    session: Option<Extension<RequestSession>>,
    body: JsonBody<LoginBody>,
) -> Result<Response, Fault> {
    let secure = session.is_some_and(|session| session.secure);
    let key = Credential::parse(body.value.token.trim())
        .ok_or_else(|| Fault::new(Code::NotKnown, "this is no token of Everfold"))?;
    let made = app.access().open(&key).await?;
    let seconds = made.expires_at.since(everfold_engine::clock::now()).as_secs();
    let whoami = Whoami::of(&made.caller, Some(&made.secret), Some(made.expires_at));
    let mut response = written(StatusCode::CREATED, made.position, whoami);
    set_cookie(&mut response, &SessionCookie::of(app.epoch(), secure).set(Some((&made.secret, seconds))));
    Ok(response)
}

/// A session that is over.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ClosedAnswer {
    closed: bool,
}

/// `DELETE /session`: logs a browser out.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "access",
    responses((status = 200, description = "The session is over; its cookie is taken away.", body = ClosedAnswer))
)]
pub(crate) async fn logout(
    State(app): State<App>,
    caller: Caller,
    session: Option<Extension<RequestSession>>,
) -> Result<Response, Fault> {
    let Some(Extension(RequestSession { secret: Some(secret), secure, .. })) = session else {
        return Err(Fault::new(Code::Refused, "the caller came by a token, not by a session")
            .hint("a token is revoked, not logged out: DELETE /api/v1/tokens/NAME"));
    };
    let position = app.access().close(&secret, caller.actor).await?;
    let mut response = written(StatusCode::OK, position, ClosedAnswer { closed: true });
    set_cookie(&mut response, &SessionCookie::of(app.epoch(), secure).set(None));
    Ok(response)
}

/// A link that logs one browser in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct LinkAnswer {
    path: String,
    /// Null where the owner does not serve.
    url: Option<String>,
    #[schema(value_type = schema::TimeSchema)]
    expires_at: Timestamp,
}

/// `POST /session/links`: a link that logs one browser in, once.
#[utoipa::path(
    post,
    path = "/session/links",
    tag = "access",
    request_body = LinkBody,
    responses((status = 201, description = "The link.", body = LinkAnswer))
)]
pub(crate) async fn link(State(app): State<App>, body: JsonBody<LinkBody>) -> Result<Response, Fault> {
    let made = app.access().link(&body.value.token).await?;
    let path = format!("/login?code={}", made.code.reveal());
    let url = app.url().map(|url| format!("{url}{path}"));
    let answer = LinkAnswer { path, url, expires_at: made.expires_at };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn set_cookie(response: &mut Response, cookie: &str) {
    // A fixed text and hexadecimal digits, so it always is a valid header value.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
