//! The server over TCP: who is let in, what each role may do, and how fast.

use std::time::Duration;

use axum::http::{Method, header};
use everfold_api::access::{RequiredRole, needed};
use everfold_api::node;
use everfold_api::serve;
use everfold_engine::tokens::Role;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::fixtures::server::{Served, read};

#[tokio::test]
async fn a_token_lets_in_by_its_role_until_it_is_revoked_and_refusals_are_recorded() {
    let served = Served::new(|_| {}).await;
    let admin = served.token_of_role("root", Role::Admin).await;
    let viewer = served.token_of_role("eye", Role::Viewer).await;

    let response = served.send("GET", "/api/v1/runs", &[], "").await;
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"everfold\"");
    assert_eq!(read(response).await.1["code"], "EF0601");
    // Of the right form, and never the viewer's: its last digit is another.
    let (begin, last) = viewer.split_at(viewer.len() - 1);
    let unknown = format!("{begin}{}", if last == "0" { "1" } else { "0" });
    assert_eq!(served.ask_as("GET", "/api/v1/runs", &unknown, "").await.0, 401);
    assert_eq!(served.ask_as("GET", "/api/v1/runs", "no-token", "").await.0, 401);
    assert_eq!(served.ask_as("GET", "/api/v1/runs", &viewer, "").await.0, 200);
    let (status, problem) = served.ask_as("POST", "/api/v1/runs", &viewer, r#"{"pipeline": "x"}"#).await;
    assert_eq!((status, &problem["code"]), (403, &json!("EF0602")));
    for _ in 0..3 {
        assert_eq!(served.ask_as("GET", "/api/v1/tokens", &viewer, "").await.0, 403);
    }

    let (status, made) =
        served.ask_as("POST", "/api/v1/tokens", &admin, r#"{"name": "ci", "approves": ["product"]}"#).await;
    assert_eq!((status, &made["role"], &made["approves"]), (201, &json!("approver"), &json!(["product"])));
    for (role, status) in [("viewer", 422), ("worker", 422), ("operator", 201), ("admin", 201)] {
        let body = json!({ "name": format!("of-{role}"), "role": role, "approves": ["product"] }).to_string();
        let (is, answer) = served.ask_as("POST", "/api/v1/tokens", &admin, &body).await;
        assert_eq!(is, status, "{answer}");
        assert!(
            is == 201
                || answer["code"] == "EF0605"
                    && answer["detail"].as_str().unwrap().contains("decides nothing"),
            "{answer}"
        );
    }
    let (_, problem) =
        served.ask_as("POST", "/api/v1/tokens", &admin, r#"{"name": "ci", "role": "viewer"}"#).await;
    assert_eq!(problem["code"], "EF0605");
    let (_, tokens) = served.ask_as("GET", "/api/v1/tokens", &admin, "").await;
    assert_eq!(tokens["items"][0]["name"], "ci");
    assert!(!tokens.to_string().contains("evf_"), "a token is shown once");

    assert_eq!(served.ask_as("DELETE", "/api/v1/tokens/eye?reason=left", &admin, "").await.0, 200);
    assert_eq!(served.ask_as("GET", "/api/v1/runs", &viewer, "").await.0, 401);

    // Who was refused what stands in the log, once per route, with its actor.
    let store = served.held.node().store().clone();
    let stream = everfold_engine::tokens::AccessRegistry::stream();
    let events = store.read(&stream, everfold_engine::id::Version::FIRST, 100).await.unwrap();
    let refused = events.into_iter().filter(|event| event.header.kind == 34);
    let by: Vec<String> = refused.map(|event| event.header.actor.to_string()).collect();
    assert_eq!(by, ["token:eye", "token:eye"]);
    served.server.stop().await;
}

#[tokio::test]
async fn row_53_a_verification_is_for_admins() {
    let served = Served::new(|_| {}).await;
    for (name, role, status) in
        [("eye", Role::Viewer, 403), ("hand", Role::Operator, 403), ("root", Role::Admin, 200)]
    {
        let token = served.token_of_role(name, role).await;
        for path in ["/api/v1/store/verify", "/api/v1/store/verify?progress=true"] {
            assert_eq!(served.ask_as("GET", path, &token, "").await.0, status, "{name} {path}");
        }
    }
}

/// Once each took 170 MB, and all were answered at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn row_53_there_is_one_verification_at_a_time_also_where_nobody_waits_for_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let options = node::HoldOptions {
        supervisor: Some(everfold_workflows::process::ShimProgram::at(std::path::Path::new("everfold"))),
        ..node::HoldOptions::default()
    };
    let held = serve::hold(everfold_engine::data_folder::Layout::new(folder.path()), options).await.unwrap();
    let owner = held.node().clone();
    let (begun, begins) = std::sync::mpsc::channel();
    let (go_on, goes_on) = std::sync::mpsc::channel::<()>();
    let goes_on = std::sync::Mutex::new(goes_on);
    // Ends when it may go on, or the sender is gone.
    let first: std::sync::Arc<dyn Fn(everfold_engine::store::Progress) + Send + Sync> =
        std::sync::Arc::new(move |_| {
            let _sent = begun.send(());
            let _ended = goes_on.lock().unwrap().recv();
        });
    let asking = tokio::spawn({
        let owner = owner.clone();
        async move { owner.verify(None, first).await }
    });
    tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
    // Who asked first goes away; its thread does not.
    asking.abort();
    let second = owner.verify(None, std::sync::Arc::new(|_| {})).await;
    assert_eq!(second.unwrap_err().code.as_str(), "EF0421");
    drop(go_on);
    let third = async {
        loop {
            match owner.verify(None, std::sync::Arc::new(|_| {})).await {
                Ok(verified) => return verified,
                Err(fault) => assert_eq!(fault.code.as_str(), "EF0421"),
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), third).await.unwrap().sound);
    held.release().await;
}

#[tokio::test]
async fn row_54_a_browser_logs_in_once_by_the_button_of_a_link_and_writes_only_with_the_text_of_its_session()
{
    let served = Served::new(|_| {}).await;
    let admin = served.token_of_role("root", Role::Admin).await;
    let (_, link) = served.ask_as("POST", "/api/v1/session/links", &admin, r#"{"token": "root"}"#).await;
    let path = link["path"].as_str().unwrap();
    // Whatever looks at the link first (a chat's preview, a scanner) does not use it up.
    for _ in 0..2 {
        assert_eq!(served.send("HEAD", path, &[], "").await.status(), 200);
        let page = served.send("GET", path, &[], "").await;
        assert_eq!(page.status(), 200);
        assert!(!page.headers().contains_key(header::SET_COOKIE));
        assert_eq!(page.headers()[header::REFERRER_POLICY], "same-origin");
        let page = page.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(page.contains(&format!(r#"<form method="post" action="{path}">"#)), "{page}");
    }
    let elsewhere = served.send("POST", path, &[("sec-fetch-site", "cross-site")], "").await;
    assert_eq!(read(elsewhere).await.1["code"], "EF0607");
    let response = served.send("POST", path, &[("sec-fetch-site", "same-origin")], "").await;
    assert_eq!(response.status(), 303);
    let next = response.headers()[header::LOCATION].to_str().unwrap().to_owned();
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let led = served.send("GET", &next, &[("cookie", cookie)], "").await;
    assert_eq!(led.status(), 200, "it leads somewhere");
    assert_eq!(read(served.send("POST", path, &[], "").await).await.1["code"], "EF0606", "it works once");
    let again = served.send("POST", path, &[("cookie", cookie)], "").await;
    assert_eq!(read(again).await.1["code"], "EF0606", "who has a session is told so, too");

    let (_, who) = read(served.send("GET", "/api/v1/session", &[("cookie", cookie)], "").await).await;
    assert_eq!(who["actor"], "token:root");
    let csrf = who["csrf"].as_str().unwrap();
    let post = async |headers: &[(&str, &str)]| {
        read(served.send("POST", "/api/v1/engine/pause", headers, "{}").await).await
    };
    assert_eq!(post(&[("cookie", cookie)]).await.1["code"], "EF0607");
    assert_eq!(post(&[("cookie", cookie), ("x-csrf-token", "other")]).await.0, 403);
    assert_eq!(post(&[("cookie", cookie), ("x-csrf-token", csrf)]).await.0, 200);

    let response =
        served.send("DELETE", "/api/v1/session", &[("cookie", cookie), ("x-csrf-token", csrf)], "").await;
    assert!(response.headers()[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(served.send("GET", "/api/v1/runs", &[("cookie", cookie)], "").await.status(), 401);
    // With the token itself a browser may log in, too.
    let body = json!({ "token": admin }).to_string();
    assert_eq!(served.send("POST", "/api/v1/session", &[], &body).await.status(), 201);
}

#[tokio::test]
async fn who_is_too_fast_is_told_when_to_come_again() {
    let served = Served::new(|settings| (settings.rate, settings.burst) = (1, 2)).await;
    let token = served.token_of_role("fast", Role::Viewer).await;
    let bearer = format!("Bearer {token}");
    let mut last = None;
    for _ in 0..3 {
        last = Some(served.send("GET", "/api/v1/runs", &[("authorization", &bearer)], "").await);
    }
    let response = last.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    // Guessing is slow, whatever is guessed.
    let guesses = futures::future::join_all((0..40).map(|n| {
        let guess = format!("evf_{n:064x}");
        let served = &served;
        async move { served.ask_as("GET", "/api/v1/runs", &guess, "").await.0 }
    }));
    let statuses = guesses.await;
    assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn row_50_readyz_says_that_the_engine_is_broken_and_never_again_that_it_is_ready() {
    let served = Served::new(|_| {}).await;
    let owner = served.held.node();
    for readiness in [node::Readiness::Ready, node::Readiness::Broken, node::Readiness::Ready] {
        owner.set_readiness(readiness);
    }
    let (status, said) = read(served.send("GET", "/readyz", &[], "").await).await;
    assert_eq!((status, &said["ready"], &said["state"]), (503, &json!(false), &json!("broken")));
}

#[tokio::test]
async fn the_server_ends_in_order_and_readiness_says_so_before() {
    let served = Served::new(|_| {}).await;
    let ready = async || read(served.send("GET", "/readyz", &[], "").await).await;
    assert_eq!(ready().await, (503, json!({ "ready": false, "state": "starting" })));
    served.held.node().set_readiness(node::Readiness::Ready);
    assert_eq!(ready().await.0, 200);
    served.held.node().set_readiness(node::Readiness::Ending);
    assert_eq!(ready().await.1["state"], "ending");
    let url = served.server.url.clone();
    tokio::time::timeout(Duration::from_secs(15), served.server.stop()).await.unwrap();
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err());
}

#[test]
fn reading_asks_for_a_reader_and_writing_for_more() {
    assert_eq!(needed(&Method::GET, "/api/v1/runs/{run}"), RequiredRole::Read);
    assert_eq!(needed(&Method::POST, "/api/v1/runs/{run}/cancel"), RequiredRole::Operate);
    assert_eq!(needed(&Method::POST, "/api/v1/inbox/{task}"), RequiredRole::Decide);
    assert_eq!(needed(&Method::POST, "/api/v1/workers/poll"), RequiredRole::Work);
    assert_eq!(needed(&Method::POST, "/api/v1/hooks/{source}"), RequiredRole::Public);
    assert_eq!(needed(&Method::GET, "/healthz"), RequiredRole::Public);
}

#[tokio::test]
async fn the_metrics_count_what_was_recorded_and_asked() {
    let served = Served::new(|_| {}).await;
    served.held.node().measure();
    let token = served.token_of_role("root", Role::Admin).await;
    let body =
        json!({ "definition": "name: one\nsteps:\n  - { id: a, function: everfold.noop }\n" }).to_string();
    assert_eq!(served.ask_as("POST", "/api/v1/runs", &token, &body).await.0, 201);
    let bearer = format!("Bearer {token}");
    let wanted = [
        "everfold_runs_ended_total{status=\"succeeded\"} 1",
        "everfold_attempts_total{result=\"succeeded\"} 1",
        "everfold_runs{status=\"succeeded\"} 1",
        "everfold_http_requests_total{method=\"POST\",route=\"/api/v1/runs\",status=\"201\"} 1",
        "everfold_step_duration_seconds_count{result=\"succeeded\"} 1",
    ];
    let text = async || {
        let response = served.send("GET", "/metrics", &[("authorization", &bearer)], "").await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let all = async {
        loop {
            let text = text().await;
            if wanted.iter().all(|line| text.contains(line)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), all).await.is_err() {
        panic!("{}", text().await);
    }
}

#[tokio::test]
async fn row_70_whatever_callers_send_the_series_of_all_metrics_stay_those_of_this_program() {
    let served = Served::new(|_| {}).await;
    served.held.node().measure();
    let token = served.token_of_role("root", Role::Admin).await;
    let bearer = format!("Bearer {token}");
    let series = async || {
        let response = served.send("GET", "/metrics", &[("authorization", &bearer)], "").await;
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let named = text.lines().filter(|line| !line.starts_with('#'));
        named.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    // What a stranger chooses: the method, the path, the names in it, headers; what a caller does: all that names
    // something new.
    let round = async |n: usize| {
        let strange =
            [("x-forwarded-for", "10.1.2.3"), ("user-agent", "strange-1"), ("referer", "http://strange")];
        for (method, path) in [
            (format!("STRANGE{n}"), "/".to_owned()),
            (format!("STRANGE{n}"), "/api/v1/runs".to_owned()),
            ("GET".to_owned(), format!("/strange{n}")),
            ("GET".to_owned(), format!("/api/v1/runs/strange{n}")),
            ("POST".to_owned(), format!("/api/v1/hooks/strange{n}")),
        ] {
            served.send(&method, &path, &strange, "{}").await;
        }
        let definition =
            format!("name: strange{n}\nsteps:\n  - {{ id: strange{n}, function: everfold.noop }}\n");
        let body = json!({ "definition": definition, "labels": { format!("strange{n}"): "strange" } });
        assert_eq!(served.ask_as("POST", "/api/v1/runs", &token, &body.to_string()).await.0, 201);
        served.ask_as("GET", &format!("/api/v1/pipelines/strange{n}"), &token, "").await;
    };
    for n in 0..30 {
        round(n).await;
    }
    let first = series().await;
    assert!(first.iter().any(|line| line.contains("method=\"_OTHER\"")), "{first:#?}");
    // The steps of pipelines have series of their own, up to a number that their own test counts.
    let of_steps = |line: &&String| line.starts_with("everfold_step_");
    let others = first.iter().filter(|line| !of_steps(line));
    let strange: Vec<_> = others.filter(|line| line.to_lowercase().contains("strange")).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert!(first.len() < 1_000, "{} series", first.len());
}

#[tokio::test]
async fn a_session_is_told_when_the_token_by_which_it_came_ends() {
    let served = Served::new(|_| {}).await;
    let day = Duration::from_secs(24 * 60 * 60);
    let (short, long) = (
        served.token_of("short", Role::Viewer, Some(day)).await,
        served.token_of_role("long", Role::Viewer).await,
    );
    let (_, session) = served.ask_as("GET", "/api/v1/session", &short, "").await;
    let (_, tokens) =
        served.ask_as("GET", "/api/v1/tokens", &served.token_of_role("root", Role::Admin).await, "").await;
    let made = tokens["items"].as_array().unwrap().iter().find(|token| token["name"] == "short").unwrap();
    assert!(session["expires_at"].is_string(), "{session}");
    assert_eq!(session["expires_at"], made["expires_at"]);
    let (_, session) = served.ask_as("GET", "/api/v1/session", &long, "").await;
    assert_eq!((&session["actor"], &session["expires_at"]), (&json!("token:long"), &Value::Null));
}

/// The admin read that they were not let in.
#[tokio::test]
async fn a_link_for_a_token_that_is_not_good_any_more_is_refused_as_that_and_not_as_its_asker() {
    let served = Served::new(|_| {}).await;
    let admin = served.token_of_role("root", Role::Admin).await;
    served.token_of_role("gone", Role::Viewer).await;
    served.token_of("brief", Role::Viewer, Some(Duration::from_millis(1))).await;
    assert_eq!(served.ask_as("DELETE", "/api/v1/tokens/gone", &admin, "").await.0, 200);
    tokio::time::sleep(Duration::from_millis(20)).await;
    for (name, status, code, what) in [
        ("gone", 409, "EF0301", "was revoked"),
        ("brief", 409, "EF0301", "has expired"),
        ("never", 404, "EF0604", "there is no token"),
    ] {
        let body = json!({ "token": name }).to_string();
        let (seen, problem) = served.ask_as("POST", "/api/v1/session/links", &admin, &body).await;
        assert_eq!((seen, &problem["code"]), (status, &json!(code)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(what), "{problem}");
    }
}

/// 600 of them took 2.3 GB.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_never_end_take_one_tokens_room_and_nobody_elses() {
    let served = Served::new(|_| {}).await;
    let (bad, good) = (
        served.token_of_role("bad", Role::Operator).await,
        served.token_of_role("good", Role::Operator).await,
    );
    let address = served.server.url.strip_prefix("http://").unwrap().to_owned();
    let size = 4_000_000;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = format!(
            "POST /api/v1/pipelines/check HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {bad}\r\ncontent-length: {size}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // All but the last byte, as far as it is taken.
        let mut body = vec![b' '; size - 1];
        body[0] = b'{';
        let _sent = tokio::time::timeout(Duration::from_secs(2), stream.write_all(&body)).await;
        open.push(stream);
    }
    let large = json!({ "definition": " ".repeat(3_900_000) }).to_string();
    let check = async |token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let answer =
            served.send("POST", "/api/v1/pipelines/check", &[("authorization", &bearer)], body).await;
        let wait = answer.headers().get(header::RETRY_AFTER).cloned();
        let (status, problem) = read(answer).await;
        (status, problem["code"].as_str().unwrap_or_default().to_owned(), wait.is_some())
    };
    let until_full = async {
        while check(&bad, &large).await != (503, "EF0217".into(), true) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until_full).await.expect("its room is taken at some time");
    assert_eq!(check(&bad, r#"{"definition": "x"}"#).await.0, 422, "what is small is not held up");
    assert_eq!(check(&good, &large).await.0, 422, "another token does not notice");
    drop(open);
    let until_free = async {
        while check(&bad, &large).await.0 != 422 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), until_free).await.expect("its room is given back");
}
