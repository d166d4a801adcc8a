//! A run's recorded inputs, decided by another definition.

use std::sync::Arc;

use everfold_base::id::{RunId, Version};
use everfold_base::json::Value;
use everfold_core::event::{OriginKind, RunEvent};
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_runtime::{ForkRequest, LoadError, OtherDecision, Redecided, ReplayError};
use everfold_store::EventStore as _;
use serde_json::json;

use crate::fixtures::fork_requests::again;
use crate::fixtures::test_engine::{Rig, command, definition, function};

fn named(steps: Value) -> Arc<Definition> {
    definition(json!({"name": "p", "steps": steps}))
}

fn with(mut step: Value, key: &str, value: Value) -> Value {
    step[key] = value;
    step
}

/// A gate over what a function gave.
fn gate(policy: &str) -> Value {
    json!([{"id": "g", "probe": {"expression": "output.ok"}, "policy": policy}])
}

/// A gate looks at what `a` gave, then `b`, then `c`.
fn steps() -> Vec<Value> {
    vec![
        with(function("a", &[], "ok", json!({})), "gates", gate("evidence.value")),
        function("b", &["a"], "ok", json!({})),
        function("c", &["b"], "ok", json!({})),
    ]
}

async fn ended(rig: &Rig, definition: &Arc<Definition>) -> RunId {
    let run = rig.start(definition).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    run
}

async fn by(rig: &Rig, run: RunId, steps: Vec<Value>) -> Redecided {
    rig.engine.decide_by(run, named(steps.into()), None).await.unwrap()
}

fn only(found: &Redecided) -> &OtherDecision {
    assert_eq!((found.otherwise, found.unfit, found.differences.len()), (1, 0, 1), "{found:#?}");
    &found.differences[0]
}

#[tokio::test(start_paused = true)]
async fn the_definition_of_the_run_decides_as_it_did_and_so_does_one_that_says_the_same() {
    let rig = Rig::new();
    let mut all = steps();
    all.insert(0, function("big", &[], "big", json!({})));
    all.push(function("length", &["big", "c"], "length", json!({"big": "${steps.big.output}"})));
    let pinned = named(all.clone().into());
    let run = ended(&rig, &pinned).await;
    let own = rig.engine.decide_by(run, Arc::clone(&pinned), None).await.unwrap();
    assert!(own.is_recorded && own.inputs > 5);
    assert_eq!((own.otherwise, own.unfit), (0, 0), "{own:#?}");
    let mut words = (*pinned).clone();
    words.description = "the same by other words".into();
    words.steps.rotate_right(1);
    let same = rig.engine.decide_by(run, Arc::new(words), None).await.unwrap();
    assert!(!same.is_recorded);
    assert_eq!((same.inputs, same.otherwise, same.unfit), (own.inputs, 0, 0), "{same:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_changed_gives_another_verdict_and_one_that_agrees_is_no_difference() {
    let rig = Rig::new();
    let run = ended(&rig, &named(steps().into())).await;
    let mut agrees = steps();
    agrees[0]["gates"] = gate("evidence.value == true");
    let found = by(&rig, run, agrees).await;
    assert_eq!(found.otherwise, 0, "{:?}", found.differences);
    let mut stricter = steps();
    stricter[0]["gates"] = gate("!evidence.value");
    let found = by(&rig, run, stricter.clone()).await;
    let other = only(&found);
    assert!(
        other.message.starts_with("gate “g” of step “a” said pass; it would say fail"),
        "{}",
        other.message
    );
    assert!(matches!(other.decided, Some(RunEvent::GateEvaluated(_))));
    // One version alone: the whole decision, by any event of it.
    for version in [other.version, other.until] {
        let one = rig.engine.decide_by(run, named(stricter.clone().into()), Some(version)).await.unwrap();
        assert_eq!((one.inputs, one.otherwise), (1, 1));
        let whole = one.decision.unwrap();
        assert_eq!(whole.version, other.version);
        let names = |events: &[RunEvent]| events.iter().map(RunEvent::name).collect::<Vec<_>>();
        assert!(names(&whole.recorded).contains(&"StepScheduled"), "{:?}", names(&whole.recorded));
        assert!(!names(&whole.decided).contains(&"StepScheduled"), "{:?}", names(&whole.decided));
        assert!(whole.ahead.is_empty());
    }
    let first = rig.engine.decide_by(run, named(stricter.into()), Some(Version::FIRST)).await.unwrap();
    assert_eq!(first.otherwise, 0);
    let whole = first.decision.unwrap();
    assert_eq!(whole.recorded.len(), whole.decided.len(), "what is alike is given in full, too");
}

#[tokio::test(start_paused = true)]
async fn a_condition_or_a_route_that_changed_shows_at_the_input_that_it_decides() {
    let rig = Rig::new();
    let run = ended(&rig, &named(steps().into())).await;
    let mut skipped = steps();
    skipped[1] = with(skipped[1].clone(), "when", json!("!steps.a.output.ok"));
    let found = by(&rig, run, skipped).await;
    let other = only(&found);
    assert_eq!(other.message, "StepScheduled of step “b” is recorded; StepSkipped of step “b” would follow");
    let mut routed = steps();
    routed[1]["on_success"] = json!([{"when": "true", "to": {"finish": "succeeded"}}]);
    let found = by(&rig, run, routed).await;
    let other = only(&found);
    assert!(other.message.contains("StepSucceeded of step “b”"), "{}", other.message);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_gone_does_not_fit_from_where_it_began() {
    let rig = Rig::new();
    let run = ended(&rig, &named(steps().into())).await;
    let all = steps();
    let found = by(&rig, run, vec![all[0].clone(), with(all[2].clone(), "needs", json!(["a"]))]).await;
    assert!(found.otherwise == 1 && found.unfit > 1, "{found:#?}");
    let [otherwise, unfit] = &found.differences[..] else { panic!("{found:#?}") };
    assert_eq!(
        otherwise.message,
        "StepScheduled of step “b” is recorded; StepScheduled of step “c” would follow"
    );
    assert_eq!(unfit.misfits[0].to_string(), "step “b”: there is no such step");
    assert!(unfit.version > otherwise.version && unfit.until > unfit.version);
    let one =
        rig.engine.decide_by(run, named(json!([all[0], all[1], command("c", &["b"], 5)])), Some(unfit.until));
    let one = one.await.unwrap();
    assert_eq!((one.inputs, one.unfit, one.decision), (1, 1, None));
    assert_eq!(one.differences[0].message, "step “c”: it was function, and is command");
}

#[tokio::test(start_paused = true)]
async fn a_step_that_is_new_begins_at_the_start_and_is_ahead_of_every_later_input() {
    let rig = Rig::new();
    let run = ended(&rig, &named(steps().into())).await;
    let mut more = steps();
    more.push(function("x", &[], "ok", json!({})));
    more[2] = with(more[2].clone(), "needs", json!(["b", "x"]));
    let found = by(&rig, run, more.clone()).await;
    let messages: Vec<&str> = found.differences.iter().map(|other| other.message.as_str()).collect();
    let [start, needs, end] = messages[..] else { panic!("{messages:#?}") };
    assert_eq!(start, "StepScheduled of step “x” would follow, too");
    assert_eq!(needs, "StepScheduled of step “c” is recorded; nothing would follow there");
    assert!(end.starts_with("RunSucceeded is recorded"), "{end}");
    let at = found.differences[1].version;
    let one = rig.engine.decide_by(run, named(more.into()), Some(at)).await.unwrap();
    let ahead = one.decision.unwrap().ahead;
    assert!(
        ahead
            .iter()
            .any(|event| matches!(event, RunEvent::StepScheduled(x) if x.id.path.step.as_str() == "x"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_that_must_be_loaded_for_the_other_definition_alone_is_no_difference() {
    let rig = Rig::new();
    let all = vec![function("big", &[], "big", json!({})), function("b", &["big"], "ok", json!({}))];
    let run = ended(&rig, &named(all.clone().into())).await;
    let asks = with(all[1].clone(), "when", json!("size(steps.big.output.text) > 5"));
    let found = by(&rig, run, vec![all[0].clone(), asks.clone()]).await;
    assert_eq!((found.otherwise, found.unfit), (0, 0), "{found:#?}");
    let asked = ended(&rig, &named(json!([all[0], asks]))).await;
    let found = by(&rig, asked, all).await;
    assert_eq!((found.otherwise, found.unfit), (0, 0), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_forked_history_is_decided_by_the_definition_in_all_its_parts() {
    let rig = Rig::new();
    let (all, mut more) = (steps(), steps());
    more.push(function("d", &["c"], "ok", json!({})));
    let origin = ended(&rig, &named(all.clone().into())).await;
    let mended = named(more.clone().into());
    for at in 1..rig.names(origin).await.len() as u64 {
        let asked = ForkRequest {
            at: Some(Version(at)),
            definition: Some(Arc::clone(&mended)),
            ..again(origin, OriginKind::Fork)
        };
        let run = rig.engine.fork(asked).await.unwrap().run;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        let found = by(&rig, run, more.clone()).await;
        assert!(!found.is_recorded, "its first part was recorded with another one");
        assert_eq!((found.otherwise, found.unfit), (0, 0), "at {at}: {found:#?}");
        let back = by(&rig, run, all.clone()).await;
        assert!(back.otherwise > 0 && back.unfit > 0, "at {at}: {back:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_pipeline_and_a_version_that_is_not_there_are_refused() {
    let rig = Rig::new();
    let run = ended(&rig, &named(steps().into())).await;
    let before = rig.store.inner.last_position();
    let other = definition(json!({"name": "q", "steps": steps()}));
    let refused = rig.engine.decide_by(run, other, None).await;
    assert!(matches!(refused, Err(ReplayError::Refused(_))), "{refused:?}");
    let late = rig.engine.decide_by(run, named(steps().into()), Some(Version(999))).await;
    assert!(matches!(late, Err(ReplayError::Load(LoadError::NotYet { .. }))), "{late:?}");
    assert_eq!(rig.store.inner.last_position(), before, "nothing is recorded");
}
