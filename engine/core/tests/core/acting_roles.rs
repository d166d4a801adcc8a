//! The role in whose name work and gates act: rendered with them, and recorded where a secret has a source per role.

use everfold_base::id::AttemptId;
use everfold_core::decide::{Loaded, plan};
use serde_json::{Value, json};

use crate::fixtures::scenario::{function, with};
use crate::fixtures::simulated_run::{World, definition};

fn attempt(world: &World, id: &str) -> plan::AttemptPlan {
    let id: AttemptId = id.parse().expect("an attempt");
    plan::attempt(&world.state, &id, &Loaded::default()).expect("all is at hand").expect("it is current")
}

/// A step with work that is given the secret `T`, in whose name `more` says.
fn acting(more: Value) -> Value {
    let work = json!({"task": {"kind": "function", "spec": {"name": "f", "with": {"t": "${secrets.T}"}}}});
    with(json!({"id": "a", "work": work}), more)
}

fn with_roles(step: &Value) -> World {
    let secrets =
        json!({"T": {"of": {"roles": {"dev": {"env": "D"}}, "else": {"env": "S"}}}, "U": {"env": "U"}});
    World::start(
        definition(json!({"name": "p", "secrets": secrets, "steps": [step]})),
        json!({"user": "ada"}),
    )
}

#[test]
fn o178_the_role_of_work_is_rendered_and_recorded_with_it() {
    for (more, role) in [
        (json!({}), None),
        (json!({"as": "dev"}), Some("dev")),
        (json!({"as": "${input.user}"}), Some("ada")),
        (json!({"as": "${null}"}), None),
    ] {
        let world = with_roles(&acting(more.clone()));
        assert_eq!(attempt(&world, "a/1/1").secrets.role.as_deref(), role, "{more}");
    }
    let spec = json!({"profile": "script", "role": "critic", "prompt": "x", "with": {"t": "${secrets.T}"}});
    let agent = json!({"id": "a", "work": {"task": {"kind": "agent", "spec": spec}}});
    assert_eq!(attempt(&with_roles(&agent), "a/1/1").secrets.role.as_deref(), Some("critic"));
    let other = with(agent, json!({"as": "dev"}));
    assert_eq!(attempt(&with_roles(&other), "a/1/1").secrets.role.as_deref(), Some("dev"));
}

#[test]
fn o178_work_that_is_given_no_secret_with_sources_by_role_records_no_role() {
    for spec in [json!({"name": "f"}), json!({"name": "f", "with": {"u": "${secrets.U}"}})] {
        let work = json!({"task": {"kind": "function", "spec": spec}});
        // It would fail, and is not asked for.
        let step = json!({"id": "a", "as": "${input.none}", "work": work});
        assert_eq!(attempt(&with_roles(&step), "a/1/1").secrets.role, None);
    }
}

#[test]
fn o178_a_gate_has_its_own_role_else_that_of_its_step() {
    let probe = json!({"task": {"kind": "http", "spec": {"url": "u", "headers": {"a": "${secrets.T}"}}}});
    let member = json!({"any": [{"probe": {"expression": "1 == 2"}}, {"probe": probe}]});
    for (own, role) in
        [(json!({}), "dev"), (json!({"as": "stream"}), "stream"), (json!({"as": "${null}"}), "dev")]
    {
        let gates = [json!({"id": "g", "probe": probe}), json!({"id": "g", "probe": member})];
        for gate in gates.map(|gate| with(gate, own.clone())) {
            let step = with(function("a", &[]), json!({"gates": [gate], "as": "dev"}));
            let mut world = with_roles(&step);
            world.succeed("a/1/1", json!(1));
            let id = "a/1/1".parse().expect("an attempt");
            let plan = plan::probe(&world.state, &id, "g", &Loaded::default()).unwrap().unwrap();
            assert_eq!(plan.secrets.role.as_deref(), Some(role), "{gate}");
        }
    }
}
