//! The server over real sockets against clients who are slow, many, wrong, or not let in any more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use everfold_api::access::TokenWish;
use everfold_api::owner::{self, Held};
use everfold_api::serve::Server;
use everfold_engine::access::Role;
use everfold_engine::actor::Actor;
use everfold_engine::layout::Layout;
use everfold_workflows::settings::ServeSettings;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

struct Served {
    held: Held,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Served {
    async fn new(change: impl FnOnce(&mut ServeSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let held = owner::imagine(Layout::new(folder.path().join("data"))).unwrap();
        let mut settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
        change(&mut settings);
        let server = Server::start(held.owner().clone(), held.routes(), &settings).await.unwrap();
        Self { held, server, _folder: folder }
    }

    async fn token(&self, name: &str, lasts: Option<Duration>) -> String {
        let wish = TokenWish { name: name.into(), role: Role::Operator, approves: Vec::new(), lasts };
        let made = self.held.owner().access().create(wish, Actor::Engine, None).await.unwrap();
        made.secret.reveal().to_owned()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.url.strip_prefix("http://").unwrap()).await.unwrap()
    }

    /// Sends bytes as they are and reads what comes until the other side hangs up.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }

    async fn request(&self, token: &str, line: &str, body: &[u8]) -> (u16, Value) {
        let mut bytes = format!(
            "{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(body);
        read(&self.raw(&bytes).await)
    }

    /// Opens a stream of events and waits until it has begun.
    async fn stream(&self, token: &str, path: &str) -> TcpStream {
        let mut stream = self.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("\r\n\r\n") {
            let mut piece = [0; 1024];
            let count = in_time(stream.read(&mut piece)).await.unwrap();
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..count]);
        }
        stream
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that is cut says what came before.
    let _cut = in_time(stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

fn read(answer: &str) -> (u16, Value) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {answer:?}"));
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn what_a_token_opened_ends_with_it_and_says_why() {
    let served = Served::new(|_| {}).await;
    let (token, other) = (served.token("one", None).await, served.token("two", None).await);
    let mut stream = served.stream(&token, "/api/v1/stream").await;
    let mut others = served.stream(&other, "/api/v1/stream").await;
    served.held.owner().access().revoke("one", None, Actor::Engine, None).await.unwrap();
    let end = rest_of_stream(&mut stream).await;
    assert!(end.contains("event: end"), "{end}");
    assert!(end.contains("the token “one” was revoked"), "{end}");
    assert!(end.contains("\"last_event_id\":\""), "{end}");
    // Streams of others go on.
    let mut piece = [0; 16];
    let more = tokio::time::timeout(Duration::from_millis(200), async {
        loop {
            if others.read(&mut piece).await.unwrap() == 0 {
                return;
            }
        }
    });
    assert!(more.await.is_err(), "it goes on");
    assert_eq!(served.request(&token, "GET /api/v1/runs", b"").await.0, 401);
}

/// Reads a stream up to its last event.
async fn rest_of_stream(stream: &mut TcpStream) -> String {
    let mut seen = String::new();
    in_time(async {
        while !(seen.contains("event: end") && seen.ends_with("\r\n0\r\n\r\n")) {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece).await.unwrap();
            if count == 0 {
                break;
            }
            seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    })
    .await;
    seen
}

#[tokio::test]
async fn a_stream_ends_when_the_time_of_its_token_is_over() {
    let served = Served::new(|_| {}).await;
    let token = served.token("short", Some(Duration::from_secs(1))).await;
    let mut stream = served.stream(&token, "/api/v1/stream").await;
    let end = rest_of_stream(&mut stream).await;
    assert!(end.contains("the token “short” has expired"), "{end}");
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_come_ends_in_its_time() {
    let served = Served::new(|settings| (settings.head_seconds, settings.body_seconds) = (1, 1)).await;
    let token = served.token("one", None).await;
    // Byte by byte is no way round: the whole head has to be there in time.
    let mut slow = served.connect().await;
    let head = b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ";
    let dripping = async {
        for byte in head.iter().cycle() {
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(dripping).await;
    // A body: it is told.
    let begun = format!(
        "POST /api/v1/engine/pause HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{"
    );
    let (status, problem) = read(&served.raw(begun.as_bytes()).await);
    assert_eq!((status, problem["code"].as_str()), (408, Some("EF0228")), "{problem}");
    // An idle connection ends.
    assert_eq!(served.raw(b"").await, "");
}

#[tokio::test]
async fn idle_connections_make_room_and_busy_ones_are_bounded() {
    let served = Served::new(|settings| settings.connections = 20).await;
    let token = served.token("one", None).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(served.connect().await);
        if idle.len() % 50 == 0 {
            assert_eq!(served.request(&token, "GET /api/v1/runs", b"").await.0, 200);
        }
    }
    assert_eq!(served.request(&token, "GET /api/v1/runs", b"").await.0, 200);
    // The first ones were hung up on; those who ask go before those who do not.
    assert_eq!(rest(&mut idle[0]).await, "");
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(served.stream(&token, "/api/v1/stream").await);
    }
    let (status, problem) = served.request(&token, "GET /api/v1/runs", b"").await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("EF0617")), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("serve.connections"), "{problem}");
    // One that ends gives its place back.
    drop(streams.pop());
    in_time(async {
        while served.request(&token, "GET /api/v1/runs", b"").await.0 != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let served = Served::new(|_| {}).await;
    let token = served.token("one", None).await;
    let post = async |body: &[u8]| served.request(&token, "POST /api/v1/runs", body).await;
    let many = format!("{{\"input\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let wide = format!("{{\"pipeline\": \"x\", \"input\": \"{}\"}}", "x".repeat(5 << 20));
    for (body, status, code) in [
        (many.as_bytes(), 400, "EF0210"),
        (wide.as_bytes(), 413, "EF0209"),
        (b"\xff\xfe{}".as_slice(), 400, "EF0210"),
        (b"{\"pipeline\": \"\xc3\x28\"}".as_slice(), 400, "EF0210"),
        (b"{\"pipeline\": 7}".as_slice(), 422, "EF0211"),
        (b"{\"pipelin\": \"x\"}".as_slice(), 422, "EF0211"),
        (b"{\"pipeline\": \"x\", \"pipeline\": \"y\"}".as_slice(), 422, "EF0211"),
        (b"null".as_slice(), 422, "EF0211"),
        (b"{\"pipeline\": \"x\"".as_slice(), 400, "EF0210"),
    ] {
        let (seen, problem) = post(body).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!((seen, problem["code"].as_str()), (status, Some(code)), "{shown}: {problem}");
    }
    for (bytes, status) in [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03hello\r\n\r\n".as_slice(), 400),
        (b"GET / HTTP/9.9\r\n\r\n".as_slice(), 400),
        (b"GET /healthz HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n".as_slice(), 400),
        (b"POST /api/v1/runs HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".as_slice(), 400),
    ] {
        assert_eq!(read(&served.raw(bytes).await).0, status, "{:?}", String::from_utf8_lossy(bytes));
    }
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(read(&served.raw(long.as_bytes()).await).0, 431);
    for path in
        ["/api/v1/runs?cursor=x", "/api/v1/runs?cursor=0-99999999999999999999", "/api/v1/inbox?cursor=-"]
    {
        let (status, problem) = served.request(&token, &format!("GET {path}"), b"").await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("EF0211")), "{path}");
    }
    assert_eq!(served.request(&token, "GET /healthz", b"").await.0, 200);
}
