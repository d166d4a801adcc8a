//! Readers of streams that vanish without closing, or take nothing any more: the server cuts their connections.

use std::net::SocketAddr;
use std::time::Duration;

use crate::settings::ServeSettings;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use everfold_engine::actor::Actor;
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use rustix::net::sockopt::tcp_user_timeout;
use serde_json::{Value, json};
use socket2::{SockFilter, SockRef};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tower::ServiceExt as _;

use super::node_guard::{NodeGuard, imagine};
use super::server::{Server, TAKES_NOTHING, listen};
use crate::access::{Caller, TokenWish};

#[test]
fn a_connection_whose_other_end_is_gone_without_a_word_is_cut_by_the_system() {
    let listener = listen("127.0.0.1:0".parse().unwrap(), TAKES_NOTHING).unwrap();
    listener.set_nonblocking(false).unwrap();
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (taken, _) = listener.accept().unwrap();
    assert_eq!(u128::from(tcp_user_timeout(&taken).unwrap()), TAKES_NOTHING.as_millis());
}

#[test]
fn a_small_answer_is_sent_at_once_and_not_held_back_for_an_acknowledgement() {
    let listener = listen("127.0.0.1:0".parse().unwrap(), TAKES_NOTHING).unwrap();
    listener.set_nonblocking(false).unwrap();
    let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (taken, _) = listener.accept().unwrap();
    assert!(taken.nodelay().unwrap());
}

/// A server with room for a single connection, and a run on which notes are left.
struct ServedNode {
    node_guard: NodeGuard,
    server: Server,
    run: String,
    _folder: tempfile::TempDir,
}

impl ServedNode {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node_guard = imagine(Layout::new(folder.path().join("data"))).unwrap();
        let settings =
            ServeSettings { listen: "127.0.0.1:0".to_owned(), connections: 1, ..ServeSettings::default() };
        let second = Duration::from_secs(1);
        let server =
            Server::patient(node_guard.node().clone(), node_guard.routes(), &settings, second).await.unwrap();
        let mut served = Self { node_guard, server, run: String::new(), _folder: folder };
        let definition = "name: ask\nsteps: [{ id: ok, approval: { title: Right? } }]\n";
        let run = served.post("/api/v1/runs", json!({ "definition": definition })).await;
        served.run = run["id"].as_str().unwrap().to_owned();
        served
    }

    /// Sends a request to the routes, without a connection.
    async fn post(&self, path: &str, body: Value) -> Value {
        let body = Body::from(body.to_string());
        let request = Request::post(path).extension(Caller::local("ada")).body(body);
        let answer = self.node_guard.routes().oneshot(request.unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap()
    }

    async fn note(&self, bytes: usize) {
        self.post(&format!("/api/v1/runs/{}/notes", self.run), json!({ "text": "x".repeat(bytes) })).await;
    }

    fn address(&self) -> SocketAddr {
        self.server.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// A reader of a stream that has received its beginning, with a small receive buffer for the rest.
    async fn reader(&self) -> TcpStream {
        let wish = TokenWish { name: "eye".into(), role: Role::Viewer, approves: Vec::new(), lasts: None };
        let token = self.node_guard.node().access().create(wish, Actor::Engine, None).await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(self.address()).await.unwrap();
        let head = format!(
            "GET /api/v1/stream?from=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            token.secret.reveal()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("event: ready") {
            let mut piece = [0; 512];
            let count = stream.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
        stream
    }

    /// The answer that another connection gets.
    async fn answer_status(&self) -> StatusCode {
        let mut stream = TcpStream::connect(self.address()).await.unwrap();
        let head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Waits until the reader's place is free, and no events are queued for it any more.
    async fn given_up(&self) {
        let streams = &self.node_guard.node().metrics().streams;
        let given_up = async {
            while self.answer_status().await != StatusCode::OK || streams.get() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), given_up).await.expect("it is never given up");
    }
}

#[tokio::test]
async fn a_reader_who_takes_nothing_any_more_is_given_up_and_its_place_is_free() {
    let served = ServedNode::new().await;
    // More than the reader has room for.
    for _ in 0..20 {
        served.note(60_000).await;
    }
    let reader = served.reader().await;
    assert_eq!(served.answer_status().await, StatusCode::SERVICE_UNAVAILABLE);
    served.given_up().await;
    drop(reader);
}

#[tokio::test]
async fn a_reader_who_vanished_is_given_up_and_its_place_is_free() {
    let served = ServedNode::new().await;
    let reader = served.reader().await;
    // A filter that lets 0 bytes of each packet through: from here on the reader receives and acknowledges nothing.
    const RETURN: u16 = 0x06;
    SockRef::from(&reader).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)]).unwrap();
    served.note(1).await;
    assert_eq!(served.answer_status().await, StatusCode::SERVICE_UNAVAILABLE);
    served.given_up().await;
    drop(reader);
}
