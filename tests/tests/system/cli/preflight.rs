//! What is found before a run begins, and how a step reaches its own engine.

use serde_json::json;

use super::fixtures::{Scratch, await_that};

#[test]
fn row_29_o1_an_unknown_function_or_profile_is_found_by_check_and_by_the_start() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p
steps:
  - id: tell
    function: notify.lgo
  - id: order
    function: shop.order
  - id: write
    agent: { profile: claud, prompt: x }
  - id: look
    gates:
      - { id: ready, function: git.redy }
      - id: all
        all: [{ expression: 'true' }, { not: { function: git.push } }]
",
    );
    let checked = scratch.run(&["pipeline", "check", "./p.yaml"]);
    assert_eq!(checked.code, 2, "{checked:?}");
    for said in [
        "the step tell: there is no function notify.lgo; did you mean notify.log?",
        "the step order: there is no function shop.order",
        "the step write: there is no agent profile claud; did you mean claude?",
        "the gate ready of the step look: there is no function git.redy; did you mean git.ready?",
        "the gate all of the step look: the function git.push does not say that it only reads",
    ] {
        assert!(checked.err.contains(said), "{said} in {}", checked.err);
    }
    let as_json = scratch.run(&["--json", "pipeline", "check", "./p.yaml"]);
    assert!(as_json.code == 2 && format!("{as_json:?}").contains("notify.lgo"), "{as_json:?}");
    let run = scratch.run(&["run", "./p.yaml"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("EF0623") && run.err.contains("did you mean notify.log?"), "{run:?}");
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"], json!([]), "nothing was recorded");
    // What the settings name is known.
    scratch.write(
        "everfold.toml",
        "[agents.claud]\ncommand = [\"true\"]\nprompt = \"file\"\n\n[workers.functions.\"shop.order\"]\n",
    );
    let checked = scratch.run(&["--config", "everfold.toml", "pipeline", "check", "./p.yaml"]);
    assert!(!checked.err.contains("claud") && !checked.err.contains("no function shop.order"), "{checked:?}");
    assert!(checked.code == 2 && checked.err.contains("git.redy"), "{checked:?}");
}

#[test]
fn what_a_pipeline_has_with_it_is_looked_through_by_check_and_by_the_start() {
    let scratch = Scratch::new();
    scratch.write(
        "p.yaml",
        "name: p
notify: [{ id: team, events: [RunFailed], function: notify.slak }]
steps:
  - id: fan
    foreach:
      in: [1, 2]
      steps:
        - { id: tell, function: notify.lgo }
        - id: inner
          foreach: { in: [1], steps: [{ id: render, command: 'if true; then', resources: [gpu] }] }
  - { id: below, run: ./parts/child.yaml }
  - { id: again, run: ./parts/child.yaml }
",
    );
    std::fs::create_dir(scratch.path("parts")).unwrap();
    scratch.write(
        "parts/child.yaml",
        "name: child
steps:
  - { id: write, agent: { profile: claud, prompt: x } }
  - { id: each, foreach: { in: [1], steps: [{ id: order, function: shop.order }] } }
  - { id: deeper, run: ./grandchild.yaml }
",
    );
    scratch.write(
        "parts/grandchild.yaml",
        "name: grandchild\nsteps: [{ id: look, gates: [{ id: ready, function: git.redy }] }]\n",
    );
    let checked = scratch.run(&["pipeline", "check", "./p.yaml"]);
    assert_eq!(checked.code, 2, "{checked:?}");
    assert!(checked.err.contains("5 unknown names"), "each file is looked through once: {checked:?}");
    for said in [
        "the notice team: there is no function notify.slak; did you mean notify.slack?",
        "the step tell within the step fan: there is no function notify.lgo; did you mean notify.log?",
        "the step write of ./parts/child.yaml: there is no agent profile claud; did you mean claude?",
        "the step order within the step each of ./parts/child.yaml: there is no function shop.order",
        "the gate ready of the step look of ./grandchild.yaml: there is no function git.redy",
    ] {
        assert!(checked.err.contains(said), "{said} in {}", checked.err);
    }
    let run = scratch.run(&["run", "./p.yaml"]);
    assert!(run.code == 2 && run.err.contains("EF0623"), "{run:?}");
    scratch.write("everfold.toml", "");
    for (name, own) in [("gpu", "command: x, resources: [gpu]"), ("shell", "command: 'if true; then'")] {
        let text = format!(
            "name: {name}\nsteps: [{{ id: fan, foreach: {{ in: [1], steps: [{{ id: render, {own} }}] }} }}]\n"
        );
        scratch.write(&format!("{name}.yaml"), &text);
        let file = format!("./{name}.yaml");
        let checked = scratch.run(&["--config", "everfold.toml", "pipeline", "check", &file]);
        assert_eq!(checked.code, 2, "{checked:?}");
        assert!(checked.err.contains("step render within the step fan"), "{checked:?}");
    }
    let run = scratch.run(&["run", "./gpu.yaml"]);
    assert!(
        run.code == 2 && run.err.contains("step render within the step fan needs the resource"),
        "{run:?}"
    );
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"], json!([]), "nothing was recorded");
}

#[test]
fn row_34_a_command_in_a_step_reaches_its_own_engine_wherever_it_works() {
    let scratch = Scratch::new();
    std::fs::create_dir_all(scratch.path("elsewhere")).unwrap();
    let program = env!("CARGO_BIN_EXE_everfold-under-test");
    scratch.write(
        "p.yaml",
        &format!(
            "name: p
key: held
steps:
  - id: waits
    needs: []
    wait: {{ signal: go, timeout: 60s }}
  - id: reads
    needs: []
    workspace: {{ dir: {} }}
    api: {{ role: viewer }}
    command: |
      {program} runs --json > runs.json
    gates:
      - {{ id: too, command: '{program} show \"$EVERFOLD_RUN\" > shown.txt' }}
  - id: sends
    needs: [reads]
    api: {{ role: operator }}
    command: {program} signal --key held go '\"now\"'
output: '${{steps.waits.output}}'
",
            scratch.path("elsewhere").display()
        ),
    );
    let store = tempfile::tempdir().unwrap();
    let dir = store.path().join("data");
    let done = scratch.run(&["--dir", dir.to_str().unwrap(), "run", "./p.yaml", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let read: serde_json::Value =
        serde_json::from_slice(&std::fs::read(scratch.path("elsewhere/runs.json")).unwrap()).unwrap();
    assert_eq!(read["items"].as_array().map(Vec::len), Some(1), "{read}");
    assert!(!scratch.path("elsewhere/.everfold").exists() && !scratch.data().exists());
}

#[test]
fn row_34_a_command_in_a_step_waits_for_the_next_engine_where_one_has_ended() {
    let scratch = Scratch::new();
    let program = env!("CARGO_BIN_EXE_everfold-under-test");
    scratch.write(
        "p.yaml",
        &format!(
            "name: p
steps:
  - id: waits
    needs: []
    wait: {{ signal: go, timeout: 10m }}
  - id: sends
    needs: []
    api: {{ role: operator }}
    command: |
      while [ ! -e gone ]; do sleep 0.02; done
      touch calling
      {program} signal \"$EVERFOLD_RUN\" go '\"now\"'
output: '${{steps.waits.output}}'
"
        ),
    );
    let killed = scratch.run(&["--crash-after", "AttemptStarted", "run", "./p.yaml"]);
    assert_eq!(killed.code, -1, "{killed:?}");
    scratch.write("gone", "");
    await_that("it calls an engine that is not there", || scratch.path("calling").exists().then_some(()));
    let done = scratch.run(&["resume", "@", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(scratch.run(&["show", "@", "--json"]).json()["output"], "now");
}

#[test]
fn row_34_what_changes_something_says_that_there_is_no_store() {
    let scratch = Scratch::new();
    for args in [
        &["signal", "--key", "held", "go"][..],
        &["signal", "1f3a", "go"],
        &["cancel", "1f3a"],
        &["unblock", "1f3a", "--decision", "retry"],
    ] {
        let done = scratch.run(args);
        assert_eq!(done.code, 3, "{args:?}: {done:?}");
        assert!(done.err.contains("EF0390") && done.err.contains(".everfold"), "{args:?}: {done:?}");
    }
    assert!(!scratch.data().exists(), "none is made");
    // Who only looks sees that there is nothing.
    assert_eq!(scratch.run(&["runs", "--json"]).json()["items"], json!([]));
}

/// Such as the folder on which a disk is to be mounted.
#[test]
fn what_only_looks_makes_no_store_in_a_folder_that_holds_none() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.data()).unwrap();
    for args in
        [&["runs"][..], &["inbox"], &["stats"], &["hooks"], &["show", "@"], &["cancel", "@"], &["resume"]]
    {
        let done = scratch.run(args);
        let expected = if matches!(args[0], "show" | "cancel" | "resume") { 3 } else { 0 };
        assert_eq!(done.code, expected, "{args:?}: {done:?}");
        let made = std::fs::read_dir(scratch.data()).unwrap().count();
        assert_eq!(made, 0, "{args:?}");
    }
    let done = scratch.run(&["cancel", "@"]);
    assert!(done.err.contains("EF0390") && done.err.contains("holds no store"), "{done:?}");
}

#[test]
fn row_35_diff_says_by_its_exit_code_whether_there_is_a_difference() {
    let scratch = Scratch::new();
    let text = |word: &str| format!("name: say\nsteps:\n  - id: a\n    command: echo {word}\n");
    scratch.write("a.yaml", &text("one"));
    scratch.write("b.yaml", &text("two"));
    assert_eq!(scratch.run(&["pipeline", "save", "./a.yaml"]).code, 0);
    let diff = |args: &[&str]| scratch.run(&[&["pipeline", "diff"], args].concat());
    assert_eq!(diff(&["./a.yaml", "./b.yaml"]).code, 0, "without the flag it is an answer like any other");
    let differ = diff(&["--exit-code", "./a.yaml", "./b.yaml"]);
    assert!(differ.code == 1 && differ.out.contains("two"), "{differ:?}");
    assert_eq!(diff(&["--exit-code", "./a.yaml"]).code, 0, "it is what was saved");
    assert_eq!(diff(&["--exit-code", "./b.yaml"]).code, 1);
    let as_json = scratch.run(&["--json", "pipeline", "diff", "--exit-code", "./b.yaml"]);
    assert!(
        as_json.code == 1 && !as_json.json()["differences"].as_array().unwrap().is_empty(),
        "{as_json:?}"
    );
    assert_eq!(diff(&["--exit-code", "./none.yaml"]).code, 2, "an error has a code of its own");
}
