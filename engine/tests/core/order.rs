//! Order and signals, one rule at a time.

use everfold_engine::actor::Actor;
use everfold_engine::decide::Refusal;
use everfold_engine::definition::{OnLost, Vote};
use everfold_engine::effect::Effect;
use everfold_engine::event::{
    BlockReason, HaltScope, Hearing, RunEvent, SignalTaker, TimerKind, UnblockDecision,
};
use everfold_engine::failure::FailureKind;
use everfold_engine::input::InputKind;
use everfold_engine::state::{Awaited, RunStatus, StepStatus};
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use super::rules::{approval, attempts, cancel, function, names, run, status, unblock, with};
use super::world::{World, definition};

fn signal(name: &str, payload: Value) -> InputKind {
    InputKind::Signal { name: name.into(), payload: payload.into(), delivery: None }
}

fn told(world: &mut World, name: &str, payload: Value) -> Vec<RunEvent> {
    world.by("ada", signal(name, payload)).expect("a signal is taken")
}

/// Who took a signal, and what became of it.
fn takers(events: &[RunEvent]) -> Vec<(String, Hearing)> {
    let taken = events.iter().filter_map(|event| match event {
        RunEvent::SignalTaken(taken) => {
            let by = match &taken.by {
                SignalTaker::Gate { id, gate } => format!("gate {gate} of {id}"),
                SignalTaker::Wait(id) => format!("wait {id}"),
                SignalTaker::Step(id) => format!("step {id}"),
                SignalTaker::Run => "run".to_owned(),
                SignalTaker::Nobody => "nobody".to_owned(),
            };
            Some((by, taken.how))
        }
        _other => None,
    });
    taken.collect()
}

fn timer(world: &World, kind: TimerKind) -> Option<(Effect, Timestamp)> {
    world.effects().into_iter().find_map(|effect| match &effect {
        Effect::Timer { timer, at } if timer.kind == kind => {
            let at = *at;
            Some((effect, at))
        }
        _other => None,
    })
}

fn pause(world: &mut World) {
    world.by("ada", InputKind::Pause { reason: None }).expect("taken");
}

fn resume(world: &mut World) -> Vec<RunEvent> {
    world.by("ada", InputKind::Resume { reason: None }).expect("taken")
}

fn cancel_step(world: &mut World, path: &str) -> Result<Vec<RunEvent>, Refusal> {
    world.by(
        "ada",
        InputKind::CancelStep { path: path.parse().expect("a path"), reason: Some("enough".into()) },
    )
}

fn wait(id: &str, needs: &[&str], wait: Value) -> Value {
    json!({"id": id, "needs": needs, "work": {"wait": wait}})
}

fn rework(to: &str) -> Value {
    json!({"on_fail": [{"to": {"rework": to}}]})
}

// L8

#[test]
fn l8_any_begins_when_one_need_succeeded_and_the_others_run_on() {
    let mut world = run(json!([
        function("a", &[]),
        function("b", &[]),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
    ]));
    world.succeed("a/1/1", json!(1));
    assert_eq!(attempts(&world), ["b/1/1", "c/1/1"]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(attempts(&world), ["c/1/1"], "it begins once");
    world.succeed("c/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l8_any_is_skipped_when_all_needs_ended_without_success() {
    let tolerated = json!({"on_fail": [{"to": "continue"}]});
    let mut world = run(json!([
        with(function("a", &[]), tolerated),
        with(function("b", &[]), json!({"when": "false"})),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
        function("d", &["c"]),
    ]));
    let batch = world.fail("a/1/1", "no");
    assert_eq!(names(&batch), ["AttemptFailed", "StepFailed", "StepSkipped", "StepScheduled"]);
    assert_eq!(status(&world, "c"), StepStatus::Skipped);
    assert_eq!(attempts(&world), ["d/1/1"]);
}

#[test]
fn l8_a_rework_counts_the_needs_of_any_anew() {
    let mut world = run(json!([
        function("a", &[]),
        function("b", &["a"]),
        function("c", &["a"]),
        with(function("d", &["b", "c"]), json!({"join": "any", "on_fail": [{"to": {"rework": "a"}}]})),
    ]));
    world.succeed("a/1/1", json!(1));
    world.succeed("b/1/1", json!(1));
    world.succeed("c/1/1", json!(1));
    world.fail("d/1/1", "no");
    world.succeed("a/2/1", json!(1));
    assert_eq!(status(&world, "d"), StepStatus::Pending, "both needs are to be done again");
    world.succeed("c/2/1", json!(1));
    assert_eq!(status(&world, "d"), StepStatus::Scheduled);

    // A rework of one need alone: the other one's success still counts.
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &[]), rework("b")),
        with(function("c", &["a", "b"]), json!({"join": "any"})),
    ]));
    world.succeed("a/1/1", json!(1));
    world.fail("b/1/1", "no");
    world.fail("c/1/1", "stopped");
    assert_eq!(attempts(&world), ["b/2/1", "c/2/1"]);
}

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
    world.give(InputKind::TimerFired { timer: timer.clone(), due: *at }).expect("taken")
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
fn a_wait_for_a_signal_gives_its_payload_and_takes_only_what_matches() {
    let mut world = run(json!([
        wait("w", &[], json!({"signal": "merged", "match": "signal.pr == 7"})),
        {"id": "next", "needs": ["w"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.w.output.sha}"}}}},
    ]));
    assert_eq!(world.state.status(), RunStatus::Waiting);
    assert!(matches!(world.state.awaited().as_slice(), [Awaited::Signal { name, .. }] if name == "merged"));
    assert_eq!(takers(&told(&mut world, "merged", json!({"pr": 8}))), [("nobody".into(), Hearing::Kept)]);
    assert_eq!(takers(&told(&mut world, "merged", json!("what?"))), [("nobody".into(), Hearing::Kept)]);
    let batch = told(&mut world, "merged", json!({"pr": 7, "sha": "abc"}));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "StepSucceeded", "StepScheduled"]);
    assert!(format!("{:?}", batch[3]).contains(r#""with":"abc""#), "{batch:?}");
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
    told(&mut world, "go", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

// L26

#[test]
fn l26_a_delivery_counts_once() {
    let mut world = run(json!([wait("w", &[], json!({"signal": "go", "match": "signal == 2"}))]));
    let delivered = |payload: Value| InputKind::Signal {
        name: "go".into(),
        payload: payload.into(),
        delivery: Some("d-1".into()),
    };
    let hook = || Actor::Hook("ci".into());
    assert_eq!(
        names(&world.give_as(hook(), delivered(json!(1))).expect("taken")),
        ["SignalReceived", "SignalTaken"]
    );
    assert!(world.give_as(hook(), delivered(json!(2))).expect("taken").is_empty());
    assert_eq!(status(&world, "w"), StepStatus::Waiting);
}

#[test]
fn l26_a_wait_goes_before_steps_in_file_order_and_those_before_the_run() {
    let ignore = json!({"on_signal": {"s": [{"to": "ignore"}]}});
    let document = json!({"name": "p", "on_signal": {"s": [{"to": "ignore"}]}, "steps": [
        with(function("a", &[]), ignore.clone()),
        with(function("b", &[]), ignore.clone()),
        wait("w", &[], json!({"signal": "s"})),
        with(function("late", &["a"]), ignore),
    ]});
    let mut world = World::start(definition(document), json!({}));
    let mut took = Vec::new();
    took.extend(takers(&told(&mut world, "s", json!(1))));
    took.extend(takers(&told(&mut world, "s", json!(2))));
    world.succeed("b/1/1", json!(1));
    world.succeed("a/1/1", json!(1));
    took.extend(takers(&told(&mut world, "s", json!(3))));
    world.succeed("late/1/1", json!(1));
    assert_eq!(world.by("ada", signal("s", json!(4))), Err(Refusal::Ended(RunStatus::Succeeded)));
    let by: Vec<&str> = took.iter().map(|(by, _)| by.as_str()).collect();
    assert_eq!(by, ["wait w/1/1", "step a/1/1", "step late/1/1"]);
}

#[test]
fn l26_the_runs_route_hears_what_no_active_step_does() {
    let document = json!({"name": "p", "on_signal": {"stop": [{"to": {"finish": "cancelled"}}]}, "steps": [
        with(function("a", &["w"]), json!({"on_signal": {"stop": [{"to": "ignore"}]}})),
        wait("w", &[], json!({"for": "1h"})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    let batch = told(&mut world, "stop", json!(null));
    assert_eq!(takers(&batch), [("run".into(), Hearing::Now)], "a is not active yet");
    assert_eq!(names(&batch)[2..], ["StepSkipped", "StepSkipped", "RunCancelled"]);
}

#[test]
fn l26_what_nobody_hears_is_kept_for_a_wait_to_come_in_order_and_else_recorded_only() {
    let mut world = run(json!([
        function("a", &[]),
        wait("w", &["a"], json!({"signal": "go"})),
        wait("v", &["w"], json!({"signal": "go"}))
    ]));
    assert_eq!(takers(&told(&mut world, "other", json!(0))), []);
    told(&mut world, "go", json!("x".repeat(3_000)));
    for n in 2..=101 {
        let kept = [("nobody".to_owned(), Hearing::Kept)];
        let expected = if n <= 100 { kept.as_slice() } else { &[] };
        assert_eq!(takers(&told(&mut world, "go", json!(n))), expected, "{n}");
    }
    world.succeed("a/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    let taken: Vec<_> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            RunEvent::SignalTaken(taken) if matches!(taken.by, SignalTaker::Wait(_)) => Some(taken.signal),
            _other => None,
        })
        .collect();
    let sent: Vec<_> = (world.history.iter().enumerate())
        .filter(|(_, (_, event))| matches!(event, RunEvent::SignalReceived(signal) if signal.name == "go"))
        .map(|(at, _)| everfold_engine::id::Version(at as u64 + 1))
        .collect();
    assert_eq!(taken, sent[..2], "the oldest first");
}

#[test]
fn l26_a_wait_finds_its_signal_behind_many_large_ones() {
    let mut world = run(json!([
        function("a", &[]),
        wait("w", &["a"], json!({"signal": "go", "match": "signal.ok == true"}))
    ]));
    for n in 1..=100 {
        told(&mut world, "go", json!({"ok": n == 90, "text": "x".repeat(2_000)}));
    }
    world.succeed("a/1/1", json!(1));
    while world.effects().contains(&Effect::Advance) {
        world.give(InputKind::Advance).expect("a run that is started goes on");
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l26_a_signal_decides_a_task_as_its_hook_and_answers_nothing_else() {
    let routes = json!({"on_signal": {"review": [
        {"when": "signal.state == 'approved'", "to": "approve"},
        {"when": "signal.state == 'changes'", "to": "reject", "findings": "${signal.body}"},
    ]}, "on_fail": [{"to": {"rework": "work"}}], "needs": ["work"]});
    let mut world = run(json!([function("work", &[]), with(approval("ask", json!({"quorum": 2})), routes)]));
    world.succeed("work/1/1", json!(1));
    let hook = |world: &mut World, payload: Value| {
        world.give_as(Actor::Hook("github".into()), signal("review", payload)).expect("taken")
    };
    let batch = hook(&mut world, json!({"state": "commented"}));
    assert_eq!(takers(&batch), [], "no route holds");
    let batch = hook(&mut world, json!({"state": "changes", "body": "rename it"}));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "VoteCast", "ApprovalDecided", "ReworkRequested", "StepScheduled"]
    );
    let RunEvent::ReworkRequested(rework) = &batch[4] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains("rename it"), "{rework:?}");
    let batch = hook(&mut world, json!({"state": "approved"}));
    assert_eq!(takers(&batch), [], "the step is not active");
    world.succeed("work/2/1", json!(1));
    let batch = hook(&mut world, json!({"state": "approved"}));
    let RunEvent::ApprovalDecided(decided) = &batch[3] else { panic!("{batch:?}") };
    assert_eq!(
        (decided.decision, decided.by.as_slice()),
        (Vote::Approve, ["hook:github".to_owned()].as_slice())
    );
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l26_a_rework_by_a_signal_is_told_its_payload_and_limited_unless_a_person_sent_it() {
    let routes = json!({"on_signal": {"again": [{"to": {"rework": "a"}}]}, "needs": ["a"]});
    let mut world = run(json!([function("a", &[]), with(approval("ask", json!({})), routes)]));
    for round in 1..=4 {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let batch =
            world.give_as(Actor::Hook("ci".into()), signal("again", json!({"why": round}))).expect("taken");
        if round < 4 {
            let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
            assert!(format!("{:?}", rework.findings).contains(&format!(r#"{{"why":{round}}}"#)));
            assert_eq!(rework.source.by.as_deref(), Some("hook:ci"));
        } else {
            assert_eq!(
                names(&batch),
                ["SignalReceived", "SignalTaken", "StepBlocked"],
                "three is the default"
            );
        }
    }
}

#[test]
fn l26_a_signal_blocks_unblocks_and_fails() {
    let routes = json!({"on_signal": {
        "hold": [{"to": "block", "busy": "interrupt"}],
        "go": [{"to": {"unblock": "retry"}}],
        "no": [{"to": {"fail": {"code": "told", "message": "because ${signal}"}}}],
    }});
    let mut world = run(json!([with(function("a", &[]), routes), function("b", &[])]));
    let batch = told(&mut world, "hold", json!("look"));
    assert_eq!(names(&batch), ["SignalReceived", "SignalTaken", "StopRequested", "StepBlocked"]);
    assert!(matches!(
        world.state.block_reason(&"a".parse().expect("a path")),
        Some(BlockReason::Signal { name }) if name == "hold"
    ));
    told(&mut world, "go", json!(null));
    assert_eq!(attempts(&world), ["b/1/1"], "what was stopped has not ended");
    assert!(names(&world.fail("a/1/1", "stopped")).contains(&"AttemptFailed"));
    assert_eq!(attempts(&world), ["a/2/1", "b/1/1"]);
    told(&mut world, "no", json!("enough"));
    world.fail("a/2/1", "stopped by nobody yet");
    world.fail("b/1/1", "stopped");
    let (failure, _) = world.state.failure().expect("a failure");
    assert_eq!((failure.code.as_deref(), failure.message.as_str()), (Some("told"), "because enough"));
}

// L27

#[test]
fn l27_defer_waits_for_the_end_of_the_attempt_and_goes_before_gates_and_routes() {
    let gates = json!([{"id": "g", "probe": {"expression": "false"}}]);
    let more =
        json!({"gates": gates, "on_signal": {"comment": [{"to": {"rework": "a"}, "max": "unlimited"}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    for n in 1..=3 {
        assert_eq!(
            takers(&told(&mut world, "comment", json!(n))),
            [("step a/1/1".into(), Hearing::Deferred)]
        );
    }
    let batch = world.succeed("a/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "SignalTaken", "ReworkRequested", "StepScheduled"]);
    let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains('3'), "the newest of its name: {rework:?}");
    let batch = world.succeed("a/2/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "GateEvaluated", "StepFailed", "RunFailed"]);
}

#[test]
fn l27_a_deferred_signal_goes_before_the_route_of_a_failure_and_before_a_retry() {
    let more = json!({"retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"},
        "on_signal": {"stop": [{"to": {"finish": "succeeded"}}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    told(&mut world, "stop", json!(null));
    let batch = world.fail("a/1/1", "no");
    assert_eq!(names(&batch), ["AttemptFailed", "SignalTaken", "StepSkipped", "RunSucceeded"]);
}

#[test]
fn l27_interrupt_stops_the_attempt_and_ignore_records_only() {
    let more = json!({"on_signal": {
        "now": [{"to": {"rework": "a"}, "busy": "interrupt"}],
        "idle": [{"to": {"rework": "a"}, "busy": "ignore"}],
    }});
    let mut world = run(json!([with(function("a", &[]), more)]));
    assert_eq!(takers(&told(&mut world, "idle", json!(1))), [("step a/1/1".into(), Hearing::Ignored)]);
    let batch = told(&mut world, "now", json!(1));
    assert_eq!(
        names(&batch),
        ["SignalReceived", "SignalTaken", "StopRequested", "ReworkRequested", "StepScheduled"]
    );
    assert_eq!(world.effects(), [Effect::Stop { id: "a/1/1".parse().expect("an id") }]);
    world.fail("a/1/1", "stopped");
    assert_eq!(attempts(&world), ["a/2/1"]);
}

#[test]
fn l27_on_the_runs_level_any_attempt_puts_a_signal_off() {
    let document = json!({"name": "p", "on_signal": {"again": [{"to": {"rework": "a"}}]}, "steps": [
        function("a", &[]), function("b", &[]), wait("w", &["a", "b"], json!({"for": "1h"})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    assert_eq!(takers(&told(&mut world, "again", json!("more"))), [("run".into(), Hearing::Deferred)]);
    assert_eq!(names(&world.succeed("a/1/1", json!(1))), ["AttemptSucceeded", "StepSucceeded"]);
    let batch = world.succeed("b/1/1", json!(1));
    assert_eq!(names(&batch)[..3], ["AttemptSucceeded", "SignalTaken", "ReworkRequested"]);
    assert!(attempts(&world).contains(&"a/2/1".to_owned()));
}

/// Its large payload has to be read first; meanwhile a retry began. The signal was put off again and again,
/// for ever: what put it off stayed on the list of what is to be done.
#[test]
fn l27_a_signal_whose_turn_comes_while_the_step_is_busy_again_is_put_off_once_more() {
    let more = json!({"foreach": {"items": "${[1, 2]}"},
        "retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"},
        "on_signal": {"again": [{"to": {"rework": "a"}}]}});
    let mut world = run(json!([with(function("a", &[]), more)]));
    told(&mut world, "again", json!({"text": "x".repeat(2_000)}));
    world.fail("a.0/1/1", "no");
    assert_eq!(names(&world.succeed("a.1/1/1", json!(1))), ["AttemptSucceeded"], "the payload is read first");
    let (retry, _) = timer(&world, TimerKind::Retry).expect("the first item is tried again");
    world.answer(&retry, 0);
    assert_eq!(attempts(&world), ["a.0/1/2"]);
    let batch = world.give(InputKind::Advance).expect("never refused");
    assert_eq!(takers(&batch), [("step a/1/1".into(), Hearing::Deferred)]);
    let batch = world.succeed("a.0/1/2", json!(1));
    let batch = if batch.len() > 1 { batch } else { world.give(InputKind::Advance).expect("never refused") };
    assert_eq!(takers(&batch), [("step a/1/1".into(), Hearing::Now)]);
    assert!(names(&batch).contains(&"ReworkRequested"));
}

#[test]
fn l27_a_signal_that_was_put_off_survives_a_rework_of_its_step_from_elsewhere() {
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &["a"]), json!({"on_signal": {"note": [{"to": {"rework": "b"}}]}})),
        with(function("c", &["a"]), json!({"on_fail": [{"to": {"rework": "a"}}]})),
    ]));
    world.succeed("a/1/1", json!(1));
    told(&mut world, "note", json!("mind the gap"));
    world.fail("c/1/1", "no");
    world.fail("b/1/1", "stopped");
    world.succeed("a/2/1", json!(1));
    let batch = world.succeed("b/2/1", json!(1));
    let RunEvent::ReworkRequested(rework) = &batch[2] else { panic!("{batch:?}") };
    assert!(format!("{:?}", rework.findings).contains("mind the gap"));
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
    told(&mut world, "go", json!("now"));
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
    let set =
        |steps: &[&str]| InputKind::Breakpoints { steps: steps.iter().map(|step| (*step).into()).collect() };
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
    let mut world = run(json!([with(function("a", &[]), block), approval("ask", json!({"needs": []}))]));
    world.fail("a/1/1", "no");
    let batch = cancel_step(&mut world, "a").expect("taken");
    assert_eq!(names(&batch), ["StepCancelRequested", "StepBlocked"], "its route says block again");
}

#[test]
fn l29_an_item_is_cancelled_alone() {
    let mut world = run(json!([{"id": "each", "foreach": {"items": "${[1, 2]}", "on_failure": "continue"},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"},
        "on_fail": [{"to": "continue"}]}]));
    assert_eq!(
        names(&cancel_step(&mut world, "each.1").expect("taken")),
        ["StepCancelRequested", "StopRequested"]
    );
    assert_eq!(names(&world.fail("each.1/1/1", "stopped")), ["AttemptFailed", "StepFailed"]);
    assert_eq!(attempts(&world), ["each.0/1/1"]);
    assert!(matches!(cancel_step(&mut world, "each.1"), Err(Refusal::NotActive { .. })));
    world.succeed("each.0/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

/// An item that a person let try again began beside as many others as may be in progress.
#[test]
fn l24_an_item_that_is_tried_again_waits_for_a_place_and_goes_before_those_that_have_not_begun() {
    let mut world =
        run(json!([{"id": "each", "foreach": {"items": "${[1, 2, 3, 4, 5]}", "max_in_flight": 2},
        "on_lost": "block", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}}]));
    let id = "each.0/1/1".parse().expect("an id");
    world.give(InputKind::AttemptLost { id, reason: "gone".into(), fallback: OnLost::Block }).expect("taken");
    assert_eq!(attempts(&world), ["each.1/1/1", "each.2/1/1"]);
    let again = || InputKind::Unblock {
        path: Some("each.0".parse().expect("a path")),
        decision: UnblockDecision::Retry,
        output: None,
        reason: None,
        policies: Default::default(),
    };
    assert_eq!(names(&world.by("ada", again()).expect("taken")), ["RunUnblocked"]);
    assert_eq!(attempts(&world), ["each.1/1/1", "each.2/1/1"], "two may be");
    assert!(world.by("ada", again()).is_err(), "it is not blocked any more");
    assert!(world.state.awaited().is_empty());
    world.succeed("each.1/1/1", json!(1));
    assert_eq!(attempts(&world), ["each.0/1/2", "each.2/1/1"]);
    for id in ["each.0/1/2", "each.2/1/1", "each.3/1/1", "each.4/1/1"] {
        world.succeed(id, json!(1));
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l29_a_cancelled_foreach_ends_when_all_its_items_have_and_starts_no_more() {
    let mut world = run(json!([{"id": "each", "foreach": {"items": "${[1, 2, 3]}", "max_in_flight": 2},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}}}]));
    cancel_step(&mut world, "each").expect("taken");
    assert_eq!(names(&world.fail("each.0/1/1", "stopped")), ["AttemptFailed"]);
    assert_eq!(names(&world.fail("each.1/1/1", "stopped")), ["AttemptFailed", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.kind, FailureKind::Cancelled);
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
    let yes = super::rules::vote("ask/1/1", Vote::Approve);
    assert_eq!(names(&world.by("ada", yes).expect("taken")), ["VoteCast", "ApprovalDecided"]);
    assert_eq!(names(&resume(&mut world)), ["RunResumed", "StepSucceeded"]);
    assert!(timer(&world, TimerKind::Wait).is_some(), "due, and heard now");
}

#[test]
fn l29_a_run_that_stands_still_with_others_goes_on_when_all_are_released() {
    let mut world = run(json!([function("a", &[])]));
    let halt = |scope: HaltScope| InputKind::Halt { scope, reason: Some("deploy freeze".into()) };
    let pipeline = || HaltScope::Pipeline("p".into());
    assert_eq!(names(&world.give(halt(pipeline())).expect("taken")), ["RunHalted"]);
    assert!(world.give(halt(pipeline())).expect("taken").is_empty());
    world.give(halt(HaltScope::Engine)).expect("taken");
    pause(&mut world);
    assert!(attempts(&world).is_empty());
    resume(&mut world);
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert_eq!(world.by("ada", InputKind::Resume { reason: None }), Err(Refusal::Halted(HaltScope::Engine)));
    world.give(InputKind::Release { scope: pipeline() }).expect("taken");
    assert!(attempts(&world).is_empty());
    world.give(InputKind::Release { scope: HaltScope::Engine }).expect("taken");
    assert_eq!(attempts(&world), ["a/1/1"]);
}
