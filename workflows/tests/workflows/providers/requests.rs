//! Steps of kind `http`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use everfold_base::failure::FailureKind;
use everfold_language::definition::OnLost;
use everfold_ports::{AttemptEnd, AttemptRequest, AttemptResult, Executor};
use everfold_workflows::http::{HttpClient, HttpExecutor, HttpRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::fake_server::{Answer, Fake};
use crate::fixtures::home::{Home, failure, observer, output, until};

async fn send(request: AttemptRequest) -> AttemptEnd {
    HttpExecutor::new(HttpClient::new()).start(request, observer()).await
}

fn echo(asked: &crate::fixtures::fake_server::Asked) -> Answer {
    Answer::ok(json!({"method": asked.method.as_str(), "body": asked.body}))
        .with("set-cookie", "session=sesame")
}

#[tokio::test]
async fn an_answer_is_output_and_each_attempt_of_a_round_has_the_same_key() {
    let home = Home::new();
    let fake = Fake::serve(echo).await;
    let spec = json!({"url": format!("{}/x?q=1", fake.url), "method": "POST", "headers": {"X-Own": "v"}, "body": {"a": [1, 2]}, "expect": ["2xx"]});
    let end = send(home.request(spec.clone())).await;
    let output = output(&end);
    assert_eq!(
        (&output["status"], &output["body"]),
        (&json!(200), &json!({"method": "POST", "body": {"a": [1, 2]}}))
    );
    assert_eq!(output["headers"]["content-type"], "application/json; charset=utf-8");
    assert_eq!(output["headers"].get("set-cookie"), None, "an identity is not kept");
    let mut second = home.request(spec);
    second.id.attempt.attempt.0 = 2;
    send(second).await;
    let asked = fake.asked();
    assert_eq!(asked[0].header("x-own"), "v");
    assert_eq!(asked[0].header("content-type"), "application/json");
    assert!(!asked[0].header("idempotency-key").is_empty());
    assert_eq!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));
    send(home.request(json!({"url": fake.url}))).await;
    assert_eq!(fake.asked()[2].header("idempotency-key"), "", "to read needs no key");
}

#[tokio::test]
async fn an_unexpected_status_fails_with_the_end_of_the_body() {
    let home = Home::new();
    let fake = Fake::serve(|_| Answer::status(404, format!("{}the end", "x".repeat(5_000)).into())).await;
    let url = format!("{}/a?token=sesame", fake.url.replace("http://", "http://ada:sesame@"));
    let end = send(home.request(json!({"url": url, "expect": ["2xx", 301]}))).await;
    let failure = failure(&end);
    assert_eq!((failure.kind, failure.code.as_deref()), (FailureKind::Error, Some("HTTP_404")));
    assert_eq!(failure.message, format!("GET {}/a answered 404, not 2xx or 301", fake.url));
    let detail = failure.detail.as_deref().unwrap();
    assert!(detail.starts_with('…') && detail.ends_with("the end") && detail.len() < 2_100);
    assert!(!format!("{failure:?}").contains("sesame"));
    for expect in [json!([404]), json!("4xx"), json!("400..404"), json!(404)] {
        let end = send(home.request(json!({"url": fake.url, "expect": expect}))).await;
        assert_eq!(output(&end)["status"], 404, "{expect}");
    }
}

#[tokio::test]
async fn json_that_was_asked_for_and_is_none_is_invalid() {
    let home = Home::new();
    let fake = Fake::serve(|asked| match asked.path.as_str() {
        "/text" => Answer::ok("no json".into()),
        _json => Answer::ok(json!([1])),
    })
    .await;
    let ask =
        |path: &str, json: Value| home.request(json!({"url": format!("{}{path}", fake.url), "json": json}));
    let end = send(ask("/text", json!(true))).await;
    assert_eq!(
        (failure(&end).kind, failure(&end).code.as_deref()),
        (FailureKind::Validation, Some("NO_JSON"))
    );
    assert_eq!(output(&send(ask("/text", json!(null))).await)["body"], "no json");
    assert_eq!(output(&send(ask("/", json!(true))).await)["body"], json!([1]));
    assert_eq!(output(&send(ask("/", json!(false))).await)["body"], "[1]");
    assert!(fake.asked().iter().any(|asked| asked.header("accept") == "application/json"));
}

#[tokio::test]
async fn d10_what_must_not_happen_twice_is_lost_and_not_sent_again() {
    let home = Home::new();
    // Takes the request, and goes away without an answer.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 64];
            let _read = tokio::io::AsyncReadExt::read(&mut stream, &mut some).await;
        }
    });
    let post = || home.request(json!({"url": url, "method": "POST", "body": "x"}));
    let end = send(post()).await;
    assert!(
        matches!(&end.result, AttemptResult::Lost { reason } if reason.contains("was sent, but")),
        "{end:?}"
    );
    let mut harmless = post();
    harmless.idempotent = Some(true);
    let end = send(harmless).await;
    assert_eq!(failure(&end).code.as_deref(), Some("NO_ANSWER"));
    let end = send(home.request(json!({"url": url, "method": "PUT", "body": "x"}))).await;
    assert_eq!(failure(&end).code.as_deref(), Some("NO_ANSWER"));
    server.abort();
    // The test holds the port, so that no other process listens there, and does not listen itself.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    let end = send(home.request(json!({"url": url, "method": "POST", "body": "x"}))).await;
    assert_eq!(failure(&end).code.as_deref(), Some("UNREACHABLE"), "nothing was sent, so nothing is lost");

    let executor = HttpExecutor::new(HttpClient::new());
    for (method, idempotent, on_lost) in [
        ("GET", true, OnLost::Retry),
        ("HEAD", true, OnLost::Retry),
        ("put", true, OnLost::Retry),
        ("DELETE", true, OnLost::Retry),
        ("POST", false, OnLost::Block),
        ("PATCH", false, OnLost::Block),
    ] {
        let traits = executor.traits(&json!({"method": method, "url": "http://x"}));
        assert_eq!(
            (traits.loss.idempotent, traits.loss.on_lost, traits.supervised),
            (idempotent, on_lost, false),
            "{method}"
        );
    }
    assert!(!executor.traits(&json!({"url": "http://x", "body": 1})).loss.idempotent);
    let end = executor.reattach(post(), observer()).await;
    assert!(matches!(end.result, AttemptResult::Lost { .. }), "{end:?}");
    let end = executor.reattach(home.request(json!({"url": url})), observer()).await;
    assert!(matches!(end.result, AttemptResult::Failed(_)), "it was sent again: {end:?}");
}

/// A client that keeps connections may send once more what a broken one did not answer; a message was then there twice.
#[tokio::test]
async fn a_post_whose_connection_breaks_before_the_answer_is_sent_once_also_over_a_kept_connection() {
    let own = [(0, "/kept"), (1, "/kept"), (2, "/broken"), (3, "/kept")];
    let kept = [(0, "/kept"), (0, "/kept"), (0, "/broken"), (1, "/kept")];
    for (client, expected) in [(HttpClient::new(), own), (HttpClient::new().keeping(), kept)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(take(stream, number, Arc::clone(&seen)));
            }
        });
        for (_, path) in expected {
            let post = HttpRequest {
                method: Method::POST,
                body: Some(b"x".to_vec()),
                ..HttpRequest::get(format!("{url}{path}"))
            };
            let answer = client.send(post).await;
            match path {
                "/kept" => assert_eq!(answer.unwrap().status, 200),
                _broken => assert!(answer.unwrap_err().may_have_arrived()),
            }
        }
        // What had been sent once more would be there before the last one.
        let asked = asked.lock().unwrap();
        let asked: Vec<(usize, &str)> = asked.iter().map(|(number, path)| (*number, path.as_str())).collect();
        assert_eq!(asked, expected);
        server.abort();
    }
}

/// Answers on a connection that it keeps; `/broken` ends it instead.
async fn take(mut stream: TcpStream, number: usize, asked: Arc<Mutex<Vec<(usize, String)>>>) {
    loop {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\nx") {
            let mut bytes = [0; 1024];
            match stream.read(&mut bytes).await {
                Ok(count @ 1..) => request.extend_from_slice(&bytes[..count]),
                _closed => return,
            }
        }
        let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap().to_owned();
        let is_broken = path == "/broken";
        asked.lock().unwrap().push((number, path));
        if is_broken {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn a_request_ends_by_its_time_limit_or_by_a_cancel() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut limited = home.request(json!({"url": url}));
    limited.timeout = Some(Duration::from_millis(100));
    let end = send(limited).await;
    assert_eq!(failure(&end).kind, FailureKind::Timeout);

    let executor = HttpExecutor::new(HttpClient::new());
    let request = home.request(json!({"url": url, "method": "POST"}));
    let seen = observer();
    let sent = tokio::spawn(executor.start(request.clone(), seen.clone()));
    until("the start", || *seen.started.lock().unwrap() == 1).await;
    executor.cancel(request.clone()).await;
    assert_eq!(failure(&sent.await.unwrap()).kind, FailureKind::Cancelled);
    executor.cancel(request).await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_shows_no_header() {
    let home = Home::new();
    for (spec, part) in [
        (json!({"url": "ftp://example.org"}), "begins with http"),
        (json!({"url": "http://127.0.0.1:1", "expect": [99]}), "`expect`: 99"),
        (json!({"url": "http://127.0.0.1:1", "method": "G T"}), "`method`"),
        (json!({"url": "http://127.0.0.1:1", "headers": {"x": "sesame\r\ny: z"}}), "header x"),
        (json!({"url": "http://127.0.0.1:1", "headers": ["sesame"]}), "`http` is a URL"),
    ] {
        let end = send(home.request(spec)).await;
        let failure = failure(&end);
        assert_eq!(failure.kind, FailureKind::Validation, "{failure:?}");
        assert!(failure.message.contains(part) && !failure.message.contains("sesame"), "{failure:?}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_cut_and_said_to_be() {
    let home = Home::new();
    let fake = Fake::serve(|_| Answer::ok("x".repeat(2 << 20).into())).await;
    let end = send(home.request(json!({"url": fake.url}))).await;
    let output = output(&end);
    assert_eq!((output["body"].as_str().map(str::len), &output["truncated"]), (Some(1 << 20), &json!(true)));
    assert_eq!(fake.count(Method::GET, "/"), 1);
}

#[tokio::test]
async fn how_long_the_other_side_wants_to_be_left_alone_is_heard_of_a_limit_and_a_fault() {
    let home = Home::new();
    let fake = Fake::serve(|asked| {
        let status = asked.path.trim_start_matches('/').parse().unwrap();
        Answer::status(status, "later".into()).with("retry-after", "120")
    })
    .await;
    for (status, wish) in [(429, Some(120)), (503, Some(120)), (500, None), (404, None)] {
        let end = send(home.request(json!({"url": format!("{}/{status}", fake.url)}))).await;
        assert_eq!(failure(&end).code.as_deref(), Some(format!("HTTP_{status}").as_str()));
        assert_eq!(end.again_after, wish.map(Duration::from_secs), "{status}");
    }
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(300);
    let date = jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    let fake = Fake::serve(move |_| Answer::status(503, "later".into()).with("retry-after", &date)).await;
    let end = send(home.request(json!({"url": fake.url}))).await;
    let span = end.again_after.unwrap();
    assert!((Duration::from_secs(290)..=Duration::from_secs(300)).contains(&span), "{span:?}");
}
