//! SIGTERM to a server that is at work: it says so first, finishes what it began, and ends well.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fixtures::Place;
use super::rest_client::{AWAY, Event, Events, PATIENCE};

const PIPELINE: &str = "name: slow\nsteps:\n  - { id: work, command: 'echo begun; sleep 3; echo done' }\n";

async fn in_time<T>(what: &str, done: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| panic!("{what}: not in time"))
}

/// The events of a stream up to its end.
async fn to_the_end(mut events: Events) -> Vec<Event> {
    let mut seen = Vec::new();
    while let Some(event) = events.next().await {
        seen.push(event);
    }
    seen
}

/// A request whose body has not come yet: head and half of the body are there.
async fn half_a_request(place: &Place, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&place.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{}",
        place.admin,
        body.len(),
        &body[..body.len() / 2]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[test]
fn a_server_that_is_asked_to_end_says_so_first_finishes_what_it_began_and_ends_with_0() {
    let mut place = Place::new("[serve]\ndrain_seconds = 2\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let run = runtime.block_on(async {
        let mut client = place.client();
        let ready = async {
            while client.once("GET", "/readyz", &[], None).await.unwrap().status != 200 {
                tokio::time::sleep(AWAY).await;
            }
        };
        in_time("it is ready", ready).await;
        let begun = client.post("/api/v1/runs", "start", &json!({ "definition": PIPELINE })).await;
        let run = begun["id"].as_str().unwrap().to_owned();
        let of_run = client.follow(&format!("/api/v1/runs/{run}/events/stream"), None).await.unwrap();
        let of_all = client.follow("/api/v1/stream?from=1", None).await.unwrap();
        let streams = [of_run, of_all].map(|events| tokio::spawn(to_the_end(events)));
        let note = json!({ "text": "half of it came before the end was near" }).to_string();
        let mut asking = half_a_request(&place, &format!("/api/v1/runs/{run}/notes"), &note).await;

        place.terminate();
        // First it says so: a balancer has to look for another server, and what still comes is answered.
        let ending = async {
            loop {
                let answer = client.once("GET", "/readyz", &[], None).await.expect("it still answers");
                if answer.status == 503 {
                    assert_eq!(answer.body["state"], "ending", "{}", answer.body);
                    return;
                }
                tokio::time::sleep(AWAY).await;
            }
        };
        in_time("it says that it ends", ending).await;
        let still = client.once("GET", &format!("/api/v1/runs/{run}"), &[], None).await.unwrap();
        assert_eq!(still.status, 200, "{}", still.body);
        let write = json!({ "text": "a write in the time between" });
        let noted =
            client.once("POST", &format!("/api/v1/runs/{run}/notes"), &[], Some(&write)).await.unwrap();
        assert_eq!(noted.status, 200, "{}", noted.body);
        for events in streams {
            let seen = in_time("a stream ends", events).await.unwrap();
            let last = seen.last().expect("a last event");
            assert_eq!((last.name.as_str(), &last.data["reason"]), ("end", &json!("the server ends")));
            let former = seen.iter().rev().find_map(|event| event.id.clone());
            assert_eq!(last.data["last_event_id"].as_str(), former.as_deref(), "it says where to go on");
        }
        // Now no new connection is accepted, and what had begun is answered.
        let closed = async {
            while TcpStream::connect(&place.address).await.is_ok() {
                tokio::time::sleep(AWAY).await;
            }
        };
        in_time("it listens no more", closed).await;
        asking.write_all(&note.as_bytes()[note.len() / 2..]).await.unwrap();
        let mut answer = String::new();
        in_time("an answer", asking.read_to_string(&mut answer)).await.unwrap();
        // It takes no writes any more; the client gets a code for that and is not cut off.
        let problem: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let is_taken = answer.starts_with("HTTP/1.1 200");
        assert!(is_taken || (answer.starts_with("HTTP/1.1 503") && problem["code"].is_string()), "{answer}");
        run
    });
    assert_eq!(place.ended(), Some(0));

    // The work of the step lived on, and the next server goes on with it.
    place.serve();
    runtime.block_on(async {
        let mut client = place.client();
        let over = async {
            loop {
                let view = client.get(&format!("/api/v1/runs/{run}")).await;
                if view["status"] == "succeeded" {
                    return view;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let view = in_time("the run ends", over).await;
        let log = client.get(&format!("/api/v1/runs/{run}/attempts/work/1/1/log")).await;
        assert_eq!(log, json!("begun\ndone\n"), "it was done once: {view}");
    });
    place.end();
}
