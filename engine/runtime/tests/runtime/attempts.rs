//! What work is started when, and what its end leads to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use everfold_base::envelope::StreamId;
use everfold_base::failure::{Failure, FailureKind};
use everfold_base::id::Version;
use everfold_core::event::{CancelRequested, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::state::RunStatus;
use everfold_store::EventStore as _;
use futures::FutureExt as _;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, chain, command, definition, function, pipeline};

#[tokio::test(start_paused = true)]
async fn a_trivial_step_costs_one_append() {
    let rig = Rig::new();
    let run = rig.start(&chain(5)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.store.appends(), 1 + 5, "{:?}", rig.names(run).await);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn d10_an_idempotent_function_begins_at_once_and_any_other_after_its_start_is_durable() {
    let rig = Rig::new();
    let steps = vec![
        function("again", &[], "slow", json!({"ms": 50})),
        function("once", &["again"], "slow", json!({"ms": 50, "once": true})),
    ];
    let (store, seen) = (rig.store.clone(), Arc::new(Mutex::new(Vec::new())));
    let notes = seen.clone();
    *rig.machine.witness.lock().unwrap() = Some(Box::new(move |id| {
        let stream = StreamId::run(id.run);
        let kept = store.inner.read(&stream, Version::FIRST, 100).now_or_never().unwrap().unwrap();
        let last = RunEvent::name_of(kept.last().unwrap().header.kind).unwrap();
        notes.lock().unwrap().push((id.attempt.path.to_string(), last));
    }));
    let run = rig.start(&pipeline(steps)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let started = rig.names(run).await.into_iter().filter(|name| *name == "AttemptStarted").count();
    let wanted = [("again".to_owned(), "StepScheduled"), ("once".to_owned(), "AttemptStarted")];
    assert_eq!(*seen.lock().unwrap(), wanted, "what was durable last when each began");
    assert_eq!(started, 1, "the begin of the idempotent one is not recorded");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_is_recorded_as_started_and_nobody_waits_for_that() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![command("build", &[], 500)])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(
        rig.names(run).await,
        [
            "RunStarted",
            "StepScheduled",
            "AttemptStarted",
            "AttemptSucceeded",
            "StepSucceeded",
            "RunSucceeded"
        ]
    );
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn usage_comes_before_the_result_in_the_same_append() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("agent", &[], "paid", json!({}))])).await;
    rig.end(run).await;
    let names = rig.names(run).await;
    let at = names.iter().position(|name| *name == "UsageRecorded").unwrap();
    assert_eq!(names[at..at + 3], ["UsageRecorded", "UsageRecorded", "AttemptSucceeded"]);
    assert_eq!(rig.store.appends(), 2);
    let cost = rig.engine.with_state(run, |state| state.usage().cost_micros).await.unwrap();
    assert_eq!(cost, 7);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_executor_is_the_attempts_failure() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("bug", &[], "panic", json!({}))])).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failure = rig.engine.with_state(run, |state| state.failure().unwrap().0.clone()).await.unwrap();
    assert_eq!(failure.kind, FailureKind::Error);
    assert!(failure.message.contains("a bug in a function"), "{}", failure.message);
    assert!(rig.engine.set_aside().is_empty());
}

#[tokio::test(start_paused = true)]
async fn work_of_an_unknown_kind_fails_before_it_starts_and_says_what_is_known() {
    let rig = Rig::new();
    let steps = json!([{"id": "x", "work": {"task": {"kind": "agent", "spec": {"prompt": "do"}}}}]);
    let run = rig.start(&definition(json!({"name": "p", "steps": steps}))).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failure = rig.engine.with_state(run, |state| state.failure().unwrap().0.clone()).await.unwrap();
    assert_eq!(failure.kind, FailureKind::Spawn);
    assert!(failure.hint().contains("command, elsewhere, function"), "{}", failure.hint());
}

#[tokio::test(start_paused = true)]
async fn d3_large_values_are_kept_as_blobs_and_loaded_when_an_expression_needs_them() {
    let rig = Rig::with(|config| config.values_bytes = 0);
    let steps = vec![
        function("big", &[], "big", json!({})),
        function("length", &["big"], "length", json!({})),
        json!({"id": "judge", "needs": ["big"], "gates": [
            {"id": "g", "probe": {"expression": "size(steps.big.output.text) == 100000"}}]}),
    ];
    let document = json!({"name": "p", "steps": steps, "output": "${steps.length.output}"});
    let run = rig.start(&definition(document)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded, "{:?}", rig.history(run).await.last());
    let output = rig.engine.with_state(run, |state| state.output().clone()).await.unwrap();
    assert_eq!(output.value(&Default::default()).unwrap(), json!(100_000));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_hanging_functions_and_processes_and_nothing_follows() {
    let rig = Rig::new();
    let steps = vec![
        function("hang", &[], "hang", json!({})),
        command("sleep", &[], 3_600_000),
        function("never", &["hang"], "ok", json!({})),
    ];
    let run = rig.start(&pipeline(steps)).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!(rig.machine.begun(), 2);
    assert_eq!(rig.machine.cancels.lock().unwrap().len(), 2);
    let length = rig.history(run).await.len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.history(run).await.len(), length, "after the end nothing else comes");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_over_its_time_limit_is_dropped() {
    let rig = Rig::new();
    let mut step = function("hang", &[], "hang", json!({}));
    step["timeout"] = json!("5s");
    let run = rig.start(&pipeline(vec![step])).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failure = rig.engine.with_state(run, |state| state.failure().unwrap().0.clone()).await.unwrap();
    assert_eq!(failure.kind, FailureKind::Timeout);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_its_time_limit_stops_is_recorded_with_that_cause() {
    let rig = Rig::new();
    for name in ["guarded", "hang"] {
        let mut step = function("s", &[], name, json!({}));
        step["timeout"] = json!("5s");
        let run = rig.start(&pipeline(vec![step])).await;
        assert_eq!(rig.end(run).await, RunStatus::Failed);
        let failures: Vec<_> = rig
            .history(run)
            .await
            .into_iter()
            .filter_map(|event| match event {
                RunEvent::AttemptFailed(event) => Some(event.failure),
                RunEvent::StepFailed(event) => Some(event.failure),
                _other => None,
            })
            .collect();
        let [of_attempt, of_step] = failures.as_slice() else { panic!("{name}: {failures:?}") };
        assert_eq!(*of_attempt, Failure::time_limit(Duration::from_secs(5)), "{name}");
        assert_eq!(of_step.kind, FailureKind::Timeout, "{name}");
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_probed_again_until_its_evidence_can_be_had() {
    let rig = Rig::new();
    let gate = json!({"id": "g", "probe": {"task": {"kind": "command", "spec": {"argv": ["probe", "3"]}}}});
    let run = rig.start(&pipeline(vec![json!({"id": "judge", "gates": [gate]})])).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let failed = rig.names(run).await.into_iter().filter(|name| *name == "ProbeFailed").count();
    assert_eq!(failed, 2);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_workspace_is_made_once_and_given_back_at_the_end() {
    let rig = Rig::new();
    let steps = json!([command("a", &[], 10), command("b", &[], 10)]);
    let document = json!({"name": "p", "workspace": {"git": {"git": "/repository"}}, "steps": steps});
    let run = rig.start(&definition(document)).await;
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let prepared = rig.names(run).await.into_iter().filter(|name| *name == "WorkspacePrepared").count();
    assert_eq!(prepared, 1);
    assert_eq!(*rig.machine.released.lock().unwrap(), [(run, true)]);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn the_newest_line_of_an_attempt_is_seen_live_and_forgotten_with_it() {
    let rig = Rig::new();
    let run = rig.start(&pipeline(vec![function("slow", &[], "slow", json!({"ms": 100}))])).await;
    let mut live = rig.engine.live(run);
    let seen = live.wait_for(|attempts| !attempts.is_empty()).await.unwrap().clone();
    assert_eq!(&*seen.values().next().unwrap().line, "working");
    rig.end(run).await;
    assert!(live.borrow().is_empty());
}
