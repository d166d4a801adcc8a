//! What expressions see of their own step.

use everfold_engine::event::RunEvent;
use everfold_engine::policy::Verdict;
use everfold_engine::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use super::world::{World, definition};

fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({}))
}

/// The document of the work that was scheduled last.
fn scheduled(world: &World) -> Value {
    let last = world.history.iter().rev().find(|(_, event)| matches!(event, RunEvent::StepScheduled(_)));
    serde_json::to_value(&last.expect("something was scheduled").1).expect("JSON")
}

fn verdicts(events: &[RunEvent]) -> Vec<Verdict> {
    let verdicts = events.iter().filter_map(|event| match event {
        RunEvent::GateEvaluated(evaluated) => Some(evaluated.verdict),
        _other => None,
    });
    verdicts.collect()
}

/// Work was told the round before its own, and the attempt with which that one had ended.
#[test]
fn work_is_told_the_round_that_it_begins() {
    let told = "${step.round} ${step.rounds} ${steps.a.round} ${steps.a.rounds} ${attempt}";
    let mut world = run(json!([{
        "id": "a", "retry": {"attempts": 2, "backoff_min": "0ms", "backoff_max": "0ms"},
        "on_fail": [{"to": {"rework": "a"}}],
        "work": {"task": {"kind": "function", "spec": {"name": "f", "with": told}}},
    }]));
    assert!(scheduled(&world).to_string().contains("1 1 1 1 1"), "{}", scheduled(&world));
    world.fail("a/1/1", "no");
    let retry = world.effects().into_iter().find(|effect| format!("{effect:?}").contains("Timer"));
    if let Some(timer) = retry {
        world.answer(&timer, 0);
    }
    world.fail("a/1/2", "no");
    assert!(scheduled(&world).to_string().contains("2 2 2 2 1"), "{}", scheduled(&world));
}

/// Gates of a `foreach` saw null.
#[test]
fn l24_a_gate_judges_the_whole_of_a_foreach() {
    let mut world = run(json!([{
        "id": "each", "foreach": {"items": [1, 2]},
        "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
        "gates": [{"id": "all", "probe": {"expression": "output.map(item, item.output) == [3, 4]"}}],
    }]));
    world.succeed("each.0/1/1", json!(3));
    let events = world.succeed("each.1/1/1", json!(4));
    assert_eq!(verdicts(&events), [Verdict::Pass]);
    assert_eq!(world.state.status(), RunStatus::Succeeded);
}

/// An output that is kept outside of the state was null in the step's own gates.
#[test]
fn d3_a_gate_sees_an_output_that_must_be_loaded_first() {
    let mut world = run(json!([{
        "id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f"}}},
        "gates": [{"id": "long", "probe": {"expression": "size(output) == 5000"}}],
    }]));
    world.succeed("a/1/1", json!("x".repeat(5_000)));
    while let Some(effect) = world.effects().first().cloned() {
        world.answer(&effect, 0);
    }
    let events: Vec<RunEvent> = world.history.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!(verdicts(&events), [Verdict::Pass]);
    assert_eq!(world.state.step_status(&"a".into()), Some(StepStatus::Succeeded));
}

/// `findings` of a gate's route could not name the output, and the default was told in silence.
#[test]
fn l11_findings_may_hold_the_output_that_was_judged() {
    let mut world = run(json!([{
        "id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${rework.?findings}"}}},
        "gates": [{"id": "good", "probe": {"expression": "output.good"},
            "on_fail": [{"to": {"rework": "a"}, "findings": "because ${output.why}"}]}],
    }]));
    world.succeed("a/1/1", json!({"good": false, "why": "it rains"}));
    assert!(scheduled(&world).to_string().contains("because it rains"), "{}", scheduled(&world));
}
