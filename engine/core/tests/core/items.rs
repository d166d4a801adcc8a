//! Items of a step, rule by rule: each is worked on, asked about, cancelled and tried again by itself (L24, L29).

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::StepId;
use everfold_base::time::Timestamp;
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{RunEvent, StepCancelRequested, TimerKind, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::state::{Awaited, RunStatus, StepStatus};
use everfold_core::why::of_step;
use everfold_language::definition::{OnLost, Vote};
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, cancel_step, function, lose, names, run, status, vote, with,
};
use crate::fixtures::simulated_run::{World, definition};
use crate::fixtures::tasks::{agent, answer, ballot, fire, output, question, reader};

fn each(fail_fast: bool, more: Value) -> World {
    let step = json!({"id": "each", "foreach": {"items": "${[10, 20, 30]}", "as": "n", "max_in_flight": 2, "fail_fast": fail_fast},
        "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${n + index}"}}}});
    run(
        json!([with(step, more), {"id": "sum", "needs": ["each"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.each.output}"}}}}]),
    )
}

#[test]
fn l24_items_run_within_their_limit_and_give_their_results_in_input_order() {
    let mut world = each(true, json!({}));
    assert_eq!(attempts(&world), ["each.0/1/1", "each.1/1/1"]);
    world.succeed("each.1/1/1", json!("B"));
    assert_eq!(attempts(&world), ["each.0/1/1", "each.2/1/1"]);
    world.succeed("each.2/1/1", json!("C"));
    let batch = world.succeed("each.0/1/1", json!("A"));
    let text = format!("{batch:?}");
    let one = |output| format!(r#"{{"failure":null,"output":"{output}","status":"succeeded"}}"#);
    assert!(text.contains(&format!("[{},{},{}]", one("A"), one("B"), one("C"))), "{text}");
}

#[test]
fn l24_a_failed_item_fails_the_step_after_the_rest_ended() {
    let mut world = each(true, json!({}));
    world.fail("each.0/1/1", "broken");
    assert_eq!(attempts(&world), ["each.1/1/1"], "no more items start");
    let batch = world.succeed("each.1/1/1", json!("B"));
    assert_eq!(names(&batch), ["AttemptSucceeded", "StepFailed", "StepCancelled", "RunFailed"]);

    let mut world = each(false, json!({}));
    world.fail("each.0/1/1", "broken");
    assert_eq!(attempts(&world), ["each.1/1/1", "each.2/1/1"]);
}

/// They were `running` in a step that was over.
#[test]
fn l24_items_that_end_with_their_run_are_cancelled_in_the_list() {
    let tidy = json!({"id": "tidy", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.each.output}"}}}});
    let each = json!({"id": "each", "foreach": {"items": "${[1, 2, 3]}", "as": "n", "max_in_flight": 2, "fail_fast": false},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}}});
    let document = json!({"name": "p", "on_finish": [tidy], "steps": [each, function("other", &[])]});
    let mut world = World::start(definition(document), json!({}));
    world.succeed("each.0/1/1", json!("A"));
    world.fail("other/1/1", "broken");
    world.fail("each.1/1/1", "stopped");
    let batch = world.fail("each.2/1/1", "stopped");
    assert_eq!(status(&world, "each"), StepStatus::Cancelled);
    let text = format!("{batch:?}");
    assert!(text.contains(r#""output":"A","status":"succeeded""#), "{text}");
    assert_eq!(text.matches(r#""status":"cancelled""#).count(), 2, "{text}");
    assert!(!text.contains(r#""status":"running""#), "{text}");
}

#[test]
fn l24_a_lost_item_is_blocked_alone_and_unblocked_by_its_path() {
    let mut world = each(true, json!({}));
    lose(&mut world, "each.0/1/1", OnLost::Block);
    assert_eq!(attempts(&world), ["each.1/1/1", "each.2/1/1"]);
    world.succeed("each.1/1/1", json!("B"));
    world.succeed("each.2/1/1", json!("C"));
    assert_eq!(world.state.status(), RunStatus::Blocked);
    let path = Some("each.0".parse().expect("a path"));
    let retry = InputKind::Unblock {
        path,
        decision: UnblockDecision::Retry,
        output: None,
        reason: None,
        policies: Default::default(),
        keeps_items: true,
    };
    world.by("ada", retry).expect("taken");
    assert_eq!(attempts(&world), ["each.0/1/2"]);
    world.succeed("each.0/1/2", json!("A"));
    assert_eq!(status(&world, "sum"), StepStatus::Scheduled);
}

fn items(mut step: Value, more: Value) -> Value {
    let mut foreach = json!({"items": "${['a', 'b', 'c']}", "as": "name"});
    foreach.as_object_mut().expect("there").extend(more.as_object().expect("there").clone());
    step["foreach"] = foreach;
    step
}

#[test]
fn l24_each_item_of_an_approval_is_a_task_of_its_own() {
    let ask = items(approval("ask", json!({"title": "Ship ${name}?"})), json!({"max_in_flight": 2}));
    let mut world = run(json!([ask, reader("ask")]));
    let open = |world: &World| -> Vec<String> {
        let tasks = world.state.awaited().into_iter();
        tasks
            .filter_map(|awaited| match awaited {
                Awaited::Approval { id, .. } => Some(id.to_string()),
                _other => None,
            })
            .collect()
    };
    assert_eq!(open(&world), ["ask.0/1/1", "ask.1/1/1"]);
    for (unknown, why) in [
        ("ask/1/1", "“ask” asks no question"),
        ("ask.3/1/1", "“ask.3” asks no question"),
        ("ask.0/2/1", "“ask.0” asks nothing in round 2: open is round 1"),
        ("ask.0/1/2", "“ask.0” asks nothing in round 1, attempt 2: open is round 1"),
    ] {
        let refused = world.by("ada", vote(unknown, Vote::Approve)).expect_err("not open");
        assert_eq!((refused.code(), refused.to_string().as_str()), ("not_asking", why));
    }
    assert_eq!((world.state.status(), status(&world, "ask")), (RunStatus::Waiting, StepStatus::Waiting));
    let title =
        world.state.asking_unit(&"ask.1/1/1".parse().expect("there")).and_then(|unit| unit.approval());
    assert_eq!(title.expect("there").title, "Ship b?");
    world.by("ada", vote("ask.1/1/1", Vote::Approve)).expect("taken");
    assert_eq!(open(&world), ["ask.0/1/1", "ask.2/1/1"]);
    world.by("ada", vote("ask.2/1/1", Vote::Approve)).expect("taken");
    world.by("ada", vote("ask.0/1/1", Vote::Approve)).expect("taken");
    let said = output(&world, "reader");
    let decisions: Vec<&Value> =
        said.as_array().expect("there").iter().map(|item| &item["output"]["decision"]).collect();
    assert_eq!(decisions, ["approve", "approve", "approve"]);
    world.check_fold();
}

#[test]
fn l24_what_people_say_of_items_leads_where_it_leads_for_the_step_when_all_are_over() {
    let fields = json!({"on_changes": [{"to": {"rework": "ask"}}], "on_reject": [{"to": "continue"}]});
    let ask = || items(approval("ask", fields.clone()), json!({"fail_fast": false}));
    let mut world = run(json!([ask()]));
    let words = ballot("ask.0/1/1", Vote::Changes, Some("shorter"), Vec::new(), None);
    world.by("ada", words).expect("taken");
    assert_eq!(world.state.status(), RunStatus::Waiting, "the others are asked on");
    let words = ballot("ask.1/1/1", Vote::Changes, Some("longer"), Vec::new(), None);
    world.by("bob", words).expect("taken");
    world.by("bob", vote("ask.2/1/1", Vote::Approve)).expect("taken");
    let (_, step) = world.state.step(&"ask".into()).expect("there");
    assert_eq!(step.round.0, 2);
    let rework = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::ReworkRequested(event) => Some(event.clone()),
        _other => None,
    });
    let rework = rework.expect("a rework");
    assert_eq!(rework.source.by.as_deref(), Some("user:ada, user:bob"));
    assert_eq!(
        serde_json::to_value(&rework.findings).expect("there"),
        json!("user:ada: shorter\nuser:bob: longer")
    );

    let mut world = run(json!([ask()]));
    for task in ["ask.0/1/1", "ask.1/1/1", "ask.2/1/1"] {
        world.by("ada", vote(task, Vote::Reject)).expect("taken");
    }
    assert_eq!((status(&world, "ask"), world.state.status()), (StepStatus::Failed, RunStatus::Succeeded));
}

/// The first item by its place decided: a rejection led nowhere where an earlier item had not been decided in time.
#[test]
fn l24_of_items_that_failed_a_rejection_goes_before_changes_and_both_before_time() {
    let fields = json!({
        "timeout": "1h", "on_timeout": [{"to": "continue"}], "on_changes": [{"to": {"rework": "ask"}}],
        "on_reject": [{"to": "block"}],
    });
    for (votes, is_blocked, round) in [
        ([Vote::Reject, Vote::Approve], true, 1),
        ([Vote::Changes, Vote::Approve], false, 2),
        ([Vote::Changes, Vote::Reject], true, 1),
        ([Vote::Approve, Vote::Approve], false, 1),
    ] {
        let mut world = run(json!([items(approval("ask", fields.clone()), json!({"fail_fast": false}))]));
        fire(&mut world, TimerKind::Expiry);
        for (item, cast) in votes.iter().enumerate() {
            world.by("ada", vote(&format!("ask.{}/1/1", item + 1), *cast)).expect("taken");
        }
        let (_, step) = world.state.step(&"ask".into()).expect("there");
        let now = (status(&world, "ask") == StepStatus::Blocked, step.round.0);
        assert_eq!(now, (is_blocked, round), "{votes:?}");
    }
}

#[test]
fn l24_items_of_questions_waits_and_asking_work() {
    let ask = items(question("ask", json!({"title": "${name}?", "timeout": "1h"})), json!({}));
    let mut world = run(json!([ask, reader("ask")]));
    for (task, text) in [("ask.0/1/1", "x"), ("ask.2/1/1", "z")] {
        world.by("ada", answer(task, json!({"text": text}))).expect("taken");
    }
    fire(&mut world, TimerKind::Expiry);
    let (failure, _) = world.state.failure().expect("an item expired");
    assert_eq!(failure.kind, FailureKind::Timeout);

    let wait = items(json!({"id": "pause", "work": {"wait": {"for": "5s"}}}), json!({"max_in_flight": 1}));
    let mut world = run(json!([wait]));
    for _ in 0..3 {
        fire(&mut world, TimerKind::Wait);
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);

    let work = items(agent("build", json!({})), json!({"fail_fast": false}));
    let mut world = run(json!([work]));
    world.asks("build.1/1/1", json!({"text": "?"}));
    world.succeed("build.0/1/1", json!(1));
    world.succeed("build.2/1/1", json!(1));
    assert_eq!((world.state.status(), status(&world, "build")), (RunStatus::Waiting, StepStatus::Waiting));
    world.by("ada", answer("build.1/1/1", json!({"text": "yes"}))).expect("taken");
    assert_eq!(attempts(&world), ["build.1/1/2"]);
    world.finish("build.1/1/2", Err(Failure::new(FailureKind::Exit, "exit 1")));
    assert_eq!(world.state.status(), RunStatus::Failed);
}

#[test]
fn l29_an_item_is_cancelled_alone() {
    let mut world = run(json!([{"id": "each", "foreach": {"items": "${[1, 2]}", "fail_fast": false},
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
        keeps_items: true,
    };
    assert_eq!(names(&world.by("ada", again()).expect("taken")), ["RunUnblocked"]);
    assert_eq!(attempts(&world), ["each.1/1/1", "each.2/1/1"], "two may be");
    assert!(world.by("ada", again()).is_err(), "it is not blocked any more");
    assert!(world.state.awaited().is_empty());
    let causes = of_step(&world.state, &world.trail, &StepId::new("each")).expect("a step");
    let sentences: Vec<_> = causes.iter().map(|cause| cause.sentence.as_str()).collect();
    assert!(
        sentences.contains(&"each.0 is tried again when another item has ended, 2 at once"),
        "{sentences:?}"
    );
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
fn stops_of_many_items_are_split_among_events() {
    let items: Vec<u32> = (0..1_200).collect();
    let cancelled =
        InputKind::CancelStep(StepCancelRequested { path: "each".parse().unwrap(), reason: None });
    // The route of another step begins anew what the items depend on.
    let reworked = InputKind::AttemptFinished {
        id: "other/1/1".parse().unwrap(),
        result: Err(Failure::new(FailureKind::Error, "broken")),
        commit: None,
        artefacts: Vec::new(),
        ended_at: Timestamp(0),
        notes: Default::default(),
        ask: None,
    };
    for input in [cancelled, reworked] {
        let each = json!({"foreach": {"items": items, "max_in_flight": 1_200}});
        let other = json!({"on_fail": [{"to": {"rework": "first"}}]});
        let steps = json!([
            function("first", &[]),
            with(function("other", &["first"]), other),
            with(function("each", &["first"]), each),
        ]);
        let document = json!({"name": "p", "steps": steps});
        let mut world = World::without_checks(definition(document), json!({}));
        let id = "first/1/1".parse().unwrap();
        world.answer_quickly(&Effect::Attempt { id, started: false });
        while world.effects().contains(&Effect::Advance) {
            world.answer_quickly(&Effect::Advance);
        }
        assert_eq!(attempts(&world).len(), 1_201, "all are in flight");
        world.give_quickly(input.clone());
        let ids = |event: &RunEvent| match event {
            RunEvent::StopRequested(stop) => Some(stop.ids.len()),
            _other => None,
        };
        let stops: Vec<usize> = world.history.iter().filter_map(|(_, event)| ids(event)).collect();
        assert_eq!(stops, [500, 500, 200], "{input:?}");
    }
}
