//! Rules of steps and runs, one by one, as given, when, then: starts, results, skips, reworks, cancels, retries.

use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{AttemptStarted, OriginKind, RunEvent, RunPaused, RunResumed, TimerKind};
use everfold_core::input::InputKind;
use everfold_core::state::{RunState, RunStatus, StepStatus};
use everfold_language::definition::{OnLost, Vote};
use serde_json::json;

use crate::fixtures::scenario::{approval, attempts, cancel, function, lose, names, run, status, vote, with};
use crate::fixtures::simulated_run::{World, definition, start};
use crate::fixtures::tasks::fire;

#[test]
fn a_trivial_step_is_one_batch() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"])]));
    let batch = world.succeed("a/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "StepScheduled"]);
    let batch = world.succeed("b/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn late_report_of_an_old_attempt_changes_nothing() {
    let mut world = run(json!([with(function("a", &[]), json!({"on_lost": "retry"}))]));
    lose(&mut world, "a/1/1", OnLost::Block);
    assert_eq!(attempts(&world), ["a/1/2"]);
    assert!(world.succeed("a/1/1", json!("late")).is_empty());
}

#[test]
fn d3_a_large_output_stays_out_of_the_state_and_is_loaded_when_an_expression_needs_it() {
    let large = "x".repeat(50_000);
    let mut world = run(json!([
        function("a", &[]),
        {"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${size(steps.a.output)}"}}}},
    ]));
    let batch = world.succeed("a/1/1", json!(large));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded"], "what needs the value waits for it");
    assert!(world.state.snapshot().len() < 5_000);
    assert_eq!(world.effects(), [Effect::Advance]);
    let batch = world.give(InputKind::Advance).expect("taken");
    assert_eq!(names(&batch), ["Advanced", "StepScheduled"]);
    let RunEvent::StepScheduled(scheduled) = &batch[1] else { panic!("{batch:?}") };
    assert!(format!("{:?}", scheduled.work).contains(r#""with":50000"#), "{scheduled:?}");
}

#[test]
fn d5_nothing_starts_in_a_workspace_until_what_a_rework_stopped_has_ended() {
    let mut world = run(json!([
        function("build", &[]),
        function("slow", &["build"]),
        with(function("check", &["build"]), json!({"on_fail": [{"to": {"rework": "build"}}]})),
    ]));
    world.succeed("build/1/1", json!(1));
    let batch = world.fail("check/1/1", "broken");
    assert_eq!(names(&batch), ["AttemptFailed", "StopRequested", "ReworkRequested", "StepScheduled"]);
    assert_eq!(world.effects(), [Effect::Stop { id: "slow/1/1".parse().expect("an id") }]);
    world.fail("slow/1/1", "stopped");
    assert_eq!(attempts(&world), ["build/2/1"]);
}

#[test]
fn d5_a_rework_also_waits_for_what_a_time_limit_stopped() {
    let rework = json!({"on_fail": [{"to": {"rework": "build"}}]});
    let mut world = run(json!([
        function("build", &[]),
        with(function("slow", &["build"]), json!({"timeout": "5s"})),
        with(function("check", &["build"]), rework),
    ]));
    world.succeed("build/1/1", json!(1));
    let limit =
        world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. })).expect("a limit");
    world.answer(&limit, 0);
    world.fail("check/1/1", "broken");
    assert_eq!(world.effects(), [Effect::Stop { id: "slow/1/1".parse().expect("an id") }]);
    world.fail("slow/1/1", "stopped");
    assert_eq!(attempts(&world), ["build/2/1"]);
}

#[test]
fn d6_a_result_after_a_cancel_is_recorded_and_routes_nothing() {
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": {"rework": "a"}}]}))]));
    world.by("ada", cancel()).expect("taken");
    assert_eq!(world.effects(), [Effect::Stop { id: "a/1/1".parse().expect("an id") }]);
    let batch = world.succeed("a/1/1", json!("done after all"));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepCancelled", "RunCancelled"]);
}

#[test]
fn d6_a_result_that_comes_after_its_recorded_time_limit_does_not_count() {
    let mut world = run(json!([with(function("a", &[]), json!({"timeout": "5s"}))]));
    let timer =
        world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. })).expect("a limit");
    world.answer(&timer, 0);
    assert_eq!(world.effects(), [Effect::Stop { id: "a/1/1".parse().expect("an id") }]);
    let batch = world.succeed("a/1/1", json!("too late"));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepFailed", "RunFailed"]);
    let (failure, _) = world.state.failure().expect("a failure");
    assert_eq!((failure.kind, failure.exit_code), (FailureKind::Timeout, Some(124)));
}

/// A step for which no worker was there failed as one that had worked for too long.
#[test]
fn a_step_that_no_worker_took_in_time_says_so() {
    let limit = std::time::Duration::from_secs(5);
    for (said, code) in [
        (Failure::no_worker(limit, "deploy"), Some("NO_WORKER")),
        (Failure { code: Some("OWN".to_owned()), ..Failure::time_limit(limit) }, None),
    ] {
        let mut world = run(json!([with(function("a", &[]), json!({"timeout": "5s"}))]));
        fire(&mut world, TimerKind::Timeout);
        world.finish("a/1/1", Err(said));
        let (failure, _) = world.state.failure().expect("a failure");
        assert_eq!((failure.kind, failure.exit_code), (FailureKind::Timeout, Some(124)));
        assert_eq!(failure.code.as_deref(), code);
    }
}

#[test]
fn d8_a_blocked_branch_does_not_stop_the_others() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"on_fail": [{"to": "block"}]})),
        function("b", &[]),
        function("c", &["b"]),
    ]));
    world.fail("a/1/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Running);
    world.succeed("b/1/1", json!(1));
    world.succeed("c/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Blocked);
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
}

#[test]
fn d8_while_paused_facts_are_recorded_and_nothing_is_scheduled() {
    let mut world = run(json!([function("a", &[]), function("b", &["a"])]));
    world
        .give(InputKind::AttemptStarted(AttemptStarted {
            id: "a/1/1".parse().expect("an id"),
            began_at: None,
            holder: None,
        }))
        .expect("taken");
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    assert_eq!(attempts(&world), ["a/1/1"], "running work goes on");
    assert_eq!(names(&world.succeed("a/1/1", json!(1))), ["AttemptSucceeded"]);
    assert_eq!(world.state.status(), RunStatus::Paused);
    assert!(world.effects().is_empty());
    let batch = world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    assert_eq!(names(&batch), ["RunResumed", "StepSucceeded", "StepScheduled"]);
    assert_eq!(
        world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })),
        Err(Refusal::NotPaused)
    );
}

#[test]
fn row_49_a_paused_run_shows_what_ended_as_ended() {
    let gated = json!({"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["x"]}}}});
    let mut world = run(json!([
        function("done", &[]),
        function("broken", &[]),
        with(function("gated", &[]), json!({"gates": [gated]})),
        function("works", &[]),
        function("next", &["done"]),
    ]));
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    world.succeed("done/1/1", json!(1));
    world.fail("broken/1/1", "exit 1");
    world.succeed("gated/1/1", json!(1));
    let seen = ["done", "broken", "gated", "works", "next"].map(|step| status(&world, step));
    let expected = [
        StepStatus::Succeeded,
        StepStatus::Failed,
        StepStatus::Gating,
        StepStatus::Scheduled,
        StepStatus::Pending,
    ];
    assert_eq!((world.state.status(), seen), (RunStatus::Paused, expected));
}

/// It was shown as failed, and tried again when the run went on.
#[test]
fn row_49_a_paused_run_shows_no_end_that_a_retry_or_a_route_may_still_change() {
    let retry = json!({"retry": {"attempts": 2, "backoff_min": "1s", "backoff_max": "1s"}});
    let mut world = run(json!([
        with(function("tried", &[]), retry.clone()),
        with(function("routed", &[]), json!({"on_fail": [{"to": "continue"}]})),
        with(
            function("sent", &[]),
            json!({"on_success": [{"when": "steps.sent.round < 2", "to": {"rework": "sent"}}]})
        ),
        with(function("labelled", &[]), json!({"labels": {"n": "${output}"}})),
        with(function("spent", &[]), retry),
    ]));
    world.fail("spent/1/1", "exit 1");
    fire(&mut world, TimerKind::Retry);
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    world.fail("tried/1/1", "exit 1");
    world.fail("routed/1/1", "exit 1");
    world.succeed("sent/1/1", json!(1));
    world.succeed("labelled/1/1", json!(1));
    world.fail("spent/1/2", "exit 1");
    let seen = ["tried", "routed", "sent", "labelled", "spent"].map(|step| status(&world, step));
    let expected = [
        StepStatus::Running,
        StepStatus::Running,
        StepStatus::Gating,
        StepStatus::Gating,
        StepStatus::Failed,
    ];
    assert_eq!((world.state.status(), seen), (RunStatus::Paused, expected));
}

#[test]
fn h5_the_first_event_of_every_batch_is_the_fact_of_its_input() {
    let mut world = World::new(definition(json!({"name": "p", "steps": [approval("ask", json!({}))]})));
    let batch = world.give_as(Actor::User("ada".into()), start(json!({}))).expect("taken");
    assert_eq!(names(&batch), ["RunStarted", "StepScheduled", "ApprovalRequested"]);
    let batch = world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    assert_eq!(names(&batch), ["VoteCast", "ApprovalDecided", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l6_a_step_waits_for_all_its_needs_and_a_tolerated_failure_satisfies() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"on_fail": [{"to": "continue"}]})),
        function("b", &[]),
        function("c", &["a", "b"]),
    ]));
    world.fail("a/1/1", "tolerated");
    assert_eq!(status(&world, "c"), StepStatus::Pending);
    world.succeed("b/1/1", json!(1));
    assert_eq!(status(&world, "c"), StepStatus::Scheduled);
    assert_eq!(status(&world, "a"), StepStatus::Failed);
}

#[test]
fn l7_a_false_when_skips_the_step_and_its_dependents_go_on() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"when": "run.pipeline == 'other'"})),
        with(function("b", &["a"]), json!({"when": "steps.a.status == 'skipped' && steps.a.output == null"})),
    ]));
    assert_eq!(attempts(&world), ["b/1/1"]);
    world.succeed("b/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l9_a_failed_run_stops_what_runs_and_runs_on_finish() {
    let mut world = World::start(
        definition(json!({"name": "p", "on_finish": [function("tidy", &[])], "steps": [
            function("a", &[]), function("b", &[]), function("c", &["a"]),
        ]})),
        json!({}),
    );
    world.fail("a/1/1", "broken");
    assert_eq!(world.effects(), [Effect::Stop { id: "b/1/1".parse().expect("an id") }]);
    let batch = world.fail("b/1/1", "stopped");
    assert_eq!(
        names(&batch),
        ["AttemptFailed", "StepCancelled", "StepCancelled", "StepScheduled", "TimerSet"]
    );
    assert_eq!(attempts(&world), ["tidy/1/1"]);
    let batch = world.fail("tidy/1/1", "a warning only");
    assert_eq!(names(&batch), ["AttemptFailed", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.message, "broken");
}

#[test]
fn row_36_a_step_that_never_began_is_not_cancelled_where_the_run_failed() {
    let steps = || json!([function("a", &[]), function("b", &[]), function("later", &["a", "b"])]);
    let mut world = run(steps());
    world.fail("a/1/1", "broken");
    world.fail("b/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Failed);
    assert_eq!((status(&world, "a"), status(&world, "b")), (StepStatus::Failed, StepStatus::Cancelled));
    assert_eq!(status(&world, "later"), StepStatus::Pending);
    // Where a person cancelled the run, all its steps are cancelled.
    let mut world = run(steps());
    world.by("ada", cancel()).expect("taken");
    world.fail("a/1/1", "stopped");
    world.fail("b/1/1", "stopped");
    assert_eq!(
        (world.state.status(), status(&world, "later")),
        (RunStatus::Cancelled, StepStatus::Cancelled)
    );
}

#[test]
fn row_49_what_a_round_gave_is_there_in_the_next_where_its_own_gate_sent_it_back() {
    let asks = json!({"last": "${steps.a.last}", "now": "${steps.a.output}"});
    let work = json!({"work": {"task": {"kind": "function", "spec": {"name": "f", "with": asks}}}});
    let gate =
        json!({"id": "g", "probe": {"expression": "output > 2"}, "on_fail": [{"to": {"rework": "a"}}]});
    let mut world = run(json!([with(function("a", &[]), with(work, json!({"gates": [gate]})))]));
    let batch = world.succeed("a/1/1", json!(1));
    assert!(format!("{batch:?}").contains(r#""last":1,"now":null"#), "{batch:?}");
    // A round whose work failed gave nothing.
    let batch = world.succeed("a/2/1", json!(2));
    assert!(format!("{batch:?}").contains(r#""last":2,"now":null"#), "{batch:?}");
    world.succeed("a/3/1", json!(3));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    world.check_fold();
}

#[test]
fn d7_l10_rework_resets_its_target_and_what_depends_on_it_and_nothing_else() {
    let mut world = run(json!([
        function("a", &[]),
        function("b", &["a"]),
        function("beside", &[]),
        with(function("c", &["b", "beside"]), json!({"on_fail": [{"to": {"rework": "b"}}]})),
    ]));
    world.succeed("a/1/1", json!("A"));
    world.succeed("b/1/1", json!("B"));
    world.succeed("beside/1/1", json!(1));
    let batch = world.fail("c/1/1", "broken");
    let RunEvent::ReworkRequested(rework) = &batch[1] else { panic!("{batch:?}") };
    assert_eq!(rework.reset, ["b".into(), "c".into()]);
    assert_eq!(status(&world, "a"), StepStatus::Succeeded);
    assert_eq!(status(&world, "beside"), StepStatus::Succeeded);
    assert_eq!(attempts(&world), ["b/2/1"]);
}

#[test]
fn l11_the_target_alone_sees_the_findings_and_the_last_output_stays() {
    let asks = json!({"rework": "${rework}", "last": "${steps.a.last}", "now": "${steps.a.output}"});
    let spec = json!({"task": {"kind": "function", "spec": {"name": "f", "with": asks}}});
    let mut world = run(json!([
        {"id": "a", "work": spec},
        {"id": "b", "needs": ["a"], "work": spec, "on_fail": [{"to": {"rework": "a"}, "findings": "look: ${failure.message}"}]},
    ]));
    world.succeed("a/1/1", json!("first"));
    let batch = world.fail("b/1/1", "no good");
    let RunEvent::StepScheduled(again) = &batch[2] else { panic!("{batch:?}") };
    let text = format!("{:?}", again.work);
    assert!(text.contains(r#""last":"first","now":null"#), "{text}");
    assert!(text.contains(r#""findings":"look: no good","from":"b""#), "{text}");
    let batch = world.succeed("a/2/1", json!("second"));
    let RunEvent::StepScheduled(next) = &batch[2] else { panic!("{batch:?}") };
    assert!(format!("{:?}", next.work).contains(r#""rework":null"#));
}

#[test]
fn l12_a_route_is_used_max_times_and_then_leads_on() {
    let route =
        json!([{"to": {"rework": "a"}, "max": {"times": 2}, "then": {"to": {"fail": {"code": "enough"}}}}]);
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": route}))]));
    for round in 1..=2 {
        let batch = world.fail(&format!("a/{round}/1"), "broken");
        assert_eq!(names(&batch), ["AttemptFailed", "ReworkRequested", "StepScheduled"]);
    }
    assert_eq!(names(&world.fail("a/3/1", "broken")), ["AttemptFailed", "StepFailed", "RunFailed"]);
    assert_eq!(world.state.failure().expect("a failure").0.code.as_deref(), Some("enough"));
}

#[test]
fn l12_three_is_the_default_zero_leads_on_at_once_and_max_rounds_counts_every_round() {
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": [{"to": {"rework": "a"}}]}))]));
    (1..=3).for_each(|round| drop(world.fail(&format!("a/{round}/1"), "broken")));
    assert_eq!(names(&world.fail("a/4/1", "broken")), ["AttemptFailed", "StepBlocked"]);

    let zero = json!([{"to": {"rework": "a"}, "max": {"times": 0}}]);
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": zero}))]));
    assert_eq!(names(&world.fail("a/1/1", "broken")), ["AttemptFailed", "StepBlocked"]);

    let unlimited = json!([{"to": {"rework": "a"}, "max": "unlimited", "then": {"to": "continue"}}]);
    let mut world = run(json!([with(function("a", &[]), json!({"on_fail": unlimited, "max_rounds": 2}))]));
    world.fail("a/1/1", "broken");
    assert_eq!(names(&world.fail("a/2/1", "broken")), ["AttemptFailed", "StepFailed", "RunSucceeded"]);
}

#[test]
fn l13_a_standby_step_runs_once_per_naming_and_its_other_visits_are_skipped() {
    let mut world = run(json!([
        function("build", &[]),
        with(function("fix", &["build"]), json!({"standby": true})),
        with(function("ci", &["build", "fix"]), json!({"on_fail": [{"to": {"rework": "fix"}}]})),
    ]));
    let batch = world.succeed("build/1/1", json!(1));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepSucceeded", "StepSkipped", "StepScheduled"]);
    world.fail("ci/1/1", "red");
    assert_eq!(attempts(&world), ["fix/1/1"], "skipped visits are no rounds");
    world.succeed("fix/1/1", json!(1));
    assert_eq!(attempts(&world), ["ci/2/1"]);
    world.succeed("ci/2/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l29_cancel_runs_on_finish_and_a_second_one_skips_it() {
    let pipeline = || {
        let steps = json!([function("a", &[])]);
        definition(
            json!({"name": "p", "steps": steps, "on_finish": [function("tidy", &[]), function("more", &[])]}),
        )
    };
    let mut world = World::start(pipeline(), json!({}));
    world.by("ada", cancel()).expect("taken");
    world.fail("a/1/1", "stopped");
    assert_eq!(attempts(&world), ["tidy/1/1"]);
    world.succeed("tidy/1/1", json!(1));
    assert_eq!(attempts(&world), ["more/1/1"], "in order");
    world.by("ada", cancel()).expect("taken");
    world.fail("more/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
    assert_eq!(world.by("ada", cancel()), Err(Refusal::Ended(RunStatus::Cancelled)));
}

#[test]
fn a_retry_waits_for_its_time_and_covers_the_kinds_it_names() {
    let retry = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "60s", "only": ["exit"]});
    let mut world = run(json!([with(function("a", &[]), json!({"retry": retry}))]));
    assert_eq!(names(&world.fail("a/1/1", "exit 1")), ["AttemptFailed", "RetryScheduled"]);
    assert_eq!((world.state.status(), status(&world, "a")), (RunStatus::Waiting, StepStatus::Waiting));
    let timer = world.effects().remove(0);
    world.answer(&timer, 0);
    assert_eq!(attempts(&world), ["a/1/2"]);
    let other = everfold_base::failure::Failure::new(FailureKind::Validation, "not a map");
    assert_eq!(names(&world.finish("a/1/2", Err(other))), ["AttemptFailed", "StepFailed", "RunFailed"]);
}

#[test]
fn a_lost_attempt_follows_on_lost_and_is_not_repeated_for_ever() {
    let mut world = run(json!([function("a", &[])]));
    lose(&mut world, "a/1/1", OnLost::Fail);
    assert_eq!(world.state.failure().expect("a failure").0.kind, FailureKind::Lost);
    let mut world = run(json!([with(function("a", &[]), json!({"idempotent": true}))]));
    for attempt in 1..=6 {
        assert_eq!(world.state.status(), RunStatus::Running, "attempt {attempt}");
        lose(&mut world, &format!("a/1/{attempt}"), OnLost::Block);
    }
    assert_eq!(world.state.status(), RunStatus::Blocked);
}

#[test]
fn a_finish_route_ends_the_run_now_and_bypasses_the_rest() {
    let done = json!({"on_success": [{"when": "output == 'enough'", "to": {"finish": "succeeded"}}, {"to": "continue"}]});
    let mut world = run(json!([with(function("a", &[]), done), function("b", &[]), function("c", &["a"])]));
    world.succeed("a/1/1", json!("enough"));
    world.fail("b/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    assert_eq!((status(&world, "b"), status(&world, "c")), (StepStatus::Skipped, StepStatus::Skipped));
}

#[test]
fn an_expression_that_fails_at_run_time_fails_its_step_with_a_hint() {
    let broken = json!({"id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${input.missing}"}}}});
    let world = run(json!([broken]));
    let (failure, path) = world.state.failure().expect("a failure");
    assert_eq!((failure.kind, path.map(ToString::to_string)), (FailureKind::Validation, Some("a".into())));
    assert!(failure.message.contains("input.missing"), "{failure:?}");
}

#[test]
fn the_run_gives_its_output() {
    let steps = json!([function("a", &[])]);
    let output = json!({"said": "${steps.a.output}", "at": "${run.short_id}"});
    let mut world =
        World::start(definition(json!({"name": "p", "steps": steps, "output": output})), json!({}));
    world.succeed("a/1/1", json!(7));
    let output = world.state.output().value(&everfold_core::decide::Loaded::default()).expect("small");
    assert_eq!(output, json!({"said": 7, "at": "deadbeef"}));
}

#[test]
fn inputs_are_refused_before_a_start_and_a_second_start_is() {
    let mut state = RunState::new(definition(json!({"name": "p", "steps": [function("a", &[])]})));
    let input = |kind| everfold_core::input::Input {
        id: everfold_base::id::InputId::default(),
        at: everfold_base::time::Timestamp(1),
        actor: Actor::Engine,
        kind,
    };
    let none = everfold_core::decide::Loaded::default();
    assert_eq!(everfold_core::decide::decide(&mut state, &input(cancel()), &none), Err(Refusal::NotStarted));
    let mut world = run(json!([function("a", &[])]));
    assert_eq!(world.by("ada", start(json!({}))), Err(Refusal::AlreadyStarted));
}

/// What the origin was at is not a try that failed.
#[test]
fn l30_a_fork_in_the_middle_of_an_attempt_has_the_tries_that_its_origin_had_left() {
    let retry = json!({"retry": {"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"}});
    let item = json!({"foreach": {"items": "${[1]}", "as": "n"}});
    for (work, path) in [(json!({}), "a"), (item, "a.0")] {
        for former in 0..3 {
            let mut origin = run(json!([with(with(function("a", &[]), retry.clone()), work.clone())]));
            for attempt in 1..=former {
                origin.fail(&format!("{path}/1/{attempt}"), "exit 3");
                fire(&mut origin, TimerKind::Retry);
            }
            let forked = origin.forked(origin.history.len(), OriginKind::Fork, None);
            let mut fork = forked.expect("it can be forked");
            for attempt in former + 2..=4 {
                assert_eq!(fork.state.status(), RunStatus::Running, "{path}: {former} tries failed before");
                fork.fail(&format!("{path}/1/{attempt}"), "exit 3");
                if attempt < 4 {
                    fire(&mut fork, TimerKind::Retry);
                }
            }
            assert_eq!(fork.state.status(), RunStatus::Failed, "{path}: {former} tries failed before");
            fork.check_fold();
        }
    }
}
