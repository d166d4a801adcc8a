//! A slot of a resource, with the real program killed while a run holds it.

use super::fixtures::{Lab, TRACE, await_that};

const SETTINGS: &str = "[resources]\ngpu = 1\n";

/// A step that says when it holds the slot, and that fails where another one holds it, too.
fn rendering() -> String {
    format!(
        "name: p\ninput: {{ type: object, required: [n], properties: {{ n: {{ type: string }} }} }}\nsteps:\n  - id: render\n    resources: [gpu]\n    command: |\n      mkdir \"$LAB/gpu\"\n      {TRACE}\n      echo 1 > \"$LAB/began-\"${{input.n}}\n      until [ -e \"$LAB/go\" ]; do sleep 0.02; done\n      rmdir \"$LAB/gpu\"\n"
    )
}

fn waits(lab: &Lab, run: &str) {
    await_that("the run waits for the slot", || {
        lab.run(&["show", run]).out.contains("resource gpu (1 of 1 in use, 1st in line)").then_some(())
    });
}

#[test]
fn d9_a_slot_is_held_by_what_lives_on_whichever_run_the_next_engine_goes_on_with() {
    let lab = Lab::with(&rendering());
    lab.settings(SETTINGS);
    let first = lab.start(&["run", "./p.yaml", "-i", "n=1"]);
    lab.await_file("began-1");
    let second = lab.start(&["run", "./p.yaml", "-i", "n=2"]);
    waits(&lab, "@");
    let limits = lab.run(&["limits", "--json"]).json();
    assert_eq!(
        (&limits["resources"][0]["in_use"], &limits["resources"][0]["waiting"]),
        (&1.into(), &1.into())
    );
    // The one who waits owns the folder from now on, and goes on with its own run alone.
    first.kill().was_killed();
    waits(&lab, "@");
    assert!(!lab.path("began-2").exists(), "the first one's process still holds the slot");
    lab.go();
    second.end().ended_with(0);
    lab.run(&["resume", "@1"]).ended_with(0);
    lab.assert_trace(&["render 1 1", "render 1 1"]);
    for run in ["@", "@1"] {
        lab.run(&["replay", run]).ended_with(0);
    }
    lab.assert_left_in_order();
}

#[test]
fn a_run_that_needs_a_slot_nobody_named_is_refused_with_what_was_meant() {
    let lab = Lab::with("name: p\nsteps:\n  - { id: a, command: 'true', resources: [gpus] }\n");
    let none = lab.run(&["run", "./p.yaml"]);
    assert!(none.ended_with(2).err.contains("the settings do not name"), "{}", none.err);
    lab.settings(SETTINGS);
    let meant = lab.run(&["run", "./p.yaml"]);
    assert!(meant.ended_with(2).err.contains("did you mean gpu?"), "{}", meant.err);
    assert_eq!(lab.run(&["limits", "reset", "agent.nobody"]).ended_with(3).code, Some(3));
    assert!(lab.run(&["limits"]).ended_with(0).out.contains("agent.claude"));
}

#[test]
fn row_48_a_check_with_settings_at_hand_refuses_resources_that_they_do_not_name() {
    let lab = Lab::with("name: p\nsteps:\n  - { id: a, command: 'true', resources: [gpus] }\n");
    let unknown = lab.run(&["pipeline", "check", "./p.yaml"]);
    assert!(!unknown.ended_with(0).err.contains("gpus"), "nothing is known of the settings: {}", unknown.err);
    lab.settings(SETTINGS);
    let checked = lab.run(&["pipeline", "check", "./p.yaml"]);
    assert!(checked.ended_with(2).err.contains("did you mean gpu?"), "{}", checked.err);
    assert!(checked.err.contains("EF0225"), "{}", checked.err);
    lab.run(&["pipeline", "check", "./p.yaml", "--json"]).ended_with(2);
}

#[test]
fn a_run_whose_resource_was_taken_out_of_the_settings_is_not_begun_anew() {
    let lab = Lab::with("name: p\nsteps:\n  - { id: a, command: 'false', resources: [gpu] }\n");
    lab.settings(SETTINGS);
    lab.run(&["run", "./p.yaml"]).ended_with(1);
    lab.settings("[resources]\nother = 1\n");
    for args in [&["retry", "@"][..], &["restart", "@", "--from", "a"], &["fork", "@", "--at", "1"]] {
        let done = lab.run(args);
        assert!(done.ended_with(2).err.contains("the settings do not name"), "{args:?}: {}", done.err);
    }
    assert_eq!(lab.run(&["runs", "--json"]).json()["items"].as_array().map(Vec::len), Some(1));
}
