//! The `else` of a step: its output where a round ends without one, rendered once and recorded.

use everfold_core::event::{RunEvent, UnblockDecision};
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, function, send_signal, status, unblock, wait, with};
use crate::fixtures::simulated_run::{World, definition};

/// A run of these steps, whose output is that of `a`.
fn run(steps: Value) -> World {
    let document = json!({"name": "p", "steps": steps, "output": "${steps.a.output}"});
    World::start(definition(document), json!({"go": false}))
}

/// What the run gave.
fn given(world: &World) -> Value {
    assert_eq!(world.state.status(), RunStatus::Succeeded, "{:?}", world.state.failure());
    world.state.output().value(&Default::default()).expect("it is small")
}

#[test]
fn a_step_that_is_skipped_gives_its_else() {
    let otherwise =
        json!({"n": 7, "go": "${input.go}", "why": "${failure == null ? 'skipped' : failure.kind}"});
    let a = with(function("a", &[]), json!({"when": "input.go", "else": otherwise}));
    let world = run(json!([a]));
    assert_eq!(status(&world, "a"), StepStatus::Skipped);
    assert_eq!(given(&world), json!({"n": 7, "go": false, "why": "skipped"}));
    let standby = with(function("a", &[]), json!({"standby": true, "else": "${step.id}"}));
    assert_eq!(given(&run(json!([standby]))), json!("a"));
}

#[test]
fn a_failure_that_is_tolerated_gives_the_else_with_its_reason() {
    let routes = json!({"on_fail": [{"to": "continue"}], "else": {"ok": false, "why": "${failure.message}"}});
    let reader = json!({"id": "b", "needs": ["a"], "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${steps.a.output.why}"}}}});
    let mut world = run(json!([with(function("a", &[]), routes.clone()), reader]));
    world.fail("a/1/1", "the disk is full");
    world.succeed("b/1/1", json!(1));
    assert_eq!(given(&world), json!({"ok": false, "why": "the disk is full"}));
    // Of a `foreach` it stands for the whole list.
    let each = with(function("a", &[]), json!({"foreach": {"items": [1, 2]}}));
    let mut world = run(json!([with(each, routes)]));
    world.fail("a.0/1/1", "no");
    world.succeed("a.1/1/1", json!(2));
    assert_eq!(given(&world)["ok"], json!(false));
}

#[test]
fn a_step_that_is_passed_over_gives_its_else() {
    let routes = json!({"on_fail": [{"to": "block"}], "else": "${[1, 2]}"});
    for decision in [UnblockDecision::Skip, UnblockDecision::Proceed] {
        let mut world = run(json!([with(function("a", &[]), routes.clone())]));
        world.fail("a/1/1", "no");
        world.by("ada", unblock(decision)).expect("it is blocked");
        assert_eq!(given(&world), json!([1, 2]), "{decision:?}");
    }
    // What a signal decides, too.
    let heard = json!({"on_signal": {"past": [{"to": {"unblock": "proceed"}}]}});
    let mut world = run(json!([with(with(function("a", &[]), routes.clone()), heard)]));
    world.fail("a/1/1", "no");
    send_signal(&mut world, "past", Value::Null);
    assert_eq!(given(&world), json!([1, 2]));
    // Where nothing that it needs succeeded.
    let failing = |id: &str| with(function(id, &[]), json!({"on_fail": [{"to": "continue"}]}));
    let a = with(function("a", &["x", "y"]), json!({"join": "any", "else": "none"}));
    let mut world = run(json!([failing("x"), failing("y"), a]));
    world.fail("x/1/1", "no");
    world.fail("y/1/1", "no");
    assert_eq!(given(&world), json!("none"));
}

#[test]
fn work_that_brought_an_output_keeps_it() {
    let gate = json!([{"id": "g", "probe": {"expression": "false"}, "on_fail": [{"to": "block"}]}]);
    let mut world = run(json!([with(function("a", &[]), json!({"gates": gate, "else": "else"}))]));
    world.succeed("a/1/1", json!("own"));
    world.by("ada", unblock(UnblockDecision::Proceed)).expect("it is blocked");
    assert_eq!(given(&world), json!("own"));
}

#[test]
fn a_signal_that_comes_in_time_leaves_the_else_aside() {
    let awaited =
        wait("a", &[], json!({"signal": "go", "timeout": "1h", "on_timeout": [{"to": "continue"}]}));
    let mut world = run(json!([with(awaited, json!({"else": {"heard": false}}))]));
    send_signal(&mut world, "go", json!({"heard": true}));
    assert_eq!(given(&world), json!({"heard": true}));
}

#[test]
fn an_else_that_cannot_be_rendered_fails_the_step() {
    let mut world = run(json!([
        function("x", &[]),
        with(function("a", &["x"]), json!({"when": "input.go", "else": "${steps.x.output.n + 1}"})),
    ]));
    world.succeed("x/1/1", json!({"n": "text"}));
    assert_eq!(world.state.status(), RunStatus::Failed);
    let (failure, path) = world.state.failure().expect("it failed");
    assert!(failure.message.starts_with("`else` of “a”") && path.is_some(), "{failure:?}");
}

#[test]
fn a_large_else_is_kept_outside_of_the_event() {
    let mut world = run(json!([
        function("x", &[]),
        with(function("a", &["x"]), json!({"when": "input.go", "else": "${steps.x.output}"})),
        with(function("b", &["a"]), json!({"when": "size(steps.a.output) > 30000"})),
    ]));
    world.succeed("x/1/1", json!("y".repeat(40_000)));
    while let Some(effect) = world.effects().first().cloned().filter(|_| attempts(&world).is_empty()) {
        world.answer(&effect, 0);
    }
    assert_eq!(attempts(&world), ["b/1/1"], "the step behind it reads all of it");
    let skipped = world.history.iter().find_map(|(_, event)| match event {
        RunEvent::StepSkipped(skipped) => skipped.output.clone(),
        _other => None,
    });
    assert!(skipped.is_some_and(|output| output.text().is_none()));
}
