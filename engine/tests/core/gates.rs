//! Gates, rule by rule: L14 to L18.

use everfold_engine::effect::Effect;
use everfold_engine::event::{RunEvent, TimerKind};
use everfold_engine::input::InputKind;
use everfold_engine::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use super::world::{World, definition};

/// A run of one step with these gates, whose work has ended.
fn judged(gates: Value) -> World {
    let work = json!({"task": {"kind": "function", "spec": {"name": "f"}}});
    let mut world = World::start(
        definition(json!({"name": "p", "steps": [{"id": "a", "work": work, "gates": gates}]})),
        json!({}),
    );
    world.succeed("a/1/1", json!({"n": 1}));
    world
}

fn with(mut base: Value, more: Value) -> Value {
    let fields = base.as_object_mut().expect("a map");
    fields.extend(more.as_object().expect("fields").clone());
    base
}

/// A gate that a prober of this kind collects evidence for; a policy of its own unless `more` has one.
fn probe(id: &str, kind: &str, more: Value) -> Value {
    with(json!({"id": id, "probe": {"task": {"kind": kind, "spec": {"name": id}}}}), more)
}

fn command(id: &str, more: Value) -> Value {
    probe(id, "command", more)
}

fn names(events: &[RunEvent]) -> Vec<&'static str> {
    events.iter().map(RunEvent::name).collect()
}

fn exit(exit: i64) -> Value {
    json!({"argv": ["make"], "exit": exit, "output": ""})
}

fn no_evidence(world: &mut World, gate: &str, probe_no: u32) -> Vec<RunEvent> {
    let kind = InputKind::ProbeFailed {
        id: "a/1/1".parse().expect("an id"),
        gate: gate.into(),
        probe_no,
        message: "no network".into(),
        permanent: false,
        took_ms: 1,
    };
    world.give(kind).expect("reports are taken")
}

fn signal(world: &mut World, name: &str) -> Vec<RunEvent> {
    let kind =
        InputKind::Signal { name: name.into(), payload: json!({"state": "success"}).into(), delivery: None };
    world.by("hook", kind).expect("a signal is taken")
}

fn probes(world: &World) -> Vec<(String, u32)> {
    let probes = world.effects().into_iter().filter_map(|effect| match effect {
        Effect::Probe { gate, probe_no, .. } => Some((gate, probe_no)),
        _other => None,
    });
    probes.collect()
}

/// How long until the next poll, in milliseconds from the last input.
fn poll_in(world: &World) -> Option<i64> {
    world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } if timer.kind == TimerKind::Poll => Some(at.0 - world.now.0),
        _other => None,
    })
}

fn fire_poll(world: &mut World) -> Vec<RunEvent> {
    let before = world.history.len();
    let timer = world.effects().into_iter().find(|effect| matches!(effect, Effect::Timer { .. }));
    world.answer(&timer.expect("a timer"), 0);
    world.history[before..].iter().map(|(_, event)| event.clone()).collect()
}

fn status(world: &World) -> StepStatus {
    world.state.step_status(&"a".into()).expect("the step")
}

const PENDING: &str = "evidence.exit == 0 ? 'pass' : evidence.exit == 1 ? 'fail' : 'pending'";

#[test]
fn l17_a_signal_probes_now_and_restarts_the_pause_and_is_no_poll() {
    let poll = json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 2}});
    let mut world = judged(json!([command("g", poll)]));
    world.probe("a/1/1", "g", 1, exit(2));
    assert_eq!(poll_in(&world), Some(30_000));
    assert_eq!(names(&signal(&mut world, "other")), ["SignalReceived"], "another name wakes nobody");
    assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived", "SignalTaken"]);
    assert_eq!((probes(&world), poll_in(&world)), (vec![("g".to_owned(), 2)], None));
    // Its answer is no poll: one of the two is left, 30s after it.
    assert_eq!(names(&world.probe("a/1/1", "g", 2, exit(2))), ["GateEvaluated", "TimerSet"]);
    assert_eq!(poll_in(&world), Some(30_000));
    fire_poll(&mut world);
    assert_eq!(probes(&world), [("g".to_owned(), 3)]);
    let batch = world.probe("a/1/1", "g", 3, exit(2));
    assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "none after the last");
}

#[test]
fn l17_a_signal_during_a_probe_causes_one_more_unless_it_passes() {
    let gate =
        || command("g", json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 1}}));
    let woken = || {
        let mut world = judged(json!([gate()]));
        signal(&mut world, "ci");
        signal(&mut world, "ci");
        assert_eq!(probes(&world), [("g".to_owned(), 1)], "the one in progress goes on");
        world
    };
    for answer in [1, 2] {
        let mut world = woken();
        assert_eq!(names(&world.probe("a/1/1", "g", 1, exit(answer))), ["GateEvaluated"]);
        assert_eq!(probes(&world), [("g".to_owned(), 2)], "one more, for both signals");
        let batch = world.probe("a/1/1", "g", 2, exit(0));
        assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
    }
    let mut world = woken();
    assert_eq!(names(&no_evidence(&mut world, "g", 1)), ["ProbeFailed"]);
    assert_eq!(probes(&world), [("g".to_owned(), 2)]);
    assert_eq!(names(&no_evidence(&mut world, "g", 2)), ["ProbeFailed", "StepBlocked"]);
    let mut world = woken();
    let batch = world.probe("a/1/1", "g", 1, exit(0));
    assert_eq!(names(&batch), ["GateEvaluated", "StepSucceeded", "RunSucceeded"]);
}

#[test]
fn l17_a_blocked_gate_hears_and_a_pass_unblocks() {
    let once = json!({"policy": PENDING, "wake": ["ci"], "poll": {"every": "30s", "max": 1}, "on_fail": [{"to": "block"}]});
    for (answer, reason) in [(2, "no verdict in time"), (1, "a failure that blocks")] {
        let mut world = judged(json!([command("g", once.clone()), command("last", json!({}))]));
        world.probe("a/1/1", "g", 1, exit(answer));
        assert_eq!(status(&world), StepStatus::Blocked, "{reason}");
        assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived", "SignalTaken"]);
        assert_eq!((status(&world), world.state.status()), (StepStatus::Gating, RunStatus::Running));
        let batch = world.probe("a/1/1", "g", 2, exit(2));
        assert_eq!(names(&batch), ["GateEvaluated", "StepBlocked"], "only a pass unblocks");
        signal(&mut world, "ci");
        let batch = world.probe("a/1/1", "g", 3, exit(0));
        assert_eq!(names(&batch), ["GateEvaluated", "ProbeScheduled"], "on to the next gate");
        assert_eq!(names(&signal(&mut world, "ci")), ["SignalReceived"], "a gate that passed hears no more");
    }
}

#[test]
fn l17_expressions_and_gates_of_paused_runs_hear_too() {
    let gate = json!({"id": "g", "probe": {"expression": "'pending'"}, "wake": ["go"], "poll": {"every": "30s", "max": 2}});
    let mut world = judged(json!([gate]));
    assert_eq!(
        names(&signal(&mut world, "go")),
        ["SignalReceived", "SignalTaken", "GateEvaluated", "TimerSet"]
    );
    fire_poll(&mut world);
    assert_eq!(status(&world), StepStatus::Blocked, "two polls; the signal was none");
    let mut world = judged(json!([command("g", json!({"policy": PENDING, "wake": ["ci"]}))]));
    world.probe("a/1/1", "g", 1, exit(2));
    world.by("ada", InputKind::Pause { reason: None }).expect("taken");
    signal(&mut world, "ci");
    assert_eq!(probes(&world), [], "no probe starts in a paused run");
    world.by("ada", InputKind::Resume { reason: None }).expect("taken");
    assert_eq!(probes(&world), [("g".to_owned(), 2)]);
}
