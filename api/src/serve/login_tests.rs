//! Logging in with a browser, and what proves that a form is of a page of this server.

use std::time::Duration;

use crate::settings::ServeSettings;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use super::node_guard::{NodeGuard, imagine};
use super::server::Server;
use crate::access::{Caller, TokenWish};

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// An answer over the wire.
struct WholeAnswer {
    status: u16,
    head: String,
    body: String,
}

impl WholeAnswer {
    /// The value of a header; its name in small letters.
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The cookie that is set, as a request brings it back.
    fn cookie(&self) -> String {
        self.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }
}

/// A server on this machine, with a token of an admin.
struct LoginNode {
    node_guard: NodeGuard,
    server: Server,
    token: String,
    _folder: tempfile::TempDir,
}

impl LoginNode {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node_guard = imagine(Layout::new(folder.path().join("data"))).unwrap();
        let settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
        let routes = node_guard.routes();
        let server = Server::start(node_guard.node().clone(), routes, &settings).await.unwrap();
        let wish = TokenWish { name: "ada".into(), role: Role::Admin, approves: Vec::new(), lasts: None };
        let token = node_guard.node().access().create(wish, Actor::Engine, None).await.unwrap();
        Self { node_guard, server, token: token.secret.reveal().to_owned(), _folder: folder }
    }

    async fn code(&self) -> String {
        self.node_guard.node().access().link("ada").await.unwrap().code.reveal().to_owned()
    }

    /// Sends a request with these lines of its head, each with its end.
    async fn ask(&self, line: &str, lines: &str, body: &str) -> WholeAnswer {
        let address = self.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = match lines.contains("transfer-encoding") {
            true => String::new(),
            false => format!("content-length: {}\r\n", body.len()),
        };
        let asked = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\naccept: text/html\r\nconnection: close\r\n{length}{lines}\r\n{body}"
        );
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes));
        read.await.expect("an answer in time").unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        WholeAnswer { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn get(&self, path: &str, lines: &str) -> WholeAnswer {
        self.ask(&format!("GET {path}"), lines, "").await
    }

    async fn send(&self, path: &str, lines: &str, body: &str) -> WholeAnswer {
        self.ask(&format!("POST {path}"), &format!("{FORM}{lines}"), body).await
    }

    /// Logs in by a link: the line with the session's cookie, and the secret of its forms.
    async fn session(&self) -> (String, String) {
        let code = self.code().await;
        let opened = self.send("/login", "", &format!("code={code}")).await;
        assert_eq!(opened.status, 303, "{}", opened.body);
        let cookie = format!("cookie: {}\r\n", opened.cookie());
        let who = self.get("/api/v1/session", &cookie).await;
        let from = who.body.find('{').expect("an object");
        let who: Value =
            serde_json::Deserializer::from_str(&who.body[from..]).into_iter().next().unwrap().unwrap();
        (cookie, who["csrf"].as_str().expect("a secret").to_owned())
    }
}

#[tokio::test]
async fn a_link_opens_one_session_by_its_button_and_nothing_by_itself() {
    let served = LoginNode::new().await;
    let code = served.code().await;
    for _preview in 0..3 {
        let page = served.get(&format!("/login?code={code}&to=/inbox"), "").await;
        assert_eq!((page.status, page.header("set-cookie")), (200, ""), "{}", page.head);
        assert_eq!(page.header("referrer-policy"), "same-origin", "else the button has no origin");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(page.body.contains(&code) && page.body.contains("/inbox"), "{}", page.body);
    }
    let form = format!("code={code}&to=%2Finbox");
    let foreign = served.send("/login", "sec-fetch-site: cross-site\r\n", &form).await;
    assert_eq!((foreign.status, foreign.header("set-cookie")), (403, ""));
    let opened = served.send("/login", "", &form).await;
    assert_eq!((opened.status, opened.header("location")), (303, "/inbox"), "{}", opened.body);
    let cookie = opened.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let again = served.send("/login", "", &form).await;
    assert_eq!((again.status, again.header("set-cookie")), (401, ""));
    assert!(again.body.contains("EF0606") && again.body.contains("login link"), "{}", again.body);
    assert!(again.body.contains("name=\"token\""), "a token still helps: {}", again.body);
}

#[tokio::test]
async fn a_token_logs_in_too_and_leads_to_own_pages_alone() {
    let served = LoginNode::new().await;
    let token = &served.token;
    for (to, led) in [
        ("/runs/1%3Fat%3D-5m", "/runs/1?at=-5m"),
        ("//evil.example", "/"),
        ("https%3A%2F%2Fe.example", "/"),
        ("/%5Ce.example", "/"),
    ] {
        let opened = served.send("/login", "", &format!("token=+{token}+&to={to}")).await;
        assert_eq!((opened.status, opened.header("location")), (303, led), "{to}");
    }
    let wrong = served.send("/login", "", "token=nothing&to=%2Finbox").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, ""));
    assert!(
        wrong.body.contains("value=\"&#x2f;inbox\"") || wrong.body.contains("value=\"/inbox\""),
        "{}",
        wrong.body
    );
    let mut statuses = Vec::new();
    for _guess in 0..40 {
        statuses.push(served.send("/login", "", &format!("token=evf_{:064x}", 7)).await.status);
    }
    assert_eq!(statuses.last(), Some(&429), "guessing is slow: {statuses:?}");
}

#[tokio::test]
async fn an_unknown_caller_is_led_to_the_login_and_back_and_a_link_elsewhere_comes_twice_at_most() {
    let served = LoginNode::new().await;
    let (cookie, csrf) = served.session().await;
    let asked = served.get("/spend?at=-5m", "").await;
    assert_eq!((asked.status, asked.header("location")), (303, "/login?to=%2Fspend%3Fat%3D-5m"));

    // The browser keeps a strict cookie to itself when the link stands elsewhere.
    let cross = "sec-fetch-site: cross-site\r\n";
    let entered = served.get("/spend?at=-5m", cross).await;
    assert_eq!(entered.status, 200, "{}", entered.head);
    assert!(entered.body.contains("http-equiv=\"refresh\""), "{}", entered.body);
    assert!(entered.body.contains("/enter?to=%2Fspend%3Fat%3D-5m"), "{}", entered.body);
    let next = "/enter?to=%2Fspend%3Fat%3D-5m";
    let known = served.get(next, &format!("{cookie}sec-fetch-site: same-origin\r\n")).await;
    assert_eq!((known.status, known.header("location")), (303, "/spend?at=-5m"));
    for site in ["same-origin", "cross-site"] {
        let unknown = served.get(next, &format!("sec-fetch-site: {site}\r\n")).await;
        let led = (unknown.status, unknown.header("location"));
        assert_eq!(led, (303, "/login?to=%2Fspend%3Fat%3D-5m"), "no circle: {site}");
    }
    let elsewhere = served.get("/enter?to=%2F%2Fevil.example", &cookie).await;
    assert_eq!(elsewhere.header("location"), "/");

    // A session that ends under an open page.
    let gone = served.send("/logout", &cookie, &format!("csrf={csrf}")).await;
    assert_eq!((gone.status, gone.header("location")), (303, "/login"));
    assert!(gone.header("set-cookie").contains("Max-Age=0"), "{}", gone.head);
    let click = served.get("/spend", &format!("{cookie}sec-fetch-site: same-origin\r\n")).await;
    assert_eq!((click.status, click.header("location")), (303, "/login?to=%2Fspend"));
    let part = served.get("/spend", &format!("{cookie}hx-request: true\r\n")).await;
    assert_eq!((part.status, part.header("hx-reswap")), (401, "none"), "the open page stays");
    let form = format!("{cookie}referer: {}/spend\r\n", served.server.url);
    let sent = served.send("/spend/set-budget", &form, &format!("csrf={csrf}")).await;
    assert_eq!(sent.status, 401);
    assert!(sent.body.contains("Your session is over") && sent.body.contains("spend"), "{}", sent.body);
    let again = served.send("/logout", &cookie, &format!("csrf={csrf}")).await;
    assert_eq!((again.status, again.header("location")), (303, "/login"));
}

#[tokio::test]
async fn a_form_without_the_secret_of_its_session_does_nothing_however_it_comes() {
    let served = LoginNode::new().await;
    let (cookie, csrf) = served.session().await;
    let is_open = async || served.get("/api/v1/session", &cookie).await.status == 200;
    let other = "x".repeat(csrf.len());
    let multipart =
        format!("--b\r\ncontent-disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--b--\r\n");
    let chunked = format!("{:x}\r\na=1\r\n0\r\n\r\n", 3);
    let form = FORM.to_owned();
    let tries = [
        ("POST /logout", form.clone(), String::new()),
        ("POST /logout", form.clone(), format!("csrf={other}")),
        ("POST /logout", format!("{form}transfer-encoding: chunked\r\n"), chunked),
        ("POST /logout", "content-type: text/plain\r\n".to_owned(), format!("csrf={csrf}")),
        ("POST /logout", "content-type: application/json\r\n".to_owned(), format!("{{\"csrf\":\"{csrf}\"}}")),
        ("POST /logout", "content-type: multipart/form-data; boundary=b\r\n".to_owned(), multipart.clone()),
        (
            "POST /logout",
            format!("content-type: multipart/form-data; boundary=b\r\nx-csrf-token: {csrf}\r\n"),
            multipart,
        ),
        ("POST /logout", String::new(), String::new()),
        // A foreign page with the right field cannot be: here the browser says whose form it is.
        ("POST /logout", format!("{form}origin: https://evil.example\r\n"), format!("csrf={csrf}")),
        // A form to a route of programs needs the header.
        ("DELETE /api/v1/session", form.clone(), format!("csrf={csrf}")),
    ];
    for (line, lines, body) in tries {
        let answer = served.ask(line, &format!("{lines}{cookie}"), &body).await;
        assert!(
            matches!(answer.status, 403 | 415),
            "{line} {lines} {body}: {} {}",
            answer.status,
            answer.body
        );
        assert!(is_open().await, "{line} {lines} {body}");
    }
    let in_query = served.send(&format!("/logout?csrf={csrf}"), &cookie, "").await;
    assert!(in_query.status == 403 && is_open().await);
    // Who brings a token needs none, and has no session to end.
    let bearer = format!("authorization: Bearer {}\r\n", served.token);
    assert_eq!(served.send("/logout", &bearer, "").await.status, 409);
    assert_eq!(served.send("/logout", &cookie, &format!("csrf={csrf}")).await.status, 303);
    assert!(!is_open().await);
}

/// Open pages ask as the caller that their request was let in as.
#[tokio::test]
async fn a_caller_that_was_let_in_is_known_until_its_token_is_revoked() {
    let served = LoginNode::new().await;
    let node = served.node_guard.node();
    let caller = Caller { actor: Actor::Token("ada".to_owned()), ..Caller::local("ada") };
    let known = || async {
        let mut request = Request::get("/api/v1/session").body(Body::empty()).unwrap();
        request.extensions_mut().insert(caller.clone());
        served.node_guard.routes().oneshot(request).await.unwrap().status()
    };
    assert_eq!(known().await, StatusCode::OK);
    node.access().revoke("ada", None, Actor::Engine, None).await.unwrap();
    assert_eq!(known().await, StatusCode::UNAUTHORIZED);
}
