//! Clients that close their sending side: those that still read get their answer, and work for those that are gone ends.
//!
//! Both look the same to a server. A query ran on to its end, and kept its caller's turn, when its client had closed its
//! connection.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use everfold_api::serve::{self, Server};
use everfold_api::settings::ServeSettings;
use everfold_engine::data_folder::Layout;
use everfold_engine::tokens::Role;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use crate::fixtures::server::Served;

const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it takes too long")
}

/// A route whose answer the test lets go on, and that counts the answers that ended: made, or dropped by the server.
#[derive(Default)]
struct SlowAnswer {
    begun: Notify,
    go_on: Notify,
    dropped: Arc<Dropped>,
}

struct Dropped(Semaphore);

impl Default for Dropped {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

struct CountOnDrop(Arc<Dropped>);

impl Drop for CountOnDrop {
    fn drop(&mut self) {
        self.0.0.add_permits(1);
    }
}

impl SlowAnswer {
    fn routes(self: &Arc<Self>) -> Router {
        let slow = Arc::clone(self);
        let answer = async move || {
            let _counts = CountOnDrop(Arc::clone(&slow.dropped));
            slow.begun.notify_one();
            slow.go_on.notified().await;
            "made"
        };
        Router::new().route("/healthz", get(answer))
    }
}

/// Asks, and closes the sending side once the answer is being made.
async fn ask_half_closed<S: AsyncWrite + Unpin>(mut stream: S, slow: &SlowAnswer, version: &str) -> S {
    let head = format!("GET /healthz {version}\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    in_time(slow.begun.notified()).await;
    stream.shutdown().await.unwrap();
    stream
}

/// What is read until it ends with a text.
async fn read_to(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut seen = String::new();
    in_time(async {
        while !seen.ends_with(end) {
            let byte = stream.read_u8().await.unwrap_or_else(|_| panic!("it ended: {seen:?}"));
            seen.push(char::from(byte));
        }
    })
    .await;
    seen
}

async fn each_way<S: AsyncRead + AsyncWrite + Unpin>(slow: &SlowAnswer, connect: impl AsyncFn() -> S) {
    let mut reads = ask_half_closed(connect().await, slow, "HTTP/1.1").await;
    assert_eq!(read_to(&mut reads, INTERIM).await, INTERIM, "nothing but an interim answer comes first");
    slow.go_on.notify_one();
    let answer = read_to(&mut reads, "made").await;
    assert!(answer.trim_start_matches(INTERIM).starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    in_time(slow.dropped.0.acquire()).await.unwrap().forget();

    drop(ask_half_closed(connect().await, slow, "HTTP/1.1").await);
    in_time(slow.dropped.0.acquire()).await.unwrap().forget();

    // Who is asked does not keep others from being told, and may go later.
    let mut goes = ask_half_closed(connect().await, slow, "HTTP/1.1").await;
    read_to(&mut goes, INTERIM).await;
    drop(goes);
    in_time(slow.dropped.0.acquire()).await.unwrap().forget();

    // A client of HTTP/1.0 knows no interim answers: it gets its answer, and nothing before it.
    let mut old = ask_half_closed(connect().await, slow, "HTTP/1.0").await;
    let early = tokio::time::timeout(Duration::from_millis(1200), old.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    slow.go_on.notify_one();
    let answer = read_to(&mut old, "made").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_is_gone_ends_its_answer_and_one_that_still_reads_gets_it() {
    let slow = Arc::new(SlowAnswer::default());
    let folder = tempfile::tempdir().unwrap();
    let held = serve::imagine(Layout::new(folder.path().join("data"))).unwrap();
    let settings = ServeSettings { listen: "127.0.0.1:0".to_owned(), ..ServeSettings::default() };
    let server = Server::start(held.node().clone(), slow.routes(), &settings).await.unwrap();
    let address = server.url.strip_prefix("http://").unwrap();
    each_way(&slow, async || TcpStream::connect(address).await.unwrap()).await;
}

#[tokio::test]
async fn queries_whose_clients_are_gone_leave_their_turns_to_others() {
    let served = Served::new(|_| {}).await;
    let token = served.token_of("one", Role::Viewer, None).await;
    let connect =
        async || TcpStream::connect(served.server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = async |sql: &str| {
        let body = json!({ "sql": sql }).to_string();
        let head = format!(
            "POST /api/v1/query HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = connect().await;
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    // Two of a caller are answered at a time, and each would take its 10 s.
    let endless = "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n";
    for _ in 0..20 {
        drop(ask(endless).await);
    }
    let mut answer = String::new();
    in_time(ask("select 1").await.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.trim_start_matches(INTERIM).starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
