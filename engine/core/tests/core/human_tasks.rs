//! What all tasks of people have in common: its end, its reminders, its one answer (L19), and how the run stands (L23).

use std::time::Duration;

use everfold_base::failure::FailureKind;
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{
    BlockReason, OriginKind, RunEvent, RunPaused, RunResumed, TimerKind, UnblockDecision,
};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus};
use everfold_language::definition::Vote;
use serde_json::json;

use crate::fixtures::scenario::{approval, names, run, timer, vote};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{agent, answer, fire, output, path, question, reader, save};

#[test]
fn l19_expiry_takes_its_route_and_default_is_the_step_s_on_fail() {
    let mut world = run(json!([approval("ask", json!({"timeout": "2d"}))]));
    assert!(world.state.awaited().iter().any(|awaited| matches!(awaited, Awaited::Timer { .. })));
    let expired = fire(&mut world, TimerKind::Expiry);
    assert_eq!(names(&expired), ["TimerFired", "StepFailed", "RunFailed"]);
    let (failure, _) = world.state.failure().expect("the run failed");
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.message.contains("172800 s"), "{}", failure.message);

    let fields = json!({"timeout": "1h", "on_timeout": [{"to": "block"}]});
    for step in [approval("ask", fields.clone()), question("ask", fields)] {
        let mut world = run(json!([step]));
        fire(&mut world, TimerKind::Expiry);
        assert_eq!(world.state.block_reason(&path("ask")), Some(&BlockReason::Failed));
        let late = world.by("ada", vote("ask/1/1", Vote::Approve));
        assert_eq!(late, Err(Refusal::Expired(path("ask"))));
        let unblock = InputKind::Unblock {
            path: None,
            decision: UnblockDecision::Retry,
            output: None,
            reason: None,
            policies: Default::default(),
            keeps_items: true,
        };
        let again = world.by("ada", unblock).expect("taken");
        assert_eq!(names(&again)[..2], ["RunUnblocked", "RetryScheduled"], "people are asked again");
        let task = match world.state.awaited().remove(0) {
            Awaited::Approval { id, .. } | Awaited::Question { id, .. } => id.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(task, "ask/1/2", "another task");
        fire(&mut world, TimerKind::Expiry);
        assert_eq!(world.state.status(), RunStatus::Blocked);
    }
}

#[test]
fn l19_a_decision_ends_the_timers_of_its_task() {
    let mut world = run(json!([approval("ask", json!({"timeout": "1h", "remind": "10m"})), reader("ask")]));
    let timers = |world: &World| {
        world.effects().iter().filter(|effect| matches!(effect, Effect::Timer { .. })).count()
    };
    assert_eq!(timers(&world), 2);
    world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(timers(&world), 0);
}

#[test]
fn a_task_is_asked_until_it_is_decided_and_not_where_its_run_ends() {
    for ends in [vote("ask/1/1", Vote::Approve), crate::fixtures::scenario::cancel()] {
        let mut world = run(json!([approval("ask", json!({})), reader("ask")]));
        let task = "ask/1/1".parse().expect("a task");
        assert!(world.state.is_asking(&task));
        world.by("ada", ends).expect("taken");
        assert!(!world.state.is_asking(&task));
    }
}

#[test]
fn l19_people_are_reminded_until_they_decide_and_once_after_a_long_sleep() {
    let mut world = run(json!([question("ask", json!({"remind": "10m"}))]));
    for _ in 0..3 {
        // The engine was away for a day.
        world.now = world.now.plus(Duration::from_secs(86_400));
        let reminded = fire(&mut world, TimerKind::Reminder);
        assert_eq!(names(&reminded), ["TimerFired", "TimerSet"]);
    }
    assert_eq!(world.state.status(), RunStatus::Waiting);
    world.by("ada", answer("ask/1/1", json!({"text": "that one"}))).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l19_a_task_of_a_step_that_a_rework_reset_is_withdrawn() {
    let mut first = json!({"id": "first", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    first["on_fail"] = json!([{"to": {"rework": "base"}}]);
    first["needs"] = json!(["base"]);
    let mut ask = question("ask", json!({"timeout": "1h"}));
    ask["needs"] = json!(["base"]);
    let base = json!({"id": "base", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let mut world = run(json!([base, first, ask]));
    world.succeed("base/1/1", json!(1));
    world.by("ada", save("ask/1/1", json!({"text": "half"}))).expect("taken");
    world.fail("first/1/1", "broken");
    let refused = world.by("ada", answer("ask/1/1", json!({"text": "late"})));
    assert_eq!(refused, Err(Refusal::Superseded(path("ask"))));
    assert!(!world.effects().iter().any(|effect| matches!(effect, Effect::Timer { .. })));
    world.succeed("base/2/1", json!(1));
    world.by("ada", answer("ask/2/1", json!({"text": "new"}))).expect("the new round asks anew");
}

#[test]
fn l19_of_two_answers_the_same_is_no_event_and_another_is_refused() {
    let mut world = run(json!([question("ask", json!({"options": ["a", "b"]})), reader("ask")]));
    world.by("ada", answer("ask/1/1", json!({"text": "a"}))).expect("taken: it is an option");
    assert_eq!(output(&world, "reader")["choice"], "a");
    for same in [json!({"choice": "a"}), json!({"text": "a"})] {
        assert!(world.by("bob", answer("ask/1/1", same)).expect("no news").is_empty());
    }
    let other = world.by("bob", answer("ask/1/1", json!({"choice": "b"})));
    assert_eq!(other, Err(Refusal::Answered(path("ask"))));
    assert_eq!(world.by("bob", save("ask/1/1", json!({}))), Err(Refusal::Answered(path("ask"))));
    let wrong = world.by("bob", vote("ask/1/1", Vote::Approve));
    assert_eq!(wrong, Err(Refusal::WrongKind { path: path("ask"), wants: "an answer" }));
}

#[test]
fn l23_a_run_that_asks_is_running_while_another_branch_runs_then_blocked_then_waiting() {
    let mut world = run(json!([
        question("ask", json!({})),
        {"id": "other", "work": {"task": {"kind": "function", "spec": {"name": "f"}}}, "on_fail": [{"to": "block"}]},
    ]));
    assert_eq!(world.state.status(), RunStatus::Running);
    world.fail("other/1/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let unblock = InputKind::Unblock {
        path: None,
        decision: UnblockDecision::Skip,
        output: None,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", unblock).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting);
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Paused);
    world.by("ada", answer("ask/1/1", json!({"text": "x"}))).expect("decisions count while it is paused");
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

/// A fork of a run of yesterday failed at once: its people had had their time in the origin.
#[test]
fn people_and_signals_of_a_fork_have_the_time_that_was_left() {
    let minute = Duration::from_secs(60);
    let signal = json!({"id": "w", "needs": [], "work": {"wait": {"signal": "go", "timeout": "10m"}}});
    for (step, kind) in [
        (approval("ask", json!({"timeout": "10m"})), TimerKind::Expiry),
        (question("ask", json!({"timeout": "10m"})), TimerKind::Expiry),
        (signal, TimerKind::Signal),
    ] {
        let mut world = run(json!([step]));
        world.now = world.now.plus(minute * 4);
        world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
        let fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("it can be forked");
        let (_, at) = timer(&fork, kind).expect("it is set");
        assert_eq!(at.since(fork.now).as_secs().div_ceil(60), 6, "{kind:?}");
        let again = fork.forked(fork.history.len(), OriginKind::Fork, None).expect("it can be forked");
        let (_, at) = timer(&again, kind).expect("it is set");
        assert_eq!(at.since(again.now).as_secs().div_ceil(60), 6, "{kind:?}");
    }
}

/// The copy ended between the request and its timer: nothing ended it any more.
#[test]
fn a_fork_between_a_request_to_people_and_its_timer_has_all_of_its_time() {
    let fields = json!({"timeout": "${input.hours}h", "remind": "10m"});
    for step in [approval("ask", fields.clone()), question("ask", fields)] {
        let document = json!({"name": "p", "steps": [step]});
        let world = World::start(definition(document), json!({"hours": 2}));
        let asked = world.history.iter().position(|(_, event)| {
            matches!(event, RunEvent::ApprovalRequested(_) | RunEvent::QuestionAsked(_))
        });
        let mut fork =
            world.forked(asked.expect("it asks") + 1, OriginKind::Fork, None).expect("it can be forked");
        let (_, at) = timer(&fork, TimerKind::Expiry).expect("it is set");
        assert_eq!(at.since(fork.now), Duration::from_secs(2 * 3600), "as the origin would have set it");
        let (_, at) = timer(&fork, TimerKind::Reminder).expect("it is set");
        assert_eq!(at.since(fork.now), Duration::from_secs(600));
        fire(&mut fork, TimerKind::Expiry);
        assert_eq!(fork.state.status(), RunStatus::Failed);
    }
}

#[test]
fn a_fork_between_a_question_of_work_and_its_timer_has_all_of_its_time() {
    let mut world = run(json!([agent("a", json!({"ask": {"timeout": "1h"}}))]));
    world.asks("a/1/1", json!({"text": "Which?"}));
    let asked = world.history.iter().position(|(_, event)| matches!(event, RunEvent::QuestionAsked(_)));
    let fork = world.forked(asked.expect("it asks") + 1, OriginKind::Fork, None).expect("it can be forked");
    let (_, at) = timer(&fork, TimerKind::Expiry).expect("it is set");
    assert_eq!(at.since(fork.now), Duration::from_secs(3600));
}

/// Three days had passed of four, and no event had come meanwhile: the copy waited four days again.
#[test]
fn a_fork_at_a_time_behind_the_last_event_has_what_was_left_at_that_time() {
    let minute = Duration::from_secs(60);
    let mut world = run(json!([approval("ask", json!({"timeout": "10m"}))]));
    world.fork_moment = Some(world.now.plus(minute * 4));
    let fork = world.forked(world.history.len(), OriginKind::Fork, None).expect("it can be forked");
    let (_, at) = timer(&fork, TimerKind::Expiry).expect("it is set");
    assert_eq!(at.since(fork.now).as_secs().div_ceil(60), 6);
    world.fork_moment = Some(fork.now.plus(minute));
    let later = world.forked(world.history.len(), OriginKind::Fork, None).expect("it can be forked");
    let (_, at) = timer(&later, TimerKind::Expiry).expect("it is set");
    assert_eq!(at.since(later.now).as_secs().div_ceil(60), 10, "no moment lies behind the fork itself");
}
