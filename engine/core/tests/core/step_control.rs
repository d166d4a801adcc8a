//! Order, one rule at a time: deadlines, waits, held rounds, breakpoints and what people stop.

use everfold_base::failure::FailureKind;
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{
    BlockReason, BreakpointsSet, CancelRequested, HaltScope, OriginKind, RunEvent, RunHalted, RunPaused,
    RunReleased, RunResumed, TimerFired, TimerKind, UnblockDecision,
};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus, StepStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, cancel, cancel_step, function, names, pause, resume, run, send_signal, signal,
    status, timer, unblock, vote, wait, with,
};
use crate::fixtures::simulated_run::{World, definition};

// Deadlines

#[test]
fn a_deadline_covers_the_round_with_its_retries_and_is_not_retried() {
    let more = json!({"deadline": "60s", "retry": {"attempts": 5, "backoff_min": "1s", "backoff_max": "1s"}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    let (_, at) = timer(&world, TimerKind::Deadline).expect("a deadline");
    world.fail("a/1/1", "once");
    let (retry, _) = timer(&world, TimerKind::Retry).expect("a pause");
    world.answer(&retry, 0);
    let (deadline, same) = timer(&world, TimerKind::Deadline).expect("the same deadline");
    assert_eq!(at, same);
    let mut batch = fire(&mut world, &deadline);
    assert_eq!(names(&batch), ["TimerFired", "StopRequested"]);
    batch = world.fail("a/1/2", "stopped");
    assert_eq!(names(&batch), ["AttemptFailed", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.kind, FailureKind::Timeout);
}

fn fire(world: &mut World, effect: &Effect) -> Vec<RunEvent> {
    let Effect::Timer { timer, at } = effect else { panic!("{effect:?} is no timer") };
    world.now = world.now.max(*at);
    world.give(InputKind::TimerFired(TimerFired { timer: timer.clone(), due: *at })).expect("taken")
}

#[test]
fn a_deadline_ends_what_people_gates_and_retries_take_too_long_for() {
    let gate = json!([{"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}}]);
    let on_fail = json!({"on_fail": [{"to": "continue"}], "deadline": "10s"});
    let mut world = run(json!([
        with(approval("ask", json!({})), on_fail.clone()),
        with(function("judged", &[]), with(on_fail.clone(), json!({"gates": gate}))),
        with(wait("idle", &[], json!({"for": "1h"})), on_fail),
    ]));
    world.succeed("judged/1/1", json!(1));
    for _ in 0..3 {
        let (deadline, _) = timer(&world, TimerKind::Deadline).expect("a deadline");
        let batch = fire(&mut world, &deadline);
        assert_eq!(names(&batch)[..2], ["TimerFired", "StepFailed"]);
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded, "all were tolerated: {:?}", world.names());
}

#[test]
fn a_pause_stands_a_deadline_still_and_keeps_what_is_left() {
    let mut world = run(json!([with(approval("ask", json!({})), json!({"deadline": "60s"}))]));
    let (_, before) = timer(&world, TimerKind::Deadline).expect("a deadline");
    world.now = world.now.plus(std::time::Duration::from_secs(20));
    pause(&mut world);
    let paused_at = world.now;
    assert!(timer(&world, TimerKind::Deadline).is_none());
    world.now = world.now.plus(std::time::Duration::from_secs(500));
    resume(&mut world);
    let (_, after) = timer(&world, TimerKind::Deadline).expect("a deadline");
    assert_eq!(after.since(world.now), before.since(paused_at));
}

#[test]
fn a_round_that_was_ended_by_its_deadline_begins_anew_when_a_person_says_retry() {
    let mut world =
        run(json!([with(function("a", &[]), json!({"deadline": "10s", "on_fail": [{"to": "block"}]}))]));
    let (deadline, _) = timer(&world, TimerKind::Deadline).expect("a deadline");
    fire(&mut world, &deadline);
    world.fail("a/1/1", "stopped");
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["a/2/1"], "another attempt of the round would have no time left");
    assert!(timer(&world, TimerKind::Deadline).is_some());
}

// Wait

#[test]
fn a_wait_until_a_local_time_is_a_timer_at_that_instant() {
    let mut world =
        run(json!([wait("w", &[], json!({"until": "${'2030-07-01' + 'T09:00'}", "zone": "Europe/Berlin"}))]));
    let (due, at) = timer(&world, TimerKind::Wait).expect("a timer");
    assert_eq!(at.to_string(), "2030-07-01T07:00:00.000Z");
    world.answer(&due, 0);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let mut past = run(json!([wait("w", &[], json!({"until": "1969-07-20T20:17:40Z"}))]));
    let (due, _) = timer(&past, TimerKind::Wait).expect("a timer that is due");
    past.answer(&due, 0);
    assert_eq!(past.state.status(), RunStatus::Succeeded);
    let never = run(json!([wait("w", &[], json!({"until": "soon"}))]));
    assert_eq!(never.state.failure().expect("a failure").0.kind, FailureKind::Validation);
}

#[test]
fn a_wait_that_hears_nothing_in_time_takes_its_own_route() {
    let on_timeout = json!([{"to": "continue"}]);
    let mut world =
        run(json!([wait("w", &[], json!({"signal": "go", "timeout": "10s", "on_timeout": on_timeout}))]));
    let (due, _) = timer(&world, TimerKind::Signal).expect("a timer");
    let batch = fire(&mut world, &due);
    assert_eq!(names(&batch), ["TimerFired", "StepFailed", "RunSucceeded"]);
    let RunEvent::StepFailed(failed) = &batch[1] else { panic!("{batch:?}") };
    assert_eq!((failed.failure.kind, failed.tolerated), (FailureKind::Timeout, true));

    let blocks = json!([{"to": "block"}]);
    let mut world =
        run(json!([wait("w", &[], json!({"signal": "go", "timeout": "10s", "on_timeout": blocks}))]));
    let (due, _) = timer(&world, TimerKind::Signal).expect("a timer");
    fire(&mut world, &due);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(status(&world, "w"), StepStatus::Waiting, "it waits again");
    send_signal(&mut world, "go", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

// Modifiers

#[test]
fn l12_a_held_round_waits_for_a_person_and_keeps_its_findings() {
    let route = json!([{"to": {"rework": "a"}, "hold": true, "findings": "look: ${failure.message}"}]);
    let spec = json!({"task": {"kind": "function", "spec": {"name": "f", "with": "${rework?.findings}"}}});
    let mut world =
        run(json!([{"id": "a", "work": spec}, with(function("b", &["a"]), json!({"on_fail": route}))]));
    world.succeed("a/1/1", json!(1));
    let batch = world.fail("b/1/1", "no good");
    assert_eq!(names(&batch), ["AttemptFailed", "ReworkRequested", "StepBlocked"]);
    assert_eq!(world.state.block_reason(&"a".parse().expect("a path")), Some(&BlockReason::Held));
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let batch = world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(names(&batch), ["RunUnblocked", "StepScheduled"]);
    assert!(format!("{:?}", batch[1]).contains("look: no good"), "{batch:?}");
    assert_eq!(attempts(&world), ["a/2/1"]);
}

#[test]
fn l23_a_persons_rework_to_a_held_step_begins_the_held_round() {
    let hold = json!([{"to": {"rework": "a"}, "hold": true}]);
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &["a"]), json!({"on_fail": hold})),
        with(
            approval("ask", json!({})),
            json!({"needs": [], "on_signal": {"go": [{"to": {"rework": "a"}}]}})
        ),
    ]));
    world.succeed("a/1/1", json!(1));
    world.fail("b/1/1", "no");
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
    send_signal(&mut world, "go", json!("now"));
    assert_eq!(attempts(&world), ["a/2/1"]);
}

#[test]
fn if_unchanged_blocks_on_the_evidence_of_the_last_failure_and_counts_by_default() {
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["make"]}}});
    let gate = |more: Value| json!([{"id": "g", "probe": probe, "on_fail": [with(json!({"to": {"rework": "a"}}), more)]}]);
    let evidence =
        |output: &str, commit: &str| json!({"exit": 1, "output": output, "source": {"commit": commit}});
    let mut world =
        run(json!([with(function("a", &[]), json!({"gates": gate(json!({"if_unchanged": "block"}))}))]));
    world.succeed("a/1/1", json!(1));
    world.probe("a/1/1", "g", 1, evidence("1 failed", "c1"));
    world.succeed("a/2/1", json!(1));
    world.probe("a/2/1", "g", 1, evidence("2 failed", "c2"));
    world.succeed("a/3/1", json!(1));
    let batch = world.probe("a/3/1", "g", 1, evidence("2 failed", "c3"));
    assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"]);
    assert!(matches!(
        world.state.block_reason(&"a".parse().expect("a path")),
        Some(BlockReason::Unchanged { gate, .. }) if gate == "g"
    ));
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert_eq!(attempts(&world), ["a/4/1"]);

    let mut world = run(json!([with(function("a", &[]), json!({"gates": gate(json!({}))}))]));
    for round in 1..=3 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let batch = world.probe(&format!("a/{round}/1"), "g", 1, evidence("the same", "c"));
        assert_eq!(names(&batch), ["GateEvaluated", "ReworkRequested", "StepScheduled"]);
    }
}

#[test]
fn l12_max_is_fixed_at_the_first_use_and_rework_resets_no_counter() {
    let times = json!({"times": "${steps.a.round == 1 ? 2 : 99}"});
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &["a"]), json!({"on_fail": [{"to": {"rework": "a"}, "max": times}]})),
    ]));
    for round in 1..=3 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        world.fail(&format!("b/{round}/1"), "no");
    }
    assert_eq!(status(&world, "b"), StepStatus::Blocked);
}

// Breakpoints

#[test]
fn a_breakpoint_pauses_before_its_step_and_resume_begins_it() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"]), function("c", &[])]));
    let set = |steps: &[&str]| {
        InputKind::Breakpoints(BreakpointsSet { steps: steps.iter().map(|step| (*step).into()).collect() })
    };
    assert!(matches!(world.by("ada", set(&["nope"])), Err(Refusal::UnknownStep(_))));
    assert_eq!(names(&world.by("ada", set(&["b"])).expect("taken")), ["BreakpointsSet"]);
    assert!(world.by("ada", set(&["b"])).expect("taken").is_empty());
    let batch = world.succeed("a/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "BreakpointHit"]);
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(world.state.next_steps().collect::<Vec<_>>(), ["b".into()]);
    world.succeed("c/1/1", json!(1));
    assert_eq!(names(&resume(&mut world)), ["RunResumed", "StepSucceeded", "StepScheduled"]);
    assert_eq!(attempts(&world), ["b/1/1"]);
}

#[test]
fn a_signal_resumes_a_run_at_a_breakpoint_before_all_other_routes_and_lifts_no_pause_of_a_person() {
    let busy = json!({"on_signal": {"go": [{"to": "ignore", "busy": "ignore"}]}});
    let mut world = World::start(
        definition(json!({
            "name": "p", "on_signal": {"go": [{"to": "resume"}, {"to": {"finish": "cancelled"}}]},
            "steps": [function("a", &[]), function("b", &["a"]), with(function("c", &[]), busy)],
        })),
        json!({}),
    );
    let steps = vec!["b".into()];
    world.by("ada", InputKind::Breakpoints(BreakpointsSet { steps })).expect("taken");
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Paused);
    let batch = send_signal(&mut world, "go", json!(null));
    assert_eq!(names(&batch)[..3], ["SignalReceived", "SignalTaken", "RunResumed"], "though c works");
    assert!(names(&batch).contains(&"StepScheduled"));
    pause(&mut world);
    let batch = send_signal(&mut world, "go", json!(null));
    assert!(!names(&batch).contains(&"RunResumed"), "{batch:?}");
    assert_eq!(world.state.status(), RunStatus::Paused, "a person paused it");
    // Also where the breakpoint has paused it before: that is a fact, and stays.
    resume(&mut world);
    let steps = vec!["b".into()];
    let paused = RunPaused { reason: Some("lunch".into()), interrupt: false };
    let mut at_breakpoint = World::start(
        definition(json!({
            "name": "p", "on_signal": {"go": [{"to": "resume"}]}, "steps": [function("a", &[]), function("b", &["a"])],
        })),
        json!({}),
    );
    at_breakpoint.by("ada", InputKind::Breakpoints(BreakpointsSet { steps })).expect("taken");
    at_breakpoint.succeed("a/1/1", json!(1));
    for recorded in [vec!["RunPaused"], vec![]] {
        let batch = at_breakpoint.by("bob", InputKind::Pause(paused.clone())).expect("taken");
        assert_eq!(names(&batch), recorded);
    }
    let batch = send_signal(&mut at_breakpoint, "go", json!(null));
    assert!(!names(&batch).contains(&"RunResumed"), "{batch:?}");
    assert_eq!(names(&resume(&mut at_breakpoint))[0], "RunResumed");
    assert_eq!(attempts(&at_breakpoint), ["b/1/1"], "the breakpoint is passed");
    at_breakpoint.check_fold();
}

#[test]
fn a_person_who_has_a_step_retried_gives_it_all_its_attempts_again() {
    let more = json!({"retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"}, "on_fail": [{"to": "block"}]});
    let mut world = run(json!([with(function("a", &[]), more)]));
    for first in [1, 3] {
        assert_eq!(names(&world.fail(&format!("a/1/{first}"), "busy")), ["AttemptFailed", "RetryScheduled"]);
        let (retry, _) = timer(&world, TimerKind::Retry).expect("a pause");
        world.answer(&retry, 0);
        let batch = world.fail(&format!("a/1/{}", first + 1), "busy");
        assert_eq!(names(&batch), ["AttemptFailed", "StepBlocked"]);
        world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    }
    assert_eq!(attempts(&world), ["a/1/5"]);
}

// L29

#[test]
fn l29_a_cancelled_step_fails_as_cancelled_unretried_and_takes_its_route() {
    let more = json!({"retry": {"attempts": 5, "backoff_min": "1s", "backoff_max": "1s"}, "on_fail": [{"to": "continue"}]});
    let mut world = run(json!([with(function("a", &[]), more), function("b", &["a"])]));
    assert!(matches!(cancel_step(&mut world, "b"), Err(Refusal::NotActive { .. })));
    assert!(matches!(cancel_step(&mut world, "a.3"), Err(Refusal::UnknownStep(_))));
    let batch = cancel_step(&mut world, "a").expect("taken");
    assert_eq!(names(&batch), ["StepCancelRequested", "StopRequested"]);
    assert!(cancel_step(&mut world, "a").expect("the same again").is_empty());
    let batch = world.succeed("a/1/1", json!("too late"));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepFailed", "StepScheduled"]);
    let RunEvent::StepFailed(failed) = &batch[1] else { panic!("{batch:?}") };
    assert_eq!((failed.failure.kind, failed.tolerated), (FailureKind::Cancelled, true));
    assert_eq!(failed.failure.message, "cancelled by user:ada: enough");
}

#[test]
fn l29_what_does_not_execute_is_cancelled_at_once() {
    let block = json!({"on_fail": [{"to": "block"}]});
    let mut world = run(json!([with(function("a", &[]), block), approval("ask", json!({}))]));
    world.fail("a/1/1", "no");
    let batch = cancel_step(&mut world, "a").expect("taken");
    assert_eq!(names(&batch), ["StepCancelRequested", "StepBlocked"], "its route says block again");
}

#[test]
fn l29_a_second_cancel_skips_on_finish_and_its_steps_have_ten_minutes_each() {
    let document = json!({"name": "p", "on_finish": [function("tidy", &[]), function("tell", &[])], "steps": [function("a", &[])]});
    let mut world = World::start(definition(document.clone()), json!({}));
    world.by("ada", cancel()).expect("taken");
    world.fail("a/1/1", "stopped");
    let (deadline, at) = timer(&world, TimerKind::Deadline).expect("a deadline");
    assert_eq!(at.since(world.now).as_secs(), 600);
    fire(&mut world, &deadline);
    let batch = world.fail("tidy/1/1", "stopped");
    assert_eq!(names(&batch)[..2], ["AttemptFailed", "StepFailed"]);
    assert_eq!(attempts(&world), ["tell/1/1"], "a failure is a warning, and the next one begins");
    world.by("ada", cancel()).expect("taken");
    world.fail("tell/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
}

#[test]
fn l29_timers_act_on_resume_and_decisions_count_in_a_pause() {
    let mut world =
        run(json!([approval("ask", json!({})), with(wait("w", &[], json!({"for": "5s"})), json!({}))]));
    pause(&mut world);
    world.now = world.now.plus(std::time::Duration::from_secs(60));
    assert!(world.effects().is_empty());
    let yes = vote("ask/1/1", Vote::Approve);
    assert_eq!(names(&world.by("ada", yes).expect("taken")), ["VoteCast", "ApprovalDecided"]);
    assert_eq!(names(&resume(&mut world)), ["RunResumed", "StepSucceeded"]);
    assert!(timer(&world, TimerKind::Wait).is_some(), "due, and heard now");
}

#[test]
fn l29_a_run_that_stands_still_with_others_goes_on_when_all_are_released() {
    let mut world = run(json!([function("a", &[])]));
    let halt = |scope: HaltScope| InputKind::Halt(RunHalted { scope, reason: Some("deploy freeze".into()) });
    let pipeline = || HaltScope::Pipeline("p".into());
    assert_eq!(names(&world.give(halt(pipeline())).expect("taken")), ["RunHalted"]);
    assert!(world.give(halt(pipeline())).expect("taken").is_empty());
    world.give(halt(HaltScope::Engine)).expect("taken");
    pause(&mut world);
    assert!(attempts(&world).is_empty());
    resume(&mut world);
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(
        world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })),
        Err(Refusal::Halted(HaltScope::Engine))
    );
    world.give(InputKind::Release(RunReleased { scope: pipeline() })).expect("taken");
    assert!(attempts(&world).is_empty());
    world.give(InputKind::Release(RunReleased { scope: HaltScope::Engine })).expect("taken");
    assert_eq!(attempts(&world), ["a/1/1"]);
}

/// Two documents of which a gate says the same are two documents still.
#[test]
fn row_28_if_unchanged_lets_another_document_be_rejected_again() {
    let probe = json!({"task": {"kind": "frontmatter", "spec": {"file": "plan.md", "fields": ["verdict"]}}});
    let route = json!([{"to": {"rework": "a"}, "if_unchanged": "block"}]);
    let single = |blob: &str, commit: &str| {
        json!({"file": "plan.md", "value": "REJECTED", "pass": ["READY"], "fields": {"verdict": "REJECTED"},
            "fail": ["REJECTED"], "source": {"path": "plan.md", "commit": commit, "blob": blob}})
    };
    let member =
        |found: Value| json!({"members": [{"id": "frontmatter", "kind": "frontmatter", "evidence": found}]});
    let several = |found: Value| {
        let mut found = found;
        found["source"] = json!([found["source"], {"path": "gone.md", "commit": null, "blob": null}]);
        found
    };
    for shape in ["one file", "several files", "a member"] {
        let found = |blob: &str, commit: &str| match shape {
            "one file" => single(blob, commit),
            "several files" => several(single(blob, commit)),
            _member => member(single(blob, commit)),
        };
        let gate = match shape {
            "a member" => json!({"id": "g", "probe": {"all": [{"probe": probe}]}, "on_fail": route}),
            _single => json!({"id": "g", "probe": probe, "on_fail": route}),
        };
        let mut world = run(json!([with(function("a", &[]), json!({ "gates": [gate] }))]));
        for (round, blob, commit, then) in [
            (1, "b1", "c1", "ReworkRequested"),
            (2, "b2", "c2", "ReworkRequested"),
            (3, "b2", "c3", "StepBlocked"),
        ] {
            world.succeed(&format!("a/{round}/1"), json!(1));
            let batch = world.probe(&format!("a/{round}/1"), "g", 1, found(blob, commit));
            assert_eq!(names(&batch)[1], then, "{shape}, round {round}");
        }
        world.check_fold();
    }
}

#[test]
fn row_25_a_run_knows_who_had_it_cancelled_first_and_why_and_a_restart_of_it_does_not() {
    let mut world = run(json!([function("a", &[])]));
    assert_eq!(world.state.cancelling(), None);
    world
        .by("ada", InputKind::Cancel(CancelRequested { reason: Some("the card was moved".into()) }))
        .expect("taken");
    world.by("bob", InputKind::Cancel(CancelRequested { reason: None })).expect("twice");
    let known = world.state.cancelling().expect("it is known");
    assert_eq!(
        (known.by.to_string(), known.reason.as_deref()),
        ("user:ada".to_owned(), Some("the card was moved"))
    );
    world.check_fold();
    let bytes = world.state.snapshot();
    let again = RunState::from_snapshot(world.state.definition().clone(), &bytes).expect("its own bytes");
    assert_eq!(again.cancelling(), world.state.cancelling());
    let other = world.forked(world.history.len(), OriginKind::Restart, Some("a".into())).expect("taken");
    assert_eq!(other.state.cancelling(), None, "no person cancelled that one");
    other.check_fold();
}

/// An untouched file was reported in other words than when it was refused, and went round once more.
#[test]
fn row_27_a_fresh_gate_blocks_at_once_on_the_document_that_it_sent_back() {
    let route = json!([{"to": {"rework": "a"}, "if_unchanged": "block"}]);
    let file = json!({"task": {"kind": "frontmatter", "spec": {"file": "plan.md", "fields": ["verdict"]}}});
    let tests = json!({"task": {"kind": "tests", "spec": {"globs": ["reports/*.xml"]}}});
    let plan = |blob: &str, since: &str, unchanged: Value| {
        json!({"file": "plan.md", "from": "worktree", "value": "REJECTED", "pass": ["READY"], "fail": ["REJECTED"],
            "fields": {"verdict": "REJECTED"}, "match": "exact", "unchanged": unchanged,
            "source": {"path": "plan.md", "blob": blob, "fresh_since": {"commit": since, "at": 1}}})
    };
    let report = |blob: &str, since: &str| {
        json!({"tests": 1, "failed": 1, "skipped": 0, "failures": [{"name": "t"}], "files": [{"path": "r.xml", "blob": blob}],
            "source": {"globs": ["reports/*.xml"], "fresh_since": {"commit": since, "at": 1}}})
    };
    let left = json!({"tests": 0, "failed": 0, "skipped": 0, "failures": [], "files": [], "stale": ["r.xml"],
        "source": {"globs": ["reports/*.xml"], "fresh_since": {"commit": "c3", "at": 1}}});
    let member =
        |found: Value| json!({"members": [{"id": "frontmatter", "kind": "frontmatter", "evidence": found}]});
    for (probe, rounds) in [
        (
            file.clone(),
            [plan("b1", "c1", json!([])), plan("b2", "c2", json!([])), plan("b2", "c3", json!(["plan.md"]))],
        ),
        (tests, [report("b1", "c1"), report("b2", "c2"), left]),
        (
            json!({"all": [{"probe": file}]}),
            [
                member(plan("b1", "c1", json!([]))),
                member(plan("b2", "c2", json!([]))),
                member(plan("b2", "c3", json!(["plan.md"]))),
            ],
        ),
    ] {
        let gate = json!({"id": "g", "probe": probe, "fresh": true, "on_fail": route});
        let mut world = run(json!([with(function("a", &[]), json!({ "gates": [gate] }))]));
        let then = ["ReworkRequested", "ReworkRequested", "StepBlocked"];
        for (round, (found, then)) in (1..).zip(rounds.into_iter().zip(then)) {
            world.succeed(&format!("a/{round}/1"), json!(1));
            let batch = world.probe(&format!("a/{round}/1"), "g", 1, found);
            assert_eq!(names(&batch)[1], then, "round {round} of {probe}");
        }
        let reason = world.state.block_reason(&"a".parse().expect("a path"));
        assert!(matches!(reason, Some(BlockReason::Unchanged { gate, .. }) if gate == "g"), "{reason:?}");
    }
}

/// In the first round nothing was refused yet: the findings ask the work to touch it.
#[test]
fn row_27_a_fresh_gate_sends_back_the_first_time_that_nothing_was_touched() {
    let route = json!([{"to": {"rework": "a"}, "if_unchanged": "block"}]);
    let probe = json!({"task": {"kind": "frontmatter", "spec": {"file": "plan.md", "fields": ["verdict"]}}});
    let gate = json!({"id": "g", "probe": probe, "fresh": true, "on_fail": route});
    let mut world = run(json!([with(function("a", &[]), json!({ "gates": [gate] }))]));
    world.succeed("a/1/1", json!(1));
    let found =
        json!({"file": "plan.md", "value": "READY", "pass": ["READY"], "fail": [], "unchanged": ["plan.md"]});
    let batch = world.probe("a/1/1", "g", 1, found);
    assert_eq!(names(&batch), ["GateEvaluated", "ReworkRequested", "StepScheduled"]);
}

#[test]
fn a_retry_of_a_person_begins_with_the_step_that_the_blocked_one_names_and_brings_the_words() {
    let shown = |name: &str| json!({"task": {"kind": "function", "spec": {"name": name, "with": "${rework?.findings}"}}});
    let blocks = json!([{"to": "block"}]);
    let mut world = run(json!([
        {"id": "why", "work": shown("why"), "when": "rework != null"},
        {"id": "a", "needs": ["why"], "work": shown("a"), "retry_from": "why", "on_fail": blocks},
        {"id": "b", "needs": ["a"], "work": shown("b"), "retry_from": "b",
         "on_fail": [{"to": {"rework": "a"}, "findings": "no good", "max": {"times": 1}}]},
    ]));
    let said = |words: &str| {
        let (path, decision, output) = (None, UnblockDecision::Retry, None);
        InputKind::Unblock {
            path,
            decision,
            output,
            reason: Some(words.into()),
            policies: Default::default(),
            keeps_items: true,
        }
    };
    // The work failed in a round with findings.
    world.succeed("a/1/1", json!(1));
    world.fail("b/1/1", "broken");
    world.fail("a/2/1", "crashed");
    assert_eq!(world.state.block_reason(&"a".parse().expect("a path")), Some(&BlockReason::Failed));
    let batch = world.by("ada", said("look at the ADR")).expect("taken");
    assert_eq!(names(&batch), ["RunUnblocked", "ReworkRequested", "StepScheduled"]);
    assert!(format!("{:?}", batch[2]).contains("look at the ADR"), "{batch:?}");
    assert_eq!(attempts(&world), ["why/1/1"]);
    let batch = world.succeed("why/1/1", json!(1));
    assert!(format!("{batch:?}").contains("no good"), "its round keeps its findings: {batch:?}");
    assert_eq!(attempts(&world), ["a/3/1"]);
    // A rework that is used up: what was refused is not done, the step itself begins again.
    world.succeed("a/3/1", json!(1));
    world.fail("b/2/1", "broken");
    let used_up = world.state.block_reason(&"b".parse().expect("a path"));
    assert!(matches!(used_up, Some(BlockReason::UsedUp { .. })), "{used_up:?}");
    let batch = world.by("ada", said("it is right so")).expect("taken");
    assert!(format!("{batch:?}").contains("it is right so"), "{batch:?}");
    assert_eq!(attempts(&world), ["b/3/1"]);
}

#[test]
fn a_signal_that_unblocks_begins_with_the_named_step_and_only_a_persons_has_words() {
    let blocks = json!([{"to": "block"}]);
    let again = json!({"go": [{"to": {"unblock": "retry"}}]});
    let shown = json!({"task": {"kind": "function", "spec": {"name": "f", "with": "${rework?.findings}"}}});
    let hook = everfold_base::actor::Actor::Hook("plane/olga".into());
    for (by, has_words) in [(None, true), (Some(hook), false)] {
        let mut world = run(json!([
            {"id": "why", "work": shown.clone(), "when": "rework != null"},
            with(
                function("a", &["why"]),
                json!({"retry_from": "why", "on_fail": blocks.clone(), "on_signal": again.clone()})
            ),
        ]));
        world.fail("a/1/1", "crashed");
        let go = signal("go", json!({"text": "now it is there"}));
        let batch = match by {
            None => world.by("ada", go),
            Some(by) => world.give_as(by, go),
        }
        .expect("taken");
        assert_eq!(attempts(&world), ["why/1/1"]);
        let scheduled = format!("{:?}", batch.last());
        assert_eq!(scheduled.contains("now it is there"), has_words, "{scheduled}");
    }
}
