//! What a person's `skip` takes from later steps.

use everfold_core::decide::Refusal;
use everfold_core::event::UnblockDecision;
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use serde_json::{Value, json};

use crate::fixtures::scenario::{attempts, function, unblock, with};
use crate::fixtures::simulated_run::{World, definition};

/// A run that is blocked at `plan`, with this step behind it.
fn blocked(reader: Value, output: Value) -> World {
    let plan = with(function("plan", &[]), json!({"on_fail": [{"to": "block"}]}));
    let steps = json!([plan, function("between", &["plan"]), reader]);
    let mut world =
        World::start(definition(json!({"name": "p", "steps": steps, "output": output})), json!({}));
    world.fail("plan/1/1", "broken");
    world
}

fn reads(text: &str) -> Value {
    let spec = json!({"name": "f", "with": {"text": text}});
    json!({"id": "build", "needs": ["between"], "work": {"task": {"kind": "function", "spec": spec}}})
}

#[test]
fn row_46_a_skip_that_would_make_a_later_reader_fail_is_refused_with_its_name() {
    let each = json!({"foreach": {"items": "${steps.plan.output}"}});
    let env = json!({"env": {"FILES": "${steps.plan.output.files.size()}"}});
    for (reader, chain) in [
        (reads("${steps.plan.output.files}"), "steps.plan.output.files"),
        (reads("${steps.plan.output.files[0].name}"), "steps.plan.output.files"),
        (with(function("build", &["between"]), each), "steps.plan.output"),
        (with(function("build", &["between"]), env), "steps.plan.output.files"),
        (
            with(function("build", &["between"]), json!({"when": "steps.plan.output.n > 1"})),
            "steps.plan.output.n",
        ),
    ] {
        let mut world = blocked(reader, Value::Null);
        let refusal = world.by("ada", unblock(UnblockDecision::Skip)).expect_err("a reader needs it");
        let Refusal::Needed { reader, chain: known, .. } = &refusal else { panic!("{refusal}") };
        assert!(reader.contains("build") && known.starts_with(chain), "{refusal}");
        // With an output no reader misses anything.
        let output = json!({"files": [{"name": "a"}], "n": 2});
        let proceed = InputKind::Unblock {
            path: None,
            decision: UnblockDecision::Proceed,
            output: Some(output.into()),
            reason: None,
            policies: Default::default(),
            keeps_items: true,
        };
        world.by("ada", proceed).expect("taken");
        assert_eq!(attempts(&world), ["between/1/1"]);
    }
    let mut world = blocked(function("build", &["between"]), json!("${steps.plan.output.files}"));
    let refusal = world.by("ada", unblock(UnblockDecision::Skip)).expect_err("the run's output needs it");
    assert!(refusal.to_string().contains("the run's `output` reads steps.plan.output.files"), "{refusal}");
}

#[test]
fn row_46_who_asks_first_is_no_reason_to_refuse_a_skip() {
    for reader in [
        reads("${steps.plan.output.?files.orValue([])}"),
        reads("${steps.plan.status == 'succeeded' ? steps.plan.output.files : []}"),
        reads("${steps.plan.output == null ? 'nothing' : steps.plan.output.files}"),
        with(reads("${steps.plan.output.files}"), json!({"when": "steps.plan.status == 'succeeded'"})),
        reads("${steps.plan.output}"),
        function("build", &["between"]),
    ] {
        let mut world = blocked(reader, Value::Null);
        world.by("ada", unblock(UnblockDecision::Skip)).expect("no reader misses it");
        world.succeed("between/1/1", json!(1));
        if !world.state.is_ended() {
            world.succeed("build/1/1", json!(1));
        }
        assert_eq!(world.state.status(), RunStatus::Succeeded);
    }
}
