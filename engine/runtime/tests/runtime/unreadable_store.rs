//! A store that cannot be read for a moment: nothing that was on its way is forgotten.

use std::sync::atomic::Ordering;
use std::time::Duration;

use everfold_base::actor::Actor;
use everfold_base::envelope::StreamKind;
use everfold_base::id::{RunId, Version};
use everfold_core::event::{HaltScope, RunEvent};
use everfold_core::pauses::PauseOrder;
use everfold_core::slots::{SlotEvent, SlotState};
use everfold_core::state::RunStatus;
use everfold_runtime::Which;
use everfold_store::EventStore as _;
use serde_json::json;

use crate::fixtures::test_engine::{Rig, command, definition, function, is_end, pipeline};

/// An operator recovers quarantined runs, until all runs have ended and no key is held.
async fn see_through(rig: &Rig, runs: &[RunId], about: &str) {
    for _ in 0..1_000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (run, _) in rig.engine.set_aside() {
            let _whether_it_is_there = rig.engine.recover(Which::Only(run)).await;
        }
        let mut is_over = are_free(rig).await;
        for run in runs {
            is_over &= rig.history(*run).await.iter().any(is_end);
        }
        if is_over {
            return;
        }
    }
    for run in runs {
        eprintln!("{run}: {:?}", rig.names(*run).await);
    }
    panic!("{about}: a run waits for ever");
}

async fn are_free(rig: &Rig) -> bool {
    for (stream, _) in rig.store.inner.streams(StreamKind::Key, None, 1_000).await.unwrap() {
        let mut state = SlotState::default();
        for event in rig.store.inner.read(&stream, Version::FIRST, 10_000).await.unwrap() {
            state.apply(&SlotEvent::decode(event.header.kind, event.header.schema, &event.payload).unwrap());
        }
        if !state.is_free() {
            return false;
        }
    }
    true
}

/// A run that was granted a slot while another stream could not be read was never informed, and a run whose end could
/// not be read kept its slots.
#[tokio::test(start_paused = true)]
async fn d9_whatever_cannot_be_read_no_slot_is_lost_and_nobody_waits_for_ever() {
    let document = json!({
        "name": "p",
        "key": {"value": "one", "on_taken": "replace"},
        "concurrency": [{"key": "hall", "limit": 1, "on_limit": "queue"}],
        "steps": [command("work", &[], 50)],
    });
    let keyed = definition(document.clone());
    let mut plain = document;
    plain.as_object_mut().unwrap().remove("key");
    let plain = definition(plain);
    for (failing, looks) in (1..12).flat_map(|failing| [(failing, false), (failing, true)]) {
        for dies in [false, true] {
            let mut rig = Rig::with(|config| config.states = 0);
            let mut runs = vec![rig.start(&plain).await, rig.start(&plain).await, rig.start(&keyed).await];
            tokio::time::sleep(Duration::from_millis(49)).await;
            if dies {
                rig.crash().await;
            }
            let reads = if looks { &rig.store.looks_to_fail } else { &rig.store.reads_to_fail };
            reads.store(failing, Ordering::SeqCst);
            while dies && rig.engine.recover(Which::All).await.is_err() {}
            tokio::time::sleep(Duration::from_millis(20)).await;
            let reads = if looks { &rig.store.looks_to_fail } else { &rig.store.reads_to_fail };
            reads.store(0, Ordering::SeqCst);
            runs.push(rig.start(&keyed).await);
            see_through(&rig, &runs, &format!("{failing} reads, looks: {looks}, dies: {dies}")).await;
        }
    }
}

/// A step whose child's output could not be read at that moment failed.
#[tokio::test(start_paused = true)]
async fn l25_the_output_of_a_child_is_waited_for_where_it_cannot_be_read_at_once() {
    let rig = Rig::new();
    let output = "x".repeat(2_000);
    let child = json!({"name": "child", "steps": [command("work", &[], 50)], "output": output});
    rig.engine.save_pipeline(&definition(child), None, everfold_base::actor::Actor::Engine).await.unwrap();
    let spec = json!({"pipeline": "child"});
    let call = json!({"id": "call", "needs": [], "work": {"task": {"kind": "run", "spec": spec}}});
    let run = rig.start(&pipeline(vec![call])).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.store.reads_to_fail.store(3, Ordering::SeqCst);
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    assert_eq!(rig.store.reads_to_fail.load(Ordering::SeqCst), 0, "they failed meanwhile");
    rig.assert_replays(run).await;
}

/// A step failed for ever where the stored output of its child was damaged.
#[tokio::test(start_paused = true)]
async fn l25_a_run_whose_childs_output_is_damaged_is_set_aside_until_that_is_mended() {
    let mut rig = Rig::with(|config| config.values_bytes = 0);
    let output = "x".repeat(100_000);
    let child = json!({"name": "child", "steps": [command("work", &[], 50)], "output": output});
    rig.engine.save_pipeline(&definition(child), None, everfold_base::actor::Actor::Engine).await.unwrap();
    let spec = json!({"pipeline": "child"});
    let call = json!({"id": "call", "needs": [], "work": {"task": {"kind": "run", "spec": spec}}});
    let document = json!({
        "name": "p", "steps": [call, command("beside", &[], 100)], "output": "${size(steps.call.output)}",
    });
    let run = rig.start(&definition(document)).await;
    rig.until(run, |event| matches!(event, RunEvent::ChildStarted(_))).await;
    let children = rig.store.inner.streams(StreamKind::Run, None, 10).await.unwrap();
    let child = children.iter().filter_map(|(id, _)| id.id.parse().ok()).find(|id| *id != run).unwrap();
    rig.machine.damaged.lock().unwrap().insert(child);
    rig.until(child, is_end).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    for dies in [false, true] {
        if dies {
            rig.crash().await;
            rig.recover().await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let aside = rig.engine.set_aside();
        let [(set_aside, reason)] = aside.as_slice() else { panic!("{aside:?}: {:?}", rig.names(run).await) };
        assert_eq!(*set_aside, run);
        let place = format!("of run {child} is damaged");
        assert!(reason.contains("output of a child run") && reason.contains(&place), "{reason}");
        rig.engine.recover(Which::Only(run)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(rig.engine.set_aside().len(), 1, "tried again, and still so");
    }
    rig.machine.damaged.lock().unwrap().clear();
    rig.engine.recover(Which::Only(run)).await.unwrap();
    assert_eq!(rig.end(run).await, RunStatus::Succeeded);
    let output = rig.engine.with_state(run, |state| state.output().clone()).await.unwrap();
    assert_eq!(output.value(&Default::default()).unwrap(), json!(100_000));
    assert_eq!((rig.machine.begun(), rig.engine.set_aside().len()), (2, 0), "nothing ran twice");
    rig.assert_replays(run).await;
}

/// An attempt took a child for started that could not be read, and was not there.
#[tokio::test(start_paused = true)]
async fn l25_a_child_begins_whatever_could_not_be_read_before() {
    let child = json!({"name": "child", "steps": [command("work", &[], 10)]});
    let spec = json!({"pipeline": "child"});
    let parent =
        pipeline(vec![json!({"id": "call", "needs": [], "work": {"task": {"kind": "run", "spec": spec}}})]);
    for (failing, looks) in (1..8).flat_map(|failing| [(failing, false), (failing, true)]) {
        let rig = Rig::with(|config| config.states = 0);
        let saved = rig
            .engine
            .save_pipeline(&definition(child.clone()), None, everfold_base::actor::Actor::Engine)
            .await;
        saved.unwrap();
        let run = rig.start(&parent).await;
        let reads = if looks { &rig.store.looks_to_fail } else { &rig.store.reads_to_fail };
        reads.store(failing, Ordering::SeqCst);
        see_through(&rig, &[run], &format!("{failing} reads, looks: {looks}")).await;
        let started = rig.names(run).await.contains(&"ChildStarted");
        let status = rig.status(run).await;
        assert!(!started || status == RunStatus::Succeeded, "{failing} reads, looks: {looks}: {status}");
    }
}

fn call(id: &str, needs: &[&str], named: &str) -> serde_json::Value {
    let spec = json!({"pipeline": named});
    json!({"id": id, "needs": needs, "work": {"task": {"kind": "run", "spec": spec}}})
}

async fn save(rig: &Rig, document: serde_json::Value) {
    rig.engine.save_pipeline(&definition(document), None, Actor::Engine).await.unwrap();
}

/// The step failed for good.
#[tokio::test(start_paused = true)]
async fn l25_a_child_whose_pipeline_cannot_be_read_or_kept_at_once_begins_later() {
    for (stream, ends) in
        [("engine/pipeline-", false), ("engine/definition-", false), ("engine/definition-", true)]
    {
        let about = format!("{stream}, ends: {ends}");
        let mut rig = Rig::new();
        save(&rig, json!({"name": "child", "steps": [command("work", &[], 10)]})).await;
        rig.crash().await;
        let run =
            rig.start(&pipeline(vec![command("first", &[], 10), call("go", &["first"], "child")])).await;
        if ends {
            rig.store.fail_ends_of(stream, 1);
        } else {
            rig.store.fail_reads_of(stream, 1);
        }
        assert_eq!(rig.end(run).await, RunStatus::Succeeded, "{about}");
        assert_eq!(rig.store.unread_left(), 0, "{about}: it failed meanwhile");
    }
}

/// It was not known what they held, so nothing was taken to be held, and all of them waited for each other.
#[tokio::test(start_paused = true)]
async fn l25_a_child_begins_only_when_it_is_known_what_those_who_wait_for_it_hold() {
    let mut rig = Rig::with(|config| config.order.resources = [("gpu".to_owned(), 1)].into());
    let holding = |mut step: serde_json::Value| {
        step["resources"] = json!(["gpu"]);
        step
    };
    let steps = [command("first", &[], 100), holding(command("render", &["first"], 10))];
    save(&rig, json!({"name": "leaf", "steps": steps})).await;
    save(&rig, json!({"name": "mid", "steps": [command("first", &[], 50), call("go", &["first"], "leaf")]}))
        .await;
    let run = rig.start(&pipeline(vec![holding(call("go", &[], "mid"))])).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.crash().await;
    rig.store.fill_reads_of(&format!("run/{run}"), 1);
    rig.recover().await;
    assert_eq!(rig.end(run).await, RunStatus::Failed);
    let failure = rig.history(run).await.into_iter().find_map(|event| match event {
        RunEvent::RunFailed(event) => Some(event.failure),
        _other => None,
    });
    assert_eq!(failure.unwrap().code.as_deref(), Some("RESOURCE_HELD"));
}

/// The others were left out, and went on standing still when the pause was over.
#[tokio::test(start_paused = true)]
async fn l29_every_run_is_told_of_a_pause_and_of_its_end_however_busy_the_engine_is() {
    let rig = Rig::with(|config| {
        (config.shards, config.inbox, config.patience) = (1, 1, Duration::ZERO);
    });
    rig.recover().await;
    let mut runs = Vec::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        runs.push(rig.start(&pipeline(vec![json!({"id": "w", "work": {"wait": {"for": "1h"}}})])).await);
    }
    for (wanted, word) in [(PauseOrder::Halt, "RunHalted"), (PauseOrder::Release, "RunReleased")] {
        let paused = rig.engine.halt(wanted, HaltScope::Engine, None, Actor::Engine).await.unwrap();
        assert_eq!(paused.runs, runs.len(), "{word}");
        for run in &runs {
            assert!(rig.names(*run).await.contains(&word), "{word}: {:?}", rig.names(*run).await);
        }
    }
}

/// It failed for good.
#[tokio::test(start_paused = true)]
async fn l25_the_workspace_of_a_parent_is_waited_for_where_that_cannot_be_read_at_once() {
    let mut missed = 0;
    for at_ms in (0..100).step_by(5) {
        let mut rig = Rig::new();
        rig.store.delay_ms.store(10, Ordering::SeqCst);
        save(&rig, json!({"name": "child", "workspace": "parent", "steps": [command("work", &[], 10)]}))
            .await;
        let git = json!({"git": {"git": "/repository"}});
        let parent = json!({"name": "p", "workspace": git, "steps": [call("go", &[], "child")]});
        let run = rig.start(&definition(parent)).await;
        tokio::time::sleep(Duration::from_millis(at_ms)).await;
        rig.crash().await;
        rig.store.fill_reads_of(&format!("run/{run}"), 1);
        rig.recover().await;
        rig.until(run, is_end).await;
        assert!(rig.names(run).await.contains(&"RunSucceeded"), "died after {at_ms} ms");
        missed += 1 - rig.store.unread_left();
    }
    assert!(missed > 10, "it failed meanwhile");
}

/// A failed run waited for ever for a value of its output that was not to be had any more.
#[tokio::test(start_paused = true)]
async fn a_failed_run_ends_though_a_value_of_its_output_cannot_be_read() {
    let rig = Rig::with(|config| config.values_bytes = 0);
    let steps = json!([
        function("big", &[], "big", json!({})),
        {"id": "hold", "needs": ["big"], "work": {"wait": {"for": "1h"}}},
        function("fail", &["hold"], "fail", json!({})),
    ]);
    for (output, wanted, said) in [
        (json!({"text": "${steps.big.output.text}", "n": 7}), json!({"text": null, "n": 7}), "text: "),
        (json!("${steps.big.output.text}"), json!(null), ""),
    ] {
        let document = json!({"name": "p", "steps": steps, "output": output});
        let run = rig.start(&definition(document)).await;
        rig.machine.damaged.lock().unwrap().insert(run);
        rig.until(run, is_end).await;
        let history = rig.history(run).await;
        let Some(RunEvent::RunFailed(failed)) = history.last() else { panic!("{:?}", history.last()) };
        let result = failed.result.as_ref().unwrap();
        assert_eq!(result.output.text().unwrap().value(), wanted);
        assert_eq!(result.problems, [format!("{said}a value that it needs cannot be read")]);
        assert!(rig.engine.set_aside().is_empty());
    }
}
