//! The words in which rules are told: what a pipeline has, what happens to a run, and what is seen of it.

use everfold_engine::decide::Refusal;
use everfold_engine::definition::{OnLost, Vote};
use everfold_engine::effect::Effect;
use everfold_engine::event::{RunEvent, TimerKind, UnblockDecision};
use everfold_engine::input::InputKind;
use everfold_engine::state::StepStatus;
use everfold_engine::time::Timestamp;
use serde_json::{Value, json};

use super::world::{World, definition};

/// A run of these steps, without input.
pub fn run(steps: Value) -> World {
    World::start(definition(json!({"name": "p", "steps": steps})), json!({}))
}

pub fn function(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "function", "spec": {"name": "f"}}}})
}

pub fn with(mut step: Value, more: Value) -> Value {
    let fields = step.as_object_mut().expect("a step");
    fields.extend(more.as_object().expect("fields").clone());
    step
}

pub fn approval(id: &str, more: Value) -> Value {
    json!({"id": id, "work": {"approval": with(json!({"title": "go on?"}), more)}})
}

pub fn names(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::name).collect()
}

pub fn status(world: &World, step: &str) -> StepStatus {
    world.state.step_status(&step.into()).expect("a step")
}

pub fn attempts(world: &World) -> Vec<String> {
    let ids = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::Attempt { id, .. } => Some(id.to_string()),
        _other => None,
    });
    ids.collect()
}

pub fn cancel() -> InputKind {
    InputKind::Cancel { reason: None }
}

pub fn unblock(decision: UnblockDecision) -> InputKind {
    InputKind::Unblock { path: None, decision, output: None, reason: None, policies: Default::default() }
}

pub fn vote(id: &str, vote: Vote) -> InputKind {
    InputKind::Vote {
        id: id.parse().expect("a task"),
        vote,
        comment: None,
        roles: vec![],
        comments: Vec::new(),
        edited: None,
    }
}

pub fn lose(world: &mut World, id: &str, fallback: OnLost) {
    let id = id.parse().expect("an attempt");
    world
        .give(InputKind::AttemptLost { id, reason: "no record".into(), fallback })
        .expect("reports are taken");
}

pub fn signal(name: &str, payload: Value) -> InputKind {
    InputKind::Signal { name: name.into(), payload: payload.into(), delivery: None }
}

pub fn told(world: &mut World, name: &str, payload: Value) -> Vec<RunEvent> {
    world.by("ada", signal(name, payload)).expect("a signal is taken")
}

pub fn pause(world: &mut World) {
    world.by("ada", InputKind::Pause { reason: None }).expect("taken");
}

pub fn resume(world: &mut World) -> Vec<RunEvent> {
    world.by("ada", InputKind::Resume { reason: None }).expect("taken")
}

pub fn cancel_step(world: &mut World, path: &str) -> Result<Vec<RunEvent>, Refusal> {
    world.by(
        "ada",
        InputKind::CancelStep { path: path.parse().expect("a path"), reason: Some("enough".into()) },
    )
}

pub fn wait(id: &str, needs: &[&str], wait: Value) -> Value {
    json!({"id": id, "needs": needs, "work": {"wait": wait}})
}

pub fn rework(to: &str) -> Value {
    json!({"on_fail": [{"to": {"rework": to}}]})
}

/// The timer of that kind that is set, and when it is due.
pub fn timer(world: &World, kind: TimerKind) -> Option<(Effect, Timestamp)> {
    world.effects().into_iter().find_map(|effect| match &effect {
        Effect::Timer { timer, at } if timer.kind == kind => {
            let at = *at;
            Some((effect, at))
        }
        _other => None,
    })
}
