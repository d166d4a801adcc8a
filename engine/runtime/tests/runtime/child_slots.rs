//! Runs that start each other and want the same: none waits for what another holds until it has ended.

use std::sync::Arc;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::envelope::StreamKind;
use everfold_base::failure::Failure;
use everfold_base::id::{AttemptId, RunId, Version};
use everfold_base::json::Value;
use everfold_core::event::{CancelRequested, RunEvent};
use everfold_core::input::InputKind;
use everfold_core::slots::{SlotEvent, SlotState};
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_store::EventStore as _;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command, definition};

/// A step that starts a child.
fn child(id: &str, spec: Value) -> Value {
    json!({"id": id, "work": {"task": {"kind": "run", "spec": spec}}})
}

fn id_of(run: RunId, attempt: &str) -> RunId {
    run.child(&attempt.parse::<AttemptId>().unwrap())
}

async fn save(rig: &Rig, document: Value) {
    rig.engine.save_pipeline(&definition(document), None, Actor::User("ada".into())).await.unwrap();
}

fn slot(on_limit: &str) -> Value {
    json!([{"key": "repo", "limit": 1, "on_limit": on_limit}])
}

/// A run that holds `repo` and starts `inner`.
fn outer(spec: Value) -> Arc<Definition> {
    definition(json!({"name": "outer", "concurrency": slot("queue"), "steps": [child("go", spec)]}))
}

async fn key(rig: &Rig) -> SlotState {
    let mut state = SlotState::default();
    for (stream, _) in rig.store.inner.streams(StreamKind::Key, None, 10).await.unwrap() {
        for event in rig.store.inner.read(&stream, Version::FIRST, 1_000).await.unwrap() {
            state.apply(&SlotEvent::decode(event.header.kind, event.header.schema, &event.payload).unwrap());
        }
    }
    state
}

async fn failure(rig: &Rig, run: RunId) -> Failure {
    let find = |event| match event {
        RunEvent::RunFailed(event) => Some(event.failure),
        _other => None,
    };
    rig.history(run).await.into_iter().find_map(find).expect("it failed")
}

#[tokio::test(start_paused = true)]
async fn d9_a_child_shares_the_slot_of_the_run_that_waits_for_it() {
    for on_limit in ["queue", "reject", "cancel_oldest"] {
        let rig = Rig::new();
        save(&rig, json!({"name": "deep", "concurrency": slot(on_limit), "steps": [command("w", &[], 100)]}))
            .await;
        let inner = json!({"name": "inner", "concurrency": slot(on_limit), "steps": [child("go", json!({"pipeline": "deep"}))]});
        save(&rig, inner).await;
        let run = rig.start(&outer(json!({"pipeline": "inner"}))).await;
        let other = rig.start(&outer(json!({"pipeline": "deep"}))).await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "{on_limit}");
        assert_eq!(rig.end(other).await, RunStatus::Succeeded, "{on_limit}");
        let inner = id_of(run, "go/1/1");
        for run in [run, inner, id_of(inner, "go/1/1"), other] {
            rig.assert_replays(run).await;
        }
        assert_eq!(rig.machine.peak(), 1, "the slot was one run's at a time, with its children");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(key(&rig).await.is_free());
    }
}

#[tokio::test(start_paused = true)]
async fn d9_a_child_that_is_not_waited_for_queues_like_any_other() {
    let rig = Rig::new();
    save(&rig, json!({"name": "inner", "concurrency": slot("queue"), "steps": [command("w", &[], 100)]}))
        .await;
    let document = json!({
        "name": "outer", "concurrency": slot("queue"),
        "steps": [child("go", json!({"pipeline": "inner", "wait": false})), command("own", &[], 5_000)],
    });
    let run = rig.start(&definition(document)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let child = id_of(run, "go/1/1");
    assert_eq!(rig.status(child).await, RunStatus::Queued);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.end(child).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn d9_a_child_that_is_left_behind_keeps_the_slot_that_it_shared() {
    let rig = Rig::new();
    save(&rig, json!({"name": "inner", "concurrency": slot("queue"), "steps": [command("w", &[], 60_000)]}))
        .await;
    let run = rig.start(&outer(json!({"pipeline": "inner", "on_parent_cancel": "leave"}))).await;
    let child = id_of(run, "go/1/1");
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.submit(run, InputKind::Cancel(CancelRequested { reason: None })).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    let next = rig.start(&outer(json!({"pipeline": "inner"}))).await;
    assert_eq!(rig.status(next).await, RunStatus::Queued);
    assert_eq!(rig.end(child).await, RunStatus::Succeeded);
    assert_eq!(rig.end(next).await, RunStatus::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn d9_whenever_the_engine_dies_a_child_gets_in_under_the_slot_and_leaves_it_free() {
    for at_ms in (0..260).step_by(13) {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(10, std::sync::atomic::Ordering::SeqCst);
        let inner = json!({"name": "inner", "concurrency": slot("queue"), "steps": [command("w", &[], 100)]});
        save(&rig, inner).await;
        let run = rig.start(&outer(json!({"pipeline": "inner"}))).await;
        tokio::time::sleep(Duration::from_millis(at_ms)).await;
        rig.crash().await;
        rig.recover().await;
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "died after {at_ms} ms");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(key(&rig).await.is_free(), "died after {at_ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_child_that_would_be_its_own_parent_is_refused() {
    for on_taken in ["return", "reject", "replace"] {
        let rig = Rig::new();
        let key = json!({"value": "one", "on_taken": on_taken, "release": "ended"});
        save(&rig, json!({"name": "inner", "key": key, "steps": [command("w", &[], 100)]})).await;
        let document =
            json!({"name": "outer", "key": key, "steps": [child("go", json!({"pipeline": "inner"}))]});
        let run = rig.start(&definition(document)).await;
        assert_eq!(rig.end(run).await, RunStatus::Failed, "{on_taken}");
        let failure = failure(&rig, run).await;
        assert_eq!(failure.code.as_deref(), Some("KEY_TAKEN"));
        assert!(failure.message.contains(&run.to_string()), "{}", failure.message);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_needs_the_resource_that_its_parent_holds_all_of_is_refused_and_says_who_holds_it() {
    for size in [1, 2] {
        let rig = Rig::with(|config| config.order.resources = [("gpu".to_owned(), size)].into());
        let mut work = command("w", &[], 100);
        work["resources"] = json!(["gpu"]);
        save(&rig, json!({"name": "inner", "steps": [work]})).await;
        let mut go = child("go", json!({"pipeline": "inner"}));
        go["resources"] = json!(["gpu"]);
        let run = rig.start(&definition(json!({"name": "outer", "steps": [go]}))).await;
        if size == 2 {
            assert_eq!(rig.end(run).await, RunStatus::Succeeded);
            continue;
        }
        assert_eq!(rig.end(run).await, RunStatus::Failed);
        let failure = failure(&rig, run).await;
        assert_eq!(failure.code.as_deref(), Some("RESOURCE_HELD"));
        assert!(failure.message.contains("“gpu”") && failure.message.contains(&run.to_string()));
    }
}
