//! Signals, deadlines and shared pauses across crashes and restarts.

use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::Payload;
use everfold_core::event::{CancelRequested, HaltScope, RunEvent, SignalReceived, StepCancelRequested};
use everfold_core::input::InputKind;
use everfold_core::pauses::PauseOrder;
use everfold_core::slots::SlotState;
use everfold_core::state::RunStatus;
use everfold_runtime::HaltError;
use serde_json::json;

use crate::fixtures::slot_setup::{slot, until_key, with};
use crate::fixtures::test_engine::{Rig, command, function, pipeline};

fn signal(name: &str) -> InputKind {
    InputKind::Signal(SignalReceived {
        name: name.into(),
        payload: Payload::Inline(json!({"ok": true}).into()),
        delivery: Some("d".into()),
    })
}

async fn halt(rig: &Rig, wanted: PauseOrder, scope: HaltScope) -> Result<usize, HaltError> {
    rig.engine.halt(wanted, scope, Some("freeze"), Actor::User("ada".into())).await.map(|done| done.runs)
}

fn of_test() -> HaltScope {
    HaltScope::Pipeline("test".into())
}

async fn count(rig: &Rig, run: RunId, name: &str) -> usize {
    rig.names(run).await.iter().filter(|known| **known == name).count()
}

#[tokio::test(start_paused = true)]
async fn l29_a_paused_pipelines_runs_stand_still_and_new_ones_start_so() {
    let rig = Rig::new();
    rig.recover().await;
    let definition = pipeline(vec![command("a", &[], 5_000), function("b", &["a"], "ok", json!({}))]);
    let running = rig.start(&definition).await;
    rig.until(running, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    assert_eq!(halt(&rig, PauseOrder::Halt, of_test()).await.unwrap(), 1);
    assert_eq!(rig.status(running).await, RunStatus::Paused);
    let new = rig.start(&definition).await;
    rig.until(new, |event| matches!(event, RunEvent::RunHalted(_))).await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(rig.status(new).await, RunStatus::Paused);
    assert_eq!(count(&rig, new, "AttemptStarted").await, 0, "nothing of it began");
    assert_eq!(count(&rig, running, "AttemptSucceeded").await, 1, "what ran has ended");
    let other = rig.start(&pipeline_named("other")).await;
    assert_eq!(rig.end(other).await, RunStatus::Succeeded, "another pipeline goes on");
    halt(&rig, PauseOrder::Release, of_test()).await.unwrap();
    for run in [running, new] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
    assert!(matches!(halt(&rig, PauseOrder::Release, of_test()).await, Err(HaltError::Refused(_))));
}

/// It was cancelled at once for a run that did not begin.
#[tokio::test(start_paused = true)]
async fn l29_a_run_of_a_paused_pipeline_has_the_oldest_make_room_when_the_pause_is_over() {
    let mut rig = Rig::new();
    let (definition, of_p) = (with(600_000, slot(1, "cancel_oldest")), || HaltScope::Pipeline("p".into()));
    let first = rig.start(&definition).await;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    halt(&rig, PauseOrder::Halt, of_p()).await.unwrap();
    let new = [rig.start(&definition).await, rig.start(&definition).await];
    until_key(&rig, |key| new.iter().all(|run| key.waits(*run).is_some())).await;
    rig.crash().await;
    rig.recover().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.status(first).await, RunStatus::Paused);
    assert_eq!(count(&rig, first, "CancelRequested").await, 0, "nobody may begin in its place");
    halt(&rig, PauseOrder::Release, of_p()).await.unwrap();
    for run in [first, new[0]] {
        assert_eq!(rig.end(run).await, RunStatus::Cancelled, "the newest alone goes on");
    }
    assert_eq!(rig.end(new[1]).await, RunStatus::Succeeded);
    until_key(&rig, SlotState::is_free).await;
    for run in [first, new[0], new[1]] {
        rig.assert_replays(run).await;
    }
}

fn pipeline_named(name: &str) -> std::sync::Arc<everfold_language::definition::Definition> {
    crate::fixtures::test_engine::definition(
        json!({"name": name, "steps": [function("a", &[], "ok", json!({}))]}),
    )
}

#[tokio::test(start_paused = true)]
async fn l29_a_pause_of_the_engine_outlives_it_and_a_cancel_goes_through_it() {
    let mut rig = Rig::new();
    let waiting = rig.start(&pipeline(vec![json!({"id": "w", "work": {"wait": {"for": "10s"}}})])).await;
    let doomed = rig.start(&pipeline(vec![json!({"id": "w", "work": {"wait": {"for": "10s"}}})])).await;
    halt(&rig, PauseOrder::Halt, HaltScope::Engine).await.unwrap();
    rig.crash().await;
    rig.recover().await;
    assert_eq!(rig.engine.halts().await.unwrap().all().count(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.status(waiting).await, RunStatus::Paused, "its timer waits for the end of the pause");
    let new = rig.start(&pipeline_named("late")).await;
    rig.submit(doomed, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(doomed).await, RunStatus::Cancelled);
    rig.crash().await;
    rig.recover().await;
    halt(&rig, PauseOrder::Release, HaltScope::Engine).await.unwrap();
    for run in [waiting, new] {
        assert_eq!(rig.end(run).await, RunStatus::Succeeded);
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_not_told_before_a_crash_is_told_when_it_is_loaded() {
    let mut rig = Rig::new();
    let run = rig.start(&pipeline(vec![json!({"id": "w", "work": {"wait": {"for": "10s"}}})])).await;
    // The pause is durable, and the engine ends before it informs any run.
    let engine = rig.engine.clone();
    let halting = engine.halt(PauseOrder::Halt, HaltScope::Engine, None, Actor::Engine);
    tokio::select! {
        biased;
        _ = halting => {}
        () = tokio::task::yield_now() => {}
    }
    drop(engine);
    rig.crash().await;
    halt(&rig, PauseOrder::Halt, HaltScope::Engine).await.unwrap();
    assert_eq!(rig.status(run).await, RunStatus::Paused);
    assert_eq!(count(&rig, run, "RunHalted").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pause_whose_caller_went_away_while_it_was_stored_holds() {
    let rig = Rig::new();
    rig.recover().await;
    let run = rig.start(&pipeline(vec![json!({"id": "w", "work": {"wait": {"for": "10s"}}})])).await;
    rig.store.halt_ack_ms.store(10, std::sync::atomic::Ordering::SeqCst);
    let engine = rig.engine.clone();
    let caller = tokio::spawn(async move {
        drop(engine.halt(PauseOrder::Halt, HaltScope::Engine, None, Actor::Engine).await);
    });
    tokio::time::sleep(Duration::from_millis(5)).await;
    caller.abort();
    let _aborted = caller.await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(rig.engine.halts().await.unwrap().all().count(), 1, "it is durable");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(rig.status(run).await, RunStatus::Paused);
    halt(&rig, PauseOrder::Release, HaltScope::Engine).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn l27_a_deferred_signal_outlives_the_engine() {
    let mut rig = Rig::new();
    let mut work = command("a", &[], 60_000);
    work["on_signal"] = json!({"stop": [{"to": {"finish": "succeeded"}}]});
    let run = rig.start(&pipeline(vec![work, command("never", &["a"], 1)])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    assert!(rig.submit(run, signal("stop")).await.unwrap().changed);
    rig.crash().await;
    rig.recover().await;
    assert!(!rig.submit(run, signal("stop")).await.unwrap().changed, "the same delivery");
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let names = rig.names(run).await;
    let ended = names.iter().position(|name| *name == "AttemptSucceeded").unwrap();
    assert_eq!(names[ended + 1], "SignalTaken", "{names:?}");
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passed_while_down_ends_its_round_at_once() {
    let mut rig = Rig::new();
    let ask = json!({"id": "ask", "deadline": "10m", "work": {"approval": {"title": "go on?"}}});
    let run = rig.start(&pipeline(vec![ask])).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(rig.recover().await, 1);
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failed = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::StepFailed(failed) => Some(failed.failure.message),
        _other => None,
    });
    assert_eq!(failed.as_deref(), Some("the round took longer than its deadline"));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_stops_work_that_executes() {
    let rig = Rig::new();
    let mut work = command("a", &[], 600_000);
    work["deadline"] = json!("10s");
    let run = rig.start(&pipeline(vec![work])).await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    assert!(rig.names(run).await.contains(&"StopRequested"));
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l26_a_signal_to_a_run_that_left_memory_ends_its_wait() {
    let mut rig = Rig::new();
    let steps = vec![
        json!({"id": "w", "work": {"wait": {"signal": "go", "match": "signal.ok"}}}),
        function("after", &["w"], "ok", json!({"got": "${steps.w.output.ok}"})),
    ];
    let run = rig.start(&pipeline(steps)).await;
    rig.crash().await;
    assert_eq!(rig.recover().await, 0, "it waits for nothing that the engine does");
    rig.submit(run, signal("go")).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn l29_a_cancelled_step_ends_its_process_and_the_run_goes_on() {
    let rig = Rig::new();
    let mut work = command("a", &[], 600_000);
    work["on_fail"] = json!([{"to": "continue"}]);
    let run = rig.start(&pipeline(vec![work, function("b", &["a"], "ok", json!({}))])).await;
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, InputKind::CancelStep(StepCancelRequested { path: "a".parse().unwrap(), reason: None }))
        .await
        .unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;
}
