//! Two processes over one folder (P4).

use rustix::process::Signal;

use super::fixtures::{Lab, TRACE, UNTIL_GO, await_that};

const TWO: &str = "name: p\nsteps:\n  - id: a\n    command: |\n      TRACE_LINE\n      UNTIL_GO\n  - id: b\n    command: 'TRACE_LINE'\n";

fn lab() -> Lab {
    Lab::with(&TWO.replace("TRACE_LINE", TRACE).replace("UNTIL_GO", UNTIL_GO))
}

#[test]
fn p4_each_waiting_command_takes_over_when_the_owner_before_it_is_killed() {
    let lab = lab();
    let first = lab.start(&["run", "./p.yaml"]);
    await_that("it began", || (lab.trace().len() == 1).then_some(()));
    let id = lab.view("@")["id"].as_str().unwrap().to_owned();
    let second = lab.start(&["resume", &id]);
    let third = lab.start(&["resume", &id]);
    await_that("both wait", || (second.said("goes on") && third.said("goes on")).then_some(()));
    first.kill().was_killed();
    // One of the two owns the folder now; the other waits through it.
    let owner = await_that("another process took over", || {
        lab.owner()
            .filter(|pid| [&second, &third].iter().any(|engine| engine.pid().as_raw_nonzero().get() == *pid))
    });
    let (owner, last) = match second.pid().as_raw_nonzero().get() == owner {
        true => (second, third),
        false => (third, second),
    };
    owner.kill().was_killed();
    lab.go();
    last.end().ended_with(0);
    lab.assert_trace(&["a 1 1", "b 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn p4_a_run_that_was_started_through_a_killed_owner_is_finished_by_who_waits_for_it() {
    let lab = lab();
    let owner = lab.start(&["run", "./p.yaml", "--title", "first"]);
    await_that("the first began", || (lab.trace().len() == 1).then_some(()));
    let waiting = lab.start(&["run", "./p.yaml", "--title", "second"]);
    await_that("the second began", || (lab.trace().len() == 2).then_some(()));
    owner.kill().was_killed();
    lab.go();
    waiting.end().ended_with(0);
    lab.run(&["resume", "@1"]).ended_with(0);
    let mut trace = lab.trace();
    trace.sort();
    assert_eq!(trace, ["a 1 1", "a 1 1", "b 1 1", "b 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn p4_a_second_command_decides_through_the_owner() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - {{ id: ok, approval: {{ title: Right? }} }}\n  - {{ id: b, command: '{TRACE}' }}\n"
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_event("ApprovalRequested");
    assert_eq!(lab.owner(), Some(engine.pid().as_raw_nonzero().get()));
    lab.run(&["approve", "@"]).ended_with(0);
    engine.end().ended_with(0);
    lab.assert_trace(&["b 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn an_owner_that_is_stopped_is_named() {
    let lab = lab();
    let owner = lab.start(&["run", "./p.yaml"]);
    await_that("it began", || (lab.trace().len() == 1).then_some(()));
    owner.signal(Signal::STOP);
    let done = lab.run(&["show", "@"]);
    done.ended_with(7);
    let named = format!("the store is in use by process {}", owner.pid().as_raw_nonzero());
    assert!(done.err.contains(&named), "{}", done.err);
    owner.signal(Signal::CONT);
    lab.go();
    owner.end().ended_with(0);
    lab.assert_trace(&["a 1 1", "b 1 1"]);
    lab.assert_left_in_order();
}
