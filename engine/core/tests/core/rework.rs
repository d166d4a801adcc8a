//! What a rework begins anew, what it stops, and which findings the steps get (L10–L13).

use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{RunEvent, UnblockDecision};
use everfold_core::input::InputKind;
use everfold_core::state::{RunStatus, StepStatus};
use everfold_language::definition::Vote;
use serde_json::{Value, json};

use crate::fixtures::scenario::{
    approval, attempts, cancel, function, names, run, status, unblock, vote, with,
};
use crate::fixtures::simulated_run::World;

/// A step without work, judged by a command.
fn judged(id: &str, needs: &[&str]) -> Value {
    let probe = json!({"task": {"kind": "command", "spec": {"argv": ["true"]}}});
    json!({"id": id, "needs": needs, "gates": [{"id": "g", "probe": probe}]})
}

/// `first`, then `slow` and `check` beside each other; a failure of `check` reworks `first`.
fn reworked_while_slow_runs(first: Value, begin: impl FnOnce(&mut World)) -> World {
    let id = first["id"].as_str().expect("an id").to_owned();
    let mut world = run(json!([
        first,
        function("slow", &[&id]),
        with(function("check", &[&id]), json!({"on_fail": [{"to": {"rework": id}}]})),
    ]));
    begin(&mut world);
    assert_eq!(attempts(&world), ["check/1/1", "slow/1/1"]);
    let batch = world.fail("check/1/1", "broken");
    assert_eq!(names(&batch), ["AttemptFailed", "StopRequested", "ReworkRequested"]);
    assert_eq!(world.effects(), [Effect::Stop { id: "slow/1/1".parse().expect("an id") }]);
    assert_eq!((status(&world, &id), world.state.status()), (StepStatus::Pending, RunStatus::Running));
    world
}

fn probes(world: &World) -> Vec<String> {
    let ids = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::Probe { id, gate, .. } => Some(format!("{id}:{gate}")),
        _other => None,
    });
    ids.collect()
}

#[test]
fn l10_a_step_of_gates_probes_when_what_its_rework_stopped_has_ended() {
    let mut world = reworked_while_slow_runs(judged("look", &[]), |world| {
        world.probe("look/1/1", "g", 1, json!({"exit": 0}));
    });
    let batch = world.fail("slow/1/1", "stopped");
    assert_eq!(names(&batch), ["AttemptFailed", "StepScheduled", "ProbeScheduled"]);
    assert_eq!(probes(&world), ["look/2/1:g"]);
}

#[test]
fn l10_people_are_asked_again_when_what_the_rework_stopped_has_ended() {
    let mut world = reworked_while_slow_runs(approval("ask", json!({})), |world| {
        world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    });
    assert!(world.state.awaited().is_empty(), "{:?}", world.state.awaited());
    let batch = world.fail("slow/1/1", "stopped");
    assert_eq!(names(&batch), ["AttemptFailed", "StepScheduled", "ApprovalRequested"]);
}

#[test]
fn l10_a_wait_begins_when_what_its_rework_stopped_has_ended() {
    let wait = json!({"id": "rest", "work": {"wait": {"for": "1h"}}});
    let mut world = reworked_while_slow_runs(wait, |world| {
        let timer = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
        world.answer(&timer.expect("a timer"), 0);
    });
    world.fail("slow/1/1", "stopped");
    assert!(matches!(world.effects()[..], [Effect::Timer { .. }]), "{:?}", world.effects());
}

#[test]
fn l10_a_held_round_is_told_at_once_and_begins_when_the_stopped_have_ended() {
    let mut world = run(json!([
        judged("look", &[]),
        function("slow", &["look"]),
        with(function("check", &["look"]), json!({"on_fail": [{"to": {"rework": "look"}, "hold": true}]})),
    ]));
    world.probe("look/1/1", "g", 1, json!({"exit": 0}));
    let batch = world.fail("check/1/1", "broken");
    assert_eq!(names(&batch), ["AttemptFailed", "StopRequested", "ReworkRequested", "StepBlocked"]);
    world.by("ada", unblock(UnblockDecision::Retry)).expect("taken");
    assert!(probes(&world).is_empty(), "the stopped attempt has not ended");
    world.fail("slow/1/1", "stopped");
    assert_eq!(probes(&world), ["look/2/1:g"]);
}

#[test]
fn l10_a_cancel_while_the_stopped_end_leaves_nothing_waiting() {
    let mut world = reworked_while_slow_runs(approval("ask", json!({})), |world| {
        world.by("ada", vote("ask/1/1", Vote::Approve)).expect("taken");
    });
    world.by("ada", cancel()).expect("taken");
    world.fail("slow/1/1", "stopped");
    assert_eq!(world.state.status(), RunStatus::Cancelled);
}

#[test]
fn l10_what_is_reset_is_the_named_step_and_all_that_needs_it_and_nothing_else() {
    let mut world = run(json!([
        function("before", &[]),
        function("build", &["before"]),
        function("beside", &["build"]),
        function("deep", &["beside"]),
        function("apart", &["before"]),
        with(function("check", &["build"]), json!({"on_fail": [{"to": {"rework": "build"}}]})),
        function("after", &["check"]),
    ]));
    for id in ["before/1/1", "build/1/1", "beside/1/1", "deep/1/1", "apart/1/1"] {
        world.succeed(id, json!(1));
    }
    let batch = world.fail("check/1/1", "broken");
    let rework = batch.iter().find_map(|event| match event {
        RunEvent::ReworkRequested(rework) => Some(rework),
        _other => None,
    });
    let reset: Vec<&str> = rework.expect("a rework").reset.iter().map(|step| step.as_str()).collect();
    assert_eq!(reset, ["build", "beside", "deep", "check", "after"]);
    for (step, expected) in [
        ("before", StepStatus::Succeeded),
        ("apart", StepStatus::Succeeded),
        ("build", StepStatus::Scheduled),
        ("deep", StepStatus::Pending),
    ] {
        assert_eq!(status(&world, step), expected, "{step}");
    }
}

#[test]
fn l10_attempts_stop_tasks_and_timers_go_and_the_history_stays() {
    let mut world = run(json!([
        function("build", &[]),
        function("slow", &["build"]),
        with(approval("ask", json!({"remind": "1h"})), json!({"needs": ["build"]})),
        {"id": "rest", "needs": ["build"], "work": {"wait": {"for": "2h"}}},
        with(function("check", &["build"]), json!({"on_fail": [{"to": {"rework": "build"}}]})),
    ]));
    world.succeed("build/1/1", json!(1));
    let before = world.history.len();
    world.fail("check/1/1", "broken");
    assert_eq!(
        world.effects(),
        [Effect::Stop { id: "slow/1/1".parse().expect("an id") }],
        "no task, no timer"
    );
    let late = world.by("ada", vote("ask/1/1", Vote::Approve));
    assert!(matches!(late, Err(Refusal::Superseded(_))), "{late:?}");
    assert!(world.history.len() > before, "nothing is taken out of it");
}

#[test]
fn l11_an_output_is_the_current_rounds_and_the_last_one_stays_until_the_next() {
    let seen = json!({"is": "${has(steps.build.output) && steps.build.output != null}", "was": "${steps.build.last}"});
    let mut world = run(json!([
        {"id": "build", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": {"own": "${steps.build.last}", "told": "${rework}"}}}}},
        {"id": "use", "needs": ["build"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": seen}}}},
        with(function("check", &["use"]), json!({"on_fail": [{"to": {"rework": "build"}}]})),
    ]));
    world.succeed("build/1/1", json!({"n": 1}));
    world.succeed("use/1/1", json!(null));
    world.fail("check/1/1", "broken");
    let scheduled = format!("{:?}", world.history.last().expect("an event").1);
    assert!(scheduled.contains(r#""own":{"n":1}"#), "{scheduled}");
    assert!(scheduled.contains(r#""findings":"broken""#), "{scheduled}");
    let batch = world.succeed("build/2/1", json!({"n": 2}));
    let scheduled = format!("{:?}", batch.last().expect("an event"));
    assert!(scheduled.contains(r#""is":true"#) && scheduled.contains(r#""was":{"n":2}"#), "{scheduled}");
}

/// The parameters of the work that was scheduled last, when nothing more follows by itself.
fn scheduled_last(world: &mut World) -> String {
    while world.effects().contains(&Effect::Advance) {
        world.give(InputKind::Advance).expect("the engine goes on");
    }
    let scheduled = world.history.iter().rev().find_map(|(_, event)| match event {
        RunEvent::StepScheduled(scheduled) => Some(format!("{:?}", scheduled.work)),
        _other => None,
    });
    scheduled.expect("something was scheduled")
}

#[test]
fn l11_the_last_round_of_a_foreach_is_what_its_items_led_to() {
    let own = json!({"own": "${steps.each.last}", "item": "${item}"});
    let mut world = run(json!([
        {"id": "each", "foreach": {"items": "${['one', 'two']}"},
         "on_fail": [{"to": "continue"}], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": own}}}},
        {"id": "check", "needs": ["each"], "on_fail": [{"to": {"rework": "each"}}],
         "work": {"task": {"kind": "function", "spec": {"name": "f", "with": {"seen": "${steps.each.last}"}}}}},
    ]));
    let large = "x".repeat(2_000);
    let both = |first: &str| {
        let ended = |output: &str| json!({"failure": null, "output": output, "status": "succeeded"});
        json!([ended(first), ended(&large)]).to_string()
    };
    world.succeed("each.0/1/1", json!("first"));
    world.succeed("each.1/1/1", json!(large));
    let parameters = scheduled_last(&mut world);
    assert!(
        parameters.contains(&format!(r#""seen":{}"#, both("first"))),
        "its last one is this one: {parameters}"
    );
    world.fail("check/1/1", "broken");
    let parameters = scheduled_last(&mut world);
    assert!(parameters.contains(&format!(r#""own":{}"#, both("first"))), "{parameters}");
    assert_eq!(attempts(&world), ["each.0/2/1", "each.1/2/1"]);
    world.succeed("each.0/2/1", json!("other"));
    world.succeed("each.1/2/1", json!(large));
    let parameters = scheduled_last(&mut world);
    assert!(parameters.contains(&format!(r#""seen":{}"#, both("other"))), "{parameters}");
    world.check_fold();
}

#[test]
fn if_unchanged_leaves_out_where_the_evidence_of_members_came_from() {
    let command = json!({"task": {"kind": "command", "spec": {"argv": ["make"]}}});
    let both = json!({"all": [{"id": "unit", "probe": command}, {"id": "either", "probe": {"any": [{"id": "lint", "probe": command}]}}]});
    let gate =
        json!({"id": "g", "probe": both, "on_fail": [{"to": {"rework": "a"}, "if_unchanged": "block"}]});
    let mut world = run(json!([with(function("a", &[]), json!({"gates": [gate]}))]));
    let evidence = |failed: u32, commit: &str| {
        let found = |exit: u32| json!({"exit": exit, "failed": failed, "source": {"commit": commit}});
        let either = json!({"members": [{"id": "lint", "kind": "command", "evidence": found(0)}]});
        json!({"members": [
            {"id": "unit", "kind": "command", "evidence": found(1)},
            {"id": "either", "kind": "any", "evidence": either},
        ]})
    };
    for (round, failed, commit, then) in
        [(1, 1, "c1", "ReworkRequested"), (2, 2, "c2", "ReworkRequested"), (3, 2, "c3", "StepBlocked")]
    {
        world.succeed(&format!("a/{round}/1"), json!(1));
        let batch = world.probe(&format!("a/{round}/1"), "g", 1, evidence(failed, commit));
        assert_eq!(names(&batch)[1], then, "round {round}");
    }
}

#[test]
fn l13_a_standby_step_may_fail_without_harm_and_what_needs_it_goes_on() {
    let mut world = run(json!([
        function("build", &[]),
        with(function("fix", &["build"]), json!({"standby": true, "on_fail": [{"to": "continue"}]})),
        with(
            function("check", &["fix"]),
            json!({"on_fail": [{"to": {"rework": "fix"}, "max": {"times": 1}}]})
        ),
    ]));
    world.succeed("build/1/1", json!(1));
    assert_eq!(status(&world, "fix"), StepStatus::Skipped);
    world.fail("check/1/1", "broken");
    assert_eq!(attempts(&world), ["fix/1/1"], "the first round that runs is its first");
    world.fail("fix/1/1", "no idea");
    assert_eq!(attempts(&world), ["check/2/1"]);
    world.succeed("check/2/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l6_a_blocked_step_satisfies_nothing() {
    let mut world =
        run(json!([with(function("a", &[]), json!({"on_fail": [{"to": "block"}]})), function("b", &["a"]),]));
    world.fail("a/1/1", "broken");
    assert_eq!((status(&world, "a"), status(&world, "b")), (StepStatus::Blocked, StepStatus::Pending));
    assert!(world.effects().is_empty());
}

#[test]
fn l7_when_is_judged_once_per_round_on_the_state_of_that_moment() {
    let mut world = run(json!([
        function("a", &[]),
        with(function("b", &["a"]), json!({"when": "steps.a.output.n < 2"})),
        with(function("check", &["b"]), json!({"on_fail": [{"to": {"rework": "a"}}]})),
    ]));
    world.succeed("a/1/1", json!({"n": 1}));
    world.succeed("b/1/1", json!(1));
    world.fail("check/1/1", "again");
    world.succeed("a/2/1", json!({"n": 2}));
    assert_eq!(status(&world, "b"), StepStatus::Skipped);
    assert_eq!(attempts(&world), ["check/2/1"]);
}

#[test]
fn l9_a_run_succeeds_when_every_step_has_ended() {
    let mut world = run(json!([
        with(function("a", &[]), json!({"on_fail": [{"to": "continue"}]})),
        with(function("b", &[]), json!({"when": "false"})),
        function("c", &[]),
    ]));
    world.fail("a/1/1", "tolerated");
    assert_eq!(world.state.status(), RunStatus::Running);
    world.succeed("c/1/1", json!(1));
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

#[test]
fn l25_a_cancel_asks_children_that_nobody_waited_for_to_end_and_waits_for_them() {
    let child = |id: &str, leave: &str| {
        let spec = json!({"pipeline": "p", "wait": false, "on_parent_cancel": leave});
        json!({"id": id, "needs": [], "work": {"task": {"kind": "run", "spec": spec}}})
    };
    let mut world =
        run(json!([child("ends", "cancel"), child("stays", "leave"), approval("hold", json!({}))]));
    world.succeed("ends/1/1", json!({"run": "x"}));
    world.succeed("stays/1/1", json!({"run": "y"}));
    let batch = world.by("ada", cancel()).expect("taken");
    assert_eq!(names(&batch)[..2], ["CancelRequested", "StopRequested"]);
    assert_eq!(world.effects(), [Effect::Stop { id: "ends/1/1".parse().expect("an id") }]);
    assert_eq!(world.state.status(), RunStatus::Stopping, "it waits for the child's end");
    world.by("ada", cancel()).expect("a second one asks no attempt again");
    let batch = world.fail("ends/1/1", "cancelled");
    assert_eq!((names(&batch)[0], names(&batch).last()), ("ChildStopped", Some(&"RunCancelled")));
    assert_eq!(status(&world, "ends"), StepStatus::Succeeded, "its step was done");
}
