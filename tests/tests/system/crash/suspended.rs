//! Processes, and their supervisors, that a signal stops and lets go on.

use rustix::process::{Pid, Signal, kill_process};

use super::fixtures::{Lab, UNTIL_GO, await_that, now_ms};

#[test]
fn a_step_whose_supervisor_or_process_is_stopped_by_a_signal_is_shown_as_suspended() {
    let lab = Lab::with(&format!("name: p\nsteps:\n  - id: work\n    command: |\n      {UNTIL_GO}\n"));
    let engine = lab.start(&["run", "./p.yaml"]);
    let record = lab.await_attempt("work-r1-a1", "lock");
    let phase = |wanted: &str| {
        await_that(&format!("phase {wanted}"), || {
            let view = lab.view("@");
            (view["steps"][0]["phase"] == wanted).then_some(view)
        })
    };
    phase("running");
    for whose in ["shim", "command"] {
        let number = i32::try_from(record[whose]["pid"].as_i64().unwrap()).unwrap();
        let process = Pid::from_raw(number).unwrap();
        kill_process(process, Signal::STOP).unwrap();
        let view = phase("suspended");
        let line = view["steps"][0]["line"].as_str().unwrap();
        assert!(line.contains(&format!("`kill -CONT {number}` lets it go on")), "{whose}: {line}");
        let shown = lab.run(&["show", "@"]).out;
        assert!(shown.contains("suspended") && shown.contains(line), "{whose}: {shown}");
        kill_process(process, Signal::CONT).unwrap();
        phase("running");
    }
    lab.go();
    engine.end().ended_with(0);
    assert!(lab.view("@")["steps"][0]["phase"].is_null());
}

/// The limit was judged before the command was looked at.
#[test]
fn a_command_that_ended_in_time_keeps_its_end_where_its_supervisor_was_stopped_past_the_limit() {
    let lab = Lab::with(&format!(
        "name: p\nsteps:\n  - id: work\n    timeout: 6s\n    command: |\n      echo yes > \"$LAB/begun\"; {UNTIL_GO}; echo done > \"$LAB/end\"\n"
    ));
    let engine = lab.start(&["run", "./p.yaml"]);
    let record = lab.await_attempt("work-r1-a1", "lock");
    lab.await_file("begun");
    let supervisor = Pid::from_raw(i32::try_from(record["shim"]["pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(supervisor, Signal::STOP).unwrap();
    lab.go();
    assert_eq!(lab.await_file("end"), "done\n");
    let began = record["started_at"].as_i64().unwrap();
    await_that("the limit is over", || (now_ms() - began > 6_500).then_some(()));
    kill_process(supervisor, Signal::CONT).unwrap();
    engine.end().ended_with(0);
}
