//! Signals, deadlines, waits and pauses, with the real program killed in between.

use serde_json::json;

use super::fixtures::{Lab, TRACE, UNTIL_GO, only, places};

fn with_route(route: &str) -> String {
    format!(
        "name: p\nsteps:\n  - id: a\n    command: |\n      {TRACE}\n      echo $$ > \"$LAB/pid\"\n      {UNTIL_GO}\n    on_signal: {{ note: {route} }}\n  - id: b\n    command: '{TRACE}'\n"
    )
}

#[test]
fn l27_a_signal_that_was_put_off_outlives_a_kill_and_goes_before_what_comes_next() {
    let lab = Lab::with(&with_route("{ rework: a, max: 1, then: ignore }"));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    let sent = lab.run(&["signal", "@", "note", r#"{"text": "again"}"#, "--delivery", "d1"]);
    assert!(sent.ended_with(0).out.contains("when the work that runs has ended"), "{}", sent.out);
    engine.kill().was_killed();
    let second = lab.start(&["resume", "@"]);
    lab.await_owner();
    let same = lab.run(&["signal", "@", "note", "--delivery", "d1"]);
    assert!(same.ended_with(0).out.contains("nothing changes"), "{}", same.out);
    lab.go();
    second.end().ended_with(0);
    lab.assert_trace(&["a 1 1", "a 2 1", "b 1 1"]);
    let events = lab.events("@");
    assert_eq!(only(&events, "ReworkRequested").field("findings")["text"], "again");
    lab.run(&["replay", "@"]).ended_with(0);
    lab.assert_left_in_order();
}

#[test]
fn a_deadline_that_passes_while_the_engine_is_down_ends_the_round() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - id: a\n    deadline: 1s\n    approval: {{ title: go on? }}\n    on_fail: continue\n  - id: b\n    command: '{TRACE}'\n"
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_event("ApprovalRequested");
    engine.kill().was_killed();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    lab.run(&["resume", "@"]).ended_with(0);
    let events = lab.events("@");
    let failed = only(&events, "StepFailed");
    assert_eq!(
        (&failed.field("failure")["kind"], failed.field("tolerated")),
        (&json!("timeout"), &json!(true))
    );
    lab.assert_trace(&["b 1 1"]);
}

#[test]
fn l26_a_wait_for_a_signal_outlives_restarts_and_gives_its_payload() {
    let lab = Lab::with(
        "name: p\nsteps:\n  - id: w\n    wait: { signal: merged, match: 'signal.pr == 7' }\n  - id: b\n    command: 'echo ${steps.w.output.sha} > \"$LAB/sha\"'\n",
    );
    for _ in 0..2 {
        let engine = lab.start(&["run", "./p.yaml", "--idempotency-key", "k"]);
        lab.await_status("waiting");
        engine.kill().was_killed();
    }
    let sent = lab.run(&["signal", "@", "merged", r#"{"pr": 8}"#]);
    assert!(sent.ended_with(0).out.contains("kept for a wait to come"), "{}", sent.out);
    let sent = lab.run(&["signal", "@", "merged", r#"{"pr": 7, "sha": "abc"}"#]);
    assert!(sent.ended_with(0).out.contains("w waited for it"), "{}", sent.out);
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(lab.await_file("sha").trim(), "abc");
    lab.run(&["replay", "@"]).ended_with(0);
}

#[test]
fn l29_a_paused_pipeline_stays_paused_over_restarts_and_its_new_runs_start_paused() {
    let lab = Lab::with(&format!("name: nightly\nsteps:\n  - id: a\n    command: '{TRACE}'\n"));
    lab.write("other.yaml", &format!("name: other\nsteps:\n  - id: o\n    command: '{TRACE}'\n"));
    lab.run(&["run", "./other.yaml"]).ended_with(0);
    lab.run(&["pause", "--pipeline", "nightly", "-m", "freeze"]).ended_with(0);
    let started = lab.run(&["run", "./p.yaml", "--no-wait"]);
    assert!(started.ended_with(6).out.contains("resume --pipeline nightly"), "{}", started.out);
    lab.run(&["run", "./other.yaml"]).ended_with(0);
    lab.assert_trace(&["o 1 1", "o 1 1"]);
    let shown = lab.run(&["show", "@1"]).out;
    assert!(shown.contains("the pipeline nightly") && shown.contains("freeze"), "{shown}");
    assert!(lab.run(&["runs"]).out.contains("the pipeline nightly is paused: freeze"));
    assert!(lab.run(&["doctor"]).out.contains("pipeline nightly"));
    lab.run(&["resume", "--pipeline", "nightly"]).ended_with(0);
    lab.run(&["resume", "--pipeline", "nightly"]).ended_with(4);
    lab.run(&["resume", "@1"]).ended_with(0);
    lab.assert_trace(&["o 1 1", "o 1 1", "a 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_breakpoint_holds_the_run_over_a_restart_until_it_is_resumed() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - id: w\n    wait: {{ signal: go }}\n  - id: b\n    command: '{TRACE}'\n"
    ));
    lab.run(&["run", "./p.yaml", "--no-wait"]).ended_with(6);
    lab.run(&["breakpoints", "@", "nope"]).ended_with(3);
    let set = lab.run(&["breakpoints", "@", "b"]);
    assert!(set.ended_with(0).out.contains("pauses before b"), "{}", set.out);
    lab.run(&["signal", "@", "go"]).ended_with(0);
    let debug = lab.run(&["debug", "@"]);
    let out = &debug.ended_with(0).out;
    assert!(out.contains("breakpoints b") && out.contains("next steps  b"), "{out}");
    assert!(lab.trace().is_empty());
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["b 1 1"]);
    assert_eq!(places(&lab.events("@"), "BreakpointHit").len(), 1);
    lab.run(&["replay", "@"]).ended_with(0);
}

#[test]
fn l29_a_cancelled_step_ends_its_processes_and_takes_its_route() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - id: a\n    command: |\n      {TRACE}\n      echo $$ > \"$LAB/pid\"\n      {UNTIL_GO}\n    on_fail: continue\n  - id: b\n    command: '{TRACE}'\n"
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    lab.run(&["cancel", "@", "b"]).ended_with(4);
    lab.run(&["cancel", "@", "a", "-m", "not needed"]).ended_with(0);
    engine.end().ended_with(0);
    lab.assert_trace(&["a 1 1", "b 1 1"]);
    let events = lab.events("@");
    assert_eq!(only(&events, "StepFailed").field("failure")["message"], "cancelled by user:ada: not needed");
    lab.assert_left_in_order();
}

#[test]
fn an_interrupt_stops_what_runs_over_kills_and_the_round_goes_on_without_a_try_less() {
    let work = format!("{TRACE}; if [ -e half ]; then exit 0; fi; echo x > half; exec sleep 600");
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - {{ id: a, retry: {{ attempts: 1 }}, grace: 100ms, command: '{work}' }}\n"
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("half");
    engine.kill().was_killed();
    lab.run(&["resume", "@", "-p", "x"]).ended_with(4);
    lab.run(&["interrupt", "@", "-m", "astray", "--crash-after", "StopRequested"]).was_killed();
    let shown = lab.run(&["show", "@"]).out;
    assert!(shown.contains("interrupted: a") && shown.contains("astray"), "{shown}");
    lab.run(&["resume", "@", "-p", "Go on.", "--crash-after", "RunResumed"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1", "a 1 2"]);
    lab.run(&["replay", "@"]).ended_with(0);
    lab.assert_left_in_order();
}
