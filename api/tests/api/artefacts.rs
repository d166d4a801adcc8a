//! What a run recorded beside its events is read by its hash, and nothing else is.

use axum::body::Body;
use everfold_engine::actor::Actor;
use everfold_engine::artefact::Artefact;
use everfold_engine::envelope::{Cause, EventHeader, NewEvent, StreamId};
use everfold_engine::event::{AttemptNotes, AttemptSucceeded, RunEvent, encode};
use everfold_engine::id::{InputId, RunId};
use everfold_engine::json::{BlobRef, Hash, JsonText, Payload};
use everfold_engine::store::{Append, StreamNote};
use everfold_engine::time::Timestamp;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::fixtures::in_memory::Api;

const LARGE: &str = "
name: large
input: { type: object, required: [text], properties: { text: { type: string } } }
steps:
  - { id: a, function: everfold.echo, with: { text: '${input.text}' } }
";

impl Api {
    /// A run whose output is too large for an event, and the hash of that output.
    async fn large(&self, letter: &str) -> (String, String) {
        let body = json!({ "definition": LARGE, "input": { "text": letter.repeat(40_000) } });
        let (status, run) = self.post("/api/v1/runs", body).await;
        assert_eq!(status, 201, "{run}");
        let id = run["id"].as_str().unwrap().to_owned();
        self.until(&id, "succeeded").await;
        let output = format!("{{\"text\":\"{}\"}}", letter.repeat(40_000));
        (id, Hash::of(output.as_bytes()).to_string())
    }
}

#[tokio::test]
async fn bytes_are_given_out_by_a_hash_that_the_run_recorded() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let answer = api.send("GET", &format!("/api/v1/runs/{run}/artefacts/{hash}"), &[], Body::empty()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    assert_eq!(answer.headers()["content-disposition"], "attachment");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(Hash::of(&bytes).to_string(), hash);
    // No step gave a file.
    let (status, list) = api.get(&format!("/api/v1/runs/{run}/artefacts")).await;
    assert_eq!((status, &list["items"], &list["next_cursor"]), (200, &json!([]), &Value::Null));
}

#[tokio::test]
async fn what_another_run_recorded_and_what_is_no_hash_is_refused() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let (other, of_other) = api.large("b").await;
    assert_ne!(hash, of_other);
    let nothing = Hash::of(b"nothing").to_string();
    for asked in [of_other.as_str(), &nothing, "x", "..%2F..%2Fstore.json", &hash[..63]] {
        let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{asked}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("EF0236")), "{asked}: {problem}");
    }
    let (status, _bytes) = api.get(&format!("/api/v1/runs/{other}/artefacts/{of_other}")).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn bytes_that_are_others_than_they_were_are_not_given_out() {
    let api = Api::new();
    let (run, hash) = api.large("a").await;
    let file = api.held.node().layout().root().join("blobs").join(&run).join(&hash);
    std::fs::write(&file, b"something else").unwrap();
    let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{hash}")).await;
    assert_eq!((status, &problem["code"]), (503, &json!("EF0402")), "{problem}");
    std::fs::remove_file(&file).unwrap();
    let (status, problem) = api.get(&format!("/api/v1/runs/{run}/artefacts/{hash}")).await;
    assert_eq!((status, &problem["code"]), (404, &json!("EF0236")), "{problem}");
}

impl Api {
    /// Writes at the end of a run that an attempt gave these files.
    async fn gave(&self, run: &str, attempt: &str, files: &[&str]) {
        let file = |path: &&str| Artefact {
            name: (*path).to_owned(),
            path: (*path).to_owned(),
            blob: BlobRef { hash: Hash::of(path.as_bytes()), size_bytes: 1 },
        };
        let event: RunEvent = AttemptSucceeded {
            id: attempt.parse().unwrap(),
            output: Payload::Inline(JsonText::new(&Value::Null)),
            commit: None,
            artefacts: files.iter().map(file).collect(),
            ended_at: Timestamp(0),
            notes: AttemptNotes::default(),
        }
        .into();
        let stream = StreamId::run(run.parse::<RunId>().unwrap());
        let store = self.held.node().store();
        let head = store.head(&stream).await.unwrap().unwrap();
        let (schema, payload) = encode(&event).unwrap();
        let header = EventHeader {
            stream: stream.clone(),
            version: head.version.next(),
            recorded_at: Timestamp(0),
            actor: Actor::Engine,
            cause: Cause { input: InputId::derive(attempt), because: head.version },
            kind: event.kind(),
            schema,
            flags: 0,
            payload_hash: Hash::ZERO,
        };
        let append = Append {
            stream,
            expected: head.version,
            previous: head.hash,
            events: vec![NewEvent::link(header, payload, &head.hash)],
            dedup: None,
            fence: None,
            note: StreamNote::default(),
        };
        store.append(append).await.unwrap();
    }
}

#[tokio::test]
async fn the_files_of_a_run_come_in_parts_that_leave_nothing_out() {
    let api = Api::new();
    let (run, _) = api.large("a").await;
    let files = [["a", "b", "c"].as_slice(), &[], &["d"], &["e", "f", "g", "h"]];
    for (number, files) in files.iter().enumerate() {
        api.gave(&run, &format!("a/1/{}", number + 2), files).await;
    }
    let names = |page: &Value| -> String {
        page["items"].as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect()
    };
    let list = format!("/api/v1/runs/{run}/artefacts");
    let (_, all) = api.get(&list).await;
    assert_eq!((names(&all).as_str(), &all["next_cursor"]), ("abcdefgh", &Value::Null));
    for limit in 1..=8 {
        let (mut found, mut cursor) = (String::new(), String::new());
        loop {
            let (status, page) = api.get(&format!("{list}?limit={limit}{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            assert!(page["items"].as_array().unwrap().len() <= limit);
            found += &names(&page);
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, "abcdefgh", "in parts of {limit}");
    }
    // A part of a former moment goes on within that moment.
    let position = api.held.node().store().last_position().get() - 1;
    let (_, part) = api.get(&format!("{list}?limit=2&at={position}")).await;
    let next = part["next_cursor"].as_str().unwrap();
    let (_, rest) = api.get(&format!("{list}?limit=9&at={position}&cursor={next}")).await;
    assert_eq!((names(&rest).as_str(), &rest["next_cursor"]), ("cd", &Value::Null));
    // Of another run, and of another list.
    let (other, _) = api.large("b").await;
    let (_, problem) = api.get(&format!("/api/v1/runs/{other}/artefacts?cursor={next}")).await;
    assert_eq!(problem["code"], "EF0211", "{problem}");
    let (_, events) = api.get(&format!("/api/v1/runs/{run}/events?limit=1")).await;
    let of_events = events["next_cursor"].as_str().unwrap();
    for query in [&format!("cursor={of_events}"), "limit=0", "limit=1001"] {
        let (_, problem) = api.get(&format!("{list}?{query}")).await;
        assert_eq!(problem["code"], "EF0211", "{query}: {problem}");
    }
}
