//! Workers of the real program: the example in Python and the client in Rust, killed and outlived.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use everfold_engine::json::Value;
use everfold_workflows::function::{Call, Function, StepError};
use everfold_workflows::http::{HttpClient, HttpRequest};
use everfold_workflows::remote::Worker;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = r#"
[workers]
lease = "2s"
[workers.functions."deploy.canary"]
summary = "Deploys to one machine in a hundred."
input = { type = "object", required = ["version"] }
output = { type = "object" }
"#;
const PIPELINE: &str = r#"
name: deploy
input: { type: object, required: [seconds], properties: { seconds: { type: number } } }
steps:
  - id: canary
    function: deploy.canary
    with: { version: "1.2", seconds: "${input.seconds}" }
output: "${steps.canary.output}"
"#;

/// A served folder; everything that it started ends with it.
struct Place {
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl Drop for Place {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _gone = child.kill();
            let _gone = child.wait();
        }
    }
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".everfold")).unwrap();
        std::fs::write(folder.path().join(".everfold/everfold.toml"), SETTINGS).unwrap();
        std::fs::write(folder.path().join("deploy.yaml"), PIPELINE).unwrap();
        Self { folder, children: Vec::new() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_everfold-under-test"));
        command.args(args).current_dir(self.folder.path()).env("NO_COLOR", "1").env_remove("EVERFOLD_DIR");
        command.stdin(Stdio::null());
        command
    }

    /// What a command prints; it succeeds.
    fn says(&self, args: &[&str]) -> String {
        let done = self.command(args).output().unwrap();
        let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{args:?}: {out}{err}");
        out.trim().to_owned()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.says(args)).unwrap()
    }

    /// Serves; the port is kept over restarts. Gives its process and its URL.
    fn serve(&mut self, listen: &str) -> (usize, String) {
        let record = self.folder.path().join(".everfold/owner.json");
        let _former = std::fs::remove_file(&record);
        let (out, err) = (self.log("serve.out"), self.log("serve.err"));
        let child = self.command(&["serve", "--listen", listen]).stdout(out).stderr(err).spawn().unwrap();
        self.children.push(child);
        let url = until("it serves", || {
            let record: Value = serde_json::from_slice(&std::fs::read(&record).ok()?).ok()?;
            record["url"].as_str().map(str::to_owned)
        });
        (self.children.len() - 1, url)
    }

    fn log(&self, name: &str) -> std::fs::File {
        let path = self.folder.path().join(name);
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap()
    }

    fn python(&mut self, url: &str, token: &str) -> usize {
        self.python_as("", url, token)
    }

    /// A worker that keeps its name.
    fn python_as(&mut self, instance: &str, url: &str, token: &str) -> usize {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/examples/worker.py");
        let child = Command::new("python3")
            .arg(script)
            .env("EVERFOLD_URL", url)
            .env("EVERFOLD_TOKEN", token)
            .env("EVERFOLD_INSTANCE", instance)
            .stdin(Stdio::null())
            .stdout(self.log("worker.out"))
            .stderr(self.log("worker.out"))
            .spawn()
            .unwrap();
        self.children.push(child);
        self.children.len() - 1
    }

    /// As `kill -9`.
    fn kill(&mut self, child: usize) {
        self.children[child].kill().unwrap();
        self.children[child].wait().unwrap();
    }

    fn start(&self, seconds: &str) -> String {
        let started =
            self.json(&["run", "deploy.yaml", "--detach", "-i", &format!("seconds={seconds}"), "--json"]);
        started["id"].as_str().unwrap().to_owned()
    }

    fn run(&self, run: &str) -> Value {
        self.json(&["show", run, "--json"])
    }

    fn ended(&self, run: &str) -> Value {
        until("the run ends", || {
            Some(self.run(run))
                .filter(|view| ["succeeded", "failed"].contains(&view["status"].as_str().unwrap()))
        })
    }

    /// Waits until a worker holds an attempt of the run.
    fn held(&self, run: &str) {
        until("a worker holds it", || {
            let workers = self.json(&["workers", "--json"]);
            let mut holds =
                workers["items"].as_array()?.iter().flat_map(|it| it["holds"].as_array().unwrap());
            holds.any(|held| held["run"] == run).then_some(())
        });
    }

    /// The newest line of the step.
    fn says_line(&self, run: &str, text: &str) {
        until(text, || self.run(run)["steps"][0]["line"].as_str()?.contains(text).then_some(()));
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_python_worker_outlives_the_engine_and_the_engine_outlives_it() {
    let text = include_str!("../../../docs/examples/worker.py");
    assert!(text.lines().count() <= 60, "an example of {} lines", text.lines().count());
    let mut place = Place::new();
    let (engine, url) = place.serve("127.0.0.1:0");
    let token = place.says(&["token", "create", "canary", "--role", "worker"]);

    // Before any worker connects, the run says what it waits for.
    let run = place.start("0");
    place.says_line(&run, "waits for a worker that does deploy.canary");
    let worker = place.python(&url, &token);
    assert_eq!(place.ended(&run)["output"], json!({ "healthy": true, "version": "1.2" }));
    let workers = until("the worker polls again", || {
        let workers = place.json(&["workers", "--json"]);
        (workers["items"][0]["polls"] == 1).then_some(workers)
    });
    assert_eq!(workers["items"][0]["name"], "worker:canary");
    let instance = workers["items"][0]["instance"].as_str().unwrap();
    assert!(place.says(&["workers"]).contains(instance), "the process is listed under its own name");
    assert_eq!(workers["functions"][0]["name"], "deploy.canary");
    let log = place.says(&["logs", &run, "canary"]);
    assert!(log.contains("deploys 1.2 with the key"), "{log}");

    // The engine is killed while the worker holds an attempt, which is not done again.
    let run = place.start("4");
    place.held(&run);
    place.kill(engine);
    let (_again, _) = place.serve(url.strip_prefix("http://").unwrap());
    let view = place.ended(&run);
    assert_eq!((&view["status"], &view["steps"][0]["attempt"]), (&json!("succeeded"), &json!(1)), "{view}");

    // The worker is killed: the attempt is lost, and a person decides.
    let run = place.start("30");
    place.held(&run);
    let held = place.json(&["workers", "--json"])["items"][0]["holds"][0].clone();
    assert_eq!((&held["run"], &held["step"]), (&json!(run), &json!("canary")));
    let shown = place.says(&["workers"]);
    assert!(shown.contains("HELD BY") && shown.contains("worker:canary"), "{shown}");
    place.kill(worker);
    until("the step is blocked", || (place.run(&run)["status"] == "blocked").then_some(()));
    place.says(&["unblock", &run, "canary", "--decision", "retry"]);
    // The next worker is killed too late to matter: the run is cancelled, and the worker hears of it.
    place.python(&url, &token);
    place.held(&run);
    place.says(&["cancel", &run]);
    until("it is cancelled", || (place.run(&run)["status"] == "cancelled").then_some(()));
    let run = place.start("0");
    assert_eq!(place.ended(&run)["status"], "succeeded");
}

/// The lease is far longer than this test waits.
#[test]
fn a_worker_that_is_killed_and_started_under_its_name_frees_what_it_held_at_once() {
    let mut place = Place::new();
    let settings = place.folder.path().join(".everfold/everfold.toml");
    std::fs::write(settings, SETTINGS.replace("lease = \"2s\"", "lease = \"1h\"")).unwrap();
    let (engine, url) = place.serve("127.0.0.1:0");
    let token = place.says(&["token", "create", "canary", "--role", "worker"]);
    let blocked = |place: &Place, run: &str| {
        until("the step is blocked", || (place.run(run)["status"] == "blocked").then_some(()));
    };
    let worker = place.python_as("one", &url, &token);
    let run = place.start("600");
    place.held(&run);
    place.kill(worker);
    let worker = place.python_as("one", &url, &token);
    blocked(&place, &run);
    // Both are killed, and the worker is the first to be back.
    let run = place.start("600");
    place.held(&run);
    place.kill(engine);
    place.kill(worker);
    place.python_as("one", &url, &token);
    place.serve(url.strip_prefix("http://").unwrap());
    blocked(&place, &run);
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Release {
    version: String,
}

async fn canary(call: Call, release: Release) -> Result<Value, StepError> {
    call.log("in Rust");
    match release.version.as_str() {
        "1.2" => Ok(json!({ "key": call.idempotency_key() })),
        other => Err(StepError::validation(format!("there is no {other}")).code("NO_VERSION")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_worker_does_typed_functions_and_bad_calls_are_refused_with_reasons() {
    let mut place = Place::new();
    let (_engine, url) = place.serve("127.0.0.1:0");
    let token = place.says(&["token", "create", "rust", "--role", "worker"]);
    let viewer = place.says(&["token", "create", "eye", "--role", "viewer"]);
    let stop = CancellationToken::new();
    let function = Function::new("deploy.canary", canary);
    let worker = Worker::at(&url, &token).function(function).unwrap().capacity(3);
    let working = tokio::spawn(worker.run(stop.clone()));
    let run = place.start("0");
    let view = place.ended(&run);
    assert_eq!(view["status"], "succeeded", "{view}");
    assert_eq!(view["output"]["key"].as_str().unwrap().len(), 32);
    assert!(place.says(&["logs", &run, "canary"]).contains("in Rust"));
    stop.cancel();
    working.await.unwrap().unwrap();
    // A worker whose function the settings do not leave to workers is refused.
    let other = Worker::at(&url, &token).function(Function::new("deploy.canry", canary)).unwrap();
    let refused = other.run(CancellationToken::new()).await.unwrap_err().to_string();
    assert!(refused.contains("EF0622"), "{refused}");

    let attempt = "attempts/0198c1f0-0000-7000-8000-0000deadbeef:canary:1:1";
    for (token, path, body, status, code) in [
        (&token, "poll".to_owned(), json!({ "kinds": ["deploy.canry"] }), 422, "EF0622"),
        (&token, "poll".to_owned(), json!({ "kinds": ["everfold.noop"] }), 422, "EF0622"),
        (&token, "poll".to_owned(), json!({ "kinds": [] }), 422, ""),
        (&token, "poll".to_owned(), json!({ "kinds": ["deploy.canary"], "capacity": 0 }), 422, ""),
        (&token, "poll".to_owned(), json!({ "kinds": ["deploy.canary"], "wait": -1 }), 422, ""),
        (&token, "poll".to_owned(), json!({ "kinds": ["deploy.canary"], "wait": 1e300 }), 422, ""),
        (&token, "poll".to_owned(), json!({ "kind": "deploy.canary" }), 422, ""),
        (&viewer, "poll".to_owned(), json!({ "kinds": ["deploy.canary"] }), 403, "EF0602"),
        (&token, format!("{attempt}/complete"), json!({ "lease": "x" }), 409, "EF0620"),
        (&token, format!("{attempt}/heartbeat"), json!({ "lease": "x" }), 409, "EF0620"),
        (
            &token,
            format!("{attempt}/fail"),
            json!({ "lease": "x", "failure": { "message": "m" } }),
            409,
            "EF0620",
        ),
        (&token, format!("{attempt}/fail"), json!({ "lease": "x", "failure": { "mesage": "m" } }), 422, ""),
        (&token, "attempts/..%2F..%2Fx:1:1/complete".to_owned(), json!({ "lease": "x" }), 422, ""),
        (
            &token,
            format!("{attempt}/complete"),
            json!({ "lease": "x", "output": "x".repeat(1_100_000) }),
            413,
            "",
        ),
    ] {
        let mut request = HttpRequest::get(format!("{url}/api/v1/workers/{path}"));
        request.method = "POST".parse().unwrap();
        request.headers.insert("authorization".into(), format!("Bearer {token}"));
        request.body = Some(body.to_string().into_bytes());
        let answer = HttpClient::new().send(request).await.unwrap();
        let problem = answer.json().unwrap();
        assert_eq!(answer.status, status, "{path}: {problem}");
        assert!(problem["code"].as_str().unwrap().contains(code), "{path}: {problem}");
    }
    // What a pipeline may name is known before its run begins.
    std::fs::write(
        Path::new(place.folder.path()).join("wrong.yaml"),
        "name: wrong\nsteps: [{ id: a, function: deploy.canry }]\n",
    )
    .unwrap();
    let refused = place.command(&["run", "wrong.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("did you mean deploy.canary?") && said.contains("EF0623"), "{said}");
}

/// Which attempts' bodies were done, and how often: `RUN STEP ATTEMPT`.
type Bodies = Arc<Mutex<BTreeMap<(String, String, u32), usize>>>;

/// The function is not idempotent: what is done twice is done wrongly, unless the history says that the first was lost.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_is_done_twice_without_a_recorded_loss_however_often_the_engine_is_killed() {
    const CHAIN: &str = "name: chain\nsteps:\n  - { id: one, function: deploy.canary, with: { version: '1' } }\n  - { id: two, \
                         needs: [one], function: deploy.canary, with: { version: '2' } }\n  - { id: three, needs: [two], \
                         function: deploy.canary, with: { version: '3' } }\n";
    let mut place = Place::new();
    std::fs::write(place.folder.path().join("chain.yaml"), CHAIN).unwrap();
    let (mut engine, url) = place.serve("127.0.0.1:0");
    let token = place.says(&["token", "create", "rust", "--role", "worker"]);
    let bodies = Bodies::default();
    let counted = Arc::clone(&bodies);
    let function = Function::new("deploy.canary", move |call: Call, _release: Release| {
        let counted = Arc::clone(&counted);
        async move {
            let id = (call.run().to_string(), call.step().to_string(), call.attempt());
            *counted.lock().unwrap().entry(id).or_default() += 1;
            Ok::<_, StepError>(json!({ "done": true }))
        }
    });
    let stop = CancellationToken::new();
    let worker = Worker::at(&url, &token).function(function).unwrap().capacity(3);
    let working = tokio::spawn(worker.run(stop.clone()));
    let start =
        || place.json(&["run", "chain.yaml", "--detach", "--json"])["id"].as_str().unwrap().to_owned();
    let runs: Vec<String> = (0..8).map(|_| start()).collect();
    let done = || bodies.lock().unwrap().values().sum::<usize>();
    for threshold in [2, 7, 13, 19] {
        // Attempts that are lost block their steps, and fewer bodies may come than that.
        let began = Instant::now();
        while done() < threshold && began.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        place.kill(engine);
        (engine, _) = place.serve(url.strip_prefix("http://").unwrap());
    }
    for run in &runs {
        until("the run ends", || {
            let view = place.run(run);
            if view["status"] == "blocked" {
                let blocked = |step: &&Value| step["status"] == "blocked";
                let step = view["steps"].as_array()?.iter().find(blocked)?["id"].as_str()?;
                // It may have been decided since: then the next look shows it.
                let _tried = place.command(&["unblock", run, step, "--decision", "retry"]).output().unwrap();
            }
            (view["status"] == "succeeded").then_some(())
        });
    }
    stop.cancel();
    working.await.unwrap().unwrap();
    let bodies = bodies.lock().unwrap().clone();
    assert!(bodies.values().all(|times| *times == 1), "an attempt is given to a worker once: {bodies:?}");
    for run in &runs {
        let events = place.says(&["events", run, "--json"]);
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let of = |name: &str| -> Vec<&Value> {
            events.iter().map(|event| &event["event"]).filter(|event| event["type"] == name).collect()
        };
        for step in ["one", "two", "three"] {
            let is_its = |event: &&&Value| event["id"]["path"]["step"] == step;
            let lost = of("AttemptLost").iter().filter(is_its).count();
            let done = bodies.iter().filter(|((of, it, _), _)| of == run && it == step).count();
            assert!((1..=1 + lost).contains(&done), "{run} {step}: {done} bodies, {lost} losses");
            let succeeded = of("AttemptSucceeded");
            let end = succeeded.iter().find(is_its).unwrap();
            assert!(end["told"]["report"].is_string(), "{end}");
            let started = of("AttemptStarted");
            let started = started.iter().rev().find(|event| event["id"] == end["id"]).unwrap();
            assert_eq!(started["holder"]["worker"], "worker:rust", "{started}");
        }
    }
}
