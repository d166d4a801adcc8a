//! Attempts that are offered to workers, while nothing of their run may start.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_core::event::{CancelRequested, HaltScope, RunEvent, RunPaused, RunResumed};
use everfold_core::input::InputKind;
use everfold_core::pauses::PauseOrder;
use everfold_core::state::RunStatus;
use everfold_runtime::Which;
use serde_json::{Value, json};

use crate::fixtures::test_engine::{Rig, function, pipeline};

const PAUSE: InputKind = InputKind::Pause(RunPaused { reason: None, interrupt: false });
const RESUME: InputKind = InputKind::Resume(RunResumed { reason: None, prompt: None });

/// A run whose step no worker has taken.
async fn offered() -> (Rig, RunId) {
    offered_step(json!({"id": "a", "work": {"task": {"kind": "elsewhere", "spec": {}}}})).await
}

async fn offered_step(step: Value) -> (Rig, RunId) {
    let rig = Rig::new();
    rig.machine.workers.take.send_replace(false);
    let run = rig.start(&pipeline(vec![step])).await;
    offers_are(&rig, 1).await;
    (rig, run)
}

async fn offers_are(rig: &Rig, count: usize) {
    let offers = || rig.machine.workers.offered.load(Ordering::SeqCst);
    let changed = async {
        while offers() != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(5), changed).await;
    within.unwrap_or_else(|_| panic!("{} offers, not {count}", offers()));
}

fn given(rig: &Rig) -> usize {
    rig.machine.workers.given.lock().unwrap().len()
}

fn starts(history: &[RunEvent]) -> usize {
    history.iter().filter(|event| matches!(event, RunEvent::AttemptStarted(_))).count()
}

#[tokio::test(start_paused = true)]
async fn what_no_worker_has_taken_is_taken_back_by_a_pause_and_offered_again_behind_it() {
    let (rig, run) = offered().await;
    for _ in 0..2 {
        rig.submit(run, PAUSE).await.unwrap();
        offers_are(&rig, 0).await;
        rig.submit(run, RESUME).await.unwrap();
        offers_are(&rig, 1).await;
    }
    for scope in [HaltScope::Engine, HaltScope::Pipeline("test".into())] {
        rig.engine.halt(PauseOrder::Halt, scope.clone(), None, Actor::Engine).await.unwrap();
        offers_are(&rig, 0).await;
        rig.engine.halt(PauseOrder::Release, scope, None, Actor::Engine).await.unwrap();
        offers_are(&rig, 1).await;
    }
    rig.submit(run, PAUSE).await.unwrap();
    rig.machine.workers.take.send_replace(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((given(&rig), starts(&rig.history(run).await)), (0, 0));
    rig.submit(run, RESUME).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((given(&rig), starts(&rig.history(run).await)), (1, 1));
    rig.assert_replays(run).await;
}

/// The run failed as it was resumed, before its step was offered.
#[tokio::test(start_paused = true)]
async fn the_time_limit_of_what_no_worker_has_taken_begins_anew_behind_a_pause_and_a_start_of_the_engine() {
    let work = json!({"task": {"kind": "elsewhere", "spec": {}}});
    let step = json!({"id": "a", "work": work, "timeout": "5s"});
    let (mut rig, run) = offered_step(step.clone()).await;
    rig.submit(run, PAUSE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.submit(run, RESUME).await.unwrap();
    offers_are(&rig, 1).await;
    rig.crash().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.recover().await;
    offers_are(&rig, 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    rig.machine.workers.take.send_replace(true);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    rig.assert_replays(run).await;

    // Where no worker comes it ends all the same.
    let (rig, run) = offered_step(step).await;
    rig.submit(run, PAUSE).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    rig.submit(run, RESUME).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    rig.assert_replays(run).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_takes_an_attempt_while_its_pause_is_on_its_way_to_the_disk_does_not_get_it() {
    let (rig, run) = offered().await;
    rig.store.delay_ms.store(50, Ordering::SeqCst);
    let pause = rig.submit(run, PAUSE);
    let take = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rig.machine.workers.take.send_replace(true);
    };
    tokio::join!(pause, take).0.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((given(&rig), starts(&rig.history(run).await)), (0, 0));
    rig.submit(run, RESUME).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!((given(&rig), starts(&rig.history(run).await)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_has_goes_on_while_its_run_is_paused() {
    let (rig, run) = offered().await;
    rig.store.delay_ms.store(50, Ordering::SeqCst);
    rig.machine.workers.take.send_replace(true);
    rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    rig.submit(run, PAUSE).await.unwrap();
    rig.until(run, |event| matches!(event, RunEvent::AttemptSucceeded(_))).await;
    assert_eq!(given(&rig), 1);
}

/// It counted as stopped, and was done again behind the resume.
#[tokio::test(start_paused = true)]
async fn what_a_worker_did_that_an_interrupt_silenced_is_not_known_and_that_of_a_cancelled_run_is_not_asked()
{
    let interrupt = InputKind::Pause(RunPaused { reason: None, interrupt: true });
    for (stop, end) in
        [(interrupt, "AttemptLost"), (InputKind::Cancel(CancelRequested { reason: None }), "AttemptFailed")]
    {
        let (rig, run) = offered().await;
        rig.machine.workers.silent.store(true, Ordering::SeqCst);
        rig.machine.workers.take.send_replace(true);
        rig.until(run, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
        rig.submit(run, stop).await.unwrap();
        let ended = |event: &RunEvent| matches!(event, RunEvent::AttemptLost(_) | RunEvent::AttemptFailed(_));
        rig.until(run, ended).await;
        let names = rig.names(run).await;
        assert!(names.contains(&end), "{names:?}");
        if end == "AttemptLost" {
            rig.submit(run, RESUME).await.unwrap();
            rig.until(run, |event| matches!(event, RunEvent::StepBlocked(_))).await;
            assert_eq!(given(&rig), 1);
        }
        rig.assert_replays(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_run_is_cancelled_and_its_attempt_is_offered_to_nobody() {
    let (rig, run) = offered().await;
    rig.submit(run, PAUSE).await.unwrap();
    offers_are(&rig, 0).await;
    rig.machine.workers.take.send_replace(true);
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    assert_eq!((given(&rig), starts(&rig.history(run).await)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_run_offers_that_is_set_aside_is_taken_back_until_the_run_is_recovered() {
    let rig = Rig::new();
    rig.machine.workers.take.send_replace(false);
    let work = json!({"task": {"kind": "elsewhere", "spec": {}}});
    let steps = vec![json!({"id": "a", "work": work}), function("b", &[], "wild", json!({}))];
    let run = rig.start(&pipeline(steps)).await;
    offers_are(&rig, 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(rig.engine.set_aside().len(), 1);
    offers_are(&rig, 0).await;
    rig.engine.recover(Which::Only(run)).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    assert_eq!(given(&rig), 0);
}
