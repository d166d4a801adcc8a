//! What a crash does, row by row: what was in progress, and what becomes of it.
//!
//! The row "append not acknowledged" is `every_event`; the rows of people and of agents that live
//! for long have files of their own.

use serde_json::json;

use super::fixtures::{Lab, TRACE, UNTIL_GO, await_that, lives, now_ms, only, places};

/// A pipeline with one command step `a`, with more keys if need be.
fn one_step(command: &str, keys: &str) -> String {
    let script = command.replace('\n', "\n      ");
    format!("name: p\nsteps:\n  - id: a\n    command: |\n      {script}\n{keys}")
}

/// A command that says who it is and waits for the test.
fn waiting(end: &str) -> String {
    format!("{TRACE}\necho before\necho $$ > \"$LAB/pid\"\n{UNTIL_GO}\necho after\n{end}")
}

#[test]
fn an_attempt_that_was_scheduled_and_not_started_is_started_under_its_number() {
    for work in [
        format!("command: '{TRACE}'"),
        format!("agent: {{ profile: script, prompt: Do it, args: [sh, -c, '{TRACE}'] }}"),
    ] {
        let lab = Lab::with(&format!("name: p\nsteps:\n  - id: a\n    {work}\n"));
        lab.run(&["run", "./p.yaml", "--crash-after", "StepScheduled"]).was_killed();
        assert!(lab.attempts().is_empty() && lab.trace().is_empty(), "nothing was started");
        lab.run(&["resume", "@"]).ended_with(0);
        lab.assert_trace(&["a 1 1"]);
        assert_eq!(places(&lab.events("@"), "StepScheduled"), ["a 1.1"]);
        lab.assert_left_in_order();
    }
}

#[test]
fn p1_a_process_that_lives_on_is_attached_again_and_its_end_is_the_result() {
    for (end, code, kind) in [("exit 0", 0, "AttemptSucceeded"), ("exit 7", 1, "AttemptFailed")] {
        let lab = Lab::with(&one_step(&waiting(end), ""));
        let engine = lab.start(&["run", "./p.yaml"]);
        let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
        engine.kill().was_killed();
        let second = lab.start(&["resume", "@"]);
        lab.await_owner();
        second.kill().was_killed();
        assert!(lives(pid), "it lives on without an engine");
        let third = lab.start(&["resume", "@"]);
        lab.await_owner();
        lab.go();
        third.end().ended_with(code);
        let events = lab.events("@");
        let end = only(&events, kind);
        match code {
            0 => assert_eq!(*end.field("output"), json!({"exit_code": 0, "stdout": "before\nafter\n"})),
            _ => assert_eq!(
                (&end.field("failure")["kind"], &end.field("failure")["exit_code"]),
                (&json!("exit"), &json!(7))
            ),
        }
        assert!(places(&events, "AttemptStarted").len() <= 1, "{events:#?}");
        lab.assert_trace(&["a 1 1"]);
        assert_eq!(lab.run(&["logs", "@", "a"]).out, "before\nafter\n");
        lab.assert_left_in_order();
    }
}

#[test]
fn p3_the_time_limit_goes_on_while_the_engine_is_down() {
    let lab = Lab::with(&one_step(&waiting(""), "    timeout: 4s\n    grace: 100ms\n"));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    engine.kill().was_killed();
    let exit = lab.await_attempt("a-r1-a1", "exit.json");
    assert_eq!(exit["outcome"], "timed_out", "{exit}");
    lab.run(&["resume", "@"]).ended_with(1);
    let events = lab.events("@");
    let failed = only(&events, "AttemptFailed");
    assert_eq!(failed.field("failure")["kind"], "timeout");
    lab.assert_trace(&["a 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn p3_a_new_engine_does_not_begin_the_time_limit_anew() {
    let lab = Lab::with(&one_step(&waiting(""), "    timeout: 4s\n    grace: 100ms\n"));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    let shim = lab.await_attempt("a-r1-a1", "lock");
    engine.kill().was_killed();
    // The last engine comes when most of the limit is over.
    let began = shim["started_at"].as_i64().unwrap();
    await_that("three seconds are over", || (now_ms() - began > 3_000).then_some(()));
    lab.run(&["resume", "@"]).ended_with(1);
    let exit = lab.await_attempt("a-r1-a1", "exit.json");
    let took = exit["ended_at"].as_i64().unwrap() - began;
    assert!((4_000..6_900).contains(&took), "a limit of 4 s ended it after {took} ms");
    lab.assert_left_in_order();
}

#[test]
fn a_process_that_ended_meanwhile_has_left_its_result() {
    for (end, code) in [("exit 0", 0), ("exit 3", 1), ("kill -SEGV $$", 1)] {
        let lab = Lab::with(&one_step(&waiting(end), ""));
        let engine = lab.start(&["run", "./p.yaml"]);
        lab.await_file("pid");
        engine.kill().was_killed();
        lab.go();
        lab.await_attempt("a-r1-a1", "exit.json");
        lab.await_quiet();
        lab.run(&["resume", "@"]).ended_with(code);
        let events = lab.events("@");
        match end {
            "exit 0" => {
                let output = only(&events, "AttemptSucceeded").field("output");
                assert_eq!(output["stdout"], "before\nafter\n");
            }
            "exit 3" => assert_eq!(only(&events, "AttemptFailed").field("failure")["exit_code"], 3),
            _ => assert_eq!(only(&events, "AttemptFailed").field("failure")["kind"], "crash"),
        }
        assert_eq!(places(&events, "AttemptLost"), [""; 0]);
        lab.assert_trace(&["a 1 1"]);
        lab.assert_left_in_order();
    }
}

/// A run whose only process vanished while no engine was there. Its second attempt ends at once.
fn vanished(keys: &str) -> Lab {
    let script = format!("{TRACE}\necho $$ > \"$LAB/pid\"\n[ $EVERFOLD_ATTEMPT = 1 ] || exit 0\n{UNTIL_GO}");
    let next = format!("  - id: b\n    command: '{TRACE}'\n");
    let lab = Lab::with(&format!("{}{next}", one_step(&script, keys)));
    let engine = lab.start(&["run", "./p.yaml"]);
    lab.await_file("pid");
    lab.supervisor("a-r1-a1");
    engine.kill().was_killed();
    lab
}

#[test]
fn a_process_that_vanished_is_lost_and_repeated_where_the_step_says_so() {
    let lab = vanished("    on_lost: retry\n");
    lab.vanish("a-r1-a1");
    lab.run(&["resume", "@"]).ended_with(0);
    assert_eq!(places(&lab.events("@"), "AttemptLost"), ["a 1.1"]);
    lab.assert_trace(&["a 1 1", "a 1 2", "b 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn an_idempotent_step_whose_process_vanished_is_repeated() {
    let lab = vanished("    idempotent: true\n");
    lab.vanish("a-r1-a1");
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1", "a 1 2", "b 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_process_that_vanished_fails_the_run_where_the_step_says_so() {
    let lab = vanished("    on_lost: fail\n");
    lab.vanish("a-r1-a1");
    lab.run(&["resume", "@"]).ended_with(1);
    assert_eq!(lab.view("@")["failure"]["kind"], "lost");
    lab.assert_trace(&["a 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_process_that_vanished_blocks_by_itself_and_a_person_decides() {
    for (decision, code, trace) in [
        ("retry", 0, &["a 1 1", "a 1 2", "b 1 1"][..]),
        ("proceed", 0, &["a 1 1", "b 1 1"]),
        ("skip", 0, &["a 1 1", "b 1 1"]),
        ("fail", 1, &["a 1 1"]),
    ] {
        let lab = vanished("");
        lab.vanish("a-r1-a1");
        lab.run(&["resume", "@", "--no-wait"]).ended_with(6);
        let view = lab.view("@");
        assert_eq!(view["status"], "blocked", "{view:#}");
        assert_eq!(view["steps"][0]["failure"]["kind"], "lost", "{view:#}");
        // What the program advises is what can be done.
        let advice = lab.run(&["show", "@"]).out;
        assert!(advice.contains("unblock") && advice.contains("--decision retry"), "{advice}");
        lab.run(&["unblock", "@", "a", "--decision", decision, "-m", "the machine restarted"]).ended_with(0);
        lab.run(&["resume", "@"]).ended_with(code);
        lab.assert_trace(trace);
        assert_eq!(places(&lab.events("@"), "RunUnblocked").len(), 1);
        lab.assert_left_in_order();
    }
}

#[test]
fn p2_where_only_the_supervisor_died_its_group_is_killed_before_the_attempt_is_lost() {
    let lab = vanished("    on_lost: retry\n");
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    let supervisor = lab.supervisor("a-r1-a1");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    await_that("the supervisor is gone", || (!lives(supervisor.as_raw_nonzero().get())).then_some(()));
    assert!(lives(pid), "its command goes on");
    lab.run(&["resume", "@"]).ended_with(0);
    assert!(!lives(pid), "two attempts of one step never go on beside each other");
    lab.assert_trace(&["a 1 1", "a 1 2", "b 1 1"]);
    assert_eq!(places(&lab.events("@"), "AttemptLost"), ["a 1.1"]);
    lab.assert_left_in_order();
}

#[test]
fn p2_a_supervisor_that_dies_under_a_living_engine_loses_its_attempt() {
    let script = format!("{TRACE}\necho $$ > \"$LAB/pid\"\n[ $EVERFOLD_ATTEMPT = 1 ] || exit 0\n{UNTIL_GO}");
    let lab = Lab::with(&one_step(&script, "    on_lost: retry\n"));
    let engine = lab.start(&["run", "./p.yaml"]);
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    rustix::process::kill_process(lab.supervisor("a-r1-a1"), rustix::process::Signal::KILL).unwrap();
    engine.end().ended_with(0);
    assert!(!lives(pid));
    lab.assert_trace(&["a 1 1", "a 1 2"]);
    lab.assert_left_in_order();
}

/// A stop that was recorded and not yet carried out was forgotten when the rework behind it had made
/// the attempt an old one: its process went on beside the next round.
#[test]
fn d5_an_attempt_that_a_rework_stopped_is_stopped_after_a_crash_too() {
    let pipeline = format!(
        "name: p\nsteps:\n  - id: a\n    command: '{TRACE}'\n  - id: long\n    command: |\n      {TRACE}\n      [ $EVERFOLD_ROUND = 2 ] && exit 0\n      echo $$ > \"$LAB/pid\"\n      exec sleep 600\n  - id: judge\n    needs: [a]\n    gates:\n      - id: g\n        command: 'until [ -s \"$LAB/pid\" ]; do sleep 0.02; done; [ $EVERFOLD_ROUND = 2 ]'\n        on_fail: {{ rework: a }}\n"
    );
    let lab = Lab::with(&pipeline);
    lab.run(&["run", "./p.yaml", "--crash-after", "StopRequested"]).was_killed();
    let pid: i32 = lab.await_file("pid").trim().parse().unwrap();
    assert!(lives(pid));
    lab.run(&["resume", "@"]).ended_with(0);
    assert!(!lives(pid), "nothing of the first round goes on");
    let events = lab.events("@");
    assert_eq!(only(&events, "AttemptFailed").field("failure")["kind"], "cancelled");
    let version = |kind: &str, place: &str| {
        let found = events.iter().find(|event| event.kind() == kind && event.place() == place);
        found.unwrap_or_else(|| panic!("{kind} {place}")).0["version"].as_u64().unwrap()
    };
    assert!(version("AttemptFailed", "long 1.1") < version("AttemptSucceeded", "a 2.1"), "stopped first");
    lab.assert_trace(&["a 1 1", "long 1 1", "a 2 1", "long 2 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_shell_that_left_a_process_behind_is_ended_with_it_after_a_crash() {
    let script = "setsid sh -c 'echo $$ > \"$LAB/child\"; exec sleep 600' &\nuntil [ -s \"$LAB/child\" ]; do sleep 0.02; done\nexit 0";
    let lab = Lab::with(&one_step(script, ""));
    lab.run(&["run", "./p.yaml", "--crash-after", "StepScheduled"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    let child: i32 = lab.await_file("child").trim().parse().unwrap();
    assert!(!lives(child));
    lab.assert_left_in_order();
}

/// Whether a repeat harms is said by the function; the ones that are built in say that it does not.
/// What becomes of others is tested at the driver, which has some.
#[test]
fn d10_a_function_that_may_be_repeated_is_called_again_under_its_number() {
    let pipeline = "name: p\nsteps:\n  - id: nap\n    function: everfold.sleep\n    with: { for: 400ms }\n  - id: b\n    command: echo done\n";
    let lab = Lab::with(pipeline);
    lab.run(&["run", "./p.yaml", "--crash-after", "StepScheduled"]).was_killed();
    let engine = lab.start(&["resume", "@"]);
    lab.await_owner();
    engine.kill().was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    let events = lab.events("@");
    assert_eq!(places(&events, "AttemptSucceeded"), ["nap 1.1", "b 1.1"]);
    assert_eq!(places(&events, "AttemptLost"), [""; 0]);
    lab.assert_left_in_order();
}

#[test]
fn timers_that_came_due_meanwhile_fire_at_once_and_in_due_order() {
    let pipeline = format!(
        "name: p\nsteps:\n  - {{ id: late, needs: [], wait: {{ for: 900ms }} }}\n  - {{ id: soon, needs: [], wait: {{ for: 300ms }} }}\n  - {{ id: mid, needs: [], wait: {{ for: 600ms }} }}\n  - {{ id: end, needs: [late, soon, mid], command: '{TRACE}' }}\n"
    );
    let lab = Lab::with(&pipeline);
    lab.run(&["run", "./p.yaml", "--crash-after", "TimerSet"]).was_killed();
    let began = now_ms();
    await_that("all are due", || (now_ms() - began > 1_000).then_some(()));
    lab.run(&["resume", "@"]).ended_with(0);
    let events = lab.events("@");
    assert_eq!(places(&events, "TimerFired"), ["soon 1.1", "mid 1.1", "late 1.1"]);
    lab.assert_trace(&["end 1 1"]);
    lab.assert_left_in_order();
}

#[test]
fn a_pause_before_a_retry_that_was_over_meanwhile_is_over() {
    let script = format!("{TRACE}\n[ $EVERFOLD_ATTEMPT = 2 ]");
    let lab = Lab::with(&one_step(&script, "    retry: { attempts: 2, backoff: 300ms..300ms }\n"));
    lab.run(&["run", "./p.yaml", "--crash-after", "RetryScheduled"]).was_killed();
    let began = now_ms();
    await_that("it is due", || (now_ms() - began > 600).then_some(()));
    lab.run(&["resume", "@"]).ended_with(0);
    lab.assert_trace(&["a 1 1", "a 1 2"]);
    lab.assert_left_in_order();
}

#[test]
fn a_wait_that_is_not_over_is_waited_to_its_end() {
    let lab = Lab::with("name: p\nsteps:\n  - { id: w, wait: { for: 1500ms } }\n");
    lab.run(&["run", "./p.yaml", "--crash-after", "TimerSet"]).was_killed();
    lab.run(&["resume", "@"]).ended_with(0);
    let events = lab.events("@");
    let (set, fired) = (only(&events, "TimerSet"), only(&events, "TimerFired"));
    let due = set.field("at").as_str().unwrap();
    assert!(fired.0["recorded_at"].as_str().unwrap() >= due, "{set:?} {fired:?}");
    lab.assert_left_in_order();
}

#[test]
fn an_open_approval_is_still_open_and_its_vote_counts() {
    for kill_at_vote in [false, true] {
        let lab = Lab::with(&format!(
            "name: p\nsteps:\n  - id: ok\n    approval: {{ title: Right? }}\n  - id: b\n    command: '{TRACE}'\n"
        ));
        lab.run(&["run", "./p.yaml", "--crash-after", "ApprovalRequested"]).was_killed();
        let task = lab.run(&["inbox", "--json"]).json()["items"][0]["id"].as_str().unwrap().to_owned();
        let engine = lab.start(&["resume", "@"]);
        lab.await_status("waiting");
        engine.kill().was_killed();
        let again = lab.run(&["inbox", "--json"]).json();
        assert_eq!(again["items"][0]["id"], task.as_str(), "the same task under the same id");
        if kill_at_vote {
            lab.run(&["approve", &task, "--crash-after", "VoteCast"]).was_killed();
            lab.run(&["approve", &task]).ended_with(0);
        } else {
            lab.run(&["approve", &task]).ended_with(0);
        }
        lab.run(&["resume", "@"]).ended_with(0);
        let events = lab.events("@");
        assert_eq!(places(&events, "VoteCast").len(), 1, "{events:#?}");
        lab.assert_trace(&["b 1 1"]);
        lab.assert_left_in_order();
    }
}

#[test]
fn an_interrupted_probe_is_attached_again_or_repeated_under_its_number() {
    for vanishes in [false, true] {
        let probe = format!("echo probe >> \"$TRACE\"; {UNTIL_GO}");
        let lab = Lab::with(&format!(
            "name: p\nsteps:\n  - id: a\n    command: '{TRACE}'\n    gates:\n      - {{ id: g, command: '{probe}' }}\n"
        ));
        let engine = lab.start(&["run", "./p.yaml"]);
        await_that("the probe began", || (lab.trace().len() == 2).then_some(()));
        lab.supervisor("a-r1-a1-g-p1");
        engine.kill().was_killed();
        if vanishes {
            lab.vanish("a-r1-a1-g-p1");
        }
        lab.go();
        lab.run(&["resume", "@"]).ended_with(0);
        let events = lab.events("@");
        assert_eq!(only(&events, "GateEvaluated").field("probe_no"), 1);
        assert_eq!(places(&events, "ProbeScheduled").len(), 1);
        let probes = if vanishes { &["a 1 1", "probe", "probe"][..] } else { &["a 1 1", "probe"] };
        lab.assert_trace(probes);
        lab.assert_left_in_order();
    }
}

#[test]
fn a_workspace_that_was_half_made_is_made() {
    for (when, act) in [
        ("before", "kill -9 $PPID; exit 1"),
        (
            "half-way",
            r#""$REAL" "$@" & until [ -e "$LAB"/.everfold/*/*/.git ] || ! kill -0 $!; do :; done; kill -9 $! $PPID; exit 1"#,
        ),
        // What a killed `worktree add` can leave behind.
        (
            "torn",
            r#""$REAL" "$@"; for record in "$LAB"/repo/.git/worktrees/*; do : > "$record/commondir"; done; kill -9 $PPID; exit 1"#,
        ),
        ("after", r#""$REAL" "$@"; kill -9 $PPID; exit 1"#),
    ] {
        let pipeline = format!(
            "name: p\nworkspace: {{ git: repo, branch: work, save: commit }}\nsteps:\n  - id: a\n    command: |\n      {TRACE}\n      cat file\n      echo more >> file\n"
        );
        let mut lab = Lab::with(&pipeline);
        lab.repository();
        lab.wrap_git(act);
        lab.run(&["run", "./p.yaml"]).was_killed();
        assert!(lab.path("hit").exists(), "{when}");
        lab.run(&["resume", "@"]).ended_with(0);
        assert_eq!(places(&lab.events("@"), "WorkspacePrepared").len(), 1, "{when}");
        lab.assert_trace(&["a 1 1"]);
        assert_eq!(lab.git(&["log", "--oneline", "work"]).lines().count(), 2, "{when}: one commit on top");
        assert_eq!(lab.git(&["worktree", "list"]).lines().count(), 1, "{when}: it is removed");
        lab.assert_left_in_order();
    }
}
