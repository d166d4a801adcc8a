//! Slots of pipelines that are paused: who is let in meanwhile, and who comes first when the pause ends.

use std::sync::Arc;

use everfold_base::actor::Actor;
use everfold_base::id::RunId;
use everfold_base::json::Value;
use everfold_core::decide::Refusal;
use everfold_core::event::{HaltScope, RunPaused, RunResumed};
use everfold_core::input::InputKind;
use everfold_core::pauses::PauseOrder;
use everfold_core::state::RunStatus;
use everfold_language::definition::Definition;
use everfold_runtime::StartError;
use serde_json::json;

use crate::fixtures::slot_setup::{slot, start, until_key, with};
use crate::fixtures::test_engine::{Rig, command, definition, request};

async fn order(rig: &Rig, wanted: PauseOrder, scope: &HaltScope) {
    rig.engine.halt(wanted, scope.clone(), None, Actor::User("ada".into())).await.unwrap();
}

fn pipeline() -> HaltScope {
    HaltScope::Pipeline("p".into())
}

/// Starts a run whose id is as high as its number: those with low ones are released first.
async fn start_as(rig: &Rig, definition: &Arc<Definition>, number: u128, priority: i32) -> RunId {
    let mut asked = request(definition, json!({}));
    asked.run = Some(RunId(uuid::Uuid::from_u128(number)));
    asked.options.priority = priority;
    rig.engine.start(asked).await.unwrap().run
}

/// The runs in the order in which they were admitted, once all of them have ended.
async fn admitted(rig: &Rig, runs: &[RunId]) -> Vec<RunId> {
    let mut found = Vec::new();
    for run in runs {
        assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
        let at = rig.history(*run).await.iter().position(|event| event.name() == "RunAdmitted").unwrap();
        found.push((rig.envelopes(*run).await[at].position, *run));
        rig.assert_replays(*run).await;
    }
    found.sort();
    found.into_iter().map(|(_, run)| run).collect()
}

/// Each of them found the slot free, and queued behind the pause.
#[tokio::test(start_paused = true)]
async fn d9_under_a_pause_a_start_that_may_not_wait_is_refused_where_others_take_the_slots_after_it() {
    for scope in [pipeline(), HaltScope::Engine] {
        let rig = Rig::new();
        let two = with(1_000, slot(2, "reject"));
        order(&rig, PauseOrder::Halt, &scope).await;
        let starts = (0..4).map(|_| rig.engine.start(request(&two, json!({}))));
        let started = futures::future::join_all(starts).await;
        let runs: Vec<RunId> = started.iter().flatten().map(|started| started.run).collect();
        assert_eq!(runs.len(), 2, "{scope}");
        let no_slot = Refusal::NoSlot { key: "repo".into(), limit: 2 };
        let again = rig.engine.start(request(&two, json!({}))).await;
        assert!(matches!(again, Err(StartError::Refused(refusal)) if refusal == no_slot), "{scope}");
        for run in &runs {
            assert_eq!(rig.status(*run).await, RunStatus::Paused);
        }
        order(&rig, PauseOrder::Release, &scope).await;
        for run in &runs {
            assert_eq!(rig.end(*run).await, RunStatus::Succeeded);
        }
        assert_eq!(rig.machine.peak(), 2, "both begin at once");
    }
}

#[tokio::test(start_paused = true)]
async fn d9_a_run_that_is_paused_for_longer_takes_no_slot_from_a_start_under_a_pause() {
    let rig = Rig::new();
    let one = with(1_000, slot(1, "reject"));
    order(&rig, PauseOrder::Halt, &pipeline()).await;
    let alone = start(&rig, &one, json!({})).await.run;
    rig.submit(alone, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    let second = start(&rig, &one, json!({})).await.run;
    order(&rig, PauseOrder::Release, &pipeline()).await;
    assert_eq!(rig.end(second).await, RunStatus::Succeeded);
    assert_eq!(rig.status(alone).await, RunStatus::Paused);
    rig.submit(alone, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    assert_eq!(rig.end(alone).await, RunStatus::Succeeded);
}

/// The first slot went to the run that happened to be released first.
#[tokio::test(start_paused = true)]
async fn d9_when_a_pause_ends_the_slot_goes_to_the_highest_priority_and_then_to_the_oldest() {
    for scope in [pipeline(), HaltScope::Engine] {
        let mut rig = Rig::new();
        let one = with(1_000, slot(1, "queue"));
        order(&rig, PauseOrder::Halt, &scope).await;
        let mut runs = Vec::new();
        for (number, priority) in [(6, 0), (5, 0), (4, 3), (3, 3), (2, 7), (1, 0)] {
            runs.push(start_as(&rig, &one, number, priority).await);
        }
        order(&rig, PauseOrder::Release, &scope).await;
        let wanted = [runs[4], runs[2], runs[3], runs[0], runs[1], runs[5]];
        assert_eq!(admitted(&rig, &runs).await, wanted, "{scope}");
        // Also where the engine ended meanwhile.
        order(&rig, PauseOrder::Halt, &scope).await;
        let mut runs = Vec::new();
        for (number, priority) in [(16, 0), (15, 1), (14, 0)] {
            runs.push(start_as(&rig, &one, number, priority).await);
        }
        rig.crash().await;
        rig.recover().await;
        order(&rig, PauseOrder::Release, &scope).await;
        assert_eq!(admitted(&rig, &runs).await, [runs[1], runs[0], runs[2]], "{scope}");
        assert_eq!(rig.machine.peak(), 1);
    }
}

/// The allocator passes over a run whose own pipeline is still paused, or that a person paused.
#[tokio::test(start_paused = true)]
async fn d9_who_stays_paused_when_a_pause_ends_is_passed_over() {
    let rig = Rig::new();
    let one = with(1_000, slot(1, "queue"));
    order(&rig, PauseOrder::Halt, &HaltScope::Engine).await;
    order(&rig, PauseOrder::Halt, &HaltScope::Pipeline("q".into())).await;
    let mut document: Value = serde_json::from_str(&one.document()).unwrap();
    document["name"] = json!("q");
    let other = definition(document);
    let halted = start_as(&rig, &other, 1, 9).await;
    let alone = start_as(&rig, &one, 2, 9).await;
    let last = start_as(&rig, &one, 3, 0).await;
    rig.submit(alone, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    order(&rig, PauseOrder::Release, &HaltScope::Engine).await;
    assert_eq!(rig.end(last).await, RunStatus::Succeeded);
    for run in [halted, alone] {
        assert_eq!(rig.status(run).await, RunStatus::Paused);
    }
    order(&rig, PauseOrder::Release, &HaltScope::Pipeline("q".into())).await;
    assert_eq!(rig.end(halted).await, RunStatus::Succeeded);
}

/// The second start had the paused run cancelled, which holds nothing, and waited for all of the first one.
#[tokio::test(start_paused = true)]
async fn d9_a_paused_run_that_waits_is_not_cancelled_for_one_that_has_the_oldest_make_room() {
    let rig = Rig::new();
    let mut tidies = slot(1, "queue");
    tidies["on_finish"] = json!([command("tidy", &[], 60_000)]);
    let holder = start(&rig, &with(600_000, tidies), json!({})).await.run;
    let paused = start(&rig, &with(10, slot(1, "queue")), json!({})).await.run;
    rig.submit(paused, InputKind::Pause(RunPaused { reason: None, interrupt: false })).await.unwrap();
    let evicts = with(10, slot(1, "cancel_oldest"));
    let mut new = Vec::new();
    for _ in 0..2 {
        let run = start(&rig, &evicts, json!({})).await.run;
        until_key(&rig, |key| key.waits(run).is_some_and(|it| !it.evicted.is_empty())).await;
        new.push(run);
    }
    for run in [holder, new[0]] {
        assert_eq!(rig.end(run).await, RunStatus::Cancelled);
    }
    assert_eq!(rig.end(new[1]).await, RunStatus::Succeeded);
    assert_eq!(rig.status(paused).await, RunStatus::Paused);
    rig.submit(paused, InputKind::Resume(RunResumed { reason: None, prompt: None })).await.unwrap();
    for run in [paused, holder, new[0], new[1]] {
        rig.end(run).await;
        rig.assert_replays(run).await;
    }
    assert_eq!(rig.status(paused).await, RunStatus::Succeeded);
}
