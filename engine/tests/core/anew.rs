//! What a rework begins anew, what it stops, and what is told then (L10–L13).

use everfold_engine::definition::Vote;
use everfold_engine::effect::Effect;
use everfold_engine::event::UnblockDecision;
use everfold_engine::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use super::rules::{approval, attempts, cancel, function, names, run, status, unblock, vote, with};
use super::world::World;

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
