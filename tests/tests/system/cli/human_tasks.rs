//! People and the program: questions, drafts, quorums, remarks and limits of time, across kills and
//! restarts of the engine.

use std::time::{Duration, Instant};

use super::fixtures::{Done, Scratch, await_that};

fn said(done: &Done, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{done:#?}");
    for word in words {
        assert!(done.out.contains(word) || done.err.contains(word), "{word} in {done:#?}");
    }
}

fn by(scratch: &Scratch, user: &str, args: &[&str]) -> Done {
    scratch.command(args).env("EVERFOLD_USER", user).output().unwrap().into()
}

fn with(name: &str, text: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write(name, text);
    scratch
}

/// The last command that an answer says to type, without the program's name.
fn next(done: &Done) -> Vec<String> {
    let line = done.out.lines().find(|line| line.trim_start().starts_with("everfold answer"));
    let line = line.unwrap_or_else(|| panic!("no command in {done:#?}"));
    let line = line.split("   #").next().unwrap();
    line.split_whitespace().skip(1).map(|word| word.trim_matches('\'').to_owned()).collect()
}

const ASKING: &str = r#"name: asking
steps:
  - id: build
    command: |
      echo try >> tries
      if grep -q '"by":"user:ada"' "$EVERFOLD_INPUT"; then
        grep -q '"choice":"sled"' "$EVERFOLD_INPUT"
        echo '{"done": true}' > "$EVERFOLD_OUTPUT"
      else
        echo '{"everfold": {"ask": {"text": "Which database?", "options": ["sled", "pg"]}, "note": "half-way", "labels": {"pr": 17}}}' > "$EVERFOLD_OUTPUT"
      fi
output: ${steps.build.output.done}
"#;

#[test]
fn l22_a_question_of_the_work_survives_a_kill_and_its_answer_starts_the_next_attempt() {
    let scratch = with("asking.yaml", ASKING);
    let mut engine = scratch.start(&["run", "./asking.yaml"]);
    scratch.await_owner();
    let view = await_that("the work asks", || {
        let done = scratch.run(&["show", "@", "--json"]);
        (done.code == 0 && done.json()["status"] == "waiting").then(|| done.json())
    });
    assert_eq!((&view["labels"]["pr"], &view["steps"][0]["note"]), (&"17".into(), &"half-way".into()));
    engine.kill();
    let shown = scratch.run(&["show"]);
    said(&shown, 0, &["Which database?", "- sled", "- pg", "half-way"]);
    said(&scratch.run(&["inbox"]), 0, &["question", "Which database?", "everfold answer"]);
    let short = scratch.short("@");
    let task = format!("{short}:build:1");
    said(
        &scratch.run(&["answer", &task, "mysql"]),
        2,
        &["EF0220", "choose one of: sled, pg", "everfold show"],
    );
    said(&scratch.run(&["answer", &task, "--choice", "mysql"]), 2, &["none of the options: sled, pg"]);
    said(&scratch.run(&["approve", &task]), 4, &["EF0311", "wants an answer"]);
    said(&scratch.run(&["approve", "@"]), 3, &["EF0204", "everfold inbox"]);
    said(&scratch.run(&["answer", &format!("{short}:build:7"), "x"]), 3, &["EF0204"]);
    let command = next(&shown);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    assert_eq!(command, ["answer", &task, "sled"], "the command that the answer says to type");
    said(&scratch.run(&command), 0, &["answered"]);
    said(&scratch.run(&["answer", &task, "sled"]), 0, &[]);
    said(&scratch.run(&["answer", &task, "pg"]), 4, &["EF0304", "everfold inbox"]);
    said(&scratch.run(&["resume", "@"]), 0, &["output true"]);
    let tries = std::fs::read_to_string(scratch.path("tries")).unwrap();
    assert_eq!(tries.lines().count(), 2, "one attempt that asked, one that knew");
    said(&scratch.run(&["events"]), 0, &["AttemptAsked", "QuestionAsked", "QuestionAnswered"]);
    said(&scratch.run(&["replay"]), 0, &[]);
}

const QUESTION: &str = "\
name: survey
steps:
  - id: ask
    question:
      title: How do we go on?
      text: Two things are open.
      items: [Which name?, { id: size, text: How large?, options: [s, m] }]
      accept: answer.items['1'] != 'none'
output: ${steps.ask.output.items}
";

#[test]
fn l19_parts_of_an_answer_survive_a_kill_and_are_shown() {
    let scratch = with("survey.yaml", QUESTION);
    let mut engine = scratch.start(&["run", "./survey.yaml"]);
    scratch.await_owner();
    scratch.await_status("@", "waiting");
    said(&scratch.run(&["answer", "@", "--item", "1=everfold", "--save"]), 0, &["saved; run"]);
    engine.kill();
    said(&scratch.run(&["show"]), 0, &["1. Which name?", "saved: everfold", "saved by user:ada"]);
    said(&by(&scratch, "ben", &["answer", "@"]), 2, &["items without an answer: size"]);
    said(&by(&scratch, "ben", &["answer", "@", "--item", "size=xl"]), 2, &["none of the options: s, m"]);
    let none = ["answer", "@", "--item", "1=none", "--item", "size=m"];
    said(&by(&scratch, "ben", &none), 2, &["EF0220", "does not hold"]);
    said(&by(&scratch, "ben", &["answer", "@", "--item", "size=m"]), 0, &["answered; run"]);
    let view = scratch.run(&["show", "--json"]).json();
    assert_eq!(view["output"], serde_json::json!({"1": "everfold", "size": "m"}));
}

const BRIEF: &str = "\
name: brief
steps:
  - id: write
    command: echo brief > brief.md
    outputs: { brief: brief.md }
  - id: ok
    approval:
      title: Is it right?
      show: [brief.md]
      edit: '${{\"limit\": 3}}'
      quorum: 2
      comment: [changes]
      on_changes: { rework: write }
output: ${steps.ok.output}
";

#[test]
fn an_item_is_resolved_or_dismissed_and_the_next_command_leaves_out_what_is_settled() {
    let scratch = with(
        "scope.yaml",
        "name: scope\nsteps: [{ id: ask, question: { title: Which?, items: [{ id: who, text: Who? }, { id: when, text: When? }] } }]\n",
    );
    let asked = scratch.run(&["run", "./scope.yaml", "--no-wait"]);
    said(&asked, 6, &["--item 'who=your answer' --item 'when=your answer'"]);
    let both = scratch.run(&["answer", "@", "--resolve", "who", "--dismiss", "who"]);
    said(&both, 2, &["--resolve who and --dismiss who say different things of one item"]);
    let saved = scratch.run(&["answer", "@", "--dismiss", "who", "--save"]);
    said(&saved, 0, &["saved", "--item 'when=your answer'"]);
    assert!(!saved.out.contains("--item 'who="), "{saved:?}");
    let list = scratch.run(&["inbox"]);
    assert!(list.out.contains("--item 'when=your answer'") && !list.out.contains("who="), "{list:?}");
    said(&scratch.run(&["answer", "@", "--item", "when=now"]), 0, &["answered"]);
    said(&scratch.run(&["answer", "@", "--item", "when=now"]), 3, &[]);
}

#[test]
fn l20_two_approvers_a_wish_for_changes_remarks_and_an_edited_value() {
    let scratch = with("brief.yaml", BRIEF);
    said(&scratch.run(&["run", "./brief.yaml", "--no-wait"]), 6, &["everfold changes"]);
    let short = scratch.short("@");
    said(&scratch.run(&["changes", "@"]), 4, &["EF0306", "-m"]);
    let remark = ["changes", "@", "--remark", "brief.md:1=say how fast"];
    said(&by(&scratch, "ben", &["changes", "@", "--remark", "other.md=x"]), 2, &["EF0220", "not shown"]);
    said(&by(&scratch, "ben", &remark), 0, &["sent back"]);
    said(&scratch.run(&["resume", "--no-wait"]), 6, &[]);
    said(&scratch.run(&["approve", &format!("{short}:ok:1")]), 4, &["EF0303", "everfold inbox"]);
    let events = scratch.run(&["events", "--json"]);
    let findings = "user:ben on brief.md:1: say how fast";
    assert!(events.out.contains(findings), "{findings} in {}", events.out);
    let shown = events.out.lines().find(|line| line.contains("VoteCast")).unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    let hash = shown["event"]["comments"][0]["shown"].as_str().expect("the remark names what was shown");
    assert_eq!(hash, blake3::hash(b"brief\n").to_hex().as_str());
    said(&scratch.run(&["approve", "@"]), 0, &["counted (1 of 2)"]);
    said(
        &by(&scratch, "ben", &["approve", "@", "--value", "[4]"]),
        2,
        &["EF0220", "a list cannot take its place"],
    );
    said(&by(&scratch, "ben", &["approve", "@", "--value", "{\"limit\": 4}"]), 0, &["is waiting"]);
    said(&scratch.run(&["approve", "@"]), 0, &["approved; run"]);
    let output = scratch.run(&["show", "--json"]).json()["output"].clone();
    assert_eq!(
        (&output["value"]["limit"], &output["edited"], &output["by"]),
        (&4.into(), &true.into(), &serde_json::json!(["user:ada", "user:ben"]))
    );
    said(&scratch.run(&["replay"]), 0, &[]);
}

#[test]
fn l19_what_expires_while_no_engine_is_there_fires_when_one_is() {
    let text = "name: late\nsteps:\n  - id: ok\n    approval: { title: Ship it?, timeout: 1s, on_timeout: continue }\n  - id: after\n    command: 'true'\n    when: steps.ok.status == 'failed'\noutput: ${steps.after.status}\n";
    let scratch = with("late.yaml", text);
    said(&scratch.run(&["run", "./late.yaml", "--no-wait"]), 6, &["everfold approve"]);
    let begun = Instant::now();
    await_that("the time is over", || (begun.elapsed() > Duration::from_millis(1_100)).then_some(()));
    assert_eq!(scratch.run(&["show", "--json"]).json()["steps"][1]["round"], 0, "no engine goes on with it");
    said(&scratch.run(&["resume"]), 0, &["output \"succeeded\""]);
    said(&scratch.run(&["events"]), 0, &["TimerFired"]);
    let short = scratch.short("@");
    said(&scratch.run(&["approve", &format!("{short}:ok:1")]), 4, &["EF0303"]);
}

#[test]
fn l24_every_item_is_a_task_of_its_own_with_the_item_in_its_name() {
    let text = "name: each\nsteps:\n  - id: ship\n    foreach: { in: ['eu', 'us'], as: zone }\n    approval: { title: 'Ship to ${zone}?' }\noutput: ${steps.ship.output.map(it, it.output.decision)}\n";
    let scratch = with("each.yaml", text);
    said(&scratch.run(&["run", "./each.yaml", "--no-wait"]), 6, &[]);
    let short = scratch.short("@");
    let (eu, us) = (format!("{short}:ship.0:1"), format!("{short}:ship.1:1"));
    said(&scratch.run(&["inbox"]), 0, &[&eu, "Ship to eu?", &us, "Ship to us?"]);
    said(&scratch.run(&["approve", "@"]), 3, &["asks several things", &us]);
    said(&scratch.run(&["approve", &us]), 0, &["is waiting"]);
    said(&scratch.run(&["approve", &format!("{short}:ship.7:1")]), 3, &["EF0204"]);
    said(&scratch.run(&["approve", &eu]), 0, &[]);
    said(&scratch.run(&["show"]), 0, &[r#"["approve","approve"]"#]);
}
