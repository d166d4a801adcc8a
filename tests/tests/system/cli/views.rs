//! Lists, boards and counts: the same whatever happened to the read models behind them.

use std::fs;

use serde_json::Value;

use super::fixtures::Scratch;

const STEPS: &str = "name: steps
steps:
  - { id: work, command: 'echo done' }
  - { id: ok, approval: { title: Right? } }
";

const QUICK: &str = "name: quick
steps:
  - { id: work, command: 'echo done', gates: [{ id: g, command: 'true' }] }
";

/// Every answer that comes from read models, without what only tells how they are.
fn answers(scratch: &Scratch, past: &str) -> Vec<Value> {
    let asked: [&[&str]; 8] = [
        &["runs", "--json"],
        &["runs", "--sort", "started", "--status", "waiting,succeeded", "--json"],
        &["runs", "-q", "quick", "--json"],
        &["runs", "--at", past, "--json"],
        &["board", "--group-by", "stage", "--json"],
        &["board", "--at", past, "--json"],
        &["inbox", "--json"],
        &["stats", "--json"],
    ];
    let answer = |args: &&[&str]| {
        let done = scratch.run(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done.json()
    };
    asked.iter().map(answer).collect()
}

#[test]
fn s5_answers_are_the_same_after_a_kill_and_with_lost_or_damaged_read_models() {
    let scratch = Scratch::new();
    scratch.write("steps.yaml", STEPS);
    scratch.write("quick.yaml", QUICK);
    assert_eq!(scratch.run(&["run", "steps.yaml", "--no-wait"]).code, 6);
    let past = scratch.run(&["stats", "--json"]).json()["position"].to_string();
    assert_eq!(scratch.run(&["run", "quick.yaml", "--title", "A quick one"]).code, 0);
    assert_eq!(scratch.run(&["run", "quick.yaml", "--crash-after", "StepScheduled"]).code, -1);

    let killed = answers(&scratch, &past);
    assert_eq!(killed[0]["items"].as_array().unwrap().len(), 3);
    assert_eq!(killed[3]["items"].as_array().unwrap().len(), 1, "one run was there then");
    assert_eq!(killed[6]["items"].as_array().unwrap().len(), 1);
    let folder = scratch.data().join("projections");
    assert!(folder.join("mark.json").is_file());

    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(answers(&scratch, &past), killed, "removed");

    let mut bytes = fs::read(folder.join("db")).unwrap();
    let half = bytes.len() / 2;
    bytes[..half].fill(0x5a);
    fs::write(folder.join("db"), bytes).unwrap();
    assert_eq!(answers(&scratch, &past), killed, "damaged");

    fs::write(folder.join("mark.json"), "{").unwrap();
    assert_eq!(answers(&scratch, &past), killed, "with a mark that cannot be read");

    let models = scratch.run(&["projections", "--json"]).json();
    for model in models["items"].as_array().unwrap() {
        assert!(model["lag"] == 0 && model["stopped"].is_null(), "{models}");
    }
    assert!(scratch.run(&["projections"]).out.contains("up to date"));
    assert!(scratch.run(&["board"]).out.contains("anyone (approval)"));
    assert_eq!(scratch.run(&["projections", "rebuild", "nothing"]).code, 3);
}
