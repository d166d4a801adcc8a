//! How far a run is while it works, and who ended it, wherever people and programs look: in `show`, in lists, over REST,
//! in the stream of its events, in notices.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::fixtures::{Scratch, Served, await_that};

fn first_step(scratch: &Scratch) -> Value {
    scratch.run(&["show", "@", "--json"]).json()["steps"][0].clone()
}

/// The events of a run's stream that are of one type, as they come: each with the lines that a reader gets.
fn streamed(served: &Served, run: &str, kind: &str) -> impl Iterator<Item = Value> + use<> {
    let mut stream = TcpStream::connect(served.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    write!(
        stream,
        "GET /api/v1/runs/{run}/events/stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\
         Authorization: Bearer {}\r\n\r\n",
        served.token
    )
    .unwrap();
    let kind = kind.to_owned();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let events = lines.filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    events.filter(move |event| event["event"]["type"] == kind.as_str())
}

const COUNTS: &str = r#"name: counts
steps:
  - id: link
    command: |
      until_is() { until [ -e "$1" ]; do sleep 0.05; done; }
      for i in $(seq 1 100); do echo '{"done": 3, "of": 8, "note": "linking"}' > next && mv next "$EVERFOLD_PROGRESS"; done
      until_is more
      echo '{"done": 5, "items": [{"text": "core", "done": true}, "api"]}' > next && mv next "$EVERFOLD_PROGRESS"
      until_is fail
      exit 1
"#;

#[test]
fn c118_c123_progress_stands_in_show_lists_views_and_streams_and_stays_with_the_failure() {
    let scratch = Scratch::new();
    scratch.write("counts.yaml", COUNTS);
    let (_server, served) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./counts.yaml", "--detach"]).code, 0);
    let run = scratch.run(&["show", "@", "--json"]).json()["id"].as_str().unwrap().to_owned();
    let mut reports = streamed(&served, &run, "ProgressReported");
    let progress = |event: Option<Value>| event.unwrap()["event"]["progress"]["done"].clone();
    assert_eq!(progress(reports.next()), json!(3));
    assert_eq!(
        first_step(&scratch)["progress"],
        json!({"done": 3, "of": 8, "share": 0.375, "note": "linking"})
    );
    let shown = scratch.run(&["show", "@"]).out;
    assert!(shown.contains("3/8 linking"), "{shown}");
    let row = |progress: Value| {
        await_that("the list has it", || {
            let list = scratch.run_far(&served, &["runs", "--json"]).json();
            (list["items"][0]["progress"] == progress).then_some(())
        });
    };
    row(json!({"step": "link", "done": 3, "of": 8}));
    scratch.write("more", "");
    assert_eq!(progress(reports.next()), json!(5), "a hundred unchanged reports were one");
    let parts = json!([{"text": "core", "done": true}, {"text": "api", "done": false}]);
    let unknown = json!({"done": 5, "of": 0, "share": 0.0, "items": parts});
    assert_eq!(first_step(&scratch)["progress"], unknown, "of none at all nothing is a part");
    row(json!({"step": "link", "done": 5, "of": 0}));
    scratch.write("fail", "");
    let ended = scratch.await_status("@", "failed");
    assert_eq!(ended["steps"][0]["progress"], unknown, "it stays with what failed");
    assert_eq!(ended["steps"][0]["failure"]["kind"], "exit");
}

const PHASES: &str = r#"name: phases
steps:
  - id: build
    grace: 1m
    agent:
      profile: script
      model: "vendor/${run.pipeline}-4"
      prompt: "PROMPT"
      args:
        - sh
        - -c
        - |
          trap 'until [ -e stop ]; do sleep 0.05; done; exit 1' TERM
          touch began
          while true; do sleep 0.05; done
    resources: [bench]
"#;

const BEHIND: &str = r#"name: behind
steps:
  - id: rate
    command: "true"
    resources: [bench]
"#;

/// The preflight of the profile holds the agent back between its being scheduled and its program's beginning.
const HELD_BACK: &str = r#"[resources]
bench = 1

[preflight.script]
timeout = "1m"
command = ["sh", "-c", "until [ -e GO ]; do sleep 0.05; done"]
"#;

#[test]
fn c117_f26_a_step_waits_in_line_starts_with_its_model_in_sight_runs_and_stops() {
    let scratch = Scratch::new();
    // A task of this size is kept outside of the state.
    scratch.write("phases.yaml", &PHASES.replace("PROMPT", &"Build it well. ".repeat(200)));
    std::fs::create_dir_all(scratch.data()).unwrap();
    let go = scratch.path("go").display().to_string();
    std::fs::write(scratch.data().join("everfold.toml"), HELD_BACK.replace("GO", &go)).unwrap();
    let (_server, served) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./phases.yaml", "--detach"]).code, 0);
    let id = |run: &str| scratch.run(&["show", run, "--json"]).json()["id"].as_str().unwrap().to_owned();
    let run = id("@");
    let phase = |run: &str, phase: &str| {
        await_that(&format!("the step of {run} is {phase}"), || {
            let view = scratch.run_far(&served, &["show", run, "--json"]).json();
            (view["steps"][0]["phase"] == phase).then_some(view)
        })
    };
    let starting = phase(&run, "starting");
    assert_eq!(starting["steps"][0]["model"], "vendor/phases-4", "before the program began");
    let shown = scratch.run(&["show", &run]).out;
    assert!(shown.contains("▸ build  starting") && shown.contains("vendor/phases-4"), "{shown}");
    scratch.write("behind.yaml", BEHIND);
    assert_eq!(scratch.run(&["run", "./behind.yaml", "--detach"]).code, 0);
    let behind = id("@");
    assert_eq!(phase(&behind, "in_line")["steps"][0].get("model"), None, "no agent");
    scratch.write("go", "");
    assert_eq!(phase(&run, "running")["steps"][0]["model"], "vendor/phases-4");
    await_that("its program began", || scratch.path("began").exists().then_some(()));
    assert_eq!(scratch.run(&["cancel", &run, "-m", "enough"]).code, 0);
    let stopping = phase(&run, "stopping");
    assert_eq!(stopping["status"], "stopping", "something of it still executes");
    let list = |status: &str| scratch.run(&["runs", "--status", status, "--json"]).json()["items"].clone();
    await_that("the list says so", || (list("stopping")[0]["pipeline"] == "phases").then_some(()));
    assert_eq!(list("cancelled"), json!([]), "not before nothing of it is at work");
    scratch.write("stop", "");
    let ended = scratch.await_status(&run, "cancelled");
    scratch.await_status(&behind, "succeeded");
    assert_eq!((ended["steps"][0].get("phase"), ended["steps"][0].get("model")), (None, None));
    await_that("the list says so", || (list("cancelled")[0]["pipeline"] == "phases").then_some(()));
}

const HOLDER: &str = r#"name: holder
notify:
  - { id: told, events: [StepFailed], function: notify.log, with: { file: "${input.log}", text: "${event.failure.message}" } }
input: { type: object, required: [log], properties: { log: { type: string } } }
steps:
  - id: kid
    run: ./kid.yaml
    on_fail: continue
output: "${run.warnings.map(w, w.message)}"
"#;

const KID: &str = r#"name: kid
steps:
  - { id: waits, wait: { signal: never } }
on_finish:
  - { id: tidy, command: "echo '{\"by\": \"'${run.cancelled.?by.orValue('')}'\", \"why\": \"'${run.cancelled.?reason.orValue('')}'\"}'", outputs: { json: stdout } }
"#;

#[test]
fn c135_who_had_a_run_cancelled_and_why_stands_in_lists_in_its_parent_and_in_notices() {
    let scratch = Scratch::new();
    scratch.write("holder.yaml", HOLDER);
    scratch.write("kid.yaml", KID);
    let log = scratch.path("notices.jsonl");
    let given = format!("log={}", log.display());
    let (_server, _) = scratch.serve(&[]);
    assert_eq!(scratch.run(&["run", "./holder.yaml", "-i", &given, "--detach"]).code, 0);
    let rows =
        |pipeline: &str| scratch.run(&["runs", "--pipeline", pipeline, "--json"]).json()["items"].clone();
    let kid = await_that("the child waits", || {
        let row = rows("kid")[0].clone();
        (row["status"] == "waiting").then(|| row["id"].as_str().unwrap().to_owned())
    });
    assert_eq!(scratch.run(&["cancel", &kid, "-m", "Stopped by the user."]).code, 0);
    let view = scratch.await_status(&kid, "cancelled");
    let said = "cancelled by user:ada: Stopped by the user.";
    let cancelled = &view["cancelled"];
    assert_eq!(
        (&cancelled["by"], &cancelled["reason"]),
        (&json!("user:ada"), &json!("Stopped by the user."))
    );
    await_that("the list says so", || (rows("kid")[0]["note"] == said).then_some(()));
    for list in [&["runs"][..], &["board"], &["show", &kid]] {
        let shown = scratch.run(list).out;
        assert!(shown.contains("cancelled by user:ada") && shown.contains("Stopped by the user."), "{shown}");
    }
    let tidied = scratch.run(&["events", &kid, "--json"]).out;
    assert!(tidied.contains(r#"{"by":"user:ada","why":"Stopped by the user."}"#), "{tidied}");
    let holder = rows("holder")[0]["id"].as_str().unwrap().to_owned();
    let ended = scratch.await_status(&holder, "succeeded");
    let failure = ended["steps"][0]["failure"]["message"].as_str().unwrap().to_owned();
    assert!(failure.ends_with(&format!("was {said}")), "{failure}");
    assert_eq!(ended["output"], json!([failure]), "and as a warning");
    let told = await_that("the notice went", || {
        let text = std::fs::read_to_string(&log).ok()?;
        text.contains('\n').then_some(text)
    });
    let told: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(told["text"], json!(failure));
}

/// Each of 5,000 items had its lines.
#[test]
fn the_items_of_a_long_list_are_counted_on_the_way_and_what_fails_is_named() {
    let scratch = Scratch::new();
    scratch.write(
        "many.yaml",
        "name: many\ninput: { type: object, required: [parts], properties: { parts: { type: array } } }\nsteps:\n  - id: each\n    \
         foreach: { in: \"${input.parts}\", as: part, max_in_flight: 50, fail_fast: false }\n    \
         function: \"everfold.echo\"\n    with: { part: \"${1000 / (part - 7)}\" }\n    on_fail: continue\n",
    );
    let parts: Vec<u64> = (0..200).collect();
    let input = format!("parts={}", serde_json::to_string(&parts).unwrap());
    let done = scratch.run(&["run", "./many.yaml", "-i", &input]);
    assert_eq!(done.code, 0, "{done:?}");
    let of_items: Vec<&str> = done.err.lines().filter(|line| line.contains(" each")).collect();
    assert!(of_items.iter().any(|line| line.contains("items      200 items begin")), "{}", done.err);
    assert!(of_items.iter().any(|line| line.contains("200 of 200 items ended, 1 failed")), "{}", done.err);
    assert!(of_items.iter().any(|line| line.contains(" each.7 ") && line.contains("failed")), "{}", done.err);
    assert!(of_items.len() < 30, "{}", done.err);
}

/// The lines of a retry began at the age of its origin.
#[test]
fn the_times_of_a_run_that_goes_on_from_another_one_are_its_own() {
    let scratch = Scratch::new();
    scratch.write(
        "mends.yaml",
        "name: mends\nsteps: [{ id: a, command: 'test -e mended || { sleep 2; exit 1; }' }]\n",
    );
    assert_eq!(scratch.run(&["run", "./mends.yaml"]).code, 1);
    let origin = scratch.short("@");
    scratch.write("mended", "");
    for verb in [&["retry", &origin][..], &["restart", &origin, "--from", "a"]] {
        let again = scratch.run(verb);
        assert_eq!(again.code, 0, "{again:?}");
        let begins = again.err.lines().find(|line| line.contains(" begins")).unwrap();
        assert!(begins.trim_start().starts_with("+0"), "{again:?}");
    }
}
