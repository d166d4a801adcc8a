//! Cancel at any moment, in any state; the signals that end an engine and not its runs.

use rustix::process::Signal;

use super::fixtures::{Lab, TRACE, UNTIL_GO, await_that, lives, places};

/// A pipeline that tidies up.
fn pipeline(head: &str, steps: &str) -> String {
    format!(
        "name: p\n{head}steps:\n{steps}on_finish:\n  - id: tidy\n    command: 'echo tidy >> \"$TRACE\"'\n"
    )
}

/// A process that is deaf to SIGTERM, with a deaf child.
fn deaf() -> String {
    format!(
        "trap '' TERM\n      {TRACE}\n      echo $$ > \"$LAB/pid\"\n      sleep 600 &\n      while :; do sleep 0.05; done"
    )
}

/// Cancels while a caller waits for the run, once `ready` holds; the end is the same in every state.
fn ends_cancelled(lab: &Lab, ready: impl FnOnce(&Lab)) {
    let engine = lab.start(&["run", "./p.yaml"]);
    ready(lab);
    lab.run(&["cancel", "@", "-m", "enough"]).ended_with(0);
    let done = engine.end();
    done.ended_with(5);
    is_cancelled(lab);
}

fn is_cancelled(lab: &Lab) {
    let view = lab.view("@");
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert_eq!(
        lab.trace().iter().filter(|line| *line == "tidy").count(),
        1,
        "on_finish ran: {:?}",
        lab.trace()
    );
    let events = lab.events("@");
    assert_eq!(places(&events, "RunCancelled").len(), 1);
    lab.run(&["resume", "@"]).ended_with(5);
    lab.assert_left_in_order();
}

#[test]
fn cancel_ends_a_process_that_ignores_sigterm_and_its_children() {
    let lab =
        Lab::with(&pipeline("", &format!("  - id: a\n    grace: 300ms\n    command: |\n      {}\n", deaf())));
    ends_cancelled(&lab, |lab| {
        lab.await_file("pid");
    });
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    assert!(!lives(pid));
}

#[test]
fn cancel_ends_an_attempt_that_waits_for_its_turn() {
    let lab = Lab::with(&pipeline(
        "",
        &format!(
            "  - id: a\n    needs: []\n    grace: 100ms\n    command: |\n      {TRACE}\n      exec sleep 600\n  - id: b\n    needs: []\n    command: |\n      {TRACE}\n"
        ),
    ));
    lab.settings("[limits]\nprocesses = 1\n");
    ends_cancelled(&lab, |lab| await_that("a runs", || (!lab.trace().is_empty()).then_some(())));
    lab.assert_trace(&["a 1 1", "tidy"]);
}

#[test]
fn cancel_ends_the_pause_before_a_retry() {
    let lab =
        Lab::with(&pipeline("", "  - { id: a, command: exit 1, retry: { attempts: 3, backoff: 1h..1h } }\n"));
    ends_cancelled(&lab, |lab| drop(lab.await_event("RetryScheduled")));
}

#[test]
fn cancel_ends_a_wait() {
    let lab = Lab::with(&pipeline("", "  - { id: a, wait: { for: 2h } }\n"));
    ends_cancelled(&lab, |lab| drop(lab.await_event("TimerSet")));
}

#[test]
fn cancel_withdraws_an_approval() {
    let lab = Lab::with(&pipeline("", "  - { id: a, approval: { title: Right? } }\n"));
    ends_cancelled(&lab, |lab| drop(lab.await_event("ApprovalRequested")));
    let inbox = lab.run(&["inbox", "--json"]).json();
    assert_eq!(inbox["items"].as_array().unwrap().len(), 0, "{inbox:#}");
}

#[test]
fn cancel_ends_the_pause_between_two_probes() {
    let gate = "  - id: a\n    gates:\n      - { id: g, command: exit 7, policy: \"evidence.exit == 7 ? 'pending' : 'fail'\", poll: { every: 1h, max: 5 } }\n";
    let lab = Lab::with(&pipeline("", gate));
    ends_cancelled(&lab, |lab| drop(lab.await_event("GateEvaluated")));
}

#[test]
fn cancel_ends_the_process_of_a_probe() {
    let gate =
        "  - id: a\n    gates:\n      - { id: g, command: 'echo $$ > \"$LAB/pid\"; exec sleep 600' }\n";
    let lab = Lab::with(&pipeline("", gate));
    ends_cancelled(&lab, |lab| drop(lab.await_file("pid")));
}

#[test]
fn cancel_ends_a_blocked_run() {
    let lab = Lab::with(&pipeline("", "  - { id: a, command: exit 1, on_fail: block }\n"));
    ends_cancelled(&lab, |lab| drop(lab.await_event("StepBlocked")));
}

#[test]
fn cancel_ends_a_paused_run() {
    let lab = Lab::with(&pipeline("", "  - { id: a, wait: { for: 2h } }\n"));
    ends_cancelled(&lab, |lab| {
        lab.await_event("TimerSet");
        lab.run(&["pause", "@"]).ended_with(0);
    });
}

#[test]
fn cancel_ends_every_item_of_a_fan_out() {
    let lab = Lab::with(&pipeline(
        "",
        &format!(
            "  - id: a\n    foreach: {{ in: [1, 2, 3, 4, 5, 6], max_in_flight: 4 }}\n    grace: 100ms\n    command: |\n      {TRACE}\n      exec sleep 600\n"
        ),
    ));
    ends_cancelled(&lab, |lab| await_that("four run", || (lab.trace().len() == 4).then_some(())));
    assert_eq!(lab.trace().len(), 5);
}

#[test]
fn cancel_ends_a_run_whose_workspace_is_being_made() {
    let mut lab =
        Lab::with(&pipeline("workspace: { git: repo }\n", &format!("  - id: a\n    command: '{TRACE}'\n")));
    lab.repository();
    lab.wrap_git(r#"echo adding > "$LAB/adding"; until [ -e "$LAB/go" ]; do sleep 0.02; done"#);
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("adding");
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.go();
    engine.end().ended_with(5);
    assert!(!lab.trace().contains(&"a 1 1".to_owned()), "{:?}", lab.trace());
    is_cancelled(&lab);
    assert_eq!(lab.git(&["worktree", "list"]).lines().count(), 1, "nothing of it stays");
}

#[test]
fn l29_a_second_cancel_skips_what_on_finish_still_does() {
    let finish = "name: p\nsteps:\n  - id: a\n    wait: { for: 2h }\non_finish:\n  - id: tidy\n    grace: 100ms\n    command: 'echo $$ > \"$LAB/pid\"; exec sleep 600'\n";
    let lab = Lab::with(finish);
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_event("TimerSet");
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.await_file("pid");
    lab.run(&["cancel", "@"]).ended_with(0);
    engine.end().ended_with(5);
    assert_eq!(lab.view("@")["status"], "cancelled");
    lab.assert_left_in_order();
}

#[test]
fn cancel_while_on_finish_tidies_up_a_failed_run_ends_it() {
    let finish = format!(
        "name: p\nsteps:\n  - {{ id: a, command: exit 1 }}\non_finish:\n  - id: tidy\n    command: |\n      echo $$ > \"$LAB/pid\"\n      {UNTIL_GO}\n      echo tidy >> \"$TRACE\"\n"
    );
    let lab = Lab::with(&finish);
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.go();
    let done = engine.end();
    // The run had failed before: what was certain stays, and tidying up goes to its end.
    assert!(matches!(done.code, Some(1 | 5)), "{done:?}");
    lab.assert_trace(&["tidy"]);
    lab.assert_left_in_order();
}

#[test]
fn cancel_right_after_a_crash_ends_what_lives_on() {
    let lab =
        Lab::with(&pipeline("", &format!("  - id: a\n    grace: 300ms\n    command: |\n      {}\n", deaf())));
    let engine = lab.start(&["run", "./p.yaml"]);
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    engine.kill().was_killed();
    assert!(lives(pid));
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.run(&["resume", "@"]).ended_with(5);
    assert!(!lives(pid));
    is_cancelled(&lab);
}

#[test]
fn cancel_right_after_a_crash_ends_a_probe_that_lives_on() {
    let gate =
        "  - id: a\n    gates:\n      - { id: g, command: 'echo $$ > \"$LAB/pid\"; exec sleep 600' }\n";
    let lab = Lab::with(&pipeline("", gate));
    let engine = lab.start(&["run", "./p.yaml"]);
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    engine.kill().was_killed();
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.run(&["resume", "@"]).ended_with(5);
    is_cancelled(&lab);
    assert!(!lives(pid));
}

/// The state lists no stop for a probe, so nothing of the ended run leads to it.
#[test]
fn a_probe_ends_that_a_cancel_made_pointless_when_the_engine_died_right_after_it() {
    let gate =
        "  - id: a\n    gates:\n      - { id: g, command: 'echo $$ > \"$LAB/pid\"; exec sleep 600' }\n";
    let lab = Lab::with(&format!("name: p\nsteps:\n{gate}"));
    lab.write(
        "wanted.yaml",
        &format!("name: wanted\nsteps:\n  - id: a\n    command: |\n      {TRACE}\n      {UNTIL_GO}\n"),
    );
    lab.start(&["run", "./wanted.yaml", "--crash-after", "AttemptStarted"]).end().was_killed();
    let engine = lab.start(&["run", "./p.yaml", "--crash-after", "RunCancelled"]);
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    let cancelling = lab.start(&["cancel", "@"]);
    engine.end().was_killed();
    // It takes over where the owner is gone, and gets the answer to what it asked for before.
    cancelling.end().ended_with(0);
    assert_eq!(lab.view("@")["status"], "cancelled");
    let other = lab.start(&["resume", "@1"]);
    await_that("the probe has ended", || (!lives(pid)).then_some(()));
    lab.go();
    other.end().ended_with(0);
    lab.assert_trace(&["a 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn cancel_before_the_first_attempt_began_starts_nothing() {
    let lab = Lab::with(&pipeline("", &format!("  - id: a\n    command: '{TRACE}'\n")));
    lab.run(&["run", "./p.yaml", "--crash-after", "StepScheduled"]).was_killed();
    lab.run(&["cancel", "@", "--crash-after", "CancelRequested"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(5);
    lab.assert_trace(&["tidy"]);
    is_cancelled(&lab);
}

/// A run whose only step waits for the test, and an engine that follows it.
fn followed() -> (Lab, super::fixtures::Engine, i32) {
    let lab = Lab::with(&pipeline(
        "",
        &format!(
            "  - id: a\n    command: |\n      {TRACE}\n      echo $$ > \"$LAB/pid\"\n      {UNTIL_GO}\n"
        ),
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    let pid = lab.await_file("pid").trim().parse().unwrap();
    // It listens to signals once it follows the run. Before, they are what its starter has made of them, which may be nothing.
    await_that("it follows the run", || engine.said("begins").then_some(()));
    (lab, engine, pid)
}

#[test]
fn p5_sigterm_ends_the_owner_at_once_and_leaves_its_processes() {
    let (lab, engine, pid) = followed();
    let since = std::time::Instant::now();
    engine.signal(Signal::TERM);
    let done = engine.end();
    assert!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
    done.ended_with(130);
    assert!(done.err.contains("resume"), "{}", done.err);
    assert!(lives(pid), "the process lives on");
    lab.go();
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1", "tidy"]);
    lab.assert_left_in_order();
}

#[test]
fn p5_sigterm_gives_a_function_its_time_and_no_more() {
    let lab = Lab::with("name: p\nsteps:\n  - { id: nap, function: everfold.sleep, with: { for: 30s } }\n");
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_owner();
    lab.await_event("StepScheduled");
    let since = std::time::Instant::now();
    engine.signal(Signal::TERM);
    engine.end().ended_with(130);
    assert!(since.elapsed().as_millis() < 6_000, "{:?}", since.elapsed());
    lab.run(&["cancel", "@"]).ended_with(0);
    lab.run(&["resume", "@"]).ended_with(5);
    lab.assert_left_in_order();
}

#[test]
fn p5_ctrl_c_once_leaves_the_run_resumable() {
    let (lab, engine, pid) = followed();
    engine.signal(Signal::INT);
    let done = engine.end();
    done.ended_with(130);
    assert!(done.err.contains("resume"), "it says how: {}", done.err);
    assert!(lives(pid));
    lab.go();
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1", "tidy"]);
    lab.assert_left_in_order();
}

#[test]
fn p5_ctrl_c_twice_cancels_the_run() {
    let (lab, engine, pid) = followed();
    engine.signal(Signal::INT);
    await_that("it says what a second one does", || engine.said("cancels it").then_some(()));
    engine.signal(Signal::INT);
    engine.end().ended_with(5);
    assert!(!lives(pid));
    is_cancelled(&lab);
}
