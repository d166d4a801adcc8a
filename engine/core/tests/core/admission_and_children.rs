//! L3–L5, L25, D9: what a run takes with it, waits for, and starts.

use everfold_base::failure::{Failure, FailureKind};
use everfold_base::json::JsonText;
use everfold_core::decide::Refusal;
use everfold_core::effect::Effect;
use everfold_core::event::{
    AdmissionEvidence, AttemptStarted, CancelRequested, RunAdmitted, RunEvent, RunPaused, RunResumed,
    TimerFired,
};
use everfold_core::input::{InputKind, Start};
use everfold_core::state::{RunStatus, StepStatus};
use serde_json::{Value, json};

use crate::fixtures::scenario::names;
use crate::fixtures::simulated_run::{RUN, World, definition, start};

fn child(id: &str, needs: &[&str]) -> Value {
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "run", "spec": {"pipeline": "deploy"}}}})
}

fn started(document: Value) -> World {
    World::start(definition(document), json!({}))
}

fn begin(document: Value, change: impl FnOnce(&mut Start)) -> (World, Result<Vec<RunEvent>, Refusal>) {
    let mut world = World::new(definition(document));
    let InputKind::Start(mut asked) = start(json!({})) else { unreachable!("a start") };
    change(&mut asked);
    let result = world.give(InputKind::Start(asked));
    (world, result)
}

#[test]
fn l25_a_childs_beginning_and_end_are_the_facts_of_its_attempt() {
    let mut world = started(json!({"name": "p", "steps": [child("ship", &[])]}));
    let id: everfold_base::id::AttemptId = "ship/1/1".parse().unwrap();
    let began = world
        .give(InputKind::AttemptStarted(AttemptStarted { id: id.clone(), began_at: None, holder: None }))
        .unwrap();
    let [RunEvent::ChildStarted(event)] = began.as_slice() else { panic!("{began:?}") };
    assert_eq!((&event.id, event.child), (&id, RUN.child(&id)));
    let ended = world.succeed("ship/1/1", json!({"sha": 1}));
    assert_eq!(names(&ended), ["ChildFinished", "StepSucceeded", "RunSucceeded"]);
    world.check_fold();
}

#[test]
fn l25_a_failed_child_is_retried_as_another_child_and_fails_the_step() {
    let mut step = child("ship", &[]);
    step["retry"] = json!({"attempts": 2, "backoff_min": "1ms", "backoff_max": "1ms"});
    let mut world = started(json!({"name": "p", "steps": [step]}));
    let failure = || Err(Failure::new(FailureKind::Exit, "child run 1 failed"));
    let first = world.finish("ship/1/1", failure());
    assert_eq!(names(&first), ["ChildFinished", "RetryScheduled"]);
    let timer = world.effects().into_iter().find_map(|effect| match effect {
        Effect::Timer { timer, at } => Some(InputKind::TimerFired(TimerFired { timer, due: at })),
        _other => None,
    });
    world.give(timer.expect("the retry's pause")).unwrap();
    let second = world.finish("ship/1/2", failure());
    assert_eq!(names(&second), ["ChildFinished", "StepFailed", "RunFailed"]);
    let children: Vec<_> = world
        .history
        .iter()
        .filter_map(|(_, event)| match event {
            RunEvent::ChildFinished(event) => Some(event.child),
            _other => None,
        })
        .collect();
    assert_ne!(children[0], children[1]);
}

#[test]
fn l25_cancelling_the_run_stops_its_children() {
    let mut world = started(json!({"name": "p", "steps": [child("one", &[]), child("two", &[])]}));
    world.by("ada", InputKind::Cancel(CancelRequested { reason: None })).unwrap();
    let stops = world.effects().into_iter().filter(|effect| matches!(effect, Effect::Stop { .. }));
    assert_eq!(stops.count(), 2);
    for id in ["one/1/1", "two/1/1"] {
        world.finish(id, Err(Failure::new(FailureKind::Cancelled, "child run 1 was cancelled")));
    }
    assert_eq!(world.state.status(), RunStatus::Cancelled);
}

#[test]
fn l3_settings_are_pinned_in_the_first_event_and_told_to_expressions() {
    let document = json!({
        "name": "p", "labels": {"model": "${config.app.model}"},
        "steps": [{"id": "a", "work": {"task": {"kind": "function", "spec": {"name": "f", "with": "${config.app}"}}}}],
        "output": "${config.app.limits.time}",
    });
    let app = json!({"app": {"model": "small", "limits": {"time": 5}, "big": "x".repeat(40_000)}});
    let (mut world, result) = begin(document, |start| start.config = Some(JsonText::new(&app)));
    // They are large, so they are kept out of the state and loaded first.
    assert_eq!(names(&result.unwrap()), ["RunStarted"]);
    assert_eq!(names(&world.give(InputKind::Advance).unwrap()), ["Advanced", "StepScheduled"]);
    assert_eq!(world.state.labels()["model"], "small");
    world.succeed("a/1/1", json!(null));
    let ended = world.give(InputKind::Advance).unwrap();
    let Some(RunEvent::RunSucceeded(event)) = ended.last() else { panic!("{ended:?}") };
    assert_eq!(event.output.hash(), JsonText::new(&json!(5)).hash());
    world.check_fold();
}

fn queued() -> Value {
    json!({
        "name": "p", "key": {"value": "task"}, "concurrency": [{"key": "repo", "limit": 2}],
        "steps": [{"id": "a", "work": {"task": {"kind": "command", "spec": {"argv": ["true"]}}}}],
        "on_finish": [{"id": "tidy", "work": {"task": {"kind": "command", "spec": {"argv": ["true"]}}}}],
    })
}

#[test]
fn d9_a_run_with_slots_waits_until_it_is_admitted() {
    let mut world = started(queued());
    assert_eq!(world.names(), ["RunStarted", "RunQueued"]);
    assert_eq!(world.effects(), [Effect::Slots]);
    assert_eq!(world.state.status(), RunStatus::Queued);
    assert_eq!(world.state.slots().len(), 2);
    assert!(world.state.note().busy && world.state.note().open);
    let admitted =
        world.give(InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false })).unwrap();
    assert_eq!(names(&admitted), ["RunAdmitted", "StepScheduled"]);
    assert!(
        world
            .give(InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false }))
            .unwrap()
            .is_empty(),
        "once"
    );
    world.check_fold();
}

#[test]
fn d9_a_run_that_is_cancelled_while_it_waits_never_begins() {
    let mut world = started(queued());
    let ended =
        world.by("ada", InputKind::Cancel(CancelRequested { reason: Some("replaced".into()) })).unwrap();
    assert_eq!(names(&ended), ["CancelRequested", "StepCancelled", "StepCancelled", "RunCancelled"]);
    assert_eq!(world.state.step_status(&"tidy".into()), Some(StepStatus::Cancelled));
    assert!(
        world
            .give(InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false }))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn d9_a_paused_run_that_is_admitted_begins_when_it_is_resumed() {
    let mut world = started(queued());
    world.by("ada", InputKind::Pause(RunPaused { reason: None, interrupt: false })).unwrap();
    let admitted =
        world.give(InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: false })).unwrap();
    assert_eq!(names(&admitted), ["RunAdmitted"]);
    let resumed = world.by("ada", InputKind::Resume(RunResumed { reason: None, prompt: None })).unwrap();
    assert_eq!(names(&resumed), ["RunResumed", "StepScheduled"]);
}

fn admitting(on_refused: &str) -> Value {
    let probe = json!({"task": {"kind": "http", "spec": {"url": "http://x/${run.short_id}"}}});
    let ready =
        json!({"id": "ready", "probe": probe, "policy": "evidence.status == 200", "code": "NOT_READY"});
    let later = json!({"id": "later", "probe": {"expression": "true"}});
    let mut document = queued();
    document["admit"] = json!({"gates": [ready, later], "on_refused": on_refused});
    document
}

fn found(status: u16) -> Vec<AdmissionEvidence> {
    let evidence = Some(JsonText::new(&json!({"status": status})));
    vec![AdmissionEvidence { gate: "ready".into(), evidence, message: None, took_ms: 3 }]
}

#[test]
fn l5_gates_before_the_start_are_judged_on_the_evidence_that_came_with_it() {
    let (world, result) = begin(admitting("refuse"), |start| start.admission = found(200));
    assert_eq!(names(&result.unwrap()), ["RunStarted", "GateEvaluated", "GateEvaluated", "RunQueued"]);
    assert_eq!(world.state.status(), RunStatus::Queued);
    let (world, result) = begin(admitting("refuse"), |start| start.admission = found(503));
    let refusal = result.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::NotAdmitted { gate, code: Some(code), .. } if gate == "ready" && code == "NOT_READY")
    );
    assert!(world.history.is_empty());
    let (world, result) = begin(admitting("fail"), |start| start.admission = found(503));
    assert_eq!(names(&result.unwrap()), ["RunStarted", "GateEvaluated", "RunFailed"]);
    assert_eq!(world.state.status(), RunStatus::Failed);
    assert!(world.effects().is_empty());
}

#[test]
fn l5_no_evidence_is_no_pass() {
    let none = |start: &mut Start| {
        let message = Some("the network is down".to_owned());
        start.admission =
            vec![AdmissionEvidence { gate: "ready".into(), evidence: None, message, took_ms: 3 }];
    };
    let (world, result) = begin(admitting("fail"), none);
    assert_eq!(names(&result.unwrap()), ["RunStarted", "ProbeFailed", "RunFailed"]);
    let (failure, _) = world.state.failure().unwrap();
    assert!(failure.message.contains("the network is down"), "{}", failure.message);
}

#[test]
fn l5_a_failure_on_leaving_the_queue_always_fails_the_run() {
    let (mut world, result) = begin(admitting("refuse"), |start| start.admission = found(200));
    result.unwrap();
    let admitted =
        world.give(InputKind::Admitted(RunAdmitted { admission: found(503), at_once: false })).unwrap();
    assert_eq!(names(&admitted), ["RunAdmitted", "GateEvaluated", "RunFailed"]);
    let Some(RunEvent::GateEvaluated(event)) = admitted.get(1) else { panic!("{admitted:?}") };
    assert_eq!(event.id.to_string(), "$admit/2/1");
    world.check_fold();
}

#[test]
fn p_labels_of_a_start_have_a_bound_and_what_is_said_at_the_start_goes_before_the_pipeline() {
    let document =
        || json!({"name": "p", "labels": {"team": "blue", "n": "${1 + 1}"}, "steps": [child("ship", &[])]});
    let (world, result) =
        begin(document(), |start| drop(start.options.labels.insert("team".into(), "red".into())));
    result.unwrap();
    assert_eq!((world.state.labels()["team"].as_str(), world.state.labels()["n"].as_str()), ("red", "2"));
    let large = |start: &mut Start| drop(start.options.labels.insert("x".into(), "y".repeat(16 * 1024)));
    let (_, result) = begin(document(), large);
    assert!(matches!(result, Err(Refusal::TooLarge { what: "the size of all labels", .. })), "{result:?}");
}

#[test]
fn row_21_what_a_run_was_admitted_on_at_its_start_is_not_asked_again_where_it_waited_for_nothing() {
    let (mut world, result) = begin(admitting("refuse"), |start| start.admission = found(200));
    result.unwrap();
    let admitted =
        world.give(InputKind::Admitted(RunAdmitted { admission: Vec::new(), at_once: true })).unwrap();
    assert_eq!(names(&admitted), ["RunAdmitted", "StepScheduled"]);
    world.check_fold();
}
