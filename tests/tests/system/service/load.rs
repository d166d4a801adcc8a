//! Two hundred clients write and read at once while the server is killed twice.
//!
//! Every write carries a mark of its own, which its fact records, and a key of its own, under which it is repeated
//! until it is answered. So the log says it all: the mark of a write that was taken stands in it once, that of one
//! that was refused nowhere, and no other mark is there.
//!
//! The seed of a failure is printed; `EVERFOLD_LOAD_SEED` takes it. `EVERFOLD_LOAD_SECONDS=60` goes on for so long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::event_streams::{Seen, follow};
use super::fixtures::Place;
use super::rest_client::{Answer, Client};

const CLIENTS: usize = 200;
/// Of them, those who follow the stream of all runs.
const FOLLOWERS: usize = 10;
/// What each of the others does, unless there is a time.
const TURNS: usize = 6;
/// Events with a copy of this flag are of another run.
const COPIED: u64 = 1;

/// Facts of writes: a mark in one of them is that of the write.
const FACTS: [&str; 9] = [
    "RunStarted",
    "RunForked",
    "NoteAdded",
    "SignalReceived",
    "VoteCast",
    "QuestionAnswered",
    "RunPaused",
    "RunResumed",
    "CancelRequested",
];

fn pipeline(description: &str) -> Value {
    json!({
        "name": "lane",
        "description": description,
        "input": { "type": "object", "required": ["mark"] },
        "labels": { "lane": "${input.lane}" },
        "steps": [
            { "id": "ask", "question": { "title": "Which way?" } },
            { "id": "approve", "approval": { "title": "This way?", "on_reject": "fail" } },
            { "id": "hear", "wait": { "signal": "go" } },
            { "id": "same", "gates": [{ "id": "marked", "expression": "has(input.mark)" }] },
        ],
        "output": "${steps.hear.output}",
    })
}

/// A write and what became of it.
#[derive(Debug)]
struct Write {
    mark: String,
    what: &'static str,
    /// Of a vote and of steering: what was said.
    said: String,
    /// The step that a vote is about.
    step: String,
    /// The run that was signalled, or that began; of a version of the pipeline its hash.
    run: String,
    status: u16,
    position: Option<u64>,
}

impl Write {
    fn is_taken(&self) -> bool {
        self.status < 300
    }
}

/// What all clients share.
struct Load {
    seed: u64,
    address: String,
    tokens: Vec<String>,
    until: Option<Instant>,
    turns: AtomicUsize,
    reads: AtomicUsize,
    lost: AtomicU64,
    put_off: AtomicU64,
    repeated: AtomicUsize,
    /// Runs that began: any client may write to one.
    runs: Mutex<Vec<String>>,
    book: Mutex<Vec<Write>>,
}

impl Load {
    fn any_run(&self, dice: &mut StdRng) -> Option<String> {
        let runs = self.runs.lock().unwrap();
        // The newest have more to say.
        let newest = &runs[runs.len().saturating_sub(CLIENTS)..];
        newest.choose(dice).cloned()
    }

    fn goes_on(&self, turn: usize) -> bool {
        self.until.map_or(turn < TURNS, |until| Instant::now() < until)
    }

    /// How far it has come, in thousandths.
    fn progress(&self, began: Instant) -> u128 {
        match self.until {
            Some(until) => began.elapsed().as_millis() * 1000 / until.duration_since(began).as_millis(),
            None => {
                self.turns.load(Ordering::Relaxed) as u128 * 1000 / ((CLIENTS - FOLLOWERS) * TURNS) as u128
            }
        }
    }
}

/// One client.
struct Guest {
    load: Arc<Load>,
    client: Client,
    dice: StdRng,
    name: usize,
    writes: usize,
}

impl Guest {
    async fn stay(mut self) {
        let mut turn = 0;
        while self.load.goes_on(turn) {
            match self.dice.random_range(0..100) {
                0..15 => self.start().await,
                15..27 => self.note().await,
                27..40 => self.signal().await,
                40..60 => self.decide().await,
                60..64 => self.steer().await,
                64..67 => self.again().await,
                67..70 => self.save().await,
                _ => self.read().await,
            }
            turn += 1;
            self.load.turns.fetch_add(1, Ordering::Relaxed);
        }
        self.load.lost.fetch_add(self.client.lost.into(), Ordering::Relaxed);
        self.load.put_off.fetch_add(self.client.put_off.into(), Ordering::Relaxed);
    }

    fn mark(&mut self) -> String {
        self.writes += 1;
        format!("mark-{}-{}.", self.name, self.writes)
    }

    /// Writes, and notes what became of it; some writes are said again although they were heard.
    async fn write(
        &mut self,
        what: &'static str,
        method: &str,
        path: &str,
        mark: String,
        body: Value,
    ) -> Answer {
        let answer = self.client.write(method, path, &mark, &body).await;
        let status = answer.status;
        assert!(matches!(status, 200 | 201 | 404 | 409 | 422), "{method} {path}: {status} {}", answer.body);
        assert!(status >= 300 || answer.position.is_some(), "{method} {path}: no position");
        if status < 300 && self.dice.random_ratio(1, 5) {
            self.load.repeated.fetch_add(1, Ordering::Relaxed);
            let again = self.client.write(method, path, &mark, &body).await;
            let both = [(status, answer.position), (again.status, again.position)];
            // A vote for what was decided so already is no event, nor is a pause of a run that another client has paused,
            // so nothing is remembered of it.
            let is_own = |pause: &Value| pause["reason"] == mark.as_str();
            let is_paused_by_other = path.ends_with("/pause")
                && !answer.body["paused"].as_array().is_some_and(|all| all.iter().any(is_own));
            let is_remembered = what != "vote" && !is_paused_by_other;
            assert!(both[0] == both[1] || !is_remembered, "{method} {path}: {both:?} {}", again.body);
            if what == "start" {
                assert_eq!(answer.body["id"], again.body["id"]);
                let other = self.client.write(method, path, &mark, &json!({ "pipeline": "lane" })).await;
                assert_eq!(other.status, 422, "another body under the same key: {}", other.body);
            }
        }
        let begun = matches!(what, "start" | "fork");
        let view = if what == "signal" { &answer.body["run"] } else { &answer.body };
        let named = if what == "save" { &view["hash"] } else { &view["id"] };
        let run = named.as_str().unwrap_or_default().to_owned();
        if begun && status < 300 {
            self.load.runs.lock().unwrap().push(run.clone());
        }
        let said = match what {
            "vote" => body["decision"].as_str().unwrap_or_default(),
            _others => path.rsplit('/').next().unwrap_or_default(),
        };
        let step = if what == "vote" { "approve" } else { "" };
        let (said, step) = (said.to_owned(), step.to_owned());
        self.load.book.lock().unwrap().push(Write {
            mark,
            what,
            said,
            step,
            run,
            status,
            position: answer.position,
        });
        answer
    }

    /// Starts a run, and reads it back from lists that know of it.
    async fn start(&mut self) {
        let (mark, lane) = (self.mark(), format!("lane-{}", self.name));
        let body = json!({ "pipeline": "lane", "input": { "mark": mark, "lane": lane } });
        let begun = self.write("start", "POST", "/api/v1/runs", mark, body).await;
        assert_eq!(begun.status, 201, "{}", begun.body);
        let path = format!("/api/v1/runs?label=lane:{lane}&min_position={}", begun.position.unwrap());
        let list = self.client.get(&path).await;
        self.load.reads.fetch_add(1, Ordering::Relaxed);
        let newest: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|run| &run["id"]).collect();
        assert!(newest.contains(&&begun.body["id"]), "{path} does not know {}", begun.body["id"]);
    }

    async fn note(&mut self) {
        let Some(run) = self.load.any_run(&mut self.dice) else { return self.start().await };
        let mark = self.mark();
        let body = json!({ "text": mark });
        self.write("note", "POST", &format!("/api/v1/runs/{run}/notes"), mark, body).await;
    }

    async fn signal(&mut self) {
        let Some(run) = self.load.any_run(&mut self.dice) else { return self.start().await };
        let (mark, name) = (self.mark(), if self.dice.random_ratio(1, 4) { "go" } else { "tick" });
        let body = json!({ "payload": { "mark": mark } });
        self.write("signal", "POST", &format!("/api/v1/runs/{run}/signals/{name}"), mark, body).await;
    }

    /// Does one of the tasks that are open, as others may at the same time.
    async fn decide(&mut self) {
        let inbox = self.client.get("/api/v1/inbox?limit=20").await;
        self.load.reads.fetch_add(1, Ordering::Relaxed);
        let tasks = inbox["items"].as_array().unwrap();
        let Some(task) = tasks.choose(&mut self.dice) else { return self.start().await };
        let (mark, path) = (self.mark(), format!("/api/v1/inbox/{}", task["id"].as_str().unwrap()));
        if task["step"] == "ask" {
            let body = json!({ "answers": { "text": mark } });
            self.write("answer", "POST", &path, mark, body).await;
        } else {
            let decision = if self.dice.random_ratio(1, 5) { "reject" } else { "approve" };
            let body = json!({ "decision": decision, "comment": mark });
            self.write("vote", "POST", &path, mark, body).await;
        }
    }

    async fn steer(&mut self) {
        let Some(run) = self.load.any_run(&mut self.dice) else { return self.start().await };
        let mark = self.mark();
        let verb = *["pause", "resume", "resume", "cancel"].choose(&mut self.dice).unwrap();
        self.write(
            "steer",
            "POST",
            &format!("/api/v1/runs/{run}/{verb}"),
            mark.clone(),
            json!({ "reason": mark }),
        )
        .await;
    }

    async fn again(&mut self) {
        let Some(run) = self.load.any_run(&mut self.dice) else { return self.start().await };
        let mark = self.mark();
        let body = json!({ "version": self.dice.random_range(1..4), "title": mark });
        self.write("fork", "POST", &format!("/api/v1/runs/{run}/fork"), mark, body).await;
    }

    /// Saves the pipeline anew; its versions tell of it.
    async fn save(&mut self) {
        let mark = self.mark();
        let body = json!({ "definition": pipeline(&mark) });
        let saved = self.write("save", "PUT", "/api/v1/pipelines/lane", mark, body).await;
        assert_eq!(saved.status, 201, "{}", saved.body);
    }

    async fn read(&mut self) {
        let run = self.load.any_run(&mut self.dice).unwrap_or_else(|| "@".to_owned());
        let path = match self.dice.random_range(0..12) {
            0 => "/api/v1/runs?limit=50".to_owned(),
            1 => format!("/api/v1/runs?label=lane:lane-{}", self.name),
            2 => "/api/v1/runs?status=waiting,paused&sort=started&limit=20".to_owned(),
            3 => "/api/v1/board?group_by=stage&limit=10".to_owned(),
            4 => "/api/v1/stats".to_owned(),
            5 => "/api/v1/spend?by=pipeline".to_owned(),
            6 => "/api/v1/audit/gates?limit=20".to_owned(),
            7 => format!("/api/v1/runs/{run}/events?limit=50"),
            8 => format!("/api/v1/runs/{run}/timeline"),
            9 => format!("/api/v1/runs/{run}/audit"),
            10 => "/api/v1/projections".to_owned(),
            _ => format!("/api/v1/runs/{run}"),
        };
        let answer = self.client.ask("GET", &path, &[], None).await;
        let unknown = run == "@" && answer.status == 404;
        assert!(answer.status == 200 || unknown, "GET {path}: {} {}", answer.status, answer.body);
        self.load.reads.fetch_add(1, Ordering::Relaxed);
    }
}

/// An event of the log with the mark of a write.
struct Fact {
    run: String,
    position: u64,
}

/// An event of a run that another client may have caused.
#[derive(Debug)]
struct Former {
    position: u64,
    event: Value,
}

impl Write {
    /// Whether what was recorded of the run before the answer is what the write asked for.
    fn is_explained(&self, formers: &[Former]) -> bool {
        let known = formers.iter().take_while(|former| former.position <= self.position.unwrap_or_default());
        let mut known =
            known.map(|former| (former.event["type"].as_str().unwrap_or_default(), &former.event));
        match self.said.as_str() {
            vote @ ("approve" | "reject") => known.any(|(kind, event)| {
                kind == "VoteCast"
                    && event["vote"] == vote
                    && event["id"]["path"]["step"] == self.step.as_str()
            }),
            "pause" => known.any(|(kind, _)| kind == "RunPaused"),
            // Who lifts a pause always leaves a fact.
            "cancel" => known.any(|(kind, _)| matches!(kind, "CancelRequested" | "RunCancelled")),
            _other => false,
        }
    }
}

/// What the log holds.
#[derive(Default)]
struct LogContents {
    /// The events that have a mark, by it.
    marks: BTreeMap<String, Vec<Fact>>,
    /// Every event of a run, as streams show it.
    events: Vec<Seen>,
    /// Of each run: votes, pauses, ends.
    formers: BTreeMap<String, Vec<Former>>,
}

fn contents_of(export: &str) -> LogContents {
    let mut contents = LogContents::default();
    let LogContents { marks, events, formers } = &mut contents;
    for line in export.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["event"].is_null() || line["flags"].as_u64().unwrap() & COPIED != 0 {
            continue;
        }
        let position = line["position"].as_u64().unwrap();
        events.push(Seen { number: position, hash: line["hash"].as_str().unwrap().to_owned() });
        let kind = line["event"]["type"].as_str().unwrap();
        if matches!(kind, "VoteCast" | "RunPaused" | "RunResumed" | "CancelRequested" | "RunCancelled") {
            let of_run = formers.entry(line["run"].as_str().unwrap().to_owned()).or_default();
            of_run.push(Former { position, event: line["event"].clone() });
        }
        // A fork has the input of its origin, with the mark of that one's start.
        let text =
            if kind == "RunForked" { line["event"]["title"].to_string() } else { line["event"].to_string() };
        let Some(at) = text.find("mark-").filter(|_| FACTS.contains(&kind)) else { continue };
        let mark = text[at..].split_inclusive('.').next().unwrap().to_owned();
        let run = line["run"].as_str().unwrap().to_owned();
        marks.entry(mark).or_default().push(Fact { run, position });
    }
    contents
}

#[test]
fn two_hundred_clients_lose_and_double_no_write_over_two_kills_of_the_server() {
    let seed =
        std::env::var("EVERFOLD_LOAD_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    let seconds = std::env::var("EVERFOLD_LOAD_SECONDS").ok().map(|seconds| seconds.parse().unwrap());
    println!("EVERFOLD_LOAD_SEED={seed}");
    let mut place = Place::new("[serve]\nrate = 100000\nburst = 100000\n");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut admin = place.client();
    let tokens = runtime.block_on(async {
        let saved = admin
            .write("PUT", "/api/v1/pipelines/lane", "first", &json!({ "definition": pipeline("") }))
            .await;
        assert_eq!(saved.status, 201, "{}", saved.body);
        let mut tokens = Vec::new();
        for n in 0..5 {
            let name = format!("guest-{n}");
            let made =
                admin.post("/api/v1/tokens", &name, &json!({ "name": name, "role": "operator" })).await;
            tokens.push(made["token"].as_str().unwrap().to_owned());
        }
        tokens
    });
    let began = Instant::now();
    let load = Arc::new(Load {
        seed,
        address: place.address.clone(),
        tokens,
        until: seconds.map(|seconds| began + Duration::from_secs(seconds)),
        turns: AtomicUsize::default(),
        reads: AtomicUsize::default(),
        lost: AtomicU64::default(),
        put_off: AtomicU64::default(),
        repeated: AtomicUsize::default(),
        runs: Mutex::default(),
        book: Mutex::default(),
    });
    let (last, last_seen) = watch::channel(None);
    let mut followers = Vec::new();
    for n in 0..FOLLOWERS {
        let (client, dice) = (place.client(), StdRng::seed_from_u64(seed ^ n as u64));
        followers.push(runtime.spawn(follow(
            client,
            "/api/v1/stream?from=1".to_owned(),
            dice,
            last_seen.clone(),
        )));
    }
    let guests: Vec<_> = (0..CLIENTS - FOLLOWERS)
        .map(|name| {
            let client = Client::new(&load.address, &load.tokens[name % load.tokens.len()]);
            let dice = StdRng::seed_from_u64(load.seed.wrapping_add(name as u64));
            runtime.spawn(Guest { load: Arc::clone(&load), client, dice, name, writes: 0 }.stay())
        })
        .collect();
    for kill in [333, 667] {
        while load.progress(began) < kill && !guests.iter().any(|guest| guest.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
        }
        place.kill();
        place.serve();
    }
    runtime.block_on(async {
        for guest in guests {
            guest.await.unwrap();
        }
    });
    let took = began.elapsed();

    let export = runtime.block_on(admin.ask("GET", "/api/v1/events", &[], None));
    let LogContents { mut marks, events, formers } = contents_of(export.body.as_str().unwrap());
    let book = std::mem::take(&mut *load.book.lock().unwrap());
    let mut begun = 0;
    let mut votes = 0;
    for write in book.iter().filter(|write| write.what != "save") {
        let found = marks.remove(&write.mark).unwrap_or_default();
        begun += usize::from(matches!(write.what, "start" | "fork") && write.is_taken());
        match (&found[..], write.is_taken()) {
            ([fact], true) => {
                assert!(fact.run == write.run && fact.position <= write.position.unwrap(), "{write:?}");
            }
            ([], false) => {}
            // Another client wrote the same before.
            ([], true) if matches!(write.what, "vote" | "steer") => {
                let of_run = formers.get(&write.run).map_or(&[][..], Vec::as_slice);
                assert!(write.is_explained(of_run), "nothing explains {write:?}: {of_run:?}");
                votes += 1;
            }
            (several, _) => {
                let places: Vec<_> = several.iter().map(|fact| (&fact.run, fact.position)).collect();
                panic!("{write:?} stands in the log {} times: {places:?}", several.len());
            }
        }
    }
    assert!(marks.is_empty(), "no client wrote {:?}", marks.keys().collect::<Vec<_>>());
    let mut saved: Vec<String> =
        book.iter().filter(|write| write.what == "save").map(|write| write.run.clone()).collect();
    saved.sort();
    runtime.block_on(saved_once(&mut admin, saved));

    // What lists count is what was taken, and the store is sound.
    let stats = runtime.block_on(admin.get("/api/v1/stats"));
    assert_eq!(stats["total"], begun, "{stats}");
    let verified = runtime.block_on(admin.get("/api/v1/store/verify"));
    assert_eq!(verified["sound"], true, "{verified}");
    let runs = load.runs.lock().unwrap().clone();
    for run in runs.iter().step_by(runs.len() / 10 + 1) {
        let replayed = runtime.block_on(admin.get(&format!("/api/v1/runs/{run}/replay")));
        assert_eq!(replayed["differences"], json!([]), "{replayed}");
    }

    // Each follower saw each event once, in order.
    last.send(events.last().map(|event| event.number)).unwrap();
    for follower in followers {
        let seen = runtime.block_on(follower).unwrap();
        assert!(seen == events, "a follower saw {} of {} events", seen.len(), events.len());
    }
    let (reads, refused) =
        (load.reads.load(Ordering::Relaxed), book.iter().filter(|write| !write.is_taken()).count());
    println!(
        "{CLIENTS} clients, {:.1} s: {} writes ({refused} refused, {votes} said before, {} repeated on purpose), {reads} reads, {} events, {begun} runs; \
         {} requests without an answer, {} put off",
        took.as_secs_f64(),
        book.len(),
        load.repeated.load(Ordering::Relaxed),
        events.len(),
        load.lost.load(Ordering::Relaxed),
        load.put_off.load(Ordering::Relaxed),
    );
}

/// Every version that a client saved is there once.
async fn saved_once(admin: &mut Client, saved: Vec<String>) {
    let mut found = Vec::new();
    let versions = admin.get("/api/v1/pipelines/lane/versions").await;
    for version in versions["items"].as_array().unwrap() {
        found.push(version["hash"].as_str().unwrap().to_owned());
    }
    // The first one was there before.
    found.pop();
    found.sort();
    assert_eq!(found, saved, "each that was saved is a version");
}
