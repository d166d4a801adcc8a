//! No input costs O(size of the run).

use everfold_core::effect::Effect;
use everfold_core::state::RunStatus;
use serde_json::json;

use crate::fixtures::simulated_run::{World, definition};

/// Runs a fan-out of `items` and gives how many parts of the run were looked at, and its events.
fn fan_out(items: usize, max_in_flight: Option<u32>) -> (usize, usize) {
    let list: Vec<usize> = (0..items).collect();
    let pipeline = definition(json!({"name": "wide", "steps": [
        {"id": "each", "foreach": {"items": "${input.list}", "max_in_flight": max_in_flight},
         "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${item}"}}}},
        {"id": "join", "needs": ["each"], "work": {"task": {"kind": "function", "spec": {"name": "g"}}}},
    ]}));
    let mut world = World::without_checks(pipeline, json!({"list": list}));
    while !world.state.is_ended() {
        let effects: Vec<Effect> = world
            .take_effects()
            .into_iter()
            .filter(|effect| !matches!(effect, Effect::Timer { .. }))
            .collect();
        assert!(!effects.is_empty());
        for effect in effects {
            world.answer_quickly(&effect);
        }
    }
    assert_eq!(world.state.status(), RunStatus::Succeeded);
    (world.touched, world.history.len())
}

#[test]
fn d1_a_fan_out_is_linear_in_its_items() {
    for max_in_flight in [None, Some(4)] {
        let (small_touched, small_events) = fan_out(500, max_in_flight);
        let (large_touched, large_events) = fan_out(5_000, max_in_flight);
        assert!(large_events < small_events * 11, "{small_events} → {large_events} events");
        assert!(large_touched < small_touched * 11, "{small_touched} → {large_touched} parts looked at");
    }
}
