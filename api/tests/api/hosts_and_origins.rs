//! The server as a foreign client meets it: under which names it is served, which pages may write, which proxies
//! are believed, and what the cookie of a session is called.

use std::sync::Arc;
use std::time::Duration;

use everfold_api::node::HoldOptions;
use everfold_api::serve::{self, Server};
use everfold_api::settings::{Proxies, ServeSettings, TlsFiles};
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::fixtures::server::Served;

/// An answer: its status, its head in small letters, and its body.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// What a cookie is set to, with its attributes.
    fn cookie(&self) -> &str {
        self.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap_or_default()
    }
}

/// Sends one request as it is written here, and reads what comes.
async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    line: &str,
    head: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\n{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let all = tokio::time::timeout(Duration::from_secs(20), async {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let _cut = stream.read_to_end(&mut all).await;
        String::from_utf8_lossy(&all).into_owned()
    });
    let all = all.await.expect("an answer comes in time");
    let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {all:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.replace("\r\n", "\n");
    Answer { status, head, body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

impl Served {
    fn address(&self) -> String {
        self.server.address.to_string()
    }

    /// Asks with these headers; each ends with its line.
    async fn ask(&self, line: &str, head: &str, body: &str) -> Answer {
        exchange(TcpStream::connect(self.address()).await.unwrap(), line, head, body).await
    }

    /// The path of a new login link.
    async fn link(&self) -> String {
        self.token_of("root", Role::Admin, None).await;
        let made = self.held.node().access().link("root").await.unwrap();
        format!("/login?code={}", made.code.reveal())
    }
}

#[tokio::test]
async fn row_57_a_page_under_a_name_that_only_leads_here_uses_nothing() {
    let served = Served::new(|_| {}).await;
    let token = served.token_of("root", Role::Admin, None).await;
    for line in [
        "GET /api/v1/runs",
        "POST /api/v1/engine/pause",
        "GET /api",
        "GET /login?code=x",
        "POST /api/v1/hooks/a",
    ] {
        for host in
            ["evil.example", "evil.example:7878", "localhost.evil.example", "0.0.0.0:7878", "10.0.0.1"]
        {
            let head = format!("host: {host}\r\nauthorization: Bearer {token}\r\n");
            let answer = served.ask(line, &head, "").await;
            assert_eq!((answer.status, answer.code()), (421, "EF0626"), "{line} {host}");
            assert!(answer.body.to_string().contains(host), "{}", answer.body);
        }
    }
    assert_eq!(
        served.ask("GET http://evil.example/api/v1/runs", "host: localhost\r\n", "").await.status,
        421
    );
    assert_eq!(served.ask("GET /api/v1/runs", "", "").await.status, 421, "a request says whom it means");
    // Monitoring calls the process by any name.
    for path in ["/healthz", "/readyz", "/metrics"] {
        let head = format!("host: 10.1.2.3:7878\r\nauthorization: Bearer {token}\r\n");
        assert_ne!(served.ask(&format!("GET {path}"), &head, "").await.status, 421, "{path}");
    }
}

#[tokio::test]
async fn row_57_ordinary_clients_are_let_in_by_each_name_of_this_machine_and_of_the_settings() {
    for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        // A machine without a second family of addresses has nothing to listen on there.
        if std::net::TcpListener::bind(listen).is_err() {
            continue;
        }
        let served = Served::new(|settings| {
            settings.listen = listen.to_owned();
            settings.hosts = vec!["build-7.internal".parse().unwrap()];
            settings.url = Some("https://everfold.example.org/flow".to_owned());
            settings.behind_proxy = Proxies::loopback();
        })
        .await;
        let token = served.token_of("root", Role::Admin, None).await;
        let status = async |host: &str| {
            let head = format!("host: {host}\r\nauthorization: Bearer {token}\r\n");
            served.ask("GET /api/v1/runs", &head, "").await.status
        };
        let port = served.server.address.port();
        for host in
            ["127.0.0.1", "localhost", "[::1]", "LOCALHOST", "build-7.internal", "everfold.example.org"]
        {
            assert_eq!(status(host).await, 200, "{listen} {host}");
            assert_eq!(status(&format!("{host}:{port}")).await, 200, "{listen} {host}:{port}");
        }
        // An address that others may call is not known beforehand; a name is.
        let is_open = listen.starts_with("0.0.0.0");
        assert_eq!(status("192.0.2.7:7878").await, if is_open { 200 } else { 421 }, "{listen}");
        assert_eq!(status("evil.example:7878").await, 421, "{listen}");
    }
}

#[tokio::test]
async fn row_57_what_a_browser_sends_for_another_page_writes_nothing_whatever_lets_it_in() {
    let served = Served::new(|_| {}).await;
    let token = served.token_of("root", Role::Admin, None).await;
    let host = served.address();
    let pause = async |head: &str| {
        let head = format!("host: {host}\r\nauthorization: Bearer {token}\r\n{head}");
        served.ask("POST /api/v1/engine/pause", &head, "{}").await
    };
    for head in [
        "origin: http://evil.example\r\n",
        "origin: http://localhost:3000\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
        "origin: null\r\nsec-fetch-site: cross-site\r\n",
    ] {
        let answer = pause(head).await;
        assert_eq!((answer.status, answer.code()), (403, "EF0607"), "{head}");
    }
    let own = format!("origin: http://{host}\r\nsec-fetch-site: same-origin\r\n");
    for head in ["", &own, "origin: null\r\nsec-fetch-site: same-origin\r\n", "sec-fetch-site: none\r\n"] {
        assert_eq!(pause(head).await.status, 200, "{head}");
    }
    // A read: the browser hides the answer from the page, since no other origin is let in.
    let head = format!("host: {host}\r\nauthorization: Bearer {token}\r\norigin: http://evil.example\r\n");
    let answer = served.ask("GET /api/v1/runs", &head, "").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
    // Nor does it log its visitor in under another name.
    let head = format!("host: {host}\r\norigin: http://evil.example\r\n");
    let body = json!({ "token": token }).to_string();
    assert_eq!(served.ask("POST /api/v1/session", &head, &body).await.code(), "EF0607");
}

#[tokio::test]
async fn row_57_behind_a_proxy_that_speaks_tls_the_cookie_is_bound_to_the_host() {
    let served = Served::new(|settings| {
        settings.behind_proxy = Proxies::loopback();
        settings.url = Some("https://everfold.example.org".to_owned());
    })
    .await;
    let path = served.link().await;
    const PROXIED: &str =
        "host: everfold.example.org\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\n";
    let head = format!("{PROXIED}origin: https://everfold.example.org\r\nsec-fetch-site: same-origin\r\n");
    let answer = served.ask(&format!("POST {path}"), &head, "").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let (pair, attributes) = answer.cookie().split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-everfold_session_0000000000000000=evf_"), "{pair}");
    assert!(attributes.starts_with("Path=/; ") && attributes.ends_with("HttpOnly; SameSite=Strict; Secure"));
    assert!(!attributes.contains("Domain"), "{attributes}");

    let whoami = async |head: &str| served.ask("GET /api/v1/session", head, "").await;
    let known = whoami(&format!("{PROXIED}cookie: {pair}\r\n")).await;
    assert_eq!(known.body["actor"], "token:root");
    // A sibling under the same domain can plant a cookie of the plain name, and of no other.
    let plain = pair.replace("__Host-", "");
    assert_eq!(whoami(&format!("{PROXIED}cookie: {plain}\r\n")).await.status, 401);
    // What did not come over TLS has no such cookie.
    assert_eq!(whoami(&format!("host: localhost\r\ncookie: {pair}\r\n")).await.status, 401);
    // Streams and writes go on as before, and logging out takes this very cookie away.
    let csrf = known.body["csrf"].as_str().unwrap();
    let head = format!("{PROXIED}cookie: {pair}\r\nx-csrf-token: {csrf}\r\n");
    assert_eq!(served.ask("POST /api/v1/engine/pause", &head, "{}").await.status, 200);
    let answer = served.ask("DELETE /api/v1/session", &head, "").await;
    assert!(
        answer.cookie().starts_with("__Host-everfold_session_0000000000000000=; Path=/; Max-Age=0; "),
        "{}",
        answer.cookie()
    );
    assert!(answer.cookie().ends_with("; Secure"));
}

#[tokio::test]
async fn row_57_a_peer_that_is_no_proxy_is_not_believed() {
    let listed = |text: &'static str| {
        move |settings: &mut ServeSettings| settings.behind_proxy = Proxies::listed([text]).unwrap()
    };
    // Guesses are limited by the real address, not by one that the guesser writes into a header.
    let guesses = async |served: &Served| {
        let mut statuses = Vec::new();
        for n in 0..40 {
            let head = format!(
                "host: localhost\r\nx-forwarded-for: 192.0.2.{n}\r\nauthorization: Bearer evf_{n:064x}\r\n"
            );
            statuses.push(served.ask("GET /api/v1/runs", &head, "").await.status);
        }
        statuses
    };
    let served = Served::new(listed("10.0.0.2")).await;
    assert!(guesses(&served).await.contains(&429));
    let path = served.link().await;
    let head = "host: localhost\r\nx-forwarded-proto: https\r\n";
    let answer = served.ask(&format!("POST {path}"), head, "").await;
    assert!(answer.cookie().starts_with("everfold_session_0000000000000000=evf_"), "{}", answer.cookie());
    assert!(!answer.cookie().contains("Secure"));
    let served = Served::new(listed("loopback")).await;
    assert!(!guesses(&served).await.contains(&429), "a proxy on this machine is believed where it is named");
}

fn certificates(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/certificates").join(name)
}

#[tokio::test]
async fn row_57_over_tls_the_cookie_is_bound_to_the_host_and_the_certificate_says_which_one() {
    let (cert, key) = (certificates("good.pem"), certificates("server.key"));
    let served = Served::new(|settings| settings.tls = Some(TlsFiles { cert, key })).await;
    let path = served.link().await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = TlsConnector::from(Arc::new(config));
    let ask = async |line: &str, head: &str| {
        let stream = TcpStream::connect(served.address()).await.unwrap();
        let stream = tls.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
        exchange(stream, line, head, "").await
    };
    let (host, line) = (served.address(), format!("POST {path}"));
    assert_eq!(ask(&line, "host: evil.example\r\n").await.status, 421);
    assert_eq!(ask(&line, &format!("host: {host}\r\norigin: http://{host}\r\n")).await.code(), "EF0607");
    let answer = ask(&line, &format!("host: {host}\r\norigin: https://{host}\r\n")).await;
    assert!(
        answer.cookie().starts_with("__Host-everfold_session_0000000000000000=evf_"),
        "{}",
        answer.cookie()
    );
    let pair = answer.cookie().split(';').next().unwrap();
    let known = ask("GET /api/v1/session", &format!("host: {host}\r\ncookie: {pair}\r\n")).await;
    assert_eq!(known.body["actor"], "token:root");
    let plain = pair.replace("__Host-", "");
    assert_eq!(ask("GET /api/v1/session", &format!("host: {host}\r\ncookie: {plain}\r\n")).await.status, 401);
}

/// Cookies know no port: of two servers on one machine each login ended the session at the other.
#[tokio::test]
async fn servers_of_two_folders_on_one_machine_keep_a_browser_logged_in_at_both() {
    let mut servers = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path().join("data"));
        let held =
            serve::hold(layout, HoldOptions { serves_alone: true, ..HoldOptions::default() }).await.unwrap();
        let settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
        let server = Server::start(held.node().clone(), held.routes(), &settings).await.unwrap();
        servers.push(Served { held, server, _folder: folder });
    }
    let mut jar = std::collections::BTreeMap::new();
    for served in &servers {
        let path = served.link().await;
        let answer = served.ask(&format!("POST {path}"), "host: 127.0.0.1\r\n", "").await;
        let (name, value) = answer.cookie().split(';').next().unwrap().split_once('=').unwrap();
        jar.insert(name.to_owned(), value.to_owned());
    }
    let cookies: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // A page of a third server may set the name for some of the paths, which browsers send first.
    let planted: Vec<String> = jar.keys().map(|name| format!("{name}=x; {name}=evf_{:064x}", 7)).collect();
    let head = format!("host: 127.0.0.1\r\ncookie: {}; {}\r\n", planted.join("; "), cookies.join("; "));
    for served in &servers {
        let known = served.ask("GET /api/v1/session", &head, "").await;
        assert_eq!((known.status, known.body["actor"].as_str()), (200, Some("token:root")), "{jar:?}");
    }
    // Who logs out at one stays at the other.
    let csrf = |answer: &Answer| answer.body["csrf"].as_str().unwrap().to_owned();
    let known = servers[0].ask("GET /api/v1/session", &head, "").await;
    let out = format!("{head}x-csrf-token: {}\r\n", csrf(&known));
    assert_eq!(servers[0].ask("DELETE /api/v1/session", &out, "").await.status, 200);
    assert_eq!(servers[0].ask("GET /api/v1/session", &head, "").await.status, 401);
    assert_eq!(servers[1].ask("GET /api/v1/session", &head, "").await.status, 200);
    for served in servers {
        served.server.stop().await;
        served.held.release().await;
    }
}
