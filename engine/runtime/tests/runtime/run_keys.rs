//! L4: keys, their holders, and later requests for them.

use std::sync::Arc;

use everfold_base::id::RunId;
use everfold_base::json::{Hash, Value};
use everfold_core::decide::Refusal;
use everfold_core::event::RunEvent;
use everfold_core::slots::SlotState;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_runtime::StartRequest;
use everfold_store::{Dedup, DedupKeep};
use serde_json::json;

use crate::fixtures::slot_setup::{keys, refused, slot, start, until_key, with};
use crate::fixtures::slow_store::Fault;
use crate::fixtures::test_engine::{Rig, definition, request};

fn keyed(ms: u64, more: Value) -> Arc<Definition> {
    let mut key = json!({"value": "task-${input.n}"});
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with(ms, json!({"key": key}))
}

#[tokio::test(start_paused = true)]
async fn l4_a_key_has_one_holder_and_who_comes_second_gets_it_or_is_refused() {
    let rig = Rig::new();
    let first = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert!(!first.held);
    let second = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert_eq!((second.run, second.held), (first.run, true));
    let refusal = refused(&rig, &keyed(50, json!({"on_taken": "reject"})), json!({"n": 1})).await;
    assert_eq!(refusal, Refusal::KeyTaken { key: "task-1".into(), holder: first.run });
    assert_ne!(start(&rig, &keyed(50, json!({})), json!({"n": 2})).await.run, first.run);
    assert_eq!(rig.end(first.run).await, RunStatus::Succeeded);
    until_key(&rig, SlotState::is_free).await;
    let again = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await;
    assert!(!again.held && again.run != first.run);
    rig.assert_replays(first.run).await;
}

/// The end of a run is durable before its key is free: a signal by the key was refused by the run that had ended,
/// instead of learning that no run has the key.
#[tokio::test(start_paused = true)]
async fn l4_a_run_that_has_ended_holds_its_key_no_longer_while_the_key_is_being_released() {
    let rig = Rig::new();
    let run = start(&rig, &keyed(50, json!({})), json!({"n": 1})).await.run;
    assert_eq!(rig.engine.holder("task-1").await.unwrap(), Some(run));
    rig.store.fail_key(Fault::Full);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert!(!keys(&rig).await[0].1.is_free(), "its release is tried again later");
    assert_eq!(rig.engine.holder("task-1").await.unwrap(), None);
    until_key(&rig, SlotState::is_free).await;
}

#[tokio::test(start_paused = true)]
async fn l4_a_start_with_an_id_that_is_asked_for_again_is_not_held_by_its_own_key() {
    let rig = Rig::new();
    let run = RunId(uuid::Uuid::from_u128(7));
    for on_taken in ["return", "reject"] {
        let again = StartRequest {
            run: Some(run),
            ..request(&keyed(600_000, json!({"on_taken": on_taken})), json!({"n": 1}))
        };
        for _ in 0..2 {
            let started = rig.engine.start(again.clone()).await.unwrap();
            assert_eq!((started.run, started.held), (run, false), "{on_taken}");
        }
    }
    let starts = rig.history(run).await.into_iter().filter(|event| matches!(event, RunEvent::RunStarted(_)));
    assert_eq!(starts.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn l4_two_starts_at_once_are_one_run() {
    let rig = Rig::new();
    rig.store.delay_ms.store(20, std::sync::atomic::Ordering::SeqCst);
    let definition = keyed(50, json!({}));
    let (one, other) = tokio::join!(
        rig.engine.start(request(&definition, json!({"n": 1}))),
        rig.engine.start(request(&definition, json!({"n": 1}))),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.run, other.run);
    assert_ne!(one.held, other.held);
}

#[tokio::test(start_paused = true)]
async fn l4_who_replaces_cancels_the_holder_and_begins_after_its_end() {
    let rig = Rig::new();
    let first = start(&rig, &keyed(600_000, json!({})), json!({"n": 1})).await.run;
    rig.until(first, |event| matches!(event, RunEvent::AttemptStarted(_))).await;
    let second = start(&rig, &keyed(10, json!({"on_taken": "replace"})), json!({"n": 1})).await.run;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    assert_eq!(rig.status(first).await, RunStatus::Cancelled);
    let reason = rig.history(first).await.into_iter().find_map(|event| match event {
        RunEvent::CancelRequested(event) => event.reason,
        _other => None,
    });
    assert_eq!(reason.as_deref(), Some("replaced"));
    let (end, begin) = (rig.envelopes(first).await, rig.envelopes(second).await);
    let admitted =
        rig.history(second).await.iter().position(|event| matches!(event, RunEvent::RunAdmitted(_)));
    assert!(end.last().unwrap().position < begin[admitted.unwrap()].position, "it begins after its end");
}

#[tokio::test(start_paused = true)]
async fn l4_who_replaces_gets_the_slot_of_the_one_that_it_replaces() {
    let rig = Rig::new();
    let only = |ms: u64| {
        let mut top = slot(1, "reject");
        top["key"] = json!({"value": "task-${input.n}", "on_taken": "replace"});
        with(ms, top)
    };
    let first = start(&rig, &only(600_000), json!({"n": 1})).await.run;
    assert_eq!(refused(&rig, &only(10), json!({"n": 2})).await.code(), "no_slot", "another task finds none");
    assert_eq!(rig.status(first).await, RunStatus::Running, "and a refusal leaves the holder alone");
    let second = start(&rig, &only(10), json!({"n": 1})).await.run;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    assert_eq!(rig.status(first).await, RunStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn l4_a_key_that_no_success_releases_answers_with_the_run_that_succeeded() {
    let rig = Rig::new();
    let once = |ms: u64| keyed(ms, json!({"release": "unsuccessful"}));
    let failing = json!({"id": "work", "needs": [], "work": {"task": {"kind": "function", "spec": {"name": "fail", "with": {}}}}});
    let key = json!({"value": "task-1", "release": "unsuccessful"});
    let failed =
        start(&rig, &definition(json!({"name": "p", "key": key, "steps": [failing]})), json!({})).await.run;
    assert_eq!(rig.end(failed).await, RunStatus::Failed);
    until_key(&rig, SlotState::is_free).await;
    let done = start(&rig, &once(10), json!({"n": 1})).await;
    assert!(!done.held, "a failure gives it back");
    assert_eq!(rig.end(done.run).await, RunStatus::Succeeded);
    until_key(&rig, |key| !key.is_busy()).await;
    let again = start(&rig, &once(10), json!({"n": 1})).await;
    assert_eq!((again.run, again.held), (done.run, true));
}

#[tokio::test(start_paused = true)]
async fn s10_a_repeated_start_is_its_own_answer_whatever_its_key_says() {
    let rig = Rig::new();
    let dedup =
        |key: &str| Some(Dedup { key: Hash::of(key.as_bytes()), body: Hash::ZERO, keep: DedupKeep::Stream });
    let definition = keyed(600_000, json!({"on_taken": "reject"}));
    let first = StartRequest { dedup: dedup("a"), ..request(&definition, json!({"n": 1})) };
    let started = rig.engine.start(first.clone()).await.unwrap();
    let again = rig.engine.start(first).await.unwrap();
    assert_eq!((again.run, again.repeated, again.held), (started.run, true, false));
    let other = StartRequest { dedup: dedup("b"), ..request(&definition, json!({"n": 1})) };
    assert!(rig.engine.start(other).await.is_err_and(|error| error.is_refusal()));
}
