//! Rules that no other test covers: what a step gets, what repeats, which steps take a signal.

use everfold_base::actor::Actor;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::Payload;
use everfold_core::effect::Effect;
use everfold_core::event::{
    Hearing, RunEvent, RunPaused, RunResumed, SignalReceived, SignalTaker, TimerKind, VoteCast,
};
use everfold_core::input::InputKind;
use everfold_core::state::{RunStatus, StepStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{approval, attempts, function, names, run, status, vote, with};
use crate::fixtures::simulated_run::{World, definition};

/// A function with these parameters.
fn function_with(id: &str, needs: &[&str], with: Value) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "function", "spec": {"name": "f", "with": with}}}})
}

/// What the newest event that schedules a step tells it.
fn with_of(world: &World, step: &str) -> Value {
    let task = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(event) if event.id.path.step.as_str() == step => {
            Some(format!("{:?}", event.work))
        }
        _other => None,
    });
    let text = task.expect("it was scheduled");
    let from = text.find("\"with\":").expect("it has parameters") + "\"with\":".len();
    let mut values = serde_json::Deserializer::from_str(&text[from..]).into_iter::<Value>();
    values.next().expect("a value").expect("JSON")
}

fn signal(name: &str) -> InputKind {
    InputKind::Signal(SignalReceived {
        name: name.into(),
        payload: Payload::Inline(json!({"n": 1}).into()),
        delivery: None,
    })
}

fn gate(id: &str, more: Value) -> Value {
    with(json!({"id": id, "probe": {"task": {"kind": "command", "spec": {"argv": ["make"]}}}}), more)
}

fn exit(code: u32) -> Value {
    json!({"argv": ["make"], "exit": code, "output": "two failed"})
}

#[test]
fn l11_the_target_is_told_from_where_by_whom_in_which_round_and_what_was_found_before() {
    let rework = json!({"on_fail": [{"to": {"rework": "a"}}]});
    let steps = json!([
        function_with("a", &[], json!("${rework}")),
        with(function("b", &["a"]), with(json!({"gates": [gate("tests", json!({}))]}), rework)),
        with(approval("ask", json!({"on_changes": [{"to": {"rework": "a"}}]})), json!({"needs": ["b"]})),
    ]);
    let mut world = run(steps);
    assert_eq!(with_of(&world, "a"), json!(null), "nothing sent it back");
    world.succeed("a/1/1", json!(1));
    world.succeed("b/1/1", json!(1));
    world.probe("b/1/1", "tests", 1, exit(1));
    let first = with_of(&world, "a");
    assert_eq!((&first["from"], &first["gate"], &first["round"]), (&json!("b"), &json!("tests"), &json!(1)));
    let findings = first["findings"].as_str().expect("a text");
    assert!(findings.contains("two failed"), "the reason and the evidence's text: {first}");
    assert_eq!((&first["by"], &first["history"]), (&json!(null), &json!([])));
    world.succeed("a/2/1", json!(1));
    world.succeed("b/2/1", json!(1));
    world.probe("b/2/1", "tests", 1, exit(0));
    let changes = InputKind::Vote(VoteCast {
        id: "ask/1/1".parse().expect("a task"),
        vote: Vote::Changes,
        comment: Some("shorter".into()),
        roles: Vec::new(),
        comments: Vec::new(),
        edited: None,
        seen: None,
    });
    world.by("ada", changes).expect("taken");
    let second = with_of(&world, "a");
    assert_eq!(
        (&second["from"], &second["gate"], &second["by"]),
        (&json!("ask"), &json!(null), &json!("user:ada"))
    );
    assert!(second["findings"].to_string().contains("shorter"), "{second}");
    assert_eq!(second["history"], json!([findings]), "what was found before");
}

#[test]
fn l12_a_limit_of_rounds_refuses_what_happens_by_itself_and_no_person() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"max_rounds": 1})),
        with(approval("ask", json!({"on_changes": [{"to": {"rework": "a"}}]})), json!({"needs": ["a"]})),
        with(
            function("check", &["ask"]),
            json!({"on_fail": [{"to": {"rework": "a"}, "then": {"to": "continue"}}]})
        ),
    ]));
    world.succeed("a/1/1", json!(1));
    world.by("ada", vote("ask/1/1", Vote::Changes)).expect("taken");
    assert_eq!(attempts(&world), ["a/2/1"], "a person may");
    world.succeed("a/2/1", json!(1));
    world.by("ada", vote("ask/2/1", Vote::Approve)).expect("taken");
    let batch = world.fail("check/1/1", "broken");
    assert_eq!(names(&batch), ["AttemptFailed", "StepFailed", "RunSucceeded"], "the route's `then` applies");
}

#[test]
fn l13_a_standby_step_is_retried_and_judged_like_any_step() {
    let retry = json!({"attempts": 2, "backoff_min": "1ms", "backoff_max": "1ms"});
    let fix = with(
        function("fix", &["build"]),
        json!({"standby": true, "retry": retry, "gates": [gate("tests", json!({}))]}),
    );
    let mut world = run(json!([
        function("build", &[]),
        fix,
        with(function("ci", &["fix"]), json!({"on_fail": [{"to": {"rework": "fix"}}]})),
    ]));
    world.succeed("build/1/1", json!(1));
    assert!(!world.names().contains(&"ProbeScheduled"), "a visit that is skipped has no gate");
    world.fail("ci/1/1", "red");
    assert_eq!(names(&world.fail("fix/1/1", "no idea")), ["AttemptFailed", "RetryScheduled"]);
    let pause = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
    world.answer(&pause.expect("a pause"), 0);
    assert_eq!(names(&world.succeed("fix/1/2", json!(1))), ["AttemptSucceeded", "ProbeScheduled"]);
    world.probe("fix/1/2", "tests", 1, exit(0));
    assert_eq!(attempts(&world), ["ci/2/1"]);
}

#[test]
fn l14_each_round_judges_all_gates_anew() {
    let gates = json!([gate("one", json!({})), gate("two", json!({"on_fail": [{"to": {"rework": "a"}}]}))]);
    let mut world = run(json!([with(function("a", &[]), json!({"gates": gates}))]));
    world.succeed("a/1/1", json!(1));
    world.probe("a/1/1", "one", 1, exit(0));
    world.probe("a/1/1", "two", 1, exit(1));
    world.succeed("a/2/1", json!(1));
    let probes: Vec<String> = world
        .effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Probe { id, gate, .. } => Some(format!("{id}:{gate}")),
            _other => None,
        })
        .collect();
    assert_eq!(probes, ["a/2/1:one"], "also what had passed");
}

#[test]
fn l23_the_status_is_the_first_of_paused_running_blocked_and_waiting() {
    let mut world = run(json!([
        function("work", &[]),
        with(function("stuck", &[]), json!({"on_fail": [{"to": "block"}]})),
        with(approval("ask", json!({})), json!({"needs": []})),
    ]));
    world.fail("stuck/1/1", "broken");
    assert_eq!(world.state.status(), RunStatus::Running);
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Paused, "though work still runs");
    world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    world.succeed("work/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let skip = InputKind::Unblock {
        path: None,
        decision: everfold_core::event::UnblockDecision::Skip,
        output: None,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", skip).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting);
}

#[test]
fn l24_the_list_is_made_once_per_round_retry_repeats_what_failed_and_a_rework_all() {
    let retry = json!({"attempts": 2, "backoff_min": "1ms", "backoff_max": "1ms"});
    let each = json!({"id": "each", "needs": ["list"], "foreach": {"items": "${steps.list.output}", "fail_fast": false},
        "retry": retry, "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${item}"}}}});
    let mut world = run(json!([
        function("list", &[]),
        each,
        with(function("check", &["each"]), json!({"on_fail": [{"to": {"rework": "list"}}]})),
    ]));
    world.succeed("list/1/1", json!(["a", "b"]));
    world.succeed("each.1/1/1", json!("B"));
    assert_eq!(names(&world.fail("each.0/1/1", "broken")), ["AttemptFailed", "RetryScheduled"]);
    let pause = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
    world.answer(&pause.expect("a pause"), 0);
    assert_eq!(attempts(&world), ["each.0/1/2"], "what succeeded is not repeated");
    world.succeed("each.0/1/2", json!("A"));
    world.fail("check/1/1", "again");
    world.succeed("list/2/1", json!(["c", "d", "e"]));
    assert_eq!(
        attempts(&world),
        ["each.0/2/1", "each.1/2/1", "each.2/2/1"],
        "the list of this round, all of it"
    );
    let lists = world.names().into_iter().filter(|name| *name == "ItemsExpanded").count();
    assert_eq!(lists, 2, "one for each round");
}

#[test]
fn l26_every_gate_that_wakes_hears_a_signal_and_one_other_takes_it() {
    let pending = json!({"policy": "'pending'", "wake": ["ci"], "poll": {"every": "1h", "max": 9}});
    let document = json!({"name": "p", "on_signal": {"ci": [{"to": "ignore"}]}, "steps": [
        {"id": "one", "gates": [gate("g", pending.clone())]},
        {"id": "two", "gates": [gate("g", pending.clone())]},
        with(with(approval("ask", json!({})), json!({"needs": []})), json!({"on_signal": {"ci": [{"to": "ignore"}]}})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    for step in ["one", "two"] {
        world.probe(&format!("{step}/1/1"), "g", 1, exit(0));
    }
    let batch = world.give_as(Actor::Hook("ci".into()), signal("ci")).expect("taken");
    let taken: Vec<(String, Hearing)> = batch
        .iter()
        .filter_map(|event| match event {
            RunEvent::SignalTaken(taken) => Some((
                match &taken.by {
                    SignalTaker::Gate { id, .. } => format!("gate of {}", id.path),
                    SignalTaker::Step(id) => id.path.to_string(),
                    other => format!("{other:?}"),
                },
                taken.how,
            )),
            _other => None,
        })
        .collect();
    let of = |by: &str| taken.iter().filter(|(taker, _)| taker == by).count();
    assert_eq!((of("gate of one"), of("gate of two"), of("ask"), taken.len()), (1, 1, 1, 3), "{taken:?}");
}

#[test]
fn l26_a_signal_rechecks_the_step_whose_route_says_so() {
    let step = with(
        function("a", &[]),
        json!({"gates": [gate("g", json!({"on_fail": [{"to": "block"}]}))], "on_signal": {"again": [{"to": "recheck"}]}}),
    );
    let mut world = run(json!([step]));
    world.succeed("a/1/1", json!(1));
    world.probe("a/1/1", "g", 1, exit(1));
    assert_eq!(status(&world, "a"), StepStatus::Blocked);
    let batch = world.give_as(Actor::Hook("ci".into()), signal("again")).expect("taken");
    assert!(names(&batch).contains(&"ProbeScheduled"), "{batch:?}");
    world.probe("a/1/1", "g", 2, exit(0));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l29_while_paused_no_probe_starts_and_one_that_runs_is_judged() {
    let gates = json!([gate("one", json!({})), gate("two", json!({}))]);
    let mut world = run(json!([with(function("a", &[]), json!({"gates": gates}))]));
    world.succeed("a/1/1", json!(1));
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).expect("taken");
    let batch = world.probe("a/1/1", "one", 1, exit(0));
    assert_eq!(names(&batch), ["GateEvaluated"], "the fact counts, and the next one does not begin");
    assert!(world.effects().is_empty());
    let batch = world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).expect("taken");
    assert_eq!(names(&batch), ["RunResumed", "ProbeScheduled"]);
}

#[test]
fn l9_what_fails_while_a_run_ends_starts_nothing_and_names_the_first_failure() {
    let document = json!({"name": "p", "steps": [
        function("a", &[]), function("b", &[]), function("later", &["b"]),
        with(approval("ask", json!({"remind": "1h"})), json!({"needs": []})),
    ]});
    let mut world = World::start(definition(document), json!({}));
    world.fail("a/1/1", "first");
    let batch = world.succeed("b/1/1", json!("in time, and of no use"));
    assert!(!names(&batch).contains(&"StepScheduled"), "{batch:?}");
    let (failure, path) = world.state.failure().expect("a failure");
    assert_eq!((failure.kind, path.map(ToString::to_string)), (FailureKind::Exit, Some("a".to_owned())));
    assert_eq!(
        (status(&world, "later"), status(&world, "ask")),
        (StepStatus::Pending, StepStatus::Cancelled),
        "`later` never began"
    );
    let is_timer =
        |effect: &Effect| matches!(effect, Effect::Timer { timer, .. } if timer.kind == TimerKind::Reminder);
    assert!(!world.effects().iter().any(is_timer), "no reminder of what is over");
}

#[test]
fn s_labels_are_added_when_the_step_succeeds_and_not_before() {
    let labelled = with(function("a", &[]), json!({"labels": {"sha": "${output.sha}"}}));
    let mut world = run(json!([labelled, function_with("b", &["a"], json!("${run.labels.sha}"))]));
    assert!(world.state.labels().is_empty());
    world.succeed("a/1/1", json!({"sha": "abc"}));
    assert_eq!(world.state.labels()["sha"], "abc");
    assert_eq!(with_of(&world, "b"), json!("abc"));
}

#[test]
fn s_labels_that_do_not_fit_fail_their_step_and_are_not_kept() {
    let labelled = with(function("a", &[]), json!({"labels": {"log": "${output}"}}));
    let mut world = run(json!([labelled, function("b", &["a"])]));
    let batch = world.succeed("a/1/1", json!("x".repeat(20_000)));
    let batch = if names(&batch).contains(&"StepFailed") {
        batch
    } else {
        world.give(InputKind::Advance).expect("taken")
    };
    assert!(names(&batch).ends_with(&["StepFailed", "StepCancelled", "RunFailed"]), "{:?}", names(&batch));
    let (failure, _) = world.state.failure().expect("a failure");
    assert_eq!(failure.kind, FailureKind::Validation);
    assert!(failure.message.contains("labels"), "{failure:?}");
    assert!(world.state.labels().is_empty());
}

/// `on_success` after work and gates passed: back, to a person, or to the run's end.
#[test]
fn s_a_success_may_lead_back_to_a_person_or_to_the_end() {
    let back =
        json!([{"when": "output < 3", "to": {"rework": "a"}, "max": {"times": 9}}, {"to": "continue"}]);
    let gates = json!([gate("g", json!({}))]);
    let mut world = run(json!([
        with(function("a", &[]), json!({"on_success": back, "gates": gates})),
        function("b", &["a"])
    ]));
    for round in 1..=3 {
        assert_eq!(attempts(&world), [format!("a/{round}/1")]);
        world.succeed(&format!("a/{round}/1"), json!(round));
        world.probe(&format!("a/{round}/1"), "g", 1, exit(0));
    }
    assert_eq!(attempts(&world), ["b/1/1"]);
    let lead = |to: Value| {
        let mut world = run(json!([with(function("a", &[]), json!({"on_success": [{"to": to}]}))]));
        world.succeed("a/1/1", json!(1));
        world
    };
    assert_eq!(lead(json!("block")).state.status(), RunStatus::Blocked);
    let world = lead(json!({"fail": {"code": "ENOUGH"}}));
    assert_eq!(world.state.failure().expect("a failure").0.code.as_deref(), Some("ENOUGH"));
}

#[test]
fn s_on_finish_runs_also_after_a_success_and_after_a_route_that_ends_the_run() {
    for (route, status) in [
        (json!("continue"), RunStatus::Succeeded),
        (json!({"finish": "succeeded"}), RunStatus::Succeeded),
        (json!({"finish": "failed"}), RunStatus::Failed),
        (json!({"finish": "cancelled"}), RunStatus::Cancelled),
    ] {
        let step = with(function("a", &[]), json!({"on_success": [{"to": route}]}));
        let tidy = function_with("tidy", &[], json!("${run.status}"));
        let document = json!({"name": "p", "steps": [step], "on_finish": [tidy]});
        let mut world = World::start(definition(document), json!({}));
        world.succeed("a/1/1", json!(1));
        assert_eq!(attempts(&world), ["tidy/1/1"], "{route}");
        world.succeed("tidy/1/1", json!(1));
        assert_eq!(world.state.status(), status, "{route}");
    }
}

/// The pauses before the retries of work that always fails, in seconds.
fn pauses(world: &mut World, attempts: u32) -> Vec<f64> {
    let pause = |attempt: u32| {
        world.fail(&format!("a/1/{attempt}"), "no");
        let due = world.effects().into_iter().find_map(|effect| match &effect {
            Effect::Timer { timer, at } if timer.kind == TimerKind::Retry => Some((effect.clone(), *at)),
            _other => None,
        });
        let (timer, at) = due.expect("a pause");
        let pause = at.since(world.now).as_secs_f64();
        world.answer(&timer, 0);
        pause
    };
    (1..attempts).map(pause).collect()
}

#[test]
fn s_the_pause_before_a_retry_doubles_up_to_the_longest_with_a_little_on_top() {
    let retry = json!({"attempts": "${1 + 4}", "backoff_min": "10s", "backoff_max": "30s"});
    let mut world = run(json!([with(function("a", &[]), json!({"retry": retry}))]));
    let pauses = pauses(&mut world, 5);
    for (pause, (least, most)) in pauses.iter().zip([(10.0, 12.5), (20.0, 25.0), (30.0, 30.0), (30.0, 30.0)])
    {
        assert!((least..=most).contains(pause), "{pauses:?}");
    }
    let batch = world.fail("a/1/5", "no");
    assert_eq!(
        names(&batch),
        ["AttemptFailed", "StepFailed", "RunFailed"],
        "the first one is an attempt, too"
    );
}

#[test]
fn s_a_retry_covers_the_codes_that_it_names() {
    let retry = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "1s", "only": ["timeout", "BUSY"]});
    for (kind, code, again) in [
        (FailureKind::Exit, Some("BUSY"), true),
        (FailureKind::Timeout, None, true),
        (FailureKind::Exit, Some("OTHER"), false),
        (FailureKind::Exit, None, false),
    ] {
        let mut world = run(json!([with(function("a", &[]), json!({"retry": retry}))]));
        let mut failure = Failure::new(kind, "no");
        failure.code = code.map(str::to_owned);
        let batch = world.finish("a/1/1", Err(failure));
        assert_eq!(names(&batch).contains(&"RetryScheduled"), again, "{kind:?} {code:?}");
    }
}

#[test]
fn a_retry_leaves_out_what_except_names_also_where_only_names_it() {
    let pauses = json!({"attempts": 3, "backoff_min": "1s", "backoff_max": "1s"});
    let all_but = json!({"except": ["validation", "FULL"]});
    let some_but = json!({"only": ["exit", "timeout"], "except": ["exit", "FULL"]});
    for (limits, kind, code, again) in [
        (&all_but, FailureKind::Exit, None, true),
        (&all_but, FailureKind::Validation, None, false),
        (&all_but, FailureKind::Exit, Some("FULL"), false),
        (&some_but, FailureKind::Exit, None, false),
        (&some_but, FailureKind::Timeout, None, true),
        (&some_but, FailureKind::Timeout, Some("FULL"), false),
        (&some_but, FailureKind::Error, None, false),
    ] {
        let retry = with(pauses.clone(), limits.clone());
        let mut world = run(json!([with(function("a", &[]), json!({ "retry": retry }))]));
        let mut failure = Failure::new(kind, "no");
        failure.code = code.map(str::to_owned);
        let batch = world.finish("a/1/1", Err(failure));
        assert_eq!(names(&batch).contains(&"RetryScheduled"), again, "{limits} {kind:?} {code:?}");
    }
}
