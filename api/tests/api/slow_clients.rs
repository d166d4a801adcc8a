//! The server over real sockets against clients who are slow, many, wrong, or not let in any more.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use everfold_api::serve;
use everfold_engine::actor::Actor;
use everfold_engine::tokens::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::fixtures::server::Served;
use crate::fixtures::sockets::{SSE, in_time, read, rest};

#[tokio::test]
async fn who_waits_for_the_end_of_a_run_is_refused_when_the_token_is_revoked() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let definition = "name: ask\nsteps: [{ id: ok, approval: { title: Right? } }]\n";
    let body = json!({ "definition": definition }).to_string();
    let (status, run) = served.request(&token, "POST /api/v1/runs", body.as_bytes()).await;
    assert_eq!(status, 201, "{run}");
    let path = format!("/api/v1/runs/{}?wait=60s", run["id"].as_str().unwrap());
    let mut waits = served.get_as(&token, &path, "Connection: close").await;
    // What came on another connection behind it is answered.
    assert_eq!(served.request(&token, "GET /api/v1/stats", b"").await.0, 200);
    served.held.node().access().revoke("one", None, Actor::Engine, None).await.unwrap();
    let (status, problem) = read(&rest(&mut waits).await);
    assert_eq!(status, 401, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("was revoked"), "{problem}");
}

#[tokio::test]
async fn a_start_whose_wait_broke_off_says_which_run_it_began() {
    let served = Served::new(|_| {}).await;
    let (token, other) = (served.operator_token("one", None).await, served.operator_token("two", None).await);
    let definition = "name: ask\nsteps: [{ id: ok, approval: { title: Right? } }]\n";
    let body = json!({ "definition": definition }).to_string();
    let start = format!(
        "POST /api/v1/runs?wait=60s HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let revokes = async {
        let run = loop {
            let (_, inbox) = served.request(&other, "GET /api/v1/inbox", b"").await;
            if let Some(run) = inbox["items"][0]["run"].as_str() {
                break run.to_owned();
            }
        };
        served.held.node().access().revoke("one", None, Actor::Engine, None).await.unwrap();
        run
    };
    let (answer, run) = tokio::join!(served.raw(start.as_bytes()), revokes);
    assert_eq!(read(&answer).0, 401, "{answer}");
    assert!(answer.contains(&format!("location: /api/v1/runs/{run}")), "{answer}");
}

#[tokio::test]
async fn what_a_token_opened_ends_with_it_and_says_why() {
    let served = Served::new(|_| {}).await;
    let (token, other) = (served.operator_token("one", None).await, served.operator_token("two", None).await);
    let mut stream = served.stream(&token, "/api/v1/stream").await;
    let mut others = served.stream(&other, "/api/v1/stream").await;
    served.held.node().access().revoke("one", None, Actor::Engine, None).await.unwrap();
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
    let token = served.operator_token("short", Some(Duration::from_secs(1))).await;
    let mut stream = served.stream(&token, "/api/v1/stream").await;
    let end = rest_of_stream(&mut stream).await;
    assert!(end.contains("the token “short” has expired"), "{end}");
}

#[tokio::test]
async fn a_head_or_a_body_that_does_not_come_ends_in_its_time() {
    let served = Served::new(|settings| (settings.head_seconds, settings.body_seconds) = (1, 1)).await;
    let token = served.operator_token("one", None).await;
    // Byte by byte is no way round: the whole head has to be there in time.
    let mut slow = served.connect().await;
    let head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
    let dripping = async {
        for byte in head.iter().cycle() {
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    in_time(dripping).await;
    // A body: the client gets an answer.
    let begun = format!(
        "POST /api/v1/engine/pause HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{{"
    );
    let (status, problem) = read(&served.raw(begun.as_bytes()).await);
    assert_eq!((status, problem["code"].as_str()), (408, Some("EF0228")), "{problem}");
    // An idle connection ends.
    assert_eq!(served.raw(b"").await, "");
}

#[tokio::test]
async fn who_closes_the_sending_side_behind_a_request_gets_the_answer() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let body =
        json!({ "definition": "name: one\nsteps: [{ id: a, function: everfold.noop }]\n" }).to_string();
    let ask = async |line: &str, length: usize, body: &str| {
        let mut stream = served.connect().await;
        let head = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // The connection ends behind the answer.
        rest(&mut stream).await
    };
    for _ in 0..20 {
        assert_eq!(read(&ask("POST /api/v1/runs", body.len(), &body).await).0, 201);
        assert_eq!(read(&ask("GET /api/v1/stats", 0, "").await).0, 200);
    }
    let runs = served.request(&token, "GET /api/v1/runs", b"").await.1;
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(20), "{runs}");
    // What was cut off in the middle is no request, and is not waited for.
    ask("POST /api/v1/runs", body.len() + 1, &body).await;
    // Nor does an answer that waits, for a client that may be gone: a worker that is not there would be given work.
    let poll = "GET /api/v1/stream";
    assert!(!ask(poll, 0, "").await.contains("event: end"));
    assert_eq!(
        served.request(&token, "GET /api/v1/runs", b"").await.1["items"].as_array().map(Vec::len),
        Some(20)
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_or_says_two_things_is_refused_at_once() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let bearer = format!("authorization: Bearer {token}\r\n");
    let head = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n")
    };
    let long = format!("{bearer}x-long: {}\r\n", "x".repeat(100_000));
    let fits = format!("{bearer}x-long: {}\r\n", "x".repeat(60_000));
    let twice = format!("{bearer}{bearer}");
    let huge = format!("{bearer}content-length: 999999999999\r\n");
    for (line, more, status, code) in [
        ("GET /api/v1/runs", &long, 431, Some("EF0235")),
        ("GET /api/v1/runs", &fits, 200, None),
        ("GET /api/v1/runs", &twice, 400, Some("EF0210")),
        ("POST /api/v1/runs", &huge, 413, Some("EF0209")),
    ] {
        let (seen, problem) = read(&served.raw(head(line, more).as_bytes()).await);
        assert_eq!((seen, problem["code"].as_str()), (status, code), "{problem}");
    }
}

/// Its client was hung up on while it sent, and read no answer: a worker sent its output again without an end.
#[tokio::test]
async fn a_client_that_sends_too_much_reads_the_answer_when_it_has_sent_it() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let text = "x".repeat(24 << 20);
    let head = format!(
        "POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n"
    );
    let declared = format!("{head}content-length: {}\r\n\r\n{text}", text.len());
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    for sent in [declared, chunked] {
        let (status, problem) = read(&served.raw(sent.as_bytes()).await);
        assert_eq!((status, problem["code"].as_str()), (413, Some("EF0209")), "{problem}");
    }
}

#[tokio::test]
async fn idle_connections_make_room_and_busy_ones_are_bounded() {
    let served = Served::new(|settings| settings.connections = 20).await;
    let token = served.operator_token("one", None).await;
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
    let token = served.operator_token("one", None).await;
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
        (b"{\"pipeline\": \"x\", \"pipeline\": \"y\"}".as_slice(), 400, "EF0210"),
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
        (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n".as_slice(), 400),
        (b"POST /api/v1/runs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n".as_slice(), 400),
    ] {
        assert_eq!(read(&served.raw(bytes).await).0, status, "{:?}", String::from_utf8_lossy(bytes));
    }
    let long = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(read(&served.raw(long.as_bytes()).await).0, 431);
    for path in
        ["/api/v1/runs?cursor=x", "/api/v1/runs?cursor=0-99999999999999999999", "/api/v1/inbox?cursor=-"]
    {
        let (status, problem) = served.request(&token, &format!("GET {path}"), b"").await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("EF0211")), "{path}");
    }
    assert_eq!(served.request(&token, "GET /healthz", b"").await.0, 200);
}

/// A run whose only step lasts for an hour, with what it wrote so far.
async fn long_run(served: &Served, token: &str) -> String {
    let definition = "name: long\nsteps:\n  - { id: wait, function: everfold.sleep, with: { for: 1h } }\n";
    let body = json!({ "definition": definition }).to_string();
    let (status, run) = served.request(token, "POST /api/v1/runs", body.as_bytes()).await;
    assert_eq!(status, 201, "{run}");
    run["id"].as_str().unwrap().to_owned()
}

/// Reads until a text has come; gives all that was read.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.unwrap();
        assert_ne!(count, 0, "it ended: {seen}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    seen
}

#[tokio::test]
async fn every_stream_on_which_nothing_happens_says_each_15_seconds_that_it_lives() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let run = long_run(&served, &token).await;
    let of_run = format!("/api/v1/runs/{run}/events/stream");
    let log = format!("/api/v1/runs/{run}/attempts/wait/1/1/log?follow=true");
    let mut streams = Vec::new();
    for path in ["/api/v1/stream", &of_run, &log] {
        streams.push((path, served.stream(&token, path).await));
    }
    // From here on time passes as fast as nothing else is left to do.
    tokio::time::pause();
    let followed = streams.into_iter().map(|(path, mut stream)| async move {
        let mut former = None;
        for _ in 0..4 {
            read_until(&mut stream, ": idle\n\n").await;
            let now = tokio::time::Instant::now();
            if let Some(former) = former.replace(now) {
                let between = now.duration_since(former);
                assert!(
                    (Duration::from_secs(15)..Duration::from_secs(16)).contains(&between),
                    "{path}: {between:?}"
                );
            }
        }
    });
    futures::future::join_all(followed).await;
}

/// A client that follows a stream asks again where it ends early.
#[tokio::test]
async fn a_log_that_cannot_be_read_is_a_fault_and_no_stream_without_lines() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let run = long_run(&served, &token).await;
    let attempts = served.held.node().layout().attempts(run.parse().unwrap());
    std::fs::create_dir_all(attempts.join("wait-r1-a1/log")).unwrap();
    let path = format!("/api/v1/runs/{run}/attempts/wait/1/1/log?follow=true");
    for kind in [SSE, "accept: text/plain"] {
        let mut stream = served.get_as(&token, &path, kind).await;
        let answer = in_time(read_until(&mut stream, "could not read")).await;
        assert!(
            !answer.starts_with("HTTP/1.1 200") && answer.contains("EF0406") && answer.contains("/log: "),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_log_is_followed_as_events_and_taken_up_behind_the_last_one() {
    let served = Served::new(|_| {}).await;
    let token = served.operator_token("one", None).await;
    let run = long_run(&served, &token).await;
    let layout = served.held.node().layout().clone();
    let attempt = everfold_engine::id::EffectId {
        run: run.parse().unwrap(),
        attempt: everfold_engine::id::AttemptId {
            path: "wait".parse().unwrap(),
            round: everfold_engine::id::Round(1),
            attempt: everfold_engine::id::Attempt(1),
        },
    };
    let folder = layout.attempt(&attempt);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("log");
    let append = |text: &str| {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&file).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("1000 O one\n2000 E two: \"x\"\n3000 o thr\n");
    let path = format!("/api/v1/runs/{run}/attempts/wait/1/1/log?follow=true");
    let mut stream = served.get_as(&token, &path, SSE).await;
    let seen = in_time(read_until(&mut stream, "thr")).await;
    let ids: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    let data: Vec<Value> = seen
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(data, [json!("one\n"), json!("two: \"x\"\n"), json!("thr")]);
    assert_eq!((ids.as_slice(), seen.matches("event: line").count()), (&["1", "2", "3"][..], 3), "{seen}");
    // What comes later comes at once.
    append("3001 O ee\n");
    assert!(in_time(read_until(&mut stream, "ee")).await.contains("event: line"));
    // Who was cut off goes on behind what it had.
    let behind = "accept: text/event-stream\r\nlast-event-id: 2";
    let mut again = served.get_as(&token, &path, behind).await;
    let seen = in_time(read_until(&mut again, "ee")).await;
    assert!(!seen.contains("\"one") && !seen.contains("\"two") && seen.contains("\"thr\""), "{seen}");
    // As records, and to the end of the attempt.
    let mut records = served.get_as(&token, &format!("{path}&format=json"), SSE).await;
    let seen = in_time(read_until(&mut records, "\"ee\"")).await;
    let first = seen.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let first: Value = serde_json::from_str(first).unwrap();
    assert_eq!(
        first,
        json!({"line": 1, "at": "1970-01-01T00:00:01.000Z", "source": "stdout", "text": "one", "complete": true})
    );
    // Of the last lines alone the numbers are those in the log.
    let mut last = served.get_as(&token, &format!("{path}&tail=1"), SSE).await;
    assert!(in_time(read_until(&mut last, "ee")).await.contains("id: 4\n"));
    let mut refused = served.get_as(&token, &path, "accept: text/event-stream\r\nlast-event-id: 12-a").await;
    assert!(in_time(read_until(&mut refused, "no number of a line")).await.starts_with("HTTP/1.1 422"));
    let cancelled = served.request(&token, &format!("POST /api/v1/runs/{run}/cancel"), b"{}").await;
    assert_eq!(cancelled.0, 200, "{cancelled:?}");
    for stream in [&mut stream, &mut again, &mut records] {
        let end = in_time(read_until(stream, "0\r\n\r\n")).await;
        assert!(end.contains("event: over"), "{end}");
    }
    // A log that is over comes whole, with `over` at its end.
    let mut whole = served.get_as(&token, &path, SSE).await;
    let all = in_time(read_until(&mut whole, "0\r\n\r\n")).await;
    assert!(all.contains("one") && all.contains("event: over"), "{all}");
}

#[tokio::test]
async fn an_export_is_cut_where_its_token_is_revoked() {
    let served = Served::new(|_| {}).await;
    let writer = served.operator_token("writer", None).await;
    let run = long_run(&served, &writer).await;
    let note = json!({ "text": "x".repeat(60_000) }).to_string();
    // More than what lies between fills with.
    const NOTES: usize = 300;
    for _ in 0..NOTES {
        let noted = served.request(&writer, &format!("POST /api/v1/runs/{run}/notes"), note.as_bytes()).await;
        assert_eq!(noted.0, 200, "{noted:?}");
    }
    for (name, path) in [("eye", format!("/api/v1/runs/{run}/events")), ("all", "/api/v1/events".to_owned())]
    {
        let token = served.token_of(name, Role::Admin, None).await;
        let mut whole =
            served.get_as(&token, &path, "accept: application/x-ndjson\r\nconnection: close").await;
        let all = rest(&mut whole).await;
        assert!(all.ends_with("0\r\n\r\n") && all.matches("NoteAdded").count() == NOTES, "{}", all.len());
        let mut export = served.get_as(&token, &path, "accept: application/x-ndjson").await;
        in_time(read_until(&mut export, "RunStarted")).await;
        served.held.node().access().revoke(name, None, Actor::Engine, None).await.unwrap();
        let cut = rest(&mut export).await;
        assert!(!cut.ends_with("0\r\n\r\n"), "an end that is none is told as none");
        assert!(cut.matches("NoteAdded").count() < NOTES, "{path}: it goes on");
    }
}

#[tokio::test]
async fn the_owners_socket_has_a_bound_and_who_is_idle_makes_room() {
    const BOUND: usize = 256;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("s.sock");
    let routes = Router::new()
        .route("/quick", get(async || "here"))
        .route("/slow", get(async || std::future::pending::<()>().await));
    let closing = CancellationToken::new();
    let listening = serve::listen(&place, routes, None, closing.clone()).unwrap();
    let ask = async |path: &str| {
        let mut stream = UnixStream::connect(&place).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    };
    let mut idle = Vec::new();
    for _ in 0..BOUND + 50 {
        idle.push(UnixStream::connect(&place).await.unwrap());
    }
    assert!(rest(&mut ask("/quick").await).await.ends_with("here"));
    assert_eq!(rest(&mut idle[0]).await, "", "the one that was idle the longest was hung up on");
    let mut busy = Vec::new();
    for _ in 0..BOUND {
        busy.push(ask("/slow").await);
    }
    // All that came before are being answered: then the next one finds no room.
    in_time(async {
        loop {
            let (status, problem) = read(&rest(&mut ask("/quick").await).await);
            if status == 503 {
                assert_eq!(problem["code"], "EF0617", "{problem}");
                assert!(
                    problem["detail"].as_str().unwrap().contains("all 256 connections are busy"),
                    "{problem}"
                );
                return;
            }
        }
    })
    .await;
    drop(busy);
    in_time(async {
        while !rest(&mut ask("/quick").await).await.ends_with("here") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(idle);
    closing.cancel();
    in_time(listening).await.unwrap();
}
