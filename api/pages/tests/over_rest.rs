//! Pages over answers of REST that a test gives: what they ask for, and what they make of it.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use everfold_pages::{ChangeSource, Rest, beside};
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

const POSITION: &str = "400";
/// When that position became durable.
const THEN: &str = "2026-11-22T10:00:10.000Z";

fn run() -> Value {
    json!({
        "id": "0198c1f0-0000-7000-8000-00000000beef", "short_id": "0000beef", "pipeline": "greet", "title": "A run",
        "status": "running", "version": 5, "started_by": "user:ada", "started_at": "2026-11-22T10:00:00.000Z",
        "ended_at": null,
    })
}

fn log() -> String {
    let line = |number: u64, second: u64, text: &str| {
        let at = format!("2026-11-22T10:00:{second:02}.000Z");
        format!("{}\n", json!({"line": number, "at": at, "source": "stdout", "text": text, "complete": true}))
    };
    line(1, 5, "early") + &line(2, 10, "at that moment") + &line(3, 11, "later")
}

fn refusal(what: &str) -> Response {
    let problem =
        json!({"title": "the store cannot be used", "status": 503, "detail": what, "code": "EF0299"});
    (
        StatusCode::SERVICE_UNAVAILABLE,
        [(header::CONTENT_TYPE, "application/problem+json")],
        problem.to_string(),
    )
        .into_response()
}

/// The routes: a run that goes on, and a caller who reads.
fn answered(request: &Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let json =
        |value: Value| ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response();
    let list = |items: Value| json(json!({ "items": items, "next_cursor": null }));
    let run_path = "/api/v1/runs/0198c1f0-0000-7000-8000-00000000beef";
    let path = request.uri().path().replace("/runs/beef", "/runs/0198c1f0-0000-7000-8000-00000000beef");
    match path.as_str() {
        "/api/v1/session" => {
            json(json!({ "actor": "user:eve", "role": "viewer", "approves": [], "csrf": null }))
        }
        "/api/v1/moment" if query == format!("at={POSITION}") => {
            json(json!({ "position": 400, "time": THEN }))
        }
        "/api/v1/inbox" => list(json!([{
            "id": "0000beef:ok:1", "short_id": "0000beef", "pipeline": "greet", "run_title": null, "step": "ok", "round": 1,
            "since": "2026-11-22T10:00:05.000Z", "expires_at": null, "position": 390, "kind": "approval", "title": "Ship?",
            "terms": { "roles": ["release"] }, "value": "A second draft", "votes": { "token:ann": "approve" },
        }])),
        "/api/v1/runs" if query.contains("origin.run") => refusal("the index went away"),
        "/api/v1/runs" => list(json!([])),
        "/api/v1/store" => refusal("the manifest cannot be read"),
        "/api/v1/audit/decisions" | "/api/v1/pipelines" | "/api/v1/runs/0000beef/audit" => list(json!([])),
        "/api/v1/runs/0000beef/state" => json(run()),
        path if path == run_path || path == format!("{run_path}/state") => json(run()),
        path if path == format!("{run_path}/timeline") => list(json!([{
            "step": "build", "round": 1, "attempt": 1, "kind": "command", "scheduled_at": "2026-11-22T10:00:01.000Z",
            "started_at": "2026-11-22T10:00:02.000Z", "end": null,
        }, {
            "step": "check", "round": 1, "attempt": 1, "kind": "command", "scheduled_at": "2026-11-22T10:00:01.000Z",
            "started_at": "2026-11-22T10:00:02.000Z",
            "end": { "at": "2026-11-22T10:00:12.000Z", "failure": null, "log": { "lines": 3, "bytes": 300 } },
        }, {
            "step": "silent", "round": 1, "attempt": 1, "kind": "command", "scheduled_at": "2026-11-22T10:00:01.000Z",
            "started_at": "2026-11-22T10:00:02.000Z",
            "end": { "at": "2026-11-22T10:00:12.000Z", "failure": null, "log": { "lines": 0, "bytes": 0 } },
        }])),
        // Compared where that is asked for, and nothing of it sent again.
        path if path == format!("{run_path}/attempts/check/1/1/log") && query == "tail=0&verify=true" => {
            "id: 3\nevent: over\ndata: {\"damage\":\"line 2 was emptied\"}\n\n".into_response()
        }
        path if path == format!("{run_path}/attempts/check/1/1/log") => log().into_response(),
        path if path == format!("{run_path}/attempts/build/1/1/log") => log().into_response(),
        path if path == format!("{run_path}/artefacts") => {
            let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="));
            let number = cursor.map_or(0, |cursor| cursor.parse::<u64>().unwrap_or(0));
            let item = json!({
                "version": number + 1, "at": "2026-11-22T10:00:03.000Z", "step": "build", "round": 1, "attempt": 1,
                "name": format!("n{number}"), "path": format!("file-{number}.bin"), "hash": "0", "size_bytes": 1,
            });
            let next = (number < 3).then(|| (number + 1).to_string());
            json(json!({ "items": [item], "next_cursor": next }))
        }
        _unknown => (StatusCode::NOT_FOUND, "{}").into_response(),
    }
}

fn pages() -> Router {
    let routes = async |request: Request| Ok::<_, Infallible>(answered(&request));
    let rest = Rest::new(tower::service_fn(move |request| Box::pin(routes(request))));
    beside(rest, ChangeSource::new(|| futures::stream::pending().boxed()))
}

async fn page(path: &str) -> String {
    let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
    let answer = pages().oneshot(request).await.expect("an answer");
    let status = answer.status();
    let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    text
}

#[tokio::test]
async fn ages_at_a_position_of_the_log_count_to_the_time_of_that_position() {
    let inbox = page(&format!("/inbox?at={POSITION}")).await;
    let age = format!("data-age data-then=\"{THEN}\" title=\"2026-11-22 10:00:05 UTC\">5 s</time>");
    assert!(inbox.contains(&age), "{inbox}");
    // The band says the position and its time.
    assert!(inbox.contains("position 400") && inbox.contains("2026-11-22 10:00:10 UTC"), "{inbox}");
    let overview = page(&format!("/runs/beef/cost?at={POSITION}")).await;
    assert!(overview.contains("10 s"), "a run that went on then had taken ten seconds: {overview}");
}

#[tokio::test]
async fn who_cannot_decide_sees_what_is_decided_on_all_the_same() {
    let then = page(&format!("/inbox/0000beef:ok:1?at={POSITION}")).await;
    let value = "<h3>The value that goes on from here</h3><pre>A second draft</pre>";
    assert!(then.contains(value) && !then.contains("<textarea"), "{then}");
    assert!(then.contains(">5 s before</time>"), "{then}");
}

#[tokio::test]
async fn a_log_at_a_position_has_no_line_that_came_later() {
    let of = "/runs/beef/log?step=build&round=1&attempt=1";
    let past = page(&format!("{of}&at={POSITION}")).await;
    assert!(
        past.contains("early") && past.contains("at that moment") && !past.contains("later</span>"),
        "{past}"
    );
    let now = page(of).await;
    assert!(now.contains("later</span>"), "{now}");
    // The download is cut at the same place.
    let query = "step=build&round=1&attempt=1";
    let text = page(&format!("/runs/beef/log/text?{query}&at={POSITION}")).await;
    assert_eq!(text, "early\nat that moment\n");
    assert!(past.contains(&format!("/log/text?{}&#38;at={POSITION}", query.replace('&', "&#38;"))), "{past}");
}

#[tokio::test]
async fn a_log_that_is_not_what_was_written_is_shown_and_named() {
    let damaged = page("/runs/beef/log?step=check&round=1&attempt=1").await;
    assert!(damaged.contains("This log is not what was written:</strong> line 2 was emptied."), "{damaged}");
    assert!(damaged.contains("later</span>"), "it is shown all the same: {damaged}");
    let found = page("/runs/beef/log?step=check&round=1&attempt=1&q=early").await;
    assert!(found.contains("line 2 was emptied"), "also where something is looked for: {found}");
    // What is still written is not compared.
    let written = page("/runs/beef/log?step=build&round=1&attempt=1").await;
    assert!(!written.contains("log-damage"), "{written}");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_offered_to_nobody() {
    let silent = page("/runs/beef/log?step=silent&round=1&attempt=1").await;
    assert!(silent.contains("It wrote nothing.") && !silent.contains(" download>"), "{silent}");
    let said = page("/runs/beef/log?step=check&round=1&attempt=1").await;
    assert!(said.contains(" download>"), "{said}");
}

#[tokio::test]
async fn what_rest_refuses_of_a_page_is_said_on_it() {
    let children = page("/runs/beef/children").await;
    assert!(children.contains("The runs that began as copies of this one could not be read"), "{children}");
    assert!(children.contains("the index went away") && children.contains("EF0299"), "{children}");
    assert!(!children.contains("is a copy of none"), "what is not known is not denied: {children}");
    let audit = page("/audit").await;
    assert!(audit.contains("The state of the chain could not be read"), "{audit}");
    assert!(
        audit.contains("the manifest cannot be read") && !audit.contains("every event is readable"),
        "{audit}"
    );
}

#[tokio::test]
async fn files_come_in_parts_and_one_that_the_address_names_is_found_in_a_later_one() {
    let first = page("/runs/beef/artefacts").await;
    assert!(first.contains("file-0.bin") && !first.contains("file-1.bin"), "{first}");
    assert!(first.contains("/artefacts?cursor=1") && !first.contains("artefacts-first"), "{first}");
    let second = page("/runs/beef/artefacts?cursor=1").await;
    assert!(second.contains("file-1.bin") && second.contains("artefacts-first"), "{second}");
    let named = page("/runs/beef/artefacts?version=3&name=n2").await;
    assert!(named.contains("file-2.bin"), "{named}");
    let last = page("/runs/beef/artefacts?cursor=3").await;
    assert!(last.contains("file-3.bin") && !last.contains("artefacts-more"), "{last}");
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_why_and_promises_no_download() {
    let artefact = page("/runs/beef/artefacts?version=1&name=n0").await;
    assert!(
        artefact.contains("It cannot be read:") && !artefact.contains("The download has it"),
        "{artefact}"
    );
}

#[tokio::test]
async fn a_page_that_does_not_take_a_method_is_there_all_the_same() {
    let request = Request::builder().method("DELETE").uri("/inbox").body(Body::empty()).expect("a request");
    let answer = pages().oneshot(request).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()[header::ALLOW], "GET,HEAD");
}
