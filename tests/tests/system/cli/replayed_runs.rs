//! `replay --all` and `--filter`: whether the recorded decisions of many runs would be the same today.

use serde_json::{Value, json};

use super::fixtures::Scratch;

const BUILDS: &str = "\
name: builds
steps:
  - id: build
    command: echo built
    gates:
      - { id: made, command: 'true' }
";

fn furnished() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("builds.yaml", BUILDS);
    scratch.write("other.yaml", "name: other\nsteps:\n  - { id: only, command: 'echo other' }\n");
    for title in ["T 1", "T 2"] {
        let done = scratch.run(&["run", "./builds.yaml", "--title", title]);
        assert_eq!(done.code, 0, "{done:?}");
    }
    assert_eq!(scratch.run(&["run", "./other.yaml"]).code, 0);
    scratch
}

fn counts(answer: &Value) -> Value {
    json!([answer["runs"], answer["otherwise"], answer["failed"]])
}

#[test]
fn every_run_is_decided_again_and_compared() {
    let scratch = furnished();
    let done = scratch.run(&["replay", "--all"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.out.starts_with("3 runs: ") && done.out.ends_with(" all equal\n"), "{done:?}");
    assert!(done.out.contains("2 verdicts given again"), "{done:?}");
    let one = scratch.run(&["replay", "--filter", "title == 'T 1'", "--json"]);
    assert_eq!((one.code, counts(&one.json())), (0, json!([1, 0, 0])), "{one:?}");
    let none = scratch.run(&["replay", "--filter", "title == 'T 9'"]);
    assert_eq!(none.code, 0, "{none:?}");
    assert!(none.out.starts_with("0 runs: "), "{none:?}");
}

#[test]
fn runs_that_another_definition_would_decide_otherwise_are_named() {
    let scratch = furnished();
    scratch.write(
        "builds.yaml",
        &BUILDS.replace("command: 'true'", "command: 'true', policy: 'evidence.exit == 1'"),
    );
    let args = ["replay", "--filter", "pipeline == 'builds'", "--definition", "./builds.yaml"];
    let done = scratch.run(&args);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.err.contains("of 2 runs, 2 would go otherwise"), "{done:?}");
    for run in ["@2", "@1"].map(|back| scratch.short(back)) {
        assert!(done.out.contains(&format!("run {run} (builds): version ")), "{run}: {done:?}");
    }
    let json = scratch.run(&[&args[..], &["--json"]].concat());
    assert_eq!((json.code, counts(&json.json())), (1, json!([2, 2, 0])), "{json:?}");
    assert_eq!(json.json()["items"].as_array().unwrap().len(), 2);
    // The recorded decisions stand.
    assert_eq!(scratch.run(&["replay", "--all"]).code, 0);
}

#[test]
fn one_run_and_many_are_not_asked_for_at_once() {
    let scratch = furnished();
    for args in [
        &["replay", "@", "--all"][..],
        &["replay", "--all", "--filter", "true"],
        &["replay", "--all", "--version", "3"],
        &["replay", "--filter", "titel == 'T 1'"],
    ] {
        let done = scratch.run(args);
        assert_eq!(done.code, 2, "{args:?}: {done:?}");
    }
}
