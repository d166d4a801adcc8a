//! Streams of server-sent events: what is lost on the way is asked for again, and who does not read waits alone.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fixtures::Place;
use super::rest_client::{AWAY, Client, Event, PATIENCE};

/// An event that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its position in the log, or its version in its run, as its id says.
    pub(crate) number: u64,
    pub(crate) hash: String,
}

impl Seen {
    fn of(event: &Event) -> Self {
        let hash = event.data["hash"].as_str().unwrap().to_owned();
        Self { number: number(event.id.as_ref().unwrap()), hash }
    }
}

fn number(id: &str) -> u64 {
    id.rsplit_once('-').unwrap().1.parse().unwrap()
}

/// Follows a stream until it has come to the number that `until` tells; lets go of the connection now and then and
/// takes it up behind what it saw, as it does where the server goes away.
pub(crate) async fn follow(
    mut client: Client,
    path: String,
    mut dice: StdRng,
    mut until: watch::Receiver<Option<u64>>,
) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let mut last: Option<String> = None;
    let is_done = |seen: &[Seen], until: &watch::Receiver<Option<u64>>| {
        let reached = seen.last().map_or(0, |event| event.number);
        until.borrow().is_some_and(|end| reached >= end)
    };
    while !is_done(&seen, &until) {
        let Ok(mut events) = client.follow(&path, last.as_deref()).await else {
            tokio::time::sleep(AWAY).await;
            continue;
        };
        while !is_done(&seen, &until) {
            let event = tokio::select! {
                event = events.next() => event,
                _changed = until.changed(), if until.borrow().is_none() => continue,
            };
            let Some(event) = event else { break };
            match event.name.as_str() {
                "event" => {
                    let id = event.id.clone().unwrap();
                    let former = last.as_deref().map_or(0, number);
                    assert!(number(&id) > former, "{path}: {id} comes behind {former}");
                    seen.push(Seen::of(&event));
                    last = Some(id);
                }
                "ready" => {
                    let stands = event.id.unwrap();
                    assert_eq!(number(&stands), last.as_deref().map_or(0, number), "{path}: where it stands");
                    last = Some(stands);
                }
                "end" => {
                    // Who goes on where it says has missed nothing; what a filter left out may be passed over.
                    let said = event.data["last_event_id"].as_str().expect("where to go on").to_owned();
                    let taken = last.as_deref().map_or(0, number);
                    let passes_over = path.contains("types=") || path.contains("run=");
                    let is_whole = number(&said) == taken || (passes_over && number(&said) > taken);
                    assert!(is_whole, "{path}: “{said}” in place of {taken}");
                    last = Some(said);
                    break;
                }
                other => panic!("{path}: an event “{other}”"),
            }
            if dice.random_ratio(1, 40) {
                break;
            }
        }
        tokio::time::sleep(AWAY).await;
    }
    seen
}

const PIPELINE: &str = r#"
name: talk
steps:
  - id: hear
    wait: { signal: over }
"#;

async fn start(client: &mut Client, key: &str) -> String {
    let begun = client.post("/api/v1/runs", key, &json!({ "definition": PIPELINE })).await;
    begun["id"].as_str().unwrap().to_owned()
}

async fn note(client: &mut Client, run: &str, text: &str, key: &str) -> u64 {
    let path = format!("/api/v1/runs/{run}/notes");
    let noted = client.write("POST", &path, key, &json!({ "text": text })).await;
    assert_eq!(noted.status, 200, "{}", noted.body);
    noted.position.unwrap()
}

/// The events of a list, page by page.
async fn listed(client: &mut Client, run: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/runs/{run}/events?limit=100{cursor}")).await;
        all.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn expected(events: &[Value], number: &str) -> Vec<Seen> {
    let seen = |event: &Value| Seen {
        number: event[number].as_u64().unwrap(),
        hash: event["hash"].as_str().unwrap().to_owned(),
    };
    events.iter().map(seen).collect()
}

#[test]
fn streams_that_drop_and_resume_over_restarts_give_each_event_once_and_in_order() {
    const RUNS: usize = 6;
    let seed =
        std::env::var("EVERFOLD_LOAD_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("EVERFOLD_LOAD_SEED={seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut place = Place::new("");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut client = place.client();
    let runs: Vec<String> = runtime.block_on(async {
        let mut runs = Vec::new();
        for n in 0..RUNS {
            runs.push(start(&mut client, &format!("run-{n}")).await);
        }
        runs
    });
    // Of each run, of all runs, of one of them there, and of one type: each has another end.
    let mut following = Vec::new();
    let mut paths: Vec<String> = runs.iter().map(|run| format!("/api/v1/runs/{run}/events/stream")).collect();
    paths.extend(["/api/v1/stream?from=1".to_owned(), "/api/v1/stream?from=1&types=NoteAdded".to_owned()]);
    paths.push(format!("/api/v1/stream?from=1&pipeline=talk&run={}", runs[0]));
    for (n, path) in paths.iter().enumerate() {
        for reader in 0..2 {
            let (last, until) = watch::channel(None);
            let dice = StdRng::seed_from_u64(seed.wrapping_add((n * 2 + reader) as u64));
            following.push((n, last, runtime.spawn(follow(place.client(), path.clone(), dice, until))));
        }
    }
    for part in 0..4 {
        runtime.block_on(async {
            for n in 0..60 {
                let run = &runs[dice.random_range(0..RUNS)];
                note(&mut client, run, "something", &format!("note-{part}-{n}")).await;
            }
        });
        match part {
            0 | 2 => place.kill(),
            1 => place.end(),
            _ => continue,
        }
        place.serve();
    }
    let lists = runtime.block_on(async {
        let mut lists = Vec::new();
        for run in &runs {
            client.post(&format!("/api/v1/runs/{run}/signals/over"), "over", &json!({})).await;
            lists.push(listed(&mut client, run).await);
        }
        lists
    });
    let mut all: Vec<Value> = lists.concat();
    all.sort_by_key(|event| event["position"].as_u64());
    let notes: Vec<Value> =
        all.iter().filter(|event| event["event"]["type"] == "NoteAdded").cloned().collect();
    assert_eq!(notes.len(), 240, "no note was lost, none doubled");
    for (n, last, reader) in following {
        let wanted = match n {
            n if n < RUNS => expected(&lists[n], "version"),
            n if n == RUNS => expected(&all, "position"),
            n if n == RUNS + 1 => expected(&notes, "position"),
            _one_run => expected(&lists[0], "position"),
        };
        last.send(wanted.last().map(|event| event.number)).unwrap();
        assert_eq!(runtime.block_on(reader).unwrap(), wanted, "{}", paths[n]);
    }
}

/// Streams that are fed, as the server counts them.
async fn streams_open(client: &mut Client) -> u64 {
    let text = client.get("/metrics").await;
    let line = text.as_str().unwrap().lines().find_map(|line| line.strip_prefix("everfold_streams_open "));
    line.expect("streams are counted").parse().unwrap()
}

#[test]
fn a_reader_that_takes_nothing_is_left_behind_with_the_place_to_go_on_and_no_other_waits_for_it() {
    let place = Place::new("");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = place.client();
        let run = start(&mut client, "run").await;
        // These read nothing for now. What lies between is filled by large notes.
        let of_run = format!("/api/v1/runs/{run}/events/stream");
        let mut idle = Vec::new();
        for path in [of_run.as_str(), "/api/v1/stream?from=1"] {
            idle.push((path, client.follow(path, None).await.unwrap()));
        }
        assert_eq!(streams_open(&mut client).await, 2);
        let text = "x".repeat(60_000);
        let mut writer = place.client();
        let written = async {
            let mut former = 0;
            for n in 0..400 {
                let position = note(&mut writer, &run, &text, &format!("note-{n}")).await;
                assert!(position > former, "writes go on");
                former = position;
            }
        };
        // Both read again as soon as they are dropped, however long the writing takes: the server closes a connection that
        // goes on taking nothing.
        let read_on = async {
            let dropped = async {
                while streams_open(&mut client).await > 0 {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            };
            tokio::time::timeout(PATIENCE, dropped).await.expect("those who take nothing are dropped");
            let to_the_end = idle.into_iter().map(async |(path, mut events)| {
                let mut seen = Vec::new();
                let end = loop {
                    let event = events.next().await.expect("an end is said");
                    match event.name.as_str() {
                        "event" => seen.push(Seen::of(&event)),
                        "ready" => {}
                        _end => break event,
                    }
                };
                assert!(events.next().await.is_none(), "nothing comes behind the end");
                (path, seen, end)
            });
            futures::future::join_all(to_the_end).await
        };
        let ((), ended) = tokio::join!(written, read_on);
        let listed = listed(&mut client, &run).await;
        for (path, mut seen, end) in ended {
            let counted = if path == of_run { "version" } else { "position" };
            let wanted = expected(&listed, counted);
            assert_eq!((end.name.as_str(), end.id), ("end", None));
            assert!(end.data["reason"].as_str().unwrap().contains("took nothing for"), "{}", end.data);
            let on = end.data["last_event_id"].as_str().expect("where to go on").to_owned();
            assert_eq!(number(&on), seen.last().map_or(0, |event| event.number), "behind what came");
            assert!(seen.len() < wanted.len(), "it was dropped before the end");
            // From there the rest comes.
            let mut rest = client.follow(path, Some(&on)).await.unwrap();
            while seen.len() < wanted.len() {
                let event = rest.next().await.expect("the rest");
                if event.name == "event" {
                    seen.push(Seen::of(&event));
                }
            }
            assert_eq!(seen, wanted, "{path}");
        }
    });
}
