//! What the engine says on stderr: where each line comes from, and that nothing secret is in it.

use std::process::Output;

use serde_json::{Value, json};

use super::fixtures::{Done, Scratch};

const VALUE: &str = "s3cret-of-the-chat-9f";

/// A step with a secret that fails, and a notice with a secret that cannot be sent.
const PIPELINE: &str = r#"name: talkative
secrets: { CHAT: { env: CHAT_SECRET } }
notify:
  - { id: chat, events: [StepFailed], function: notify.slack, with: { url: "http://127.0.0.1:9/${secrets.CHAT}" } }
steps:
  - { id: call, http: { url: "http://127.0.0.1:9/", headers: { Authorization: "Bearer ${secrets.CHAT}" } }, on_fail: continue }
  - id: shout
    secrets: [CHAT]
    command: 'echo "$CHAT"; echo "$CHAT" >&2; exit 3'
    on_fail: continue
"#;

fn run(scratch: &Scratch, filter: &str, form: &str) -> Done {
    let mut command = scratch.command(&["--log", form, "run", "./p.yaml", "--json"]);
    let done: Output = command.env("EVERFOLD_LOG", filter).env("CHAT_SECRET", VALUE).output().unwrap();
    done.into()
}

#[test]
fn l34_every_line_of_a_runs_work_says_which_run_and_none_says_a_secret() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", PIPELINE);
    let done = run(&scratch, "trace", "json");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(!done.err.contains(VALUE), "{}", done.err);
    let short = done.json()["short_id"].clone();
    let lines: Vec<Value> = done.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_notice: Vec<&Value> = lines.iter().filter(|line| line["notice"] == "chat").collect();
    assert!(!of_notice.is_empty(), "{}", done.err);
    for line in &of_notice {
        assert_eq!((&line["run"], &line["level"]), (&short, &json!("warn")), "{line}");
        assert!(line["message"].as_str().unwrap().contains("not sent") && line["at"].is_string(), "{line}");
    }
    // The command's own requests are answered within the same process.
    let answered = lines.iter().find(|line| line["message"] == "answered").unwrap();
    assert!(answered["request"].is_string() && answered["route"].is_string(), "{answered}");
}

#[test]
fn lines_for_people_say_first_where_they_come_from() {
    let scratch = Scratch::new();
    scratch.write("p.yaml", PIPELINE);
    let done = run(&scratch, "warn", "text");
    let short = done.json()["short_id"].as_str().unwrap().to_owned();
    let line = done.err.lines().find(|line| line.contains("WARN")).unwrap();
    let behind_time = line.get(12..).unwrap();
    assert!(behind_time.starts_with(&format!(" WARN  run={short} notice=chat ")), "{line}");
    assert!(line.contains("  a notice was not sent: 127.0.0.1:9 cannot be reached"), "{line}");
    let unknown = scratch.run(&["--log", "jsno", "runs"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("json"), "{}", unknown.err);
}
